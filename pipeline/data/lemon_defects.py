"""Defects on the skin of a rendered lemon: where they are, and how each kind looks.

A defect is fixed on the fruit: its region is a set of directions from the centre, so each view
shows it where it is, and the mask of a view is exact by construction. Names and looks follow the
categories of the Lemons Quality Control Dataset.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.data.lemon_noise import SurfaceNoise
from pipeline.data.lemon_shape import LemonForm, angle_to


@dataclass(frozen=True)
class Defect:
    """One region of one category."""

    category: str
    centre: np.ndarray  # unit vector
    radius_rad: float
    stretch: float  # length over breadth
    turn_rad: float  # direction of the longer side
    ragged: float  # how far noise moves the outline, in radii
    layer: int  # which noise
    spots: np.ndarray  # K×4: centres (3) and radii of spots apart from the main region


@dataclass
class Skin:
    """What is seen at each visible point; painters change it in place."""

    directions: np.ndarray  # float32 3×N
    colour: np.ndarray  # float32 3×N, 0…1
    relief: np.ndarray  # float32 N, heights in pixels of the picture
    gloss: np.ndarray  # float32 N, factor of the highlights
    noise: SurfaceNoise


def draw_defect(
    rng: np.random.Generator, category: str, longitude_rad: float, form: LemonForm, layer: int
) -> Defect:
    """A random region of `category` near `longitude_rad`, or at the end where it belongs."""
    look = LOOKS[category]
    height = rng.uniform(*look.heights)
    around = np.sqrt(1 - height**2)
    centre = np.array([around * np.cos(longitude_rad), around * np.sin(longitude_rad), height])
    if look.place == "style":
        centre = form.nipple_axis
    elif look.place == "stem":
        centre = form.neck_axis
    return Defect(
        category=category,
        centre=centre,
        radius_rad=rng.uniform(*look.radii_rad),
        stretch=rng.uniform(*look.stretches),
        turn_rad=rng.uniform(0, np.pi),
        ragged=look.ragged,
        layer=layer,
        spots=_draw_spots(rng, centre, rng.integers(*look.spots)),
    )


def region(defect: Defect, directions: np.ndarray, noise: SurfaceNoise) -> np.ndarray:
    """Depth within the defect: float32 N, 1 at its centre, 0 on its outline, below 0 outside."""
    first, second = _tangents(defect.centre, defect.turn_rad)
    angle = angle_to(directions, defect.centre)
    along = sum(directions[axis] * first[axis] for axis in range(3))
    across = sum(directions[axis] * second[axis] for axis in range(3))
    scale = angle / np.maximum(np.hypot(along, across), 1e-6) / defect.radius_rad
    root = np.sqrt(defect.stretch)
    reach = scale * np.hypot(along / root, across * root)
    coarse = noise.at(directions, 1.1 / defect.radius_rad, defect.layer)
    fine = noise.at(directions, 4.5 / defect.radius_rad, defect.layer + 1)
    depth = 1 - reach + defect.ragged * (1.6 * (coarse - 0.5) + 0.5 * (fine - 0.5))
    for spot in defect.spots:
        depth = np.maximum(depth, 1 - angle_to(directions, spot[:3]) / spot[3])
    return depth.astype(np.float32)


def paint(defect: Defect, skin: Skin) -> np.ndarray:
    """Paint the defect onto the skin; returns its region as bool N."""
    depth = region(defect, skin.directions, skin.noise)
    inside = np.flatnonzero(depth > 0)
    if inside.size:
        patch = Skin(
            skin.directions[:, inside],
            skin.colour[:, inside],
            skin.relief[inside],
            skin.gloss[inside],
            skin.noise,
        )
        LOOKS[defect.category].painter(patch, depth[inside], defect.layer)
        skin.colour[:, inside] = patch.colour
        skin.relief[inside] = patch.relief
        skin.gloss[inside] = patch.gloss
    return depth > 0


def dent(defect: Defect) -> tuple[np.ndarray, float, float] | None:
    """(centre, radius, depth) of the hollow that a defect makes in the fruit, if any."""
    sunken = LOOKS[defect.category].sunken
    return (defect.centre, defect.radius_rad, sunken) if sunken else None


def _paint_blemish(skin: Skin, depth: np.ndarray, layer: int) -> None:
    """Scars: pale grey cork in a net of flakes, with brown cracks, rough and dull."""
    net = skin.noise.ridges(skin.directions, 12, layer)
    flakes = skin.noise.octaves(skin.directions, 21, layer + 3)
    cover = np.clip(0.52 + 1.3 * (net - 0.72) + 1.7 * (flakes - 0.48), 0.38, 0.96)
    cover *= np.clip(depth * 5, 0.7, 1)
    cork = _between((0.47, 0.36, 0.24), (0.92, 0.89, 0.85), flakes * 2.2 - 0.5)
    _blend(skin, cork, cover)
    cracks = skin.noise.ridges(skin.directions, 5.5, layer + 7)
    _blend(skin, _solid((0.45, 0.33, 0.18), depth), 0.4 * np.clip((cracks - 0.94) * 20, 0, 1))
    skin.relief += 1.5 * cover * (flakes - 0.3)
    skin.gloss *= 1 - 0.85 * cover


def _paint_illness(skin: Skin, depth: np.ndarray, layer: int) -> None:
    """Discoloured brown skin with dark specks, crowded in places."""
    cloud = skin.noise.octaves(skin.directions, 4.5, layer)
    specks = skin.noise.at(skin.directions, 24, layer + 3)
    fine = skin.noise.at(skin.directions, 38, layer + 4)
    stain = np.clip(0.50 + 1.1 * (cloud - 0.45), 0.35, 0.82) * np.clip(0.6 + depth * 4, 0, 1)
    _blend(skin, _between((0.58, 0.37, 0.07), (0.44, 0.28, 0.08), cloud * 2 - 0.5), stain)
    crowd = 0.7 * (cloud - 0.5) + 0.22 * np.minimum(depth, 0.5)
    dark = np.clip((0.5 * specks + 0.5 * fine - 0.57 + crowd) * 6, 0, 0.88)
    _blend(skin, _between((0.27, 0.17, 0.05), (0.12, 0.12, 0.08), fine * 2 - 0.5), dark)
    skin.relief -= 0.7 * dark
    skin.gloss *= 1 - 0.6 * np.maximum(dark, 0.4 * stain)


def _paint_mould(skin: Skin, depth: np.ndarray, layer: int) -> None:
    """Blue-grey spores with dark creases, white fluff around, a soaked brown edge."""
    fluff = skin.noise.octaves(skin.directions, 16, layer + 2)
    patches = skin.noise.octaves(skin.directions, 3.5, layer + 5)
    creases = skin.noise.ridges(skin.directions, 6, layer + 8)
    inward = depth + 0.5 * (fluff - 0.5) + 0.8 * (patches - 0.5)
    edge = _between((0.52, 0.33, 0.10), (0.66, 0.47, 0.20), fluff)
    white = _between((0.62, 0.60, 0.57), (0.97, 0.95, 0.92), fluff * 2.0 - 0.5)
    spores = _between((0.22, 0.26, 0.30), (0.62, 0.68, 0.74), fluff * 2.2 - 0.6)
    colour = edge + (white - edge) * np.clip((inward - 0.02) * 6, 0, 1)
    colour += (spores - colour) * np.clip((inward - 0.18) * 6, 0, 1)
    colour *= 1 - 0.6 * np.clip((creases - 0.86) * 7, 0, 1) * np.clip(depth * 4, 0, 1)
    _blend(skin, colour, np.clip(0.62 + depth * 5, 0, 0.96))
    skin.relief += np.clip(depth * 6, 0, 1) * (3.4 * fluff + 2.2 * patches - 1.2 * creases)
    skin.gloss *= 0.04


def _paint_gangrene(skin: Skin, depth: np.ndarray, layer: int) -> None:
    """Dark rot with a brown rim, leathery."""
    grain = skin.noise.octaves(skin.directions, 15, layer + 2)
    rim = _between((0.40, 0.25, 0.07), (0.55, 0.37, 0.13), grain)
    core = _between((0.11, 0.07, 0.04), (0.42, 0.30, 0.17), grain * 2.6 - 0.85)
    colour = rim + (core - rim) * np.clip((depth + 0.4 * (grain - 0.5)) * 4 - 0.4, 0, 1)
    _blend(skin, colour, np.clip(0.7 + depth * 4, 0, 0.97))
    skin.relief += 1.6 * grain * np.clip(depth * 5, 0, 1)
    skin.gloss *= 0.25


def _paint_style_remains(skin: Skin, depth: np.ndarray, layer: int) -> None:
    """The dried rest of the flower at the tip."""
    grain = skin.noise.octaves(skin.directions, 16, layer + 1)
    dry = _between((0.14, 0.085, 0.05), (0.42, 0.24, 0.10), grain * 1.8 - 0.45)
    _blend(skin, dry, np.clip(0.62 + depth * 3, 0, 0.95))
    skin.relief += 1.8 * grain
    skin.gloss *= 0.3


def _paint_pedicel(skin: Skin, depth: np.ndarray, layer: int) -> None:
    """The stem's green-brown button in its dark furrow."""
    grain = skin.noise.octaves(skin.directions, 20, layer + 1)
    furrow = _solid((0.20, 0.22, 0.07), depth)
    green = _between((0.34, 0.40, 0.16), (0.50, 0.52, 0.26), grain)
    wood = _between((0.30, 0.20, 0.10), (0.62, 0.48, 0.28), grain * 1.6 - 0.3)
    colour = furrow + (green - furrow) * np.clip((depth - 0.16) * 14, 0, 1)
    colour += (wood - colour) * np.clip((depth - 0.52) * 12, 0, 1)
    _blend(skin, colour, np.clip(0.7 + depth * 6, 0, 1))
    skin.relief += 3.5 * np.clip((depth - 0.1) * 5, 0, 1) - 1.8 * np.clip((depth - 0.6) * 8, 0, 1)
    skin.gloss *= 0.35


@dataclass(frozen=True)
class Look:
    """Size, place and painter of a category."""

    painter: Callable[[Skin, np.ndarray, int], None]
    radii_rad: tuple[float, float]
    stretches: tuple[float, float]
    ragged: float
    spots: tuple[int, int] = (0, 1)  # fewest, one more than the most
    heights: tuple[float, float] = (-0.62, 0.62)  # along the axis
    place: str = "side"  # side | style | stem
    sunken: float = 0.0


# In the order in which they cover each other.
LOOKS: dict[str, Look] = {
    "blemish": Look(_paint_blemish, (0.42, 0.68), (1.2, 2.4), 0.50),
    "illness": Look(_paint_illness, (0.36, 0.58), (1.0, 1.7), 0.45, spots=(0, 5)),
    "gangrene": Look(_paint_gangrene, (0.30, 0.52), (1.0, 1.6), 0.42, sunken=0.09),
    "mould": Look(_paint_mould, (0.50, 0.90), (1.0, 1.4), 0.32, sunken=0.03),
    "dark_style_remains": Look(_paint_style_remains, (0.17, 0.26), (1.0, 1.3), 0.35, place="style"),
    "pedicel": Look(_paint_pedicel, (0.15, 0.19), (1.0, 1.1), 0.10, place="stem", sunken=0.03),
}


def _draw_spots(rng: np.random.Generator, centre: np.ndarray, number: int) -> np.ndarray:
    """Small round spots around a defect: K×4 of unit vectors and radii in rad."""
    spots = np.empty((number, 4), dtype=np.float32)
    for spot in spots:
        vector = centre + rng.normal(0, 0.42, 3)
        spot[:3] = vector / np.linalg.norm(vector)
        spot[3] = rng.uniform(0.04, 0.075)
    return spots


def _tangents(centre: np.ndarray, turn_rad: float) -> tuple[np.ndarray, np.ndarray]:
    """Two perpendicular unit vectors at right angles to `centre`."""
    helper = np.array([0.0, 0.0, 1.0]) if abs(centre[2]) < 0.8 else np.array([1.0, 0.0, 0.0])
    first = np.cross(helper, centre)
    first /= np.linalg.norm(first)
    second = np.cross(centre, first)
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    return cosine * first + sine * second, cosine * second - sine * first


def _solid(colour: tuple[float, float, float], like: np.ndarray) -> np.ndarray:
    return np.repeat(np.array(colour, dtype=np.float32)[:, None], like.size, axis=1)


def _between(low: tuple, high: tuple, share: np.ndarray) -> np.ndarray:
    """Colours 3×N from `low` (share 0) to `high` (share 1)."""
    share = np.clip(share, 0, 1)
    start = np.array(low, dtype=np.float32)[:, None]
    return start + (np.array(high, dtype=np.float32)[:, None] - start) * share


def _blend(skin: Skin, colour: np.ndarray, share: np.ndarray) -> None:
    skin.colour += (colour - skin.colour) * share
