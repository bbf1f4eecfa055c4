import numpy as np
import pytest
from PIL import Image

from pipeline.data.fitting import ImageSettings, fit_mask, fit_photo, plan_fit


def _settings(fit, height=8, width=8):
    return ImageSettings(height=height, width=width, fit=fit)


def _photo(values):
    return Image.fromarray(np.repeat(np.asarray(values, np.uint8)[..., None], 3, axis=2))


def test_photo_is_the_mean_over_whole_blocks():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40), np.uint8)
    fitted = fit_photo(_photo(pixels), plan_fit((40, 24), _settings("resize")))
    means = pixels.reshape(8, 3, 8, 5).mean(axis=(1, 3))
    assert np.abs(fitted[..., 0] - means).max() <= 0.5


def test_photo_is_the_mean_over_fractions_of_pixels():
    # 10 columns to 8: a new pixel covers 1.25 old ones, the first all of 0 and a quarter of 1
    pixels = np.tile(np.array([100, 200, 0, 0, 0, 0, 0, 0, 0, 40]), (8, 1))
    fitted = fit_photo(_photo(pixels), plan_fit((10, 8), _settings("resize")))[0, :, 0]
    assert fitted[0] == (100 + 0.25 * 200) / 1.25
    assert fitted[1] == 0.75 * 200 / 1.25
    assert fitted[7] == 40 / 1.25
    assert (fitted[2:7] == 0).all()


def test_photo_that_grows_is_interpolated_linearly():
    pixels = np.tile(np.array([0, 80, 160, 240]), (4, 1))
    fitted = fit_photo(_photo(pixels), plan_fit((4, 4), _settings("resize")))[0, :, 0]
    assert fitted.tolist() == [0, 20, 60, 100, 140, 180, 220, 240]


def test_letterbox_keeps_the_aspect_and_pads_with_black():
    fit = plan_fit((40, 20), _settings("letterbox"))
    assert fit.place == (0, 2, 8, 4)
    photo = fit_photo(_photo(np.full((20, 40), 90)), fit)
    mask = fit_mask(np.ones((20, 40), np.uint8), fit)
    expected = np.zeros((8, 8), bool)
    expected[2:6] = True
    assert ((photo == 90).all(axis=2) == expected).all()
    assert ((mask == 1) == expected).all()


def test_crop_keeps_the_centre():
    fit = plan_fit((40, 20), _settings("crop", height=10, width=10))
    pixels = np.zeros((20, 40))
    pixels[:, 10:30] = 60
    assert (fit_photo(_photo(pixels), fit) == 60).all()
    assert fit_mask((pixels > 0), fit).all()


@pytest.mark.parametrize("fit", ["resize", "letterbox", "crop"])
def test_mask_of_another_scale_lands_on_the_same_pixels(fit):
    plan = plan_fit((80, 48), _settings(fit, height=16, width=24))
    small = np.random.default_rng(1).integers(0, 3, (24, 40), np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    assert (fit_mask(small, plan) == fit_mask(large, plan)).all()


def test_mask_takes_the_pixel_under_the_centre():
    mask = np.arange(24 * 24).reshape(24, 24) % 251
    fitted = fit_mask(mask.astype(np.uint8), plan_fit((24, 24), _settings("resize")))
    assert (fitted == mask[1::3, 1::3]).all()
