"""`python -m benchmarks.speed.growth`: seconds and memory for 1, 2, 4 and 8 times the photos.

Each part of the pipeline that handles every photo or pair once is run at each size in a process of
its own: what is linear takes the same time a thing at every size. Networks are left out; they see
one batch after the other. DVC is measured by `dvc add` in a repository of its own.
"""

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.speed.measuring import write_table
from pipeline.data.fitting import ImageSettings
from pipeline.data.pairs import load_pairs
from pipeline.data.prepared_set import Choice, write_prepared_set
from pipeline.data.readers import DatasetSettings, read_dataset
from pipeline.data.sample_store import SyntheticPair, read_pair, store_pair
from pipeline.data.splits import SplitSettings
from pipeline.data.subsets import SubsetSettings
from pipeline.data.synthetic_set import write_synthetic_set
from pipeline.io.atomic import output_folder
from pipeline.io.errors import run
from pipeline.io.manifests import ClassInfo, read_manifest
from pipeline.io.params import PARAMS_FILE, parse, read_params, section

PHOTO_PX, PAIR_PX, OF_A_GROUP = 128, 64, 4
CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "defect", (255, 255, 255))]
Part = Callable[[int, Path], None]


def prepare(total: int, folder: Path) -> None:
    """From a COCO file to a prepared set, split by groups."""
    params = read_params(PARAMS_FILE)
    changes = {"path": str(folder / "data")}
    dataset = section(DatasetSettings, "dataset", params).model_copy(update=changes)
    content = {"classes": {"defect": ["spot"]}, "others": "ignore", "defect_free": "include"}
    subset = parse(SubsetSettings, "subset", content)
    image = ImageSettings(height=PAIR_PX, width=PAIR_PX, fit="resize")
    split = section(SplitSettings, "split", params)
    with output_folder(folder / "prepared") as out:
        write_prepared_set(
            read_dataset(dataset), Choice(dataset, "all", subset, image, split, 0), out
        )


def write_photos(total: int, folder: Path) -> None:
    """Photos of a bright disc with a spot, four of each, and their COCO file; not measured."""
    data = folder / "data"
    (data / "images").mkdir(parents=True)
    (data / "annotations").mkdir()
    rows, columns = np.mgrid[:PHOTO_PX, :PHOTO_PX] - PHOTO_PX / 2
    disc = np.where(np.hypot(rows, columns) < PHOTO_PX / 3, 200, 0)
    images, regions = [], []
    for number in range(total):
        noise = np.random.default_rng(number).integers(0, 40, (PHOTO_PX, PHOTO_PX, 3))
        name = f"images/{number // OF_A_GROUP:07d}_{number % OF_A_GROUP}.jpg"
        Image.fromarray((disc[..., None] + noise).astype(np.uint8)).save(data / name, quality=90)
        side = {"width": PHOTO_PX, "height": PHOTO_PX}
        images.append({"id": number, "file_name": name, **side})
        spot = [50, 50, 50 + 10 + number % 9, 50, 60, 75]
        regions.append({"id": number, "image_id": number, "category_id": 1, "segmentation": [spot]})
    content = {
        "images": images,
        "annotations": regions,
        "categories": [{"id": 1, "name": "spot"}],
    }
    (data / "annotations" / "instances_default.json").write_text(json.dumps(content))


def store(total: int, folder: Path) -> None:
    """Finished pairs written into the store of `sample`, one after the other."""
    mask = np.zeros((PAIR_PX, PAIR_PX), np.uint8)
    mask[20:30, 20:30] = 1
    for index in range(total):
        photo = np.random.default_rng(index).integers(0, 255, (PAIR_PX, PAIR_PX, 3), np.uint8)
        pair = SyntheticPair(index, index, "mask", has_object=True)
        store_pair(folder / "store", pair, photo, mask, mask > 0, CLASSES)


def place(total: int, folder: Path) -> None:
    """The synthetic set with manifest and exports, made of the store."""
    with output_folder(folder / "synthetic") as out:
        pairs = [read_pair(folder / "store", index) for index in range(total)]
        write_synthetic_set(out, folder / "store", pairs, CLASSES, {})


def load(total: int, folder: Path) -> None:
    """The pairs read into memory and compared with their hashes, as a segmenter does."""
    synthetic = folder / "synthetic"
    assert len(load_pairs(synthetic, read_manifest(synthetic), verify=True)) == total


def hash_by_dvc(total: int, folder: Path) -> None:
    """The synthetic set hashed and moved into DVC's cache."""
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q", "-f"], cwd=folder, check=True)
    subprocess.run([*dvc, "add", "-q", "synthetic"], cwd=folder, check=True)


PARTS: dict[str, Part] = {
    "preprocess": prepare,
    "write samples": store,
    "synthetic set": place,
    "load pairs": load,
    "dvc add": hash_by_dvc,
}


def main() -> None:
    """Command line: the smallest size, the factors, where to write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smallest", type=int, default=250, help="photos, and pairs")
    parser.add_argument("--factors", type=int, nargs="+", default=(1, 2, 4, 8))
    parser.add_argument("--out", type=Path, help="folder for CSV, page and figure")
    arguments = parser.parse_args()
    rows = []
    for factor in arguments.factors:
        total = factor * arguments.smallest
        with tempfile.TemporaryDirectory() as folder:
            _in_process(write_photos, total, Path(folder))
            for name, part in PARTS.items():
                wall, processor, peak = _in_process(part, total, Path(folder))
                rows.append(
                    {
                        "part": name,
                        "number": total,
                        "seconds": wall,
                        "ms each": 1000 * wall / total,
                        "processor ms each": 1000 * processor / total,
                        "peak MB": peak / 1e6,
                    }
                )
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows).sort_values(["part", "number"], kind="stable")
    notes = (
        f"Photos of {PHOTO_PX} px to pairs of {PAIR_PX} px. Each figure from a process of its own; "
        "peak: of its resident memory, the libraries' included."
    )
    write_table(arguments.out, "growth", table, notes)
    if arguments.out is not None:
        _figure(table).savefig(arguments.out / "growth.png", dpi=100)


def _in_process(part: Part, total: int, folder: Path) -> tuple[float, float, int]:
    """Seconds, processor seconds, and peak bytes of a part in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measured, part, total, folder).result()


def _measured(part: Part, total: int, folder: Path) -> tuple[float, float, int]:
    began, before = time.perf_counter(), _usage()
    part(total, folder)
    after = _usage()
    return time.perf_counter() - began, after[0] - before[0], after[1]


def _usage() -> tuple[float, int]:
    """Processor seconds so far and peak bytes, the processes included that were started."""
    users = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(user.ru_utime + user.ru_stime for user in users)
    return seconds, 1024 * max(user.ru_maxrss for user in users)


def _figure(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, rows in table.groupby("part", sort=False):
        left.plot(rows["number"], rows["processor ms each"], marker="o", label=name)
        right.plot(rows["number"], rows["peak MB"], marker="o", label=name)
    left.set(xscale="log", ylim=(0, None), xlabel="photos or pairs", ylabel="processor ms each")
    right.set(xscale="log", ylim=(0, None), xlabel="photos or pairs", ylabel="peak memory, MB")
    left.legend()
    return figure


if __name__ == "__main__":
    run(main)
