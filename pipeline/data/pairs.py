"""Image-mask pairs of a prepared, synthetic or mixed set, read whole into memory.

A set of a few thousand pairs at 64 to 256 px fits in memory, and PNG decoding would otherwise be
paid again in each epoch. Decoding runs in threads: Pillow releases the interpreter's lock.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.io.errors import UserError
from pipeline.io.images import read_image, read_mask, read_silhouette, sha256_of

FAULTS_LISTED = 20


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
        objects = None if self.objects is None else self.objects[places]
        ids = [self.ids[place] for place in places]
        return Pairs(ids, self.images[places], self.masks[places], objects)


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
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda row: _try_row(folder, row, verify), rows))
    pairs = [result for result in results if not isinstance(result, UserError)]
    faults = [str(result) for result in results if isinstance(result, UserError)]
    _refuse(faults + _wrong_sizes(folder, rows, results))
    images, masks, objects = zip(*pairs, strict=True)
    return Pairs(
        ids=[str(row["id"]) for row in rows],
        images=np.stack(images),
        masks=np.stack(masks),
        objects=_stack_objects(folder, rows, list(objects)),
    )


_Row = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _try_row(folder: Path, row: dict, verify: bool) -> _Row | UserError:
    """The row's arrays, or what is wrong with it: faults are collected, not raised one a run."""
    try:
        if verify:
            for column in ("image", "mask"):
                _check_hash(folder / row[column], row[f"{column}_sha256"])
        silhouette = row.get("object")
        return (
            read_image(folder / row["image"]),
            read_mask(folder / row["mask"]),
            None if pd.isna(silhouette) else read_silhouette(folder / silhouette),
        )
    except UserError as error:
        return error


def _check_hash(path: Path, expected: str) -> None:
    if not path.exists():
        raise UserError(f"{path}: not found")
    got = sha256_of(path)
    if got != expected:
        raise UserError(
            f"{path}: SHA-256 {got[:12]}…, the manifest says {expected[:12]}…; the file was "
            "changed after its stage wrote it: run that stage again"
        )


def _wrong_sizes(folder: Path, rows: list[dict], results: list[_Row | UserError]) -> list[str]:
    """One line for each file whose size differs from the first readable photo's."""
    expected, faults = None, []
    for row, result in zip(rows, results, strict=True):
        if isinstance(result, UserError):
            continue
        expected = expected or result[0].shape[:2]
        for column, array in zip(("image", "mask", "object"), result, strict=True):
            if array is not None and array.shape[:2] != expected:
                got = "×".join(map(str, array.shape[:2]))
                wanted = "×".join(map(str, expected))
                faults.append(f"{folder / row[column]}: {got} pixels, expected {wanted}")
    return faults


def _refuse(faults: list[str]) -> None:
    if faults:
        more = len(faults) - FAULTS_LISTED
        lines = faults[:FAULTS_LISTED] + ([f"… and {more} more"] if more > 0 else [])
        raise UserError(f"{len(faults)} files cannot be used:\n       " + "\n       ".join(lines))


def _stack_objects(
    folder: Path, rows: list[dict], objects: list[np.ndarray | None]
) -> np.ndarray | None:
    without = [str(row["id"]) for row, item in zip(rows, objects, strict=True) if item is None]
    if len(without) == len(rows):
        return None
    if without:
        raise UserError(
            f"{folder}: {len(without)} of {len(rows)} pairs have no object silhouette, expected "
            f"all or none; the first is {without[0]}"
        )
    return np.stack(objects)
