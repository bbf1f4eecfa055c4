"""Drawing a numbered set of pairs by one or several processes, resumable at any point.

Images are drawn in batches that always hold the same indices: batch k holds kB … kB+B−1. Floating
point sums of a batch may depend on its size, so only then has image i the same bytes whatever the
count is and wherever a killed run stopped. What the last batch draws beyond the count stays in the
store for a larger count.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor

from pipeline.data.pairs import Pairs
from pipeline.data.synthetic_set import (
    SyntheticPair,
    is_finished,
    read_pair,
    store_pair,
    write_synthetic_set,
)
from pipeline.diffusion.painting import Painter
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.io.atomic import output_folder
from pipeline.io.images import sha256_of
from pipeline.io.manifests import ClassInfo
from pipeline.io.progress import progress
from pipeline.io.seeding import derive_seed
from pipeline.io.store import open_store
from pipeline.models.conditioning import encode_condition


class Condition(Protocol):
    """What a mask source gives for an index."""

    mask: np.ndarray  # uint8 H×W
    object: np.ndarray | None  # bool H×W
    mask_id: str
    rejected: tuple[str, ...]  # faults of masks that were drawn before this one
    fault: str | None  # of this one


@dataclass(frozen=True)
class SampleJob:
    """Everything the bytes of a synthetic set depend on."""

    painter: Painter
    classes: list[ClassInfo]
    with_object: bool  # whether the network's condition has the silhouette
    source: Callable[[int], Condition]
    settings: SamplingSettings
    seed: int

    def pair(self, index: int, condition: Condition) -> SyntheticPair:
        """Names and seed of the pair at `index`, drawn for `condition`."""
        return SyntheticPair(
            index=index,
            seed=derive_seed(self.seed, "sample", index),
            mask_id=condition.mask_id,
            has_object=self.with_object,
            mask_rejected=condition.rejected,
            mask_fault=condition.fault,
        )

    def batch(self, number: int) -> range:
        """The indices of a batch."""
        size = self.settings.batch_size
        return range(number * size, (number + 1) * size)


def draw_set(job: SampleJob, key: dict[str, Any], out: Path, title: str) -> None:
    """Draw the pairs that are not in the store yet, then make the output folder of it.

    Args:
        job: what to draw.
        key: JSON-able; all that decides the bytes of a pair, so not the count.
        out: the synthetic set's folder; replaced as a whole.
        title: printed once by whichever number of processes.

    Raises:
        UserError: another process draws the same set.
    """
    accelerator = Accelerator()
    accelerator.print(title)
    # accelerate launch sets OMP_NUM_THREADS=1 on a CPU
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // accelerator.num_processes))
    job.painter.to(accelerator.device)
    is_main = accelerator.is_main_process
    with open_store("sample", key | {"device": accelerator.device.type}) as store:
        # one process lists what is missing: the others' lists would lack what it has just drawn
        plan = [unfinished_batches(job, store.path) if is_main else None]
        [missing] = broadcast_object_list(plan)
        began = time.monotonic()
        own = missing[accelerator.process_index :: accelerator.num_processes]
        draw_batches(job, store.path, own, shown=is_main)
        accelerator.wait_for_everyone()
        if is_main:
            _print_speed(len(missing) * job.settings.batch_size, time.monotonic() - began)
            _write(job, store.path, out)
    accelerator.end_training()


def store_key(
    job: SampleJob,
    weights: Path,
    inputs: dict[str, Any],
    masks: Pairs,
    mask_settings: dict[str, Any],
) -> dict[str, Any]:
    """What decides the bytes of pair i, JSON-able: all settings but the count, and the inputs.

    Args:
        job: what is drawn.
        weights: the folder the network was loaded from.
        inputs: hashes of other models that the photos or masks are drawn with, JSON-able.
        masks: the pairs whose masks and silhouettes the mask source uses.
        mask_settings: what the mask source was made with.
    """
    content = hashlib.sha256()
    for array in (masks.masks, masks.objects):
        content.update(b"" if array is None else array.tobytes())
    return {
        "settings": job.settings.model_dump(exclude={"count"}),
        "inputs": inputs,
        "weights": {path.name: sha256_of(path) for path in sorted(weights.iterdir())},
        "classes": [asdict(item) for item in job.classes],
        "mask_settings": mask_settings,
        "mask_ids": masks.ids,
        "masks": content.hexdigest(),
        "seed": job.seed,
    }


def unfinished_batches(job: SampleJob, store: Path) -> list[int]:
    """The batches needed for the count that have pairs which are not in the store."""
    total_batches = -(-job.settings.count // job.settings.batch_size)
    return [
        number
        for number in range(total_batches)
        if not all(is_finished(store, index) for index in job.batch(number))
    ]


def draw_batches(job: SampleJob, store: Path, batches: list[int], shown: bool = True) -> None:
    """Draw the given batches into the store, each pair written as soon as it is drawn."""
    size = job.settings.batch_size
    bar_or_none = progress(len(batches) * size, "sampling") if shown else contextlib.nullcontext()
    with ThreadPoolExecutor() as pool, bar_or_none as bar:
        for number in batches:
            _draw_batch(job, job.batch(number), store, pool)
            if bar is not None:
                bar.update(size)


def _print_speed(total_images: int, seconds: float) -> None:
    if total_images == 0:
        print("sampling: every pair was in the store already")
        return
    print(
        f"sampling: {total_images} images in {seconds:.0f} s, {total_images / seconds:.3g} images/s"
    )


def _draw_batch(job: SampleJob, indices: range, store: Path, pool: ThreadPoolExecutor) -> None:
    conditions = [job.source(index) for index in indices]
    masks = torch.from_numpy(np.stack([item.mask for item in conditions])).long()  # N×H×W
    objects = None
    if job.with_object:
        objects = torch.from_numpy(np.stack([item.object for item in conditions]))  # N×H×W
    pairs = [job.pair(i, condition) for i, condition in zip(indices, conditions, strict=True)]
    images = job.painter.paint(
        encode_condition(masks, objects, len(job.classes)),
        [torch.Generator().manual_seed(pair.seed) for pair in pairs],
        job.settings,
    )

    def write(item: tuple[SyntheticPair, Condition, np.ndarray]) -> None:
        pair, condition, image = item
        silhouette = condition.object if job.with_object else None
        store_pair(store, pair, image, condition.mask, silhouette, job.classes)

    list(pool.map(write, zip(pairs, conditions, to_pixels(images), strict=True)))


def to_pixels(images: Tensor) -> np.ndarray:
    """Images in [−1, 1], N×3×H×W, as uint8 N×H×W×3."""
    pixels = ((images.cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


def _write(job: SampleJob, store: Path, out: Path) -> None:
    settings = job.settings
    pairs = [read_pair(store, index) for index in range(settings.count)]
    drawn_by = {
        "guidance": settings.guidance,
        "sampler": settings.sampler,
        "steps": settings.steps,
    }
    with output_folder(out) as folder:
        write_synthetic_set(folder, store, pairs, job.classes, drawn_by)
    print(f"{out}: {settings.count} pairs; see {out / 'grid.png'}")
