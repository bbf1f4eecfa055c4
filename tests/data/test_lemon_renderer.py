"""The rendered lemons: determinism, masks that lie where the paint is, black background."""

import re

import numpy as np
import pytest
from scipy import ndimage

from pipeline.data.lemon_camera import view_rotation, visible_points
from pipeline.data.lemon_noise import SurfaceNoise
from pipeline.data.lemon_renderer import RECIPES, DemoSettings, draw_fruit, render_fruit
from pipeline.data.lemon_shape import draw_form, sample_surface
from pipeline.io.seeding import numpy_rng

SETTINGS = DemoSettings(seed=0, fruits=3, views=3, size_px=96, jpeg_quality=92)
MOULDY = 1 + RECIPES.index(("mould", "mould"))


@pytest.fixture(scope="module")
def photos():
    return render_fruit(MOULDY, SETTINGS)


def test_same_seed_same_photos_and_another_seed_another_fruit(photos):
    again = render_fruit(MOULDY, SETTINGS)
    for first, second in zip(photos, again, strict=True):
        assert first.file_name == second.file_name
        assert np.array_equal(first.image, second.image)
        for (name, mask), (other_name, other_mask) in zip(
            first.regions, second.regions, strict=True
        ):
            assert name == other_name and np.array_equal(mask, other_mask)
    other = render_fruit(MOULDY, SETTINGS.model_copy(update={"seed": 1}))
    assert not np.array_equal(photos[0].image, other[0].image)


def test_file_names_hold_fruit_letters_angle_and_position(photos):
    pattern = r"^0008_[GB]_[IV]_\d+_[ABC]\.jpg$"
    assert MOULDY == 8
    assert [int(photo.file_name.split("_")[3]) for photo in photos] == [0, 120, 240]
    for photo in photos:
        assert re.match(pattern, photo.file_name), photo.file_name


def test_the_fruit_is_one_bright_piece_on_pure_black_and_fills_its_share(photos):
    for photo in photos:
        brightest = photo.image.max(axis=2)
        fruit = brightest > 16
        assert ndimage.label(fruit)[1] == 1
        assert np.array_equal(ndimage.binary_fill_holes(fruit), fruit)
        assert (brightest[~ndimage.binary_dilation(fruit)] == 0).all()
        rows, columns = np.flatnonzero(fruit.any(1)), np.flatnonzero(fruit.any(0))
        assert 0.45 < max(np.ptp(rows), np.ptp(columns)) / SETTINGS.size_px < 0.9
        assert rows[0] > 0 and rows[-1] < SETTINGS.size_px - 1


def test_mould_is_grey_exactly_inside_its_mask(photos):
    """Peel is far more red than blue; mould is not: colour alone must find the mask again."""
    shown = [photo for photo in photos if photo.regions]
    assert shown
    for photo in shown:
        mask = np.any([mask for _, mask in photo.regions], axis=0)
        fruit = photo.image.max(axis=2) > 16
        red_over_blue = photo.image[..., 0].astype(int) - photo.image[..., 2]
        inner, outer = ndimage.binary_erosion(mask, iterations=3), fruit & ~mask
        assert np.median(red_over_blue[inner]) < 40
        assert np.median(red_over_blue[outer]) > 80


def test_regions_lie_on_the_fruit_and_none_is_a_sliver(photos):
    for photo in photos:
        fruit = photo.image.max(axis=2) > 16
        for _, mask in photo.regions:
            assert mask.shape == fruit.shape and mask.dtype == np.bool_
            assert not (mask & ~fruit).any()
            broadest = 2 * ndimage.distance_transform_edt(mask).max()
            assert broadest >= 3 / 64 * SETTINGS.size_px * 0.9


def test_recipes_name_each_fruit_whatever_the_seed():
    for seed in (0, 7):
        for number in (1, 3, len(RECIPES), len(RECIPES) + 1):
            fruit = draw_fruit(seed, number)
            wanted = sorted(RECIPES[(number - 1) % len(RECIPES)])
            assert sorted(defect.category for defect in fruit.defects) == wanted


def test_surface_normals_are_unit_and_point_outwards():
    surface = sample_surface(draw_form(numpy_rng(0, "form")), long_px=60)
    assert np.allclose(np.linalg.norm(surface.normals, axis=0), 1, atol=1e-4)
    outwards = (surface.normals * surface.directions).sum(axis=0)
    assert (outwards > 0).mean() > 0.99
    assert np.abs(surface.points).max() == pytest.approx(1)


def test_rotation_is_proper_and_tilt_turns_the_style_end_to_the_camera():
    rotation = view_rotation(0.7, 0.4, 1.1)
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    style = np.array([0, 0, 1])
    assert np.allclose(view_rotation(0.3, np.pi / 2, 0.2) @ style, [0, 0, 1])
    assert (view_rotation(0.3, 0, 0.2) @ style)[2] == pytest.approx(0)


def test_the_nearest_point_that_faces_the_camera_is_seen():
    points = np.array([[1.5, 1.5, 1.5, 2.5], [0.5, 0.5, 0.5, 3.5], [0, 2, 5, 1]], dtype=np.float32)
    normals = np.array([[0] * 4, [0] * 4, [1, 1, -1, 1]], dtype=np.float32)
    index = visible_points(points, normals, size=4)
    assert index[0, 1] == 1 and index[3, 2] == 3
    assert (index >= 0).sum() == 2


def test_noise_is_fixed_on_the_fruit_and_smooth():
    noise = SurfaceNoise(numpy_rng(0, "noise"))
    turn = np.linspace(0, 2 * np.pi, 2000, dtype=np.float32)
    circle = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)])
    values = noise.at(circle, 5.0)
    assert values.min() >= 0 and values.max() <= 1 and np.std(values) > 0.1
    assert np.abs(np.diff(values)).max() < 0.1
    assert values[0] == pytest.approx(values[-1], abs=1e-3)
