"""Correlation of fine texture within outlines."""

import numpy as np
import pytest
from scipy import stats

from pipeline.audit.texture import likeness, own_likeness, texture, usual_likeness
from pipeline.data.pairs import Pairs
from tests.audit.scenes import scenes


def pairs_of(photos: np.ndarray) -> Pairs:
    """All with one outline: a disc of an object with a square defect."""
    y, x = np.mgrid[:64, :64] - 32
    objects = np.repeat((y**2 + x**2 < 28**2)[None], len(photos), axis=0)
    masks = np.repeat(((abs(y) < 9) & (abs(x) < 9))[None].astype(np.uint8), len(photos), axis=0)
    shown = np.where(objects[..., None], photos, 0).astype(np.uint8)
    shown[masks > 0] //= 3  # dark defects, alike in all
    return Pairs([f"p{n}" for n in range(len(photos))], shown, masks, objects)


def test_it_is_pearson_s_correlation_where_both_are_known():
    first, second = (texture(pairs_of(scenes(2)), index) for index in (0, 1))
    alone = [part[first.known & second.known] for part in (first.fine, second.fine)]
    expected = stats.pearsonr(*alone).statistic
    assert likeness(first, second) >= expected - 1e-12
    assert likeness(first, first) == pytest.approx(1)


def test_outlines_alone_make_no_likeness():
    """The same disc and the same dark square, other textures."""
    pairs = pairs_of(scenes(12))
    flat = np.corrcoef(pairs.images[:2].reshape(2, -1))[0, 1]
    between = own_likeness(pairs, pairs, np.roll(np.arange(12), 1))
    assert flat > 0.5 and between.max() < 0.35


def test_a_shifted_copy_is_like_its_photo_and_margins_are_unknown():
    pairs = pairs_of(scenes(2))
    moved = pairs_of(np.roll(scenes(2), (1, -2), axis=(1, 2)))
    assert (own_likeness(moved, pairs, np.array([0, 1])) > 0.9).all()
    assert np.isnan(own_likeness(moved, pairs, np.array([-1, -1]))).all()
    known = texture(pairs, 0).known
    assert known[32, 32] and not known[32, 23] and not known[0, 0]


def test_too_little_in_common_tells_nothing():
    whole = texture(pairs_of(scenes(1)), 0)
    little = whole._replace(known=np.zeros_like(whole.known))
    assert np.isnan(likeness(whole, little))


def test_the_usual_is_the_highest_of_several():
    photos = scenes(10)
    held_out, train = pairs_of(photos[:2]), pairs_of(photos[2:])
    usual = usual_likeness(held_out, train, np.random.default_rng(0))
    by_hand = [
        max(likeness(texture(held_out, i), texture(train, k)) for k in range(8)) for i in range(2)
    ]
    assert usual == pytest.approx(by_hand)
