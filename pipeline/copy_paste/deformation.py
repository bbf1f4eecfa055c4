"""Flips, a small rotation and a slight elastic bend of a cut-out, colours and shape together."""

import math

import numpy as np
from scipy import ndimage

from pipeline.copy_paste.settings import CopyPasteSettings

# Control points of the elastic bend along each axis; cubic splines in between.
CONTROL_POINTS = 4


def deform(
    rng: np.random.Generator,
    colours: np.ndarray,
    shape: np.ndarray,
    settings: CopyPasteSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """A randomly changed cut-out.

    Args:
        rng: equal states give equal results.
        colours: uint8 h×w×3, the box around the cut-out.
        shape: bool h×w, True on it.
        settings: what may happen, and how likely.

    Returns:
        Colours and shape of a new box, which is larger where the cut-out was turned or bent.
        Colours are interpolated linearly between the cut-out's own; the shape by nearest
        neighbour.
    """
    chances = rng.random(4)
    angle = math.radians(settings.rotation_degrees) * rng.uniform(-1, 1)
    bends = rng.uniform(-1, 1, (2, CONTROL_POINTS, CONTROL_POINTS))
    if chances[0] < settings.horizontal_flip:
        colours, shape = colours[:, ::-1], shape[:, ::-1]
    if chances[1] < settings.vertical_flip:
        colours, shape = colours[::-1], shape[::-1]
    angle = angle if chances[2] < settings.rotation else 0.0
    shift = settings.elastic_shift if chances[3] < settings.elastic else 0.0
    if angle == 0.0 and shift == 0.0:
        return colours, shape
    return _warp(colours, shape, _origins(shape.shape, angle, shift * bends))


def _origins(size: tuple[int, int], angle: float, bends: np.ndarray) -> np.ndarray:
    """Where each pixel of the new box comes from, 2×H×W, in rows and columns of the old box."""
    height, width = size
    longer = max(size)
    margin = 2 * float(np.abs(bends).max()) * longer
    cos, sin = math.cos(angle), math.sin(angle)
    rows = math.ceil(height * abs(cos) + width * abs(sin) + margin)
    columns = math.ceil(width * abs(cos) + height * abs(sin) + margin)
    # An odd difference would move every pixel by half of one, and blur it.
    rows, columns = rows + (rows - height) % 2, columns + (columns - width) % 2
    y, x = np.mgrid[:rows, :columns].astype(float)
    y, x = y - (rows - 1) / 2, x - (columns - 1) / 2
    turned = np.stack([cos * y + sin * x, cos * x - sin * y])
    turned += np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    if bends.any():
        last = CONTROL_POINTS - 1
        control = np.mgrid[0 : last : rows * 1j, 0 : last : columns * 1j]
        for axis in range(2):
            bend = ndimage.map_coordinates(bends[axis], control, order=3, mode="nearest")
            turned[axis] += longer * bend
    return turned


def _warp(
    colours: np.ndarray, shape: np.ndarray, origins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # What surrounds the cut-out takes its nearest colour, so that none of it bleeds in.
    nearest = ndimage.distance_transform_edt(~shape, return_distances=False, return_indices=True)
    spread = colours[nearest[0], nearest[1]].astype(np.float32)
    warped = [
        ndimage.map_coordinates(spread[..., channel], origins, order=1, mode="nearest")
        for channel in range(3)
    ]
    y, x = np.floor(origins + 0.5).astype(int)
    inside = (y >= 0) & (y < shape.shape[0]) & (x >= 0) & (x < shape.shape[1])
    new_shape = np.zeros(inside.shape, bool)
    new_shape[inside] = shape[y[inside], x[inside]]
    return np.rint(np.stack(warped, axis=-1)).astype(np.uint8), new_shape
