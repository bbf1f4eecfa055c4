"""Photos without objects to paste objects on: taken, or made of what is free of objects.

The paper has photos of fields without wheat. Where a set has none, an area does:

* Without silhouettes a photo's objects are covered with patches from elsewhere in it, in the
  objects' shapes, as fakes are cut. The rest stays as it was taken. (A large object-free window
  would have to be enlarged, which blurs it and changes its scale against that of the cut-outs, or
  mirrored, which makes a kaleidoscope of leaves.)
* With silhouettes the photo shows one object (a fruit) and the cut-outs are its defects, which
  belong on it. The defects are painted over with the colours around them, so the object keeps its
  outline and its light.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist

from pipeline.copy_paste.cut_outs import EIGHT_NEIGHBOURS
from pipeline.copy_paste.settings import CopyPasteSettings
from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError

# A labelled outline lies a little inside of what it labels: this share of the shorter side is
# hidden beyond it.
MARGIN_SHARE = 1 / 64
# Width of the rim that colours are continued from: one row of pixels would show as streaks.
RIM_PX = 2
DEPTH_WEIGHT = 3.0  # of a pixel of depth against one across
PAINTED_AT_ONCE = 1024  # pixels; bounds the memory
COVER_TRIES = 30

Make = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Backgrounds:
    """Which photos serve, and how the background is made of one: uint8 H×W×3."""

    photos: list[int]
    make: Make


def find_backgrounds(pairs: Pairs, sources: list[int], settings: CopyPasteSettings) -> Backgrounds:
    """Object-free photos of the training set, or areas of the source photos.

    Raises:
        UserError: there is none of the kind that `backgrounds` names.
    """
    is_free = ~pairs.masks.any(axis=(1, 2))
    if pairs.objects is not None:
        is_free &= pairs.objects.any(axis=(1, 2))  # without an object there is nowhere to paste
    free = np.flatnonzero(is_free).tolist()
    if settings.backgrounds == "photos" and not free:
        raise UserError(
            "image_dm.copy_paste.backgrounds: got photos, but each of "
            f"{len(pairs)} training photos shows an object; set it to areas, or include "
            "object-free photos (subsets: defect_free: include)"
        )
    if free and settings.backgrounds != "areas":
        return Backgrounds(free, lambda _rng, photo: pairs.images[photo])
    return _cleared(pairs, sources, settings.minimal_free)


def _cleared(pairs: Pairs, sources: list[int], minimal_free: float) -> Backgrounds:
    """Source photos with their objects covered, or painted over where there are silhouettes."""
    free = {photo: _free_share(pairs, photo) for photo in sources}
    photos = [photo for photo, share in free.items() if share >= minimal_free]
    if not photos:
        raise UserError(
            f"image_dm.copy_paste.minimal_free: got {minimal_free:g}, expected at most "
            f"{max(free.values()):.2g}, the largest object-free share of the source photos; lower "
            "it, raise source_photos, or include object-free photos (subsets: defect_free: include)"
        )

    def cover_objects(rng: np.random.Generator, photo: int) -> np.ndarray:
        return cover(rng, pairs.images[photo], pairs.masks[photo] > 0)

    def paint_objects(_rng: np.random.Generator, photo: int) -> np.ndarray:
        return paint_over(pairs.images[photo], pairs.masks[photo] > 0, pairs.objects[photo])

    return Backgrounds(photos, cover_objects if pairs.objects is None else paint_objects)


def _free_share(pairs: Pairs, photo: int) -> float:
    """The unlabelled share of the photo, or of the object in it."""
    free = pairs.masks[photo] == 0
    if pairs.objects is None:
        return float(free.mean())
    silhouette = pairs.objects[photo]
    return float(free[silhouette].mean()) if silhouette.any() else 0.0


def cover(rng: np.random.Generator, photo: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The photo with patches of its own over what is hidden.

    Each connected part is covered by the pixels under its shape elsewhere in the photo, where the
    shape meets nothing hidden. A shape for which no such place is found is halved across its
    longer side, and so on.

    Args:
        rng: chooses the places.
        photo: uint8 H×W×3.
        hidden: bool H×W; something is not hidden.

    Returns:
        uint8 H×W×3, unchanged outside of the hidden pixels and a narrow margin.
    """
    hole = _widen(hidden)
    if hole.all():
        hole = hidden
    covered = photo.copy()
    parts, _ = ndimage.label(hole, EIGHT_NEIGHBOURS)
    waiting = [
        (box[0].start, box[1].start, parts[box] == number)
        for number, box in enumerate(ndimage.find_objects(parts), start=1)
    ]
    while waiting:
        top, left, shape = waiting.pop()
        place = _free_place(rng, hole, shape)
        if place is None:
            waiting.extend(_halves(top, left, shape))
            continue
        y, x = np.nonzero(shape)
        covered[top + y, left + x] = photo[place[0] + y, place[1] + x]
    return covered


def _free_place(
    rng: np.random.Generator, hole: np.ndarray, shape: np.ndarray
) -> tuple[int, int] | None:
    """Top and left where the shape meets no hole, by trial; sure to be found for one pixel."""
    height, width = shape.shape
    if shape.size == 1:
        y, x = np.nonzero(~hole)
        number = int(rng.integers(len(y)))
        return int(y[number]), int(x[number])
    for _ in range(COVER_TRIES):
        top = int(rng.integers(hole.shape[0] - height + 1))
        left = int(rng.integers(hole.shape[1] - width + 1))
        if not hole[top : top + height, left : left + width][shape].any():
            return top, left
    return None


def _halves(top: int, left: int, shape: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    height, width = shape.shape
    if height >= width:
        parts = [(top, left, shape[: height // 2]), (top + height // 2, left, shape[height // 2 :])]
    else:
        first, second = shape[:, : width // 2], shape[:, width // 2 :]
        parts = [(top, left, first), (top, left + width // 2, second)]
    return [part for part in parts if part[2].any()]


def _widen(hidden: np.ndarray) -> np.ndarray:
    margin = max(1, round(MARGIN_SHARE * min(hidden.shape)))
    return ndimage.binary_dilation(hidden, EIGHT_NEIGHBOURS, margin)


def paint_over(photo: np.ndarray, hidden: np.ndarray, silhouette: np.ndarray) -> np.ndarray:
    """The object without what is hidden.

    Each hidden pixel is the mean of the bare pixels along the rim of what is hidden, weighed by
    1/distance³: near the rim it continues the colours there, in the middle it blends all sides.
    The depth below the object's outline counts as a third axis, since the outline is in shade.

    Args:
        photo: uint8 H×W×3.
        hidden: bool H×W.
        silhouette: bool H×W, the object.

    Returns:
        uint8 H×W×3, unchanged outside of the hidden pixels and a narrow margin.
    """
    hole = _widen(hidden) & silhouette
    rim = ndimage.binary_dilation(hole, EIGHT_NEIGHBOURS, RIM_PX) & silhouette & ~hole
    if not hole.any() or not rim.any():
        return photo
    depth = DEPTH_WEIGHT * ndimage.distance_transform_edt(silhouette)
    known, wanted = np.argwhere(rim), np.argwhere(hole)  # R×2, P×2
    known_places = np.column_stack([known, depth[rim]])  # R×3
    wanted_places = np.column_stack([wanted, depth[hole]])  # P×3
    colours = photo[rim].astype(float)  # R×3
    painted = photo.copy()
    for start in range(0, len(wanted), PAINTED_AT_ONCE):
        part = slice(start, start + PAINTED_AT_ONCE)
        weights = cdist(wanted_places[part], known_places) ** -3.0
        new = weights @ colours / weights.sum(axis=1, keepdims=True)
        painted[wanted[part, 0], wanted[part, 1]] = np.rint(new)
    return painted
