"""The folder `data/synthetic`, made of the finished pairs of a store."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.data.export import write_coco
from pipeline.data.sample_store import SyntheticPair, read_hashes
from pipeline.data.set_layouts import FILES, Layout
from pipeline.io.images import read_image, read_mask, write_image
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest

GRID_FILE = "grid.png"
GRID_PAIRS = 24
GRID_COLUMNS = 8
GRID_GAP = 2
GRID_SMALLEST_TILE = 96  # smaller photos are enlarged by a whole factor


def write_synthetic_set(
    folder: Path,
    store: Path,
    pairs: list[SyntheticPair],
    classes: list[ClassInfo],
    drawn_by: dict[str, Any],
    layout: Layout = FILES,
) -> None:
    """Fill `folder` with finished pairs, their manifest, the exports and an overview.

    Args:
        folder: empty folder.
        store: where `store_pair` wrote them.
        pairs: all of them finished.
        classes: background first.
        drawn_by: columns that are the same for every pair (guidance, sampler, steps).
        layout: how photos, masks and silhouettes lie in the folder.
    """
    rows = pd.DataFrame([_row(store, pair, classes, drawn_by) for pair in pairs])
    frame = layout.place(folder, store, rows)
    write_classes(folder, classes)
    write_manifest(folder, frame)
    write_coco(folder, frame, classes)
    write_image(folder / GRID_FILE, overview(folder, frame.head(GRID_PAIRS), classes))


def _row(
    store: Path, pair: SyntheticPair, classes: list[ClassInfo], drawn_by: dict[str, Any]
) -> dict[str, Any]:
    """A row of the manifest; its paths are those in the store."""
    files, hashes = pair.files(), read_hashes(store, pair.index)
    present = np.unique(read_mask(store / files["mask"]))
    return {
        "id": pair.id,
        **files,
        "index": pair.index,
        "seed": pair.seed,
        "mask_id": pair.mask_id,
        "mask_rejected": list(pair.mask_rejected),
        "mask_fault": pair.mask_fault,
        **drawn_by,
        "classes": [classes[index].name for index in present if index > 0],
        "image_sha256": hashes[files["image"]],
        "mask_sha256": hashes[files["mask"]],
    }


def overview(folder: Path, frame: pd.DataFrame, classes: list[ClassInfo]) -> np.ndarray:
    """A picture of the given pairs, each photo above its coloured mask, as uint8 H×W×3."""
    palette = np.array([item.colour for item in classes], dtype=np.uint8)
    tiles = [
        np.concatenate(
            [read_image(folder / row["image"]), palette[read_mask(folder / row["mask"])]]
        )
        for row in frame.to_dict("records")
    ]  # each 2H×W×3
    height, width = tiles[0].shape[:2]
    factor = max(1, -(-GRID_SMALLEST_TILE // width))
    height, width = height * factor, width * factor
    lines = -(-len(tiles) // GRID_COLUMNS)
    columns = min(len(tiles), GRID_COLUMNS)
    size = (columns * (width + GRID_GAP) + GRID_GAP, lines * (height + 3 * GRID_GAP) + GRID_GAP)
    canvas = Image.new("RGB", size, "white")
    for i, tile in enumerate(tiles):
        line, column = divmod(i, GRID_COLUMNS)
        left = GRID_GAP + column * (width + GRID_GAP)
        top = GRID_GAP + line * (height + 3 * GRID_GAP)
        enlarged = Image.fromarray(tile).resize((width, height), Image.Resampling.NEAREST)
        canvas.paste(enlarged, (left, top))
    return np.array(canvas)
