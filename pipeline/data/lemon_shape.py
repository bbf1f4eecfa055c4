"""The form of a rendered lemon: a star-shaped body with nipple and neck.

The surface is given by the distance r(d) from the centre in each direction d: a spheroid whose
long axis is z, plus a nipple at the style end (+z), a neck at the stem end (−z), a bend, low bumps
and furrows. It is sampled on a grid of latitude and longitude, finer than the photo's pixels.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

# Sampling of the surface: enough that neighbouring points are less than a pixel of the
# super-sampled photo apart (see lemon_camera.py).
ROWS_PER_PX = 1.45
COARSE_ROWS = 90


@dataclass(frozen=True)
class LemonForm:
    """Proportions of one fruit; lengths in units of half its thickness."""

    length: float  # half the length of the body
    flatness: float  # ratio of the two thicknesses
    nipple: float  # height of the nipple
    nipple_width_rad: float
    nipple_axis: np.ndarray  # unit vector near +z
    collar: float  # depth of the furrow around the nipple
    neck: float  # height of the neck at the stem
    neck_width_rad: float
    neck_axis: np.ndarray  # unit vector near −z
    bend: float  # shift across the axis at both ends
    waves: np.ndarray  # K×5: wave vector (3), phase, amplitude of each bump
    furrows: np.ndarray  # number, depth, phase of the lengthwise furrows at the ends


@dataclass(frozen=True)
class Surface:
    """Points of a fruit: float32 3×N each."""

    directions: np.ndarray  # unit vectors d
    points: np.ndarray  # d r(d), half the fruit's greatest extent is about 1
    normals: np.ndarray  # unit outward normals


def draw_form(rng: np.random.Generator) -> LemonForm:
    """A random fruit, from nearly round to long, from blunt to pointed."""
    waves = np.column_stack(
        [
            rng.normal(0, 2.3, (10, 3)),
            rng.uniform(0, 2 * np.pi, 10),
            rng.uniform(0.004, 0.016, 10),
        ]
    )
    return LemonForm(
        length=rng.uniform(1.10, 1.48),
        flatness=rng.uniform(0.95, 1.0),
        nipple=rng.uniform(0.12, 0.30),
        nipple_width_rad=rng.uniform(0.20, 0.32),
        nipple_axis=_near_axis(rng, 1.0, 0.12),
        collar=rng.uniform(0.0, 0.05),
        neck=rng.uniform(0.03, 0.18),
        neck_width_rad=rng.uniform(0.24, 0.36),
        neck_axis=_near_axis(rng, -1.0, 0.08),
        bend=rng.uniform(-0.07, 0.07),
        waves=waves.astype(np.float32),
        furrows=np.array([rng.integers(5, 10), rng.uniform(0.0, 0.05), rng.uniform(0, 6.3)]),
    )


def sample_surface(form: LemonForm, long_px: float, dents: list[tuple] | None = None) -> Surface:
    """Sample the fruit so finely that it has no holes when its length is `long_px` pixels.

    `dents` are (centre, radius in rad, depth): sunken places.
    """
    rows = int(long_px * ROWS_PER_PX) + 8
    columns = 2 * rows
    coarse = _grid_directions(COARSE_ROWS, 2 * COARSE_ROWS)
    distance = _distance(form, coarse, dents or []).reshape(COARSE_ROWS, 2 * COARSE_ROWS)
    directions = _grid_directions(rows, columns)
    points = directions * _enlarge(distance, rows, columns).ravel()
    points[0] += form.bend * points[2] ** 2
    points /= np.abs(points).max()
    normals = _normals(points.reshape(3, rows, columns))
    return Surface(directions, points, normals)


def angle_to(directions: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Angle in rad between 3×N unit vectors and one unit vector; elementwise, hence exact twice."""
    cosine = directions[0] * axis[0] + directions[1] * axis[1] + directions[2] * axis[2]
    return np.arccos(np.clip(cosine, -1, 1))


def _distance(form: LemonForm, d: np.ndarray, dents: list[tuple]) -> np.ndarray:
    """r(d) for 3×N directions."""
    spheroid = 1 / np.sqrt(d[0] ** 2 + (d[1] / form.flatness) ** 2 + (d[2] / form.length) ** 2)
    bumps = sum(
        wave[4] * np.sin(wave[0] * d[0] + wave[1] * d[1] + wave[2] * d[2] + wave[3])
        for wave in form.waves
    )
    to_nipple = angle_to(d, form.nipple_axis) / form.nipple_width_rad
    to_neck = angle_to(d, form.neck_axis) / form.neck_width_rad
    nipple = form.nipple * np.exp(-(to_nipple**2.4)) - form.collar * np.exp(
        -(((to_nipple - 1.6) / 0.35) ** 2)
    )
    # A rim with a dimple in its middle: the stem sits in it.
    neck = form.neck * (np.exp(-(to_neck**2.4)) - 0.5 * np.exp(-((to_neck / 0.35) ** 2)))
    number, depth, phase = form.furrows
    longitude = np.arctan2(d[1], d[0])
    # None at the very ends, where all furrows would meet in one point.
    near_ends = to_neck**2 * np.exp(-(to_neck**2)) + to_nipple**2 * np.exp(-(to_nipple**2))
    furrows = depth * near_ends * np.cos(number * longitude + phase)
    sunken = sum(
        depth * np.exp(-((angle_to(d, centre) / radius) ** 4)) for centre, radius, depth in dents
    )
    return (spheroid * (1 + bumps) + nipple + neck + furrows - sunken).astype(np.float32)


def _grid_directions(rows: int, columns: int) -> np.ndarray:
    """float32 3×(rows·columns) unit vectors; rows are shifted by a half, so none is a pole."""
    latitude = ((np.arange(rows) + 0.5) * np.pi / rows).astype(np.float32)
    longitude = ((np.arange(columns) + 0.5) * 2 * np.pi / columns).astype(np.float32)
    sine = np.sin(latitude)[:, None]
    x = sine * np.cos(longitude)[None]
    y = sine * np.sin(longitude)[None]
    z = np.broadcast_to(np.cos(latitude)[:, None], x.shape)
    return np.stack([x, y, z]).reshape(3, -1)


def _enlarge(grid: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Smooth enlargement of a grid that is periodic in longitude."""
    coarse_rows, coarse_columns = grid.shape
    pad = 8
    wrapped = np.concatenate([grid[:, -pad:], grid, grid[:, :pad]], axis=1)
    box = (pad, 0, pad + coarse_columns, coarse_rows)
    image = Image.fromarray(wrapped)
    return np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC, box=box))


def _normals(grid: np.ndarray) -> np.ndarray:
    """Unit outward normals, float32 3×(rows·columns), of a 3×rows×columns grid of points."""
    wrapped = np.concatenate([grid[:, :, -1:], grid, grid[:, :, :1]], axis=2)
    along = (wrapped[:, :, 2:] - wrapped[:, :, :-2]).astype(np.float32)
    down = np.empty_like(grid)
    down[:, 1:-1] = grid[:, 2:] - grid[:, :-2]
    down[:, 0], down[:, -1] = grid[:, 1] - grid[:, 0], grid[:, -1] - grid[:, -2]
    normals = np.stack(
        [
            down[1] * along[2] - down[2] * along[1],
            down[2] * along[0] - down[0] * along[2],
            down[0] * along[1] - down[1] * along[0],
        ]
    )
    length = np.sqrt(normals[0] ** 2 + normals[1] ** 2 + normals[2] ** 2)
    return (normals / np.maximum(length, 1e-12)).reshape(3, -1)


def _near_axis(rng: np.random.Generator, side: float, spread: float) -> np.ndarray:
    """A unit vector near the z axis on `side` (+1 or −1)."""
    vector = np.array([rng.normal(0, spread), rng.normal(0, spread), side])
    return vector / np.linalg.norm(vector)
