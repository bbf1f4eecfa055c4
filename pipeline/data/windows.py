"""A photo as windows of one size in its own pixels, each of which becomes a pair of its own.

SynthSet's protocol cuts 1024 px photos into four windows of 512 px (and crops 512 px at random
while it trains); here the windows are a fixed grid, so every pixel is seen and nothing is drawn.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.data.fitting import Fit, ImageSettings, plan_fit


@dataclass(frozen=True)
class Window:
    """A part of a photo.

    Attributes:
        row, column: place in the grid, from 0.
        box: left, top, width, height in pixels of the upright photo.
        photo: width and height of that photo.
    """

    row: int
    column: int
    box: tuple[int, int, int, int]
    photo: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.box[2:]

    @property
    def is_whole(self) -> bool:
        """Whether it is the photo itself."""
        return self.size == self.photo


def cut_windows(size: tuple[int, int], side: int | None) -> list[Window]:
    """The windows of a photo of `size` (width, height), row by row.

    The grid starts in the left upper corner; its last row and column end at the photo's border,
    so they overlap the ones before as little as covering the whole photo allows. Along an axis
    that is shorter than `side` there is one window, as long as the photo. None = the whole photo.
    """
    if side is None:
        return [Window(0, 0, (0, 0, *size), size)]
    across, down = min(side, size[0]), min(side, size[1])
    return [
        Window(row, column, (left, top, across, down), size)
        for row, top in enumerate(_starts(size[1], down))
        for column, left in enumerate(_starts(size[0], across))
    ]


def _starts(length: int, side: int) -> list[int]:
    total = -(-length // side)
    return [min(index * side, length - side) for index in range(total)]


def plan_window(window: Window, settings: ImageSettings) -> Fit:
    """How a window is fitted; its `part` counts in fractions of the whole photo's sides."""
    fit = plan_fit(window.size, settings)
    if window.is_whole:
        return fit
    left, top, right, bottom = fit.part
    x, y, across, down = window.box
    width, height = window.photo
    part = (
        (x + left * across) / width,
        (y + top * down) / height,
        (x + right * across) / width,
        (y + bottom * down) / height,
    )
    return replace(fit, part=part)


def inside(mask: np.ndarray, window: Window) -> np.ndarray:
    """The window's pixels of a mask H×W, a view; the mask may have another scale than the photo."""
    x, y, across, down = window.box
    rows = _covered(y, down, window.photo[1], mask.shape[0])
    columns = _covered(x, across, window.photo[0], mask.shape[1])
    return mask[rows, columns]


def _covered(start: int, length: int, total: int, stored: int) -> slice:
    # In whole numbers: a window of the mask's own scale gets exactly its pixels.
    return slice(start * stored // total, -(-(start + length) * stored // total))
