"""The manifest of a prepared or synthetic set, and its list of classes.

`read_split` gives the training or validation pairs. The test pairs have a door of their own,
`read_test`: only the segmenters' final evaluation goes through it, and the audit that searches the
test photos for copies of training photos (a test holds this).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError

MANIFEST = "manifest.parquet"
CLASSES = "classes.json"
REQUIRED_COLUMNS = ("id", "image", "mask", "object", "classes", "image_sha256", "mask_sha256")


@dataclass(frozen=True)
class ClassInfo:
    """A class of the label masks: `index` is the pixel's value, 0 is the background."""

    index: int
    name: str
    colour: tuple[int, int, int]


def write_classes(folder: Path, classes: list[ClassInfo]) -> None:
    """Write classes.json; indices must run 0…C−1 in order."""
    assert [item.index for item in classes] == list(range(len(classes))), classes
    write_json(folder / CLASSES, [asdict(item) for item in classes])


def read_classes(folder: Path) -> list[ClassInfo]:
    """The classes of a set, background first."""
    path = folder / CLASSES
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [ClassInfo(c["index"], c["name"], tuple(c["colour"])) for c in content]
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage that makes {folder}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a list of classes: {error!r}") from None


def write_manifest(folder: Path, frame: pd.DataFrame) -> None:
    """Write the manifest of a set as Parquet; ids must be unique."""
    assert frame["id"].is_unique
    frame.to_parquet(folder / MANIFEST, index=False)


def read_manifest(folder: Path) -> pd.DataFrame:
    """The whole manifest of a prepared or synthetic set.

    Raises:
        UserError: it is missing, is no Parquet file or lacks a column.
    """
    path = folder / MANIFEST
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage that makes {folder}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as Parquet: {error}") from None
    missing = [name for name in REQUIRED_COLUMNS if name not in frame]
    if missing:
        raise UserError(f"{path}: lacks the columns {', '.join(missing)}; got {list(frame)}")
    return frame


def read_split(folder: Path, split: Literal["train", "val"]) -> pd.DataFrame:
    """The training or validation pairs of a prepared set, ordered by id."""
    if split not in ("train", "val"):
        raise ValueError(f"split: got {split!r}, expected 'train' or 'val'")
    return _rows(folder, split)


def read_test(folder: Path) -> pd.DataFrame:
    """The test pairs of a prepared set, ordered by id: for the final evaluation and the audit."""
    return _rows(folder, "test")


def _rows(folder: Path, split: str) -> pd.DataFrame:
    frame = read_manifest(folder)
    return frame[frame["split"] == split].sort_values("id", ignore_index=True)
