"""The synthetic set: drawn pairs as files, and the folder `data/synthetic` made of them.

A pair's files are written one by one into a store that outlives a killed run; what is known of the
pair comes last, with the hashes of the files before, so a pair is finished if these agree. The
output folder is made of hard links to the store where the file system allows them.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.data.export import write_coco, write_image_folder_metadata
from pipeline.io.atomic import write_json
from pipeline.io.images import (
    read_image,
    read_mask,
    sha256_of,
    write_image,
    write_mask,
    write_silhouette,
)
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest

GRID_FILE = "grid.png"
GRID_PAIRS = 24
GRID_COLUMNS = 8
GRID_GAP = 2
GRID_SMALLEST_TILE = 96  # smaller photos are enlarged by a whole factor


@dataclass(frozen=True)
class SyntheticPair:
    """What is known of a pair beside its files; a row of the manifest."""

    index: int
    seed: int
    mask_id: str
    has_object: bool
    mask_rejected: tuple[str, ...] = ()  # faults of masks that were drawn before this one
    mask_fault: str | None = None  # of this one

    @property
    def id(self) -> str:
        """The name of the pair's files."""
        return pair_id(self.index)

    def files(self) -> dict[str, str | None]:
        """Paths of photo, mask and silhouette relative to the set's folder."""
        name = f"{self.id}.png"
        silhouette = f"objects/{name}" if self.has_object else None
        return {"image": f"images/{name}", "mask": f"masks/{name}", "object": silhouette}


def pair_id(index: int) -> str:
    """The id of the synthetic pair of that index."""
    return f"synthetic_{index:06d}"


def is_finished(store: Path, index: int) -> bool:
    """Whether all files of the pair are in the store, as they were written.

    One that is torn or altered is told of; `store_pair` replaces it.
    """
    path = store / _facts_file(index)
    if not path.exists():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = content.pop("files")
        digest = content.pop("sha256")
        whole = digest == _digest(content, files) and files == _hashes(store, files)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        whole = False
    if not whole:
        print(f"{store}: {pair_id(index)} is damaged; it is drawn again", flush=True)
    return whole


def read_pair(store: Path, index: int) -> SyntheticPair:
    """What is known of a finished pair."""
    content = json.loads((store / _facts_file(index)).read_text(encoding="utf-8"))
    del content["files"], content["sha256"]
    return SyntheticPair(**{**content, "mask_rejected": tuple(content["mask_rejected"])})


def _hashes(store: Path, files: Iterable[str]) -> dict[str, str]:
    return {name: sha256_of(store / name) for name in files}


def _digest(facts: dict[str, Any], files: dict[str, str]) -> str:
    text = json.dumps([facts, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _facts_file(index: int) -> str:
    return f"facts/{pair_id(index)}.json"


def store_pair(
    store: Path,
    pair: SyntheticPair,
    image: np.ndarray,
    mask: np.ndarray,
    silhouette: np.ndarray | None,
    classes: list[ClassInfo],
) -> None:
    """Write a pair's files, what is known of it last.

    Args:
        store: folder that outlives the run.
        pair: its names.
        image: uint8 H×W×3.
        mask: uint8 H×W, class indices.
        silhouette: bool H×W, or None.
        classes: background first; give the mask its colours.
    """
    files = pair.files()
    write_mask(store / files["mask"], mask, [item.colour for item in classes])
    if silhouette is not None:
        write_silhouette(store / files["object"], silhouette)
    write_image(store / files["image"], image)
    facts = asdict(pair) | {"mask_rejected": list(pair.mask_rejected)}  # as it is read back
    hashes = _hashes(store, filter(None, files.values()))
    content = {**facts, "files": hashes, "sha256": _digest(facts, hashes)}
    write_json(store / _facts_file(pair.index), content)


def write_synthetic_set(
    folder: Path,
    store: Path,
    pairs: list[SyntheticPair],
    classes: list[ClassInfo],
    drawn_by: dict[str, Any],
) -> None:
    """Fill `folder` with finished pairs, their manifest, the exports and an overview.

    Args:
        folder: empty folder.
        store: where `store_pair` wrote them.
        pairs: all of them finished.
        classes: background first.
        drawn_by: columns that are the same for every pair (guidance, sampler, steps).
    """
    rows = [_row(folder, store, pair, classes, drawn_by) for pair in pairs]
    frame = pd.DataFrame(rows)
    write_classes(folder, classes)
    write_manifest(folder, frame)
    write_coco(folder, frame, classes)
    write_image_folder_metadata(folder, frame)
    write_image(folder / GRID_FILE, overview(folder, frame.head(GRID_PAIRS), classes))


def _row(
    folder: Path,
    store: Path,
    pair: SyntheticPair,
    classes: list[ClassInfo],
    drawn_by: dict[str, Any],
) -> dict[str, Any]:
    files = pair.files()
    for path in filter(None, files.values()):
        _place(store / path, folder / path)
    present = np.unique(read_mask(folder / files["mask"]))
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
        "image_sha256": sha256_of(folder / files["image"]),
        "mask_sha256": sha256_of(folder / files["mask"]),
    }


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


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
