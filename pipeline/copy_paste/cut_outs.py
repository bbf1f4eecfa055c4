"""Cut-outs: the connected regions of the classes in annotated photos, and fakes of their shapes."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
# Places tried for the shape of a fake before it is given up: dense photos have little room.
FAKE_TRIES = 20


@dataclass(frozen=True)
class CutOut:
    """A region of a training photo; its pixels stay in the photo until it is pasted.

    Attributes:
        photo: index of the pair.
        top, left: corner of its box.
        shape: bool h×w, True on the region, within its box.
        label: its class; 0 = a fake.
    """

    photo: int
    top: int
    left: int
    shape: np.ndarray
    label: int

    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the photo."""
        height, width = self.shape.shape
        return np.s_[self.top : self.top + height, self.left : self.left + width]


def find_cut_outs(mask: np.ndarray, photo: int, minimal_pixels: int) -> list[CutOut]:
    """The regions of a mask, uint8 H×W: connected pixels (8 neighbours) of one class each."""
    found = []
    for label in np.unique(mask[mask > 0]):
        parts, _ = ndimage.label(mask == label, EIGHT_NEIGHBOURS)
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
            shape = parts[rows, columns] == number
            if shape.sum() >= minimal_pixels:
                found.append(CutOut(photo, rows.start, columns.start, shape, int(label)))
    return found


def cut_outs_of(pairs: Pairs, classes: list[ClassInfo], minimal_pixels: int) -> list[list[CutOut]]:
    """The cut-outs of each training photo, in the order of the pairs.

    Raises:
        UserError: no photo has a region, or none that is large enough.
    """
    found = [find_cut_outs(mask, i, minimal_pixels) for i, mask in enumerate(pairs.masks)]
    if any(found):
        return found
    names = ", ".join(info.name for info in classes[1:])
    sizes = [c.shape.sum() for i, mask in enumerate(pairs.masks) for c in find_cut_outs(mask, i, 1)]
    if not sizes:
        raise UserError(
            f"image_dm.kind: got copy_paste, but none of {len(pairs)} training photos shows "
            f"{names}, so there is nothing to cut out; choose another subset or split"
        )
    raise UserError(
        f"image_dm.copy_paste.minimal_pixels: got {minimal_pixels}, expected at most {max(sizes)}, "
        f"the pixels of the largest region of {names} in {len(pairs)} training photos; lower it"
    )


def choose_sources(
    cut_outs: list[list[CutOut]], count: int | None, rng: np.random.Generator
) -> list[int]:
    """Indices of the photos to cut from, ascending: all photos, or `count` that have a cut-out.

    Of a few, those come first that show a class which the ones before do not.
    """
    if count is None:
        return list(range(len(cut_outs)))
    order = [int(photo) for photo in rng.permutation(len(cut_outs)) if cut_outs[photo]]
    seen: set[int] = set()
    first, others = [], []
    for photo in order:
        labels = {cut_out.label for cut_out in cut_outs[photo]}
        (others if labels <= seen else first).append(photo)
        seen |= labels
    return sorted([*first, *others][:count])


def draw_fake(
    rng: np.random.Generator, pairs: Pairs, sources: list[int], shape: np.ndarray
) -> CutOut | None:
    """A place in a source photo where `shape` covers no object; None = none was found.

    With silhouettes, the shape lies on the object.
    """
    height, width = shape.shape
    total_rows, total_columns = pairs.masks.shape[1:]
    for _ in range(FAKE_TRIES):
        photo = sources[int(rng.integers(len(sources)))]
        top = int(rng.integers(total_rows - height + 1))
        left = int(rng.integers(total_columns - width + 1))
        fake = CutOut(photo, top, left, shape, 0)
        box = fake.box()
        free = not pairs.masks[photo][box][shape].any()
        if free and (pairs.objects is None or pairs.objects[photo][box][shape].all()):
            return fake
    return None
