"""Photos of procedurally rendered lemons with exact defect masks: the demo data set.

Stands in for the Lemons Quality Control Dataset where there is no network: one lemon on black, seen
from several sides, same file names. A real lemon fills about a third of its frame; here it fills
55 to 75 per cent, since at the demo's 64 pixels a third would leave nothing of a defect.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydantic import Field
from scipy import ndimage

from pipeline.data.lemon_camera import SUPER_SAMPLING, rotate, view_rotation, visible_points
from pipeline.data.lemon_defects import LOOKS, Defect, Skin, dent, draw_defect, paint
from pipeline.data.lemon_light import Peel, bare_skin, draw_lighting, draw_peel, shade
from pipeline.data.lemon_noise import SurfaceNoise
from pipeline.data.lemon_shape import LemonForm, Surface, draw_form, sample_surface
from pipeline.io.params import Settings
from pipeline.io.seeding import numpy_rng

# The thesis's three classes, alone and together, then what its subsets exclude. Each fruit takes
# the next recipe, so amounts of each do not hang on the seed.
RECIPES: tuple[tuple[str, ...], ...] = (
    ("blemish", "blemish"),
    ("illness", "illness"),
    ("mould",),
    ("blemish", "illness"),
    ("gangrene", "mould"),
    ("mould", "blemish"),
    ("illness", "mould"),
    ("mould", "mould"),
    ("dark_style_remains", "pedicel", "blemish"),
    ("blemish", "illness", "mould"),
    ("illness",),
    ("blemish",),
    ("gangrene",),
    ("mould", "illness"),
    ("blemish", "illness", "pedicel"),
    (),
)
LETTERS = ("G_I", "G_V", "B_I", "B_V")
# Position of the camera: A from the side, B looking at the style end, C at the stem end.
TILTS_DEG = {"A": (-22, 22), "B": (35, 65), "C": (-65, -35)}
FRAME_SHARE = (0.74, 0.86)
# A region that is nowhere so broad, as a share of the frame, would be a sliver at the fruit's rim
# (3 of 64 pixels): that view does not show it.
SMALLEST_BREADTH = 0.045


class DemoSettings(Settings):
    """The block `demo` of data/demo/params.yaml."""

    seed: int = Field(ge=0)
    fruits: int = Field(ge=1, le=9999)
    views: int = Field(ge=1, le=36)
    size_px: int = Field(ge=48, le=1056)
    jpeg_quality: int = Field(ge=50, le=100)


@dataclass(frozen=True)
class Fruit:
    """Everything that the views of one fruit share."""

    number: int
    letters: str
    form: LemonForm
    peel: Peel
    noise: SurfaceNoise
    defects: list[Defect]
    share: float  # its length over the frame's width


@dataclass(frozen=True)
class Photo:
    """One rendered view."""

    file_name: str  # such as 0037_G_I_120_A.jpg
    image: np.ndarray  # uint8 H×W×3
    regions: list[tuple[str, np.ndarray]]  # category and its bool H×W mask, in painting order


def draw_fruit(seed: int, number: int) -> Fruit:
    """The fruit of that number; depends on nothing but `seed` and `number`."""
    rng = numpy_rng(seed, "fruit", number)
    form = draw_form(rng)
    recipe = sorted(RECIPES[(number - 1) % len(RECIPES)], key=list(LOOKS).index)
    first = rng.uniform(0, 2 * np.pi)
    defects = []
    for index, category in enumerate(recipe):
        longitude = first + 2 * np.pi * index / len(recipe) + rng.uniform(-0.5, 0.5)
        defects.append(draw_defect(rng, category, longitude, form, layer=100 + 10 * index))
    return Fruit(
        number=number,
        letters=str(rng.choice(LETTERS)),
        form=form,
        peel=draw_peel(rng),
        noise=SurfaceNoise(rng),
        defects=defects,
        share=rng.uniform(*FRAME_SHARE),
    )


def render_fruit(number: int, settings: DemoSettings) -> list[Photo]:
    """All views of a fruit, in the order of their angles."""
    fruit = draw_fruit(settings.seed, number)
    size = round(settings.size_px * SUPER_SAMPLING)
    dents = [hollow for hollow in map(dent, fruit.defects) if hollow]
    surface = sample_surface(fruit.form, fruit.share * size, dents)
    return [_render_view(fruit, surface, view, settings) for view in range(settings.views)]


def _render_view(fruit: Fruit, surface: Surface, view: int, settings: DemoSettings) -> Photo:
    rng = numpy_rng(settings.seed, "fruit", fruit.number, "view", view)
    angle_deg = round(360 * view / settings.views)
    position = str(rng.choice(list(TILTS_DEG), p=[0.6, 0.2, 0.2]))
    rotation = view_rotation(
        np.deg2rad(angle_deg),
        np.deg2rad(rng.uniform(*TILTS_DEG[position])),
        rng.uniform(0, 2 * np.pi),
    )
    size = round(settings.size_px * SUPER_SAMPLING)
    normals = rotate(rotation, surface.normals)
    points = _place(rng, rotate(rotation, surface.points), fruit.share * size, size)
    index = visible_points(points, normals, size)
    shown = index >= 0
    seen = index[shown]
    skin = bare_skin(fruit.peel, surface.directions[:, seen], fruit.noise)
    regions = _paint_defects(fruit, skin, shown, settings.size_px)
    lit = shade(skin, normals[:, seen], shown, draw_lighting(rng))
    return Photo(
        file_name=f"{fruit.number:04d}_{fruit.letters}_{angle_deg}_{position}.jpg",
        image=_develop(lit, shown, settings.size_px, rng),
        regions=regions,
    )


def _place(rng: np.random.Generator, points: np.ndarray, long_px: float, size: int) -> np.ndarray:
    """Scale to pixels and put the fruit somewhere near the middle of the frame."""
    placed = points * np.float32(long_px / 2)
    for axis in (0, 1):
        low, high = placed[axis].min(), placed[axis].max()
        room = (size - (high - low)) / 2
        shift = size / 2 - (low + high) / 2 + rng.uniform(-0.55, 0.55) * room
        placed[axis] += np.float32(shift)
    return placed


def _paint_defects(
    fruit: Fruit, skin: Skin, shown: np.ndarray, size_px: int
) -> list[tuple[str, np.ndarray]]:
    """Paint what is seen of each defect; returns masks at the photo's size."""
    regions = []
    for defect in fruit.defects:
        bare = (skin.colour.copy(), skin.relief.copy(), skin.gloss.copy())
        inside = paint(defect, skin)
        seen = np.zeros(shown.shape, dtype=np.float32)
        seen[shown] = inside
        mask = _shrink(seen, size_px) >= 0.5
        if _breadth_px(mask) >= SMALLEST_BREADTH * size_px:
            regions.append((defect.category, mask))
        else:
            skin.colour, skin.relief, skin.gloss = bare
    return regions


def _breadth_px(mask: np.ndarray) -> float:
    """Breadth of a region at its broadest place."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return 0.0
    part = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    return 2 * float(ndimage.distance_transform_edt(part).max())


def _develop(
    lit: np.ndarray, shown: np.ndarray, size_px: int, rng: np.random.Generator
) -> np.ndarray:
    """uint8 H×W×3 photo at its final size: hard outline on pure black, a little sensor noise."""
    cover = _shrink(shown.astype(np.float32), size_px)
    image = np.empty((size_px, size_px, 3), dtype=np.float32)
    grain = rng.normal(0, 0.010, (size_px, size_px)).astype(np.float32)
    for channel in range(3):
        plane = np.zeros(shown.shape, dtype=np.float32)
        plane[shown] = lit[channel]
        image[..., channel] = _shrink(plane, size_px) / np.maximum(cover, 1e-6) + grain
    edge = np.clip((cover - 0.2) / 0.3, 0, 1)[..., None]
    return np.round(np.clip(image * edge, 0, 1) * 255).astype(np.uint8)


def _shrink(plane: np.ndarray, size_px: int) -> np.ndarray:
    """Area average of a float32 plane down to size_px×size_px."""
    image = Image.fromarray(plane)
    return np.asarray(image.resize((size_px, size_px), Image.Resampling.BOX))
