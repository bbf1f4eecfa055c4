"""From any photo's size to the one size of the prepared set: photos by area, masks by nearest.

A fit is a part of the photo (in fractions of its sides, so that it also holds for a mask or a
reduced decoding of another scale) and the rectangle of the prepared image it is drawn into.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field
from scipy import sparse

from pipeline.io.params import Settings


class ImageSettings(Settings):
    """Size of the prepared images in pixels, and what becomes of another aspect.

    `resize` stretches, `letterbox` keeps the aspect and pads with black, `crop` keeps the aspect
    and cuts the centre out. Where `tile` is given, each photo is first cut into windows of that
    side in its own pixels, and each window is fitted.
    """

    height: int = Field(ge=8, le=4096)
    width: int = Field(ge=8, le=4096)
    fit: Literal["resize", "letterbox", "crop"]
    tile: int | None = Field(default=None, ge=8)


@dataclass(frozen=True)
class Fit:
    """The part of the photo that is kept and where it goes.

    Attributes:
        part: left, top, right, bottom as fractions of the photo's sides.
        place: left, top, width, height in pixels of the prepared image.
        canvas: width and height of the prepared image.
    """

    part: tuple[float, float, float, float]
    place: tuple[int, int, int, int]
    canvas: tuple[int, int]

    @property
    def minimum(self) -> tuple[int, int]:
        """Width and height that suffice for the whole photo: twice the new scale.

        Measured on 1056 px JPEG photos fitted to 64 px: 7 times as fast as decoding all of it, at
        a mean difference of 0.24 grey levels.
        """
        left, top, right, bottom = self.part
        return (
            int(np.ceil(2 * self.place[2] / (right - left))),
            int(np.ceil(2 * self.place[3] / (bottom - top))),
        )


def plan_fit(size: tuple[int, int], settings: ImageSettings) -> Fit:
    """How a photo of upright `size` (width, height) is fitted."""
    return _PLANS[settings.fit](*size, settings.width, settings.height)


def fit_photo(photo: Image.Image, fit: Fit) -> np.ndarray:
    """An RGB photo as uint8 H×W×3 in the prepared size.

    Along an axis that shrinks a new pixel is the exact mean over the area it covers, along one
    that grows it is interpolated linearly.
    """
    left, top, right, bottom = fit.part
    x, y, width, height = fit.place
    rows, upper, lower = _weights(top, bottom, height, photo.height)
    columns, start, end = _weights(left, right, width, photo.width)
    pixels = np.asarray(photo.crop((start, upper, end, lower)), np.float32)
    total_rows, total_columns = pixels.shape[:2]
    pixels = rows @ pixels.reshape(total_rows, -1)  # new height × (old width · 3)
    pixels = pixels.reshape(height, total_columns, 3).transpose(1, 0, 2)
    pixels = columns @ pixels.reshape(total_columns, -1)  # new width × (new height · 3)
    pixels = pixels.reshape(width, height, 3).transpose(1, 0, 2)
    canvas = np.zeros((fit.canvas[1], fit.canvas[0], 3), np.uint8)
    canvas[y : y + height, x : x + width] = np.rint(pixels).clip(0, 255)
    return canvas


def fit_mask(mask: np.ndarray, fit: Fit) -> np.ndarray:
    """A mask H×W of any dtype in the prepared size: the pixel under each new pixel's centre."""
    left, top, right, bottom = fit.part
    x, y, width, height = fit.place
    columns = _centres(left, right, width, mask.shape[1])
    rows = _centres(top, bottom, height, mask.shape[0])
    canvas = np.zeros((fit.canvas[1], fit.canvas[0]), mask.dtype)
    canvas[y : y + height, x : x + width] = mask[rows[:, None], columns[None, :]]
    return canvas


def _centres(start: float, end: float, total_new: int, total_old: int) -> np.ndarray:
    fractions = start + (np.arange(total_new) + 0.5) / total_new * (end - start)
    return np.minimum((fractions * total_old).astype(int), total_old - 1)


@lru_cache(64)  # most photos of a set have one size
def _weights(
    start: float, end: float, total_new: int, total_old: int
) -> tuple[sparse.csr_array, int, int]:
    """What old pixels give to each new one, new×old (every row adds up to 1), and which these are.

    Returns:
        The weights of the old pixels that give anything, and these pixels' first and end.
    """
    edges = (start + np.arange(total_new + 1) / total_new * (end - start)) * total_old
    length = edges[1] - edges[0]
    if length >= 1:
        spread = np.arange(int(np.ceil(length)) + 1)
        old = np.floor(edges[:-1]).astype(int)[:, None] + spread  # new × candidates
        share = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    else:
        centres = (edges[:-1] + edges[1:]) / 2 - 0.5
        old = np.floor(centres).astype(int)[:, None] + np.arange(2)
        share = 1 - np.abs(centres[:, None] - old)
    share = share.clip(0)
    new = np.broadcast_to(np.arange(total_new)[:, None], old.shape)
    columns = old.clip(0, total_old - 1)
    share = share / share.sum(axis=1, keepdims=True)
    entries = (share.ravel().astype(np.float32), (new.ravel(), columns.ravel()))
    weights = sparse.csr_array(entries, shape=(total_new, total_old))
    first, past = int(weights.indices.min()), int(weights.indices.max()) + 1
    return weights[:, first:past], first, past


def _resize(_width: int, _height: int, new_width: int, new_height: int) -> Fit:
    return Fit((0.0, 0.0, 1.0, 1.0), (0, 0, new_width, new_height), (new_width, new_height))


def _letterbox(width: int, height: int, new_width: int, new_height: int) -> Fit:
    scale = min(new_width / width, new_height / height)
    inner_width = min(new_width, max(1, round(width * scale)))
    inner_height = min(new_height, max(1, round(height * scale)))
    left, top = (new_width - inner_width) // 2, (new_height - inner_height) // 2
    place = (left, top, inner_width, inner_height)
    return Fit((0.0, 0.0, 1.0, 1.0), place, (new_width, new_height))


def _crop(width: int, height: int, new_width: int, new_height: int) -> Fit:
    scale = max(new_width / width, new_height / height)
    across, down = new_width / (width * scale), new_height / (height * scale)
    part = ((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)
    return Fit(part, (0, 0, new_width, new_height), (new_width, new_height))


_PLANS = {"resize": _resize, "letterbox": _letterbox, "crop": _crop}
