"""Image-mask pairs of a prepared, synthetic or mixed set, decoded whole.

PNG decoding would otherwise be paid again in each epoch. It runs in threads: Pillow releases the
interpreter's lock. Sets larger than the memory end in files (`pipeline.io.arrays`).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.io.arrays import empty_array, taken
from pipeline.io.errors import UserError
from pipeline.io.images import read_image, read_mask, read_silhouette

FAULTS_LISTED = 20
DECODED_AT_ONCE = 256  # pairs


@dataclass(frozen=True)
class Pairs:
    """N pairs of one size, in the order of the manifest's rows.

    `objects` holds the object's silhouettes; None where the set has none.
    """

    ids: list[str]
    images: np.ndarray  # uint8 N×H×W×3, RGB
    masks: np.ndarray  # uint8 N×H×W, class indices
    objects: np.ndarray | None  # bool N×H×W

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, places: np.ndarray) -> "Pairs":
        """Those at int K places, in their order."""
        objects = None if self.objects is None else taken(self.objects, places)
        ids = [self.ids[place] for place in places]
        return Pairs(ids, taken(self.images, places), taken(self.masks, places), objects)


def load_pairs(folder: Path, frame: pd.DataFrame, verify: bool = False) -> Pairs:
    """Read the pairs that `frame` lists.

    Args:
        folder: what the paths in `frame` are relative to.
        frame: rows with the columns `id`, `image`, `mask`, and `object` where the set has
            silhouettes; `image_sha256` and `mask_sha256` too if `verify`.
        verify: compare each file's SHA-256 with the manifest's.

    Raises:
        UserError: no rows; or files that are missing, unreadable, changed or of a size of their
            own. All of them are listed at once.
    """
    if frame.empty:
        raise UserError(f"{folder}: got 0 pairs, expected at least 1; check the split's shares")
    rows = frame.to_dict("records")
    has_object = [not pd.isna(row.get("object")) for row in rows]
    pairs, unreadable, sizes = None, [], []
    for place, (row, result) in enumerate(_decode(folder, rows, verify)):
        if isinstance(result, UserError):
            unreadable.append(str(result))
            continue
        if pairs is None:
            pairs = _empty(rows, result[0].shape[:2], any(has_object))
        expected = pairs.masks.shape[1:]
        wrong = list(_wrong_sizes(folder, row, result, expected))
        sizes += wrong
        if not wrong:
            _put(pairs, place, result)
    _refuse(unreadable + sizes)
    _refuse_some_without_object(folder, rows, has_object)
    return pairs


_Row = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _decode(
    folder: Path, rows: list[dict], verify: bool
) -> Iterator[tuple[dict, _Row | UserError]]:
    """Each row with its arrays or what is wrong with them, in their order."""
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(rows), DECODED_AT_ONCE):
            chunk = rows[first : first + DECODED_AT_ONCE]
            yield from zip(
                chunk, pool.map(lambda row: _try_row(folder, row, verify), chunk), strict=True
            )


def _try_row(folder: Path, row: dict, verify: bool) -> _Row | UserError:
    """The row's arrays, or what is wrong with it: faults are collected, not raised one a run."""
    hashes = [row[f"{column}_sha256"] if verify else None for column in ("image", "mask")]
    silhouette = row.get("object")
    try:
        return (
            read_image(folder / row["image"], hashes[0]),
            read_mask(folder / row["mask"], hashes[1]),
            None if pd.isna(silhouette) else read_silhouette(folder / silhouette),
        )
    except UserError as error:
        return error


def _empty(rows: list[dict], size: tuple[int, int], with_object: bool) -> Pairs:
    """Room for pairs of a size, height and width."""
    shape = (len(rows), *size)
    return Pairs(
        ids=[str(row["id"]) for row in rows],
        images=empty_array((*shape, 3), np.uint8),
        masks=empty_array(shape, np.uint8),
        objects=empty_array(shape, np.bool_) if with_object else None,
    )


def _put(pairs: Pairs, place: int, row: _Row) -> None:
    image, mask, silhouette = row
    pairs.images[place], pairs.masks[place] = image, mask
    if silhouette is not None:
        pairs.objects[place] = silhouette


def _wrong_sizes(folder: Path, row: dict, arrays: _Row, expected: tuple[int, int]) -> Iterator[str]:
    """One line for each file whose size differs from the first readable photo's."""
    for column, array in zip(("image", "mask", "object"), arrays, strict=True):
        if array is not None and array.shape[:2] != expected:
            got = "×".join(map(str, array.shape[:2]))
            wanted = "×".join(map(str, expected))
            yield f"{folder / row[column]}: {got} pixels, expected {wanted}"


def _refuse(faults: list[str]) -> None:
    if faults:
        more = len(faults) - FAULTS_LISTED
        lines = faults[:FAULTS_LISTED] + ([f"… and {more} more"] if more > 0 else [])
        raise UserError(f"{len(faults)} files cannot be used:\n       " + "\n       ".join(lines))


def _refuse_some_without_object(folder: Path, rows: list[dict], has_object: list[bool]) -> None:
    without = [str(row["id"]) for row, has in zip(rows, has_object, strict=True) if not has]
    if 0 < len(without) < len(rows):
        raise UserError(
            f"{folder}: {len(without)} of {len(rows)} pairs have no object silhouette, expected "
            f"all or none; the first is {without[0]}"
        )
