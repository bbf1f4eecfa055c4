"""COCO segmentations: lists of polygons, RLE of run lengths and compressed RLE, by pycocotools."""

import math
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import numpy as np
from pycocotools import mask as rle

from pipeline.data.photos import turn_mask
from pipeline.data.problems import FaultError
from pipeline.data.run_lengths import fill_runs, read_runs

_LARGEST = 1e6  # of a coordinate


def covers_nothing(segmentation: Any) -> bool:
    """Whether a well-formed segmentation has no area, such as a box without outline."""
    return not segmentation or (
        isinstance(segmentation, list) and all(len(polygon) < 6 for polygon in segmentation)
    )


def check_segmentation(segmentation: Any, size: tuple[int, int] | None) -> None:
    """Check a region of an image of `size` (width, height; None = not known).

    What reaches over the photo's border is cut there, as labelling tools draw it so. A polygon
    beside the photo, or one that reaches over it by more than the photo's own side, was drawn on
    another photo.

    Raises:
        FaultError: it is no segmentation, or none of this image.
    """
    if segmentation is None or segmentation == []:
        return
    if isinstance(segmentation, dict):
        _check_rle(segmentation, size)
        return
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        got = f"{type(segmentation).__name__} {str(segmentation)[:40]!r}"
        raise _fault(got, "a list of polygons, each a list of coordinates, or an RLE object")
    for polygon in segmentation:
        if len(polygon) % 2 or not _are_coordinates(polygon):
            raise _fault(f"a polygon of {len(polygon)} values", "pairs of finite numbers")
        if size is not None and len(polygon) >= 6:
            _check_place(polygon, size)


def _are_coordinates(values: list) -> bool:
    """Whether all are finite numbers of a sensible size, without a Python step for each."""
    if not values:
        return True
    if not set(map(type, values)) <= {int, float, bool}:
        return False
    # A NaN may hide from min and max, but not from the sum.
    return min(values) > -_LARGEST and max(values) < _LARGEST and math.isfinite(sum(values))


def _check_place(polygon: list[float], size: tuple[int, int]) -> None:
    for name, side, values in zip("xy", size, (polygon[::2], polygon[1::2]), strict=True):
        low, high = min(values), max(values)
        if low >= side or high <= 0 or low < -side or high > 2 * side:
            raise _fault(f"a polygon with {name} from {low:g} to {high:g}", f"0 to {side}")


def _fault(got: str, expected: str) -> FaultError:
    return FaultError("segmentation", got, expected, "draw the region again or remove it")


def _check_rle(segmentation: dict, size: tuple[int, int] | None) -> None:
    frame, counts = segmentation.get("size"), segmentation.get("counts")
    whole = isinstance(frame, list) and len(frame) == 2 and all(type(n) is int for n in frame)
    if not whole or (size is not None and frame != [size[1], size[0]]):
        expected = "two whole numbers" if size is None else f"[{size[1]}, {size[0]}]"
        raise _fault(f"RLE of size {frame}", f"{expected}, height and width of its image")
    if isinstance(counts, str):
        runs = read_runs(counts)
        counts = None if runs is None else runs.tolist()
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise _fault("other counts", "a compressed RLE string or a list of run lengths")
    if sum(counts) != frame[0] * frame[1]:
        raise _fault(f"counts that add up to {sum(counts)}", f"{frame[0] * frame[1]} pixels")


def decode_regions(
    regions: tuple, size: tuple[int, int], orientation: int, names: Collection[str]
) -> dict[str, np.ndarray]:
    """The united regions of each wanted category as bool H×W, turned by the EXIF orientation.

    Args:
        regions: place in the file, category and segmentation of each region, which
            `check_segmentation` has passed.
        size: width and height at which they were annotated.
        orientation: how to turn them; 1 = not at all.
        names: the wanted categories; those without region are left out.

    Raises:
        FaultError: a region of a wanted category has a box but no outline, or none of a category's
            regions has three points: it is there, but nobody said where. A stray click beside a
            region that has does no harm.
    """
    encoded: dict[str, list[dict]] = defaultdict(list)
    first: dict[str, str] = {}
    for where, category, segmentation in regions:
        if category in names:
            if not segmentation:
                raise _no_outline(where, f"no outline of {category}")
            first.setdefault(category, where)
            encoded[category] += _encode(segmentation, size)
    for category, where in first.items():
        if not encoded[category]:
            raise _no_outline(where, f"less than three points as outline of {category}")
    return {
        category: turn_mask(fill_runs(rle.merge(parts)), orientation)
        for category, parts in encoded.items()
    }


def _no_outline(where: str, got: str) -> FaultError:
    remedy = "outline the region, or remove it if it is none"
    return FaultError(f"{where}.segmentation", got, "a polygon or RLE", remedy)


def _encode(segmentation: list | dict, size: tuple[int, int]) -> list[dict]:
    width, height = size
    if isinstance(segmentation, list):
        # A list of four numbers would be taken for a box and not for a polygon.
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        return rle.frPyObjects(polygons, height, width) if polygons else []
    if isinstance(segmentation["counts"], list):
        return [rle.frPyObjects(segmentation, height, width)]
    return [segmentation]
