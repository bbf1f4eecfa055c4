"""Binary masks as COCO segmentations: polygons along pixel borders, or run lengths.

pycocotools fills a polygon whose corners lie on pixel borders to exactly the pixels inside, so a
region in one piece without holes loses nothing as a polygon; any other becomes uncompressed RLE.
"""

from typing import Any

import numpy as np
from scipy import ndimage


def encode_region(mask: np.ndarray) -> dict[str, Any]:
    """COCO's `segmentation`, `iscrowd`, `area` and `bbox` of a bool H×W mask that is not empty."""
    assert mask.dtype == np.bool_ and mask.ndim == 2 and mask.any(), (mask.dtype, mask.shape)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    simple = _is_simple(mask)
    return {
        "segmentation": [border_polygon(mask)] if simple else run_lengths(mask),
        "area": float(mask.sum()),
        "bbox": [float(number) for number in box],
        "iscrowd": 0 if simple else 1,
    }


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """Uncompressed RLE: lengths of runs down the columns, the first of them background."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(np.diff(flat))
    ends = np.concatenate([[0], changes, [mask.size]])
    return {"counts": np.diff(ends).tolist(), "size": list(mask.shape)}


def border_polygon(mask: np.ndarray) -> list[float]:
    """The outline x₀, y₀, x₁, y₁ … of a region in one piece, along the borders of its pixels."""
    followers = _border_steps(mask)
    start = min(followers)
    corners, here, heading = [start], start, (1, 0)
    while True:
        # Where the region touches itself across a corner two steps leave it: keep to the right,
        # which stays on the same pixel.
        steps = followers[here]
        right = (-heading[1], heading[0])
        step = right if right in steps else heading if heading in steps else steps[0]
        if step != heading and here != start:
            corners.append(here)
        heading = step
        here = (here[0] + step[0], here[1] + step[1])
        if here == start:
            return [float(number) for corner in corners for number in corner]


def _border_steps(mask: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """From each corner (x, y) on the border, the unit steps that keep the region on the right."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    edges = [
        (inside & ~padded[:-2, 1:-1], (0, 0), (1, 0)),  # upper side, to the right
        (inside & ~padded[1:-1, 2:], (1, 0), (0, 1)),  # right side, down
        (inside & ~padded[2:, 1:-1], (1, 1), (-1, 0)),  # lower side, to the left
        (inside & ~padded[1:-1, :-2], (0, 1), (0, -1)),  # left side, up
    ]
    followers: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for edge, offset, step in edges:
        for row, column in np.argwhere(edge).tolist():
            followers.setdefault((column + offset[0], row + offset[1]), []).append(step)
    return followers


def _is_simple(mask: np.ndarray) -> bool:
    """Whether the mask is one piece (connected by sides) without holes."""
    pieces = ndimage.label(mask)[1]
    around = ndimage.label(~np.pad(mask, 1), structure=np.ones((3, 3)))[1]
    return pieces == 1 and around == 1
