"""Views of a fruit: its surface points are turned and dropped on the pixels, the nearest one wins.

The camera looks along −z from far away (parallel projection): x to the right, y down.
"""

import numpy as np
from scipy import ndimage

# The picture is made larger and averaged down, so that edges and pores are smooth.
SUPER_SAMPLING = 1.5

_INDEX_BITS = 24
_DEPTH_STEPS = 1 << 20


def view_rotation(spin_rad: float, tilt_rad: float, roll_rad: float) -> np.ndarray:
    """Rotation 3×3: spin about the fruit's own axis, tilt of that axis towards the camera, roll.

    At tilt 0 the axis lies in the picture; at +π/2 the style end points at the camera.
    """
    spin = _about_z(spin_rad)
    lean = np.pi / 2 - tilt_rad
    cosine, sine = np.cos(lean), np.sin(lean)
    tilt = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    return _about_z(roll_rad) @ tilt @ spin


def rotate(rotation: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Rotate float32 3×N vectors; elementwise, so that no BLAS decides about the last bit."""
    m = rotation.astype(np.float32)
    x, y, z = vectors
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in m])


def visible_points(points: np.ndarray, normals: np.ndarray, size: int) -> np.ndarray:
    """Which point each pixel shows.

    Args:
        points: float32 3×N in pixels (camera axes, z towards the camera).
        normals: float32 3×N unit normals (camera axes).
        size: height and width of the picture.

    Returns:
        int64 size×size index of the point, −1 where there is none.
    """
    front = np.flatnonzero(normals[2] > 0)
    column = np.floor(points[0, front]).astype(np.int64)
    row = np.floor(points[1, front]).astype(np.int64)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    front, column, row = front[inside], column[inside], row[inside]
    depth = points[2, front]
    steps = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-6) * _DEPTH_STEPS
    key = (steps.astype(np.int64) << _INDEX_BITS) | front
    nearest = np.full(size * size, -1, dtype=np.int64)
    np.maximum.at(nearest, row * size + column, key)
    nearest = _fill_pinholes(nearest.reshape(size, size))
    return np.where(nearest < 0, -1, nearest & ((1 << _INDEX_BITS) - 1))


def _fill_pinholes(nearest: np.ndarray) -> np.ndarray:
    """Pixels between points take the nearest of their neighbours."""
    covered = nearest >= 0
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(covered)) & ~covered
    if not closed.any():
        return nearest
    neighbours = ndimage.maximum_filter(nearest, size=3)
    return np.where(closed, neighbours, nearest)


def _about_z(angle_rad: float) -> np.ndarray:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
