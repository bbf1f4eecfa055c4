"""Peel and light of a rendered lemon: hue, pores, two lamps, gloss.

As on the photos of the Lemons dataset: a broad cool lamp from the left, a smaller warm one from
the right, shade that turns yellow into orange-brown, highlights broken up by the pores.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.data.lemon_defects import Skin
from pipeline.data.lemon_noise import SurfaceNoise

# sRGB / 255 of the peel in full light, from unripe to over-ripe, and pale.
PEELS = np.array(
    [
        (0.74, 0.82, 0.10),
        (0.88, 0.84, 0.12),
        (0.94, 0.84, 0.10),
        (0.95, 0.79, 0.05),
        (0.94, 0.70, 0.04),
        (0.88, 0.82, 0.40),
    ],
    dtype=np.float32,
)
PEEL_SHARES = (0.12, 0.22, 0.26, 0.20, 0.10, 0.10)
GREEN = np.array((0.52, 0.66, 0.10), dtype=np.float32)


@dataclass(frozen=True)
class Peel:
    """Skin of one fruit."""

    colour: np.ndarray  # float32 3
    greenness: float  # strength of green patches
    pores: float  # depth of the pores
    gloss: float


@dataclass(frozen=True)
class Lighting:
    """Lamps of one photo: unit vectors towards them (camera axes, y down), strengths."""

    left: np.ndarray
    right: np.ndarray
    left_strength: float
    right_strength: float
    ambient: float


def draw_peel(rng: np.random.Generator) -> Peel:
    """A random peel."""
    first, second = PEELS[rng.choice(len(PEELS), p=PEEL_SHARES)], PEELS[rng.integers(1, 4)]
    share = np.float32(rng.uniform(0, 0.4))
    return Peel(
        colour=first + (second - first) * share,
        greenness=float(rng.choice([0.0, 0.15, 0.6], p=[0.6, 0.25, 0.15])),
        pores=rng.uniform(0.5, 1.1),
        gloss=rng.uniform(0.5, 1.0),
    )


def draw_lighting(rng: np.random.Generator) -> Lighting:
    """The same two lamps for every photo, moved and dimmed a little."""
    jitter = rng.normal(0, 0.07, (2, 3))
    return Lighting(
        left=_unit(np.array([-0.68, -0.28, 0.70]) + jitter[0]),
        right=_unit(np.array([0.52, -0.42, 0.74]) + jitter[1]),
        left_strength=rng.uniform(0.46, 0.60),
        right_strength=rng.uniform(0.44, 0.58),
        ambient=rng.uniform(0.24, 0.30),
    )


def bare_skin(peel: Peel, directions: np.ndarray, noise: SurfaceNoise) -> Skin:
    """The healthy skin at float32 3×N directions."""
    clouds = noise.octaves(directions, 2.1, 40)
    pores = noise.at(directions, 25, 50)
    lumps = noise.octaves(directions, 8, 53)
    # Stem and tip ripen last.
    green = peel.greenness * np.clip(1.4 * (clouds - 0.45) + 0.5 * directions[2] ** 2, 0, 1)
    colour = np.repeat(peel.colour[:, None], directions.shape[1], axis=1)
    colour += (GREEN[:, None] - colour) * green
    colour *= 0.93 + 0.14 * clouds - 0.07 * (pores > 0.66)
    return Skin(
        directions=directions,
        colour=colour,
        relief=peel.pores * 1.35 * pores + 1.3 * lumps,
        gloss=np.full(directions.shape[1], peel.gloss, dtype=np.float32),
        noise=noise,
    )


def shade(skin: Skin, normals: np.ndarray, shown: np.ndarray, lighting: Lighting) -> np.ndarray:
    """Light the skin.

    Args:
        skin: what the N visible points look like.
        normals: float32 3×N, camera axes.
        shown: bool H×W, True at the N pixels in row-major order.
        lighting: the lamps.

    Returns:
        float32 3×N, sRGB, 0…1.
    """
    rough = _roughen(normals, skin.relief, shown)
    light = lighting.ambient * np.ones(normals.shape[1], dtype=np.float32)
    shine = np.zeros((3, normals.shape[1]), dtype=np.float32)
    lamps = (
        (lighting.left, lighting.left_strength, (0.86, 0.95, 1.0), ((7, 0.22), (60, 0.75))),
        (lighting.right, lighting.right_strength, (1.0, 0.98, 0.86), ((14, 0.12), (90, 0.95))),
    )
    for lamp, strength, tint, lobes in lamps:
        facing = _dot(rough, lamp)
        light += strength * np.clip(0.82 * facing + 0.18, 0, None)
        halfway = _unit(lamp + np.array([0, 0, 1.0]))
        mirror = np.clip(_dot(rough, halfway), 0, 1)
        for sharpness, amount in lobes:
            shine += np.array(tint, dtype=np.float32)[:, None] * (amount * mirror**sharpness)
    rim = np.clip(1 - normals[2], 0, 1) ** 3
    light *= 1 - 0.25 * rim
    # Shade takes blue and green away faster than red: yellow turns to brown, not to grey.
    falloff = np.array((0.95, 1.12, 1.35), dtype=np.float32)[:, None]
    lit = skin.colour * np.clip(light, 0.05, 1.25)[None] ** falloff
    lit = lit + (1 - lit * 0.6) * shine * skin.gloss
    # No pixel of the fruit is so dark that a threshold would take it for background.
    return np.clip(lit, np.array((0.15, 0.12, 0.09), dtype=np.float32)[:, None], 1)


def _roughen(normals: np.ndarray, relief: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Normals turned by the relief's slope in the picture."""
    heights = np.zeros(shown.shape, dtype=np.float32)
    heights[shown] = relief
    slope = []
    for axis in (1, 0):
        both = np.roll(shown, 1, axis) & np.roll(shown, -1, axis)
        step = np.roll(heights, -1, axis) - np.roll(heights, 1, axis)
        slope.append(np.where(both, 0.5 * step, 0)[shown])
    rough = normals.copy()
    rough[0] -= slope[0]
    rough[1] -= slope[1]
    return rough / np.sqrt(rough[0] ** 2 + rough[1] ** 2 + rough[2] ** 2)


def _dot(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    x, y, z = axis.astype(np.float32)
    return vectors[0] * x + vectors[1] * y + vectors[2] * z


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
