"""A prepared set of squares with red defects, for the tests of this folder."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.pairs import Pairs
from pipeline.io.images import sha256_of, write_image, write_mask, write_silhouette
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "mould", (255, 255, 255))]
COLOURS = [item.colour for item in CLASSES]


def square_pairs(total=6, size=8, seed=0) -> Pairs:
    """Grey squares on black whose defect is red."""
    rng = np.random.default_rng(seed)
    images = np.zeros((total, size, size, 3), np.uint8)
    masks = np.zeros((total, size, size), np.uint8)
    images[:, 1:-1, 1:-1] = rng.integers(90, 200, (total, 1, 1, 1), np.uint8)
    for image, mask, (row, column) in zip(
        images, masks, rng.integers(1, size - 3, (total, 2)), strict=True
    ):
        mask[row : row + 2, column : column + 2] = 1
        image[mask == 1] = (220, 20, 20)
    objects = images.max(axis=3) > 0
    return Pairs([f"lemon_{seed}_{i}" for i in range(total)], images, masks, objects)


def write_prepared(folder: Path, size=16, with_object=True, val=2) -> None:
    """Six training pairs, `val` for validation, one to test."""
    rows = []
    for seed, (split, total) in enumerate({"train": 6, "val": val, "test": 1}.items()):
        pairs = square_pairs(total, size, seed)
        for index, name in enumerate(pairs.ids):
            row = {"id": name, "image": f"images/{name}.png", "mask": f"masks/{name}.png"}
            write_image(folder / row["image"], pairs.images[index])
            write_mask(folder / row["mask"], pairs.masks[index], COLOURS)
            row |= {f"{kind}_sha256": sha256_of(folder / row[kind]) for kind in ("image", "mask")}
            row["object"] = f"objects/{name}.png" if with_object else None
            if with_object:
                write_silhouette(folder / row["object"], pairs.objects[index])
            rows.append(row | {"classes": ["mould"], "split": split, "group": name})
    write_classes(folder, CLASSES)
    write_manifest(folder, pd.DataFrame(rows))
