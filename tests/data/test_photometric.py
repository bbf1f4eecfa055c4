import numpy as np
import pytest
from PIL import Image

from pipeline.data.photometric import (
    CHANGES,
    PhotometricSettings,
    change_brightness,
    change_colours,
    change_contrast,
    change_hue,
    change_sharpness,
)


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)


def flat(*colour: int) -> Image.Image:
    return Image.fromarray(np.full((4, 4, 3), colour, dtype=np.uint8))


def test_brightness_is_a_factor():
    changed = np.array(change_brightness(flat(100, 40, 200), 0.5))
    assert changed[0, 0].tolist() == [150, 60, 255]


def test_contrast_scales_distances_from_the_mean():
    picture = np.full((4, 4, 3), 80, dtype=np.uint8)
    picture[:2] = 120  # mean 100
    changed = np.array(change_contrast(Image.fromarray(picture), -0.5))
    assert changed[0, 0].tolist() == [110, 110, 110]
    assert changed[3, 3].tolist() == [90, 90, 90]


@pytest.mark.parametrize(("turn", "expected"), [(1 / 3, (0, 255, 0)), (-1 / 3, (0, 0, 255))])
def test_a_third_of_the_colour_circle_turns_red_to_a_primary(turn, expected):
    changed = np.array(change_hue(flat(255, 0, 0), turn))[0, 0].astype(int)
    assert np.abs(changed - expected).max() <= 3


def test_sharpness_blurs_and_sharpens():
    smooth = np.array(Image.fromarray(photo()).resize((64, 64), Image.Resampling.BICUBIC))
    picture = Image.fromarray(smooth)
    detail = {s: np.array(change_sharpness(picture, s)).astype(float).std() for s in (-1, 0, 1)}
    assert detail[-1] < detail[0] < detail[1]
    assert np.array_equal(np.array(change_sharpness(picture, 0.0)), smooth)


def test_every_change_has_a_setting_and_zero_leaves_the_bytes():
    assert set(CHANGES) == set(PhotometricSettings.model_fields)
    unchanged = change_colours(np.random.default_rng(0), photo(), PhotometricSettings())
    assert np.array_equal(unchanged, photo())


@pytest.mark.parametrize("name", CHANGES)
def test_each_setting_has_an_effect_that_the_generator_decides(name):
    settings = PhotometricSettings(**{name: 0.4})
    first, again, other = (
        change_colours(np.random.default_rng(seed), photo(), settings) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, photo())
