"""COCO segmentations: lists of polygons, RLE of run lengths and compressed RLE, by pycocotools."""

import math
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import numpy as np
from pycocotools import mask as rle

from pipeline.data.photos import turn_mask


def covers_nothing(segmentation: Any) -> bool:
    """Whether a well-formed segmentation has no area, such as a box without outline."""
    return not segmentation or (
        isinstance(segmentation, list) and all(len(polygon) < 6 for polygon in segmentation)
    )


def segmentation_fault(segmentation: Any, width: Any, height: Any) -> str | None:
    """What is wrong with a region of an image of that size; None = nothing."""
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, dict):
        return _rle_fault(segmentation, [height, width])
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        return "expected a list of polygons, each a list of coordinates, or an RLE object"
    for polygon in segmentation:
        numbers = all(isinstance(v, (int, float)) and math.isfinite(v) for v in polygon)
        if not numbers or len(polygon) % 2:
            return f"a polygon of {len(polygon)} values, expected pairs of finite numbers"
    return None


def _rle_fault(segmentation: dict, expected: list) -> str | None:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or size != expected:
        return f"RLE of size {size}, expected {expected} (height, width of its image)"
    if isinstance(counts, str):
        counts = _run_lengths(counts)
    if not isinstance(counts, list) or not all(isinstance(n, int) and n >= 0 for n in counts):
        return "counts: expected a compressed RLE string or a list of run lengths"
    if sum(counts) != size[0] * size[1]:
        return f"counts add up to {sum(counts)}, expected {size[0] * size[1]} pixels"
    return None


def _run_lengths(text: str) -> list[int] | None:
    """The run lengths of a compressed RLE; None = the text is none.

    pycocotools decodes a wrong text to whatever the memory holds, so it is checked before. Each
    number comes in digits of 5 bits, lowest first, in characters from "0" on: bit 6 says that
    more digits follow, bit 5 of the last digit is the sign; from the fourth number on it is the
    difference to the number two before.
    """
    lengths: list[int] = []
    number = shift = 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64:
            return None
        number |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            if digit & 16:
                number -= 1 << shift
            lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
            number = shift = 0
    return lengths if shift == 0 else None


def decode_regions(
    regions: tuple, size: tuple[int, int], orientation: int, names: Collection[str]
) -> dict[str, np.ndarray]:
    """The united regions of each wanted category as bool H×W, turned by the EXIF orientation.

    Args:
        regions: category and segmentation of each region.
        size: width and height at which they were annotated.
        orientation: how to turn them; 1 = not at all.
        names: the wanted categories; those without region are left out.
    """
    encoded = defaultdict(list)
    width, height = size
    for category, segmentation in regions:
        if category not in names:
            continue
        if isinstance(segmentation, list):
            # A list of four numbers would be taken for a box and not for a polygon.
            polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
            encoded[category] += rle.frPyObjects(polygons, height, width)
        elif isinstance(segmentation["counts"], list):
            encoded[category].append(rle.frPyObjects(segmentation, height, width))
        else:
            encoded[category].append(segmentation)
    return {
        category: turn_mask(rle.decode(rle.merge(parts)).astype(bool), orientation)
        for category, parts in encoded.items()
    }
