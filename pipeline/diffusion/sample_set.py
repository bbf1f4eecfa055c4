"""Drawing a numbered set of pairs by one or several processes, resumable at any point.

Pairs are drawn in batches that always hold the same indices: batch k holds kB … kB+B−1. Floating
point sums of a batch may depend on its size, so only then has pair i the same bytes whatever the
count is and wherever a killed run stopped. What the last batch draws beyond the count stays in the
store for a larger count.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from pipeline.data.pairs import Pairs
from pipeline.data.sample_store import SyntheticPair, is_finished, read_pair, store_pair
from pipeline.data.set_layouts import FILES, Layout
from pipeline.data.synthetic_set import write_synthetic_set
from pipeline.diffusion.drawing import DrawnPair, Method, sample_seed
from pipeline.io.atomic import output_folder
from pipeline.io.cores import total_cores
from pipeline.io.images import sha256_of
from pipeline.io.manifests import ClassInfo
from pipeline.io.progress import progress
from pipeline.io.store import open_store


@dataclass(frozen=True)
class SampleJob:
    """A set to draw."""

    draw: Method
    classes: list[ClassInfo]
    with_object: bool  # whether its pairs have silhouettes
    count: int
    batch_size: int
    seed: int  # the pipeline's
    first: int = 0  # index of the first pair

    @property
    def indices(self) -> range:
        """Of the set's pairs."""
        return range(self.first, self.first + self.count)

    def pair(self, index: int, drawn: DrawnPair) -> SyntheticPair:
        """Names and seed of the pair at `index`."""
        return SyntheticPair(
            index=index,
            seed=sample_seed(self.seed, index),
            mask_id=drawn.mask_id,
            has_object=self.with_object,
            mask_rejected=drawn.rejected,
            mask_fault=drawn.fault,
        )

    def batch(self, number: int) -> range:
        """The indices of a batch."""
        return range(number * self.batch_size, (number + 1) * self.batch_size)


@contextlib.contextmanager
def drawn_store(job: SampleJob, key: dict[str, Any], stage: str = "sample") -> Iterator[Path]:
    """Draw the pairs that are not in the store yet; within the context the store holds them all.

    Args:
        job: what to draw.
        key: JSON-able; all that decides the bytes of a pair, so neither count nor first.
        stage: name of the store.

    Raises:
        UserError: another process draws the same set.
    """
    accelerator = Accelerator()
    # accelerate launch sets OMP_NUM_THREADS=1 on a CPU
    torch.set_num_threads(max(1, total_cores() // accelerator.num_processes))
    is_main = accelerator.is_main_process
    with open_store(stage, key | {"device": accelerator.device.type}) as store:
        # one process lists what is missing: the others' lists would lack what it has just drawn
        plan = [unfinished_batches(job, store.path) if is_main else None]
        [missing] = broadcast_object_list(plan)
        began = time.monotonic()
        own = missing[accelerator.process_index :: accelerator.num_processes]
        draw_batches(job, store.path, own, shown=is_main)
        accelerator.wait_for_everyone()
        if is_main:
            _print_speed(stage, len(missing) * job.batch_size, time.monotonic() - began)
        yield store.path


def write_set(
    job: SampleJob, store: Path, out: Path, drawn_by: dict[str, Any], layout: Layout = FILES
) -> None:
    """Make the output folder of a store with all pairs, in the main process; the processes part.

    Args:
        job: what was drawn.
        store: from `drawn_store`.
        out: the synthetic set's folder; replaced as a whole.
        drawn_by: columns that are the same for every pair.
        layout: how the files lie in it.
    """
    accelerator = Accelerator()
    if accelerator.is_main_process:
        pairs = [read_pair(store, index) for index in job.indices]
        with output_folder(out) as folder:
            write_synthetic_set(folder, store, pairs, job.classes, drawn_by, layout)
        print(f"{out}: {job.count} pairs; see {out / 'grid.png'}")
    accelerator.end_training()  # else several processes complain of each other at their end


def hashes_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder by name, as part of a key."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def digest_of(pairs: Pairs) -> str:
    """SHA-256 of ids, photos, masks and silhouettes, as part of a key."""
    content = hashlib.sha256("\n".join(pairs.ids).encode())
    for array in (pairs.images, pairs.masks, pairs.objects):
        content.update(b"" if array is None else array.tobytes())
    return content.hexdigest()


def unfinished_batches(job: SampleJob, store: Path) -> list[int]:
    """The batches of the set's pairs that have pairs which are not in the store."""
    needed = range(job.indices[0] // job.batch_size, job.indices[-1] // job.batch_size + 1)
    return [
        number
        for number in needed
        if not all(is_finished(store, index) for index in job.batch(number))
    ]


def draw_batches(job: SampleJob, store: Path, batches: list[int], shown: bool = True) -> None:
    """Draw the given batches into the store; the files of one are written while the next is drawn.

    At most two batches are in memory. What fails while one is written is raised once the next is
    drawn; a pair counts as finished only by its facts, which are written last.
    """
    size = job.batch_size
    bar_or_none = progress(len(batches) * size, "sampling") if shown else contextlib.nullcontext()
    with ThreadPoolExecutor() as pool, bar_or_none as bar:
        writing: list[Future] = []
        for number in [*batches, None]:
            drawn = [] if number is None else _draw_batch(job, job.batch(number))
            for written in writing:
                written.result()
            if bar is not None and writing:
                bar.update(size)
            writing = [pool.submit(store_pair, store, *pair, job.classes) for pair in drawn]


def _print_speed(stage: str, total_images: int, seconds: float) -> None:
    if total_images == 0:
        print(f"{stage}: every pair was in the store already")
        return
    speed = total_images / seconds
    print(f"{stage}: {total_images} images in {seconds:.0f} s, {speed:.3g} images/s")


def _draw_batch(job: SampleJob, indices: range) -> list[tuple]:
    """Of each pair its names, photo, mask and silhouette, as `store_pair` takes them."""
    return [
        (job.pair(index, drawn), drawn.image, drawn.mask, drawn.object if job.with_object else None)
        for index, drawn in zip(indices, job.draw(indices), strict=True)
    ]
