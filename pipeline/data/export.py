"""Synthetic pairs for other programs: COCO annotations and a Hugging Face image folder.

`coco.json` is COCO's object detection format, one annotation a connected region, and gives the
masks back exactly. `metadata.jsonl` is what `datasets` reads by
`load_dataset("imagefolder", data_dir=…)`: `file_name` becomes the column `image`, and
`mask_file_name` an image column `mask` (tried with datasets 5.2). Sets in shards have no such file:
their shards hold it (`pipeline.data.set_layouts`).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from pipeline.data.coco_regions import encode_region
from pipeline.io.atomic import write_text
from pipeline.io.images import read_mask
from pipeline.io.manifests import ClassInfo
from pipeline.io.shards import unpacked_name

COCO_FILE = "coco.json"
METADATA_FILE = "metadata.jsonl"


def write_coco(folder: Path, frame: pd.DataFrame, classes: list[ClassInfo]) -> None:
    """Write coco.json for the pairs of a manifest.

    Args:
        folder: holds the files that `frame` lists; the paths in coco.json are relative to it, or to
            the folder that shards are unpacked into.
        frame: rows with `id`, `image`, `mask`.
        classes: background first; a category's id is its class index, the background is none.
    """
    images, annotations = [], []
    for number, row in enumerate(frame.to_dict("records"), start=1):
        labels = read_mask(folder / row["mask"])
        height, width = labels.shape
        name = unpacked_name(row["image"])
        image = {"id": number, "file_name": name, "width": width, "height": height}
        images.append(image)
        annotations += _annotations(labels, number, len(annotations) + 1, len(classes))
    content = {
        "info": {"description": "Synthetic pairs"},
        "images": images,
        "categories": [
            {"id": item.index, "name": item.name, "supercategory": ""} for item in classes[1:]
        ],
        "annotations": annotations,
        "licenses": [],
    }
    write_text(folder / COCO_FILE, json.dumps(content, ensure_ascii=False) + "\n")


def _annotations(
    labels: np.ndarray, image_id: int, first_id: int, total_classes: int
) -> list[dict[str, Any]]:
    """One annotation for each connected region of each class of a mask (uint8 H×W)."""
    annotations = []
    for index in range(1, total_classes):
        regions, total = ndimage.label(labels == index)  # pixels that share a side
        for region in range(1, total + 1):
            identity = {
                "id": first_id + len(annotations),
                "image_id": image_id,
                "category_id": index,
            }
            annotations.append(identity | encode_region(regions == region))
    return annotations


def write_image_folder_metadata(folder: Path, frame: pd.DataFrame) -> None:
    """Write metadata.jsonl, one line a pair: its files and what the manifest says of it.

    Columns that are file paths get names that end in `file_name`; hashes stay in the manifest.
    """
    files = {"image": "file_name", "mask": "mask_file_name", "object": "object_file_name"}
    dropped = ["object"] if frame["object"].isna().all() else []
    table = frame.drop(columns=dropped).rename(columns=files)
    lines = [json.dumps(describe(row), ensure_ascii=False) for row in table.to_dict("records")]
    write_text(folder / METADATA_FILE, "\n".join(lines) + "\n")


def describe(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a manifest without hashes, NumPy's numbers and arrays as JSON's, null if missing."""
    plain = {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in row.items()
        if not name.endswith("sha256")
    }
    return {name: None if value != value else value for name, value in plain.items()}  # NaN ≠ NaN
