"""Fingerprints against what they must not see: light, colour, and what all photos show."""

import numpy as np

from pipeline.audit.fingerprints import SIDE, fingerprints, learn_commonplace
from tests.audit.scenes import again, scenes


def test_light_and_colour_leave_a_fingerprint_as_it_is():
    photos = scenes(20)
    common = learn_commonplace(photos)
    shade = np.linspace(0.5, 1.0, photos.shape[1])[:, None, None] * np.array([1.0, 0.6, 0.8])
    darker = (photos * shade).astype(np.uint8)
    prints, other = fingerprints(photos, common), fingerprints(darker, common)
    assert prints.shape == (20, SIDE, SIDE) and prints.dtype == np.float32
    assert np.allclose((prints**2).sum(axis=(1, 2)), 1, atol=1e-5)
    assert ((prints * other).sum(axis=(1, 2)) > 0.95).all()


def test_what_all_photos_show_does_not_make_them_alike():
    photos = scenes(40).astype(float)
    frame = np.zeros(photos.shape[1:])
    frame[20:44, ::4] = 160  # a grating at the same place in each
    shown = (photos * 0.3 + frame).clip(0, 255).astype(np.uint8)
    prints = fingerprints(shown, learn_commonplace(shown)).reshape(40, -1)
    grey = shown.mean(axis=3).reshape(40, -1)
    assert np.abs(np.corrcoef(grey)[np.triu_indices(40, 1)]).mean() > 0.8
    assert np.abs((prints @ prints.T)[np.triu_indices(40, 1)]).mean() < 0.1


def test_a_photo_without_detail_is_like_nothing():
    photos = scenes(15)
    photos[3] = 90
    blank = fingerprints(photos, learn_commonplace(photos))
    plain = fingerprints(np.zeros((1, 8, 8, 3), np.uint8), learn_commonplace(photos))
    assert np.isfinite(blank).all() and np.isfinite(plain).all()


def test_size_and_shape_of_the_photos_do_not_matter():
    large, small = scenes(15, side=96), scenes(15, side=96)[:, ::2, ::2]
    common = learn_commonplace(large)
    alike = (fingerprints(large, common) * fingerprints(small, common)).sum(axis=(1, 2))
    assert (alike > 0.8).all()
    assert again(large[0]).shape == large[0].shape
