"""The parts of the pipeline that handle every photo or pair once, each on made-up ones."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.fitting import ImageSettings
from pipeline.data.pairs import load_pairs
from pipeline.data.prepared_set import Choice, write_prepared_set
from pipeline.data.readers import DatasetSettings, read_dataset
from pipeline.data.sample_store import SyntheticPair, is_finished, read_pair, store_pair
from pipeline.data.set_layouts import LAYOUTS
from pipeline.data.splits import SplitSettings
from pipeline.data.subsets import SubsetSettings
from pipeline.data.synthetic_set import write_synthetic_set
from pipeline.io.atomic import output_folder, write_text
from pipeline.io.manifests import ClassInfo, read_manifest
from pipeline.io.params import PARAMS_FILE, parse, read_params, section

PHOTO_PX, PAIR_PX, OF_A_GROUP = 128, 64, 4
CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "defect", (255, 255, 255))]
PAIRS_A_SHARD = 1000  # as in params.yaml
Part = Callable[[int, Path], Path | None]  # number, folder → what it filled


def prepare(total: int, folder: Path) -> Path:
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
    return folder / "prepared"


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


def store(total: int, folder: Path) -> Path:
    """Finished pairs written into the store of `sample`, one after the other.

    Masks differ, as DVC keeps one of several files that are the same.
    """
    for index in range(total):
        row, column = divmod(index % (PAIR_PX - 10) ** 2, PAIR_PX - 10)
        mask = np.zeros((PAIR_PX, PAIR_PX), np.uint8)
        mask[row : row + 10, column : column + 10] = 1
        photo = np.random.default_rng(index).integers(0, 255, (PAIR_PX, PAIR_PX, 3), np.uint8)
        pair = SyntheticPair(index, index, "mask", has_object=True)
        store_pair(folder / "store", pair, photo, mask, mask > 0, CLASSES)
    return folder / "store"


def look(total: int, folder: Path) -> None:
    """The pairs of the store compared with their hashes, as before anything is drawn."""
    assert all(is_finished(folder / "store", index) for index in range(total))


def place(layout: str, total: int, folder: Path) -> Path:
    """The synthetic set with manifest and exports, made of the store."""
    with output_folder(folder / layout / "synthetic") as out:
        pairs = [read_pair(folder / "store", index) for index in range(total)]
        how = LAYOUTS[layout](PAIRS_A_SHARD)
        write_synthetic_set(out, folder / "store", pairs, CLASSES, {}, how)
    return folder / layout / "synthetic"


def load(layout: str, total: int, folder: Path) -> None:
    """The pairs read into memory and compared with their hashes, as a segmenter does."""
    synthetic = folder / layout / "synthetic"
    assert len(load_pairs(synthetic, read_manifest(synthetic), verify=True)) == total


def hash_by_dvc(layout: str, total: int, folder: Path) -> Path:
    """The synthetic set hashed and moved into DVC's cache."""
    write_text(folder / layout / ".dvc" / "config", "[core]\n    no_scm = true\n")
    command = [sys.executable, "-m", "dvc", "add", "-q", "synthetic"]
    subprocess.run(command, cwd=folder / layout, check=True)
    return folder / layout / ".dvc" / "cache"


PARTS: dict[str, Part] = {
    "preprocess": prepare,
    "write samples": store,
    "look for finished samples": look,
} | {
    f"{name}, {layout}": partial(part, layout)
    for layout in LAYOUTS
    for name, part in (("synthetic set", place), ("load pairs", load), ("dvc add", hash_by_dvc))
}
