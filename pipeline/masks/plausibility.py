"""Which drawn masks cannot be: a mask model's faults are named and counted, not hidden.

What is normal is learnt from the training masks. A silhouette counts with its defects, as in the
label maps that a mask model draws (there a defect is always part of the silhouette); so a defect
beside its object shows as a piece of silhouette of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

SIZE_FACTOR = 1.5  # what is that much smaller or larger than any real one is out of range
STRAY_SHARE = 0.01  # of a silhouette's pixels may lie off its largest piece in any case
SOLIDITY_MARGIN = 0.015  # by which an object may be less convex than any real one
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class RealMasks:
    """What the training masks allow; all but the first two are None without silhouettes."""

    fewest_defect_pixels: int  # of a mask, all classes but the background; 0 = masks may be empty
    most_defect_pixels: int
    smallest_object: int | None = None  # pixels
    largest_object: int | None = None  # pixels
    least_solidity: float | None = None  # of an object, see `solidity`
    stray_object: float | None = None  # largest share of a silhouette off its largest piece
    stray_defects: float | None = None  # largest share of a mask's defect pixels off that piece


@dataclass(frozen=True)
class _Drawn:
    """A mask and silhouette under judgement."""

    mask: np.ndarray  # uint8 H×W
    object: np.ndarray | None  # bool H×W

    @cached_property
    def defects(self) -> np.ndarray:
        """Bool H×W."""
        return self.mask > 0

    @cached_property
    def silhouette(self) -> np.ndarray:
        """Bool H×W: the object with its defects."""
        return self.object | self.defects

    @cached_property
    def body(self) -> np.ndarray:
        """Bool H×W: the largest piece of the silhouette."""
        parts, total_parts = ndimage.label(self.silhouette, EIGHT_NEIGHBOURS)
        if total_parts < 2:
            return self.silhouette
        sizes = np.bincount(parts.ravel())[1:]
        return parts == 1 + int(sizes.argmax())

    def stray(self, region: np.ndarray) -> float:
        """Share of a region's pixels that lie off the body."""
        return float((region & ~self.body).sum() / max(1, region.sum()))


def learn(masks: np.ndarray, objects: np.ndarray | None) -> RealMasks:
    """What the training masks allow.

    Args:
        masks: uint8 N×H×W of class indices, N ≥ 1.
        objects: bool N×H×W, their silhouettes; None = there are none.
    """
    defect_pixels = (masks > 0).sum(axis=(1, 2))
    fewest, most = int(defect_pixels.min()), int(defect_pixels.max())
    if objects is None:
        return RealMasks(fewest, most)
    real = [_Drawn(mask, silhouette) for mask, silhouette in zip(masks, objects, strict=True)]
    areas = [int(item.silhouette.sum()) for item in real]
    return RealMasks(
        fewest,
        most,
        smallest_object=min(areas),
        largest_object=max(areas),
        least_solidity=min(solidity(item.body) for item in real),
        stray_object=max(item.stray(item.silhouette) for item in real),
        stray_defects=max(item.stray(item.defects) for item in real),
    )


def faults(mask: np.ndarray, silhouette: np.ndarray | None, real: RealMasks) -> list[str]:
    """Names of what is implausible about a mask, the gravest first; none for a plausible one.

    Args:
        mask: uint8 H×W of class indices.
        silhouette: bool H×W; None where masks are drawn without.
        real: from training masks of the same size, with silhouettes iff there is one here.

    Returns:
        Keys of `CHECKS`.
    """
    drawn = _Drawn(mask, silhouette)
    return [name for name, is_faulty in CHECKS.items() if is_faulty(drawn, real)]


def solidity(region: np.ndarray) -> float:
    """Share of the pixels in its convex hull that a region (bool H×W) holds.

    The hull is that of the pixels' centres, so a digital disc of any size has solidity 1, as has a
    region whose pixels lie on one line.
    """
    points = np.argwhere(region & ~ndimage.binary_erosion(region))  # its rim spans the same hull
    if len(points) < 3 or np.linalg.matrix_rank(points - points[0]) < 2:
        return 1.0
    (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
    y, x = np.mgrid[top : bottom + 1, left : right + 1]
    lines = ConvexHull(points).equations  # a·y + b·x + c ≤ 0 inside
    within = np.ones(y.shape, dtype=bool)
    for a, b, c in lines:
        within &= a * y + b * x + c <= 1e-9
    return float(region.sum() / within.sum())


def _has_no_object(drawn: _Drawn, real: RealMasks) -> bool:
    return _judges_objects(drawn, real) and not drawn.silhouette.any()


def _has_odd_size(drawn: _Drawn, real: RealMasks) -> bool:
    if not _judges_objects(drawn, real) or not drawn.silhouette.any():
        return False
    return _is_out_of_range(drawn.silhouette, real.smallest_object, real.largest_object)


def _has_odd_shape(drawn: _Drawn, real: RealMasks) -> bool:
    if not _judges_objects(drawn, real):
        return False
    return solidity(drawn.body) < real.least_solidity - SOLIDITY_MARGIN


def _is_in_pieces(drawn: _Drawn, real: RealMasks) -> bool:
    if not _judges_objects(drawn, real):
        return False
    return drawn.stray(drawn.silhouette) > max(STRAY_SHARE, real.stray_object)


def _is_outside(drawn: _Drawn, real: RealMasks) -> bool:
    if not _judges_objects(drawn, real):
        return False
    return drawn.stray(drawn.defects) > real.stray_defects


def _is_empty(drawn: _Drawn, real: RealMasks) -> bool:
    return real.fewest_defect_pixels > 0 and not drawn.defects.any()


def _has_odd_defects(drawn: _Drawn, real: RealMasks) -> bool:
    if not drawn.defects.any():
        return False
    return _is_out_of_range(drawn.defects, real.fewest_defect_pixels, real.most_defect_pixels)


def _is_out_of_range(region: np.ndarray, smallest: int, largest: int) -> bool:
    return not smallest / SIZE_FACTOR <= region.sum() <= largest * SIZE_FACTOR


def _judges_objects(drawn: _Drawn, real: RealMasks) -> bool:
    if (drawn.object is None) != (real.smallest_object is None):
        raise ValueError("silhouettes: expected for the drawn and the real masks, or for neither")
    return drawn.object is not None


CHECKS: dict[str, Callable[[_Drawn, RealMasks], bool]] = {
    "no_object": _has_no_object,
    "object_size": _has_odd_size,
    "object_in_pieces": _is_in_pieces,
    "object_shape": _has_odd_shape,
    "outside_object": _is_outside,
    "empty": _is_empty,
    "defect_size": _has_odd_defects,
}
