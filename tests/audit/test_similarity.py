"""Correlations over flips and shifts against a loop over all of them."""

import numpy as np
import pytest

from pipeline.audit.fingerprints import SIDE
from pipeline.audit.similarity import FLIPS, MAX_SHIFT, align, correlations, correlations_within


def prints(total, seed=0):
    values = np.random.default_rng(seed).normal(size=(total, SIDE, SIDE)).astype(np.float32)
    return values / np.linalg.norm(values, axis=(1, 2), keepdims=True)


def test_the_highest_of_all_flips_and_shifts():
    first, second = prints(2), prints(3, seed=1)
    reach = range(-MAX_SHIFT, MAX_SHIFT + 1)
    by_hand = [
        [
            max(
                (a * np.roll(np.flip(b, [axis - 1 for axis in axes]), (y, x), (0, 1))).sum()
                for axes in FLIPS.values()
                for y in reach
                for x in reach
            )
            for b in second
        ]
        for a in first
    ]
    assert np.allclose(correlations(first, second), by_hand, atol=1e-5)


def test_within_a_set_is_the_same_over_blocks(monkeypatch):
    monkeypatch.setattr("pipeline.audit.similarity._BLOCK", 2)
    own = prints(5)
    found = correlations_within(own)
    assert np.allclose(found, found.T) and np.allclose(np.diag(found), 1, atol=1e-5)
    assert np.allclose(found, correlations(own, own), atol=1e-5)


@pytest.mark.parametrize("flip", FLIPS)
def test_a_copy_is_laid_on_its_original(flip):
    original = prints(1)
    # moved onto the original by a flip, then 3 down and 5 left
    copy = np.flip(np.roll(original, (-3, 5), axis=(1, 2)), FLIPS[flip])
    found = align(original, copy).iloc[0]
    assert found["flip"] == flip and found["correlation"] == pytest.approx(1, abs=1e-5)
    assert (found["shift_down"] * SIDE, found["shift_right"] * SIDE) == (3, -5)


def test_no_pairs_have_no_alignment():
    assert align(prints(0), prints(0)).empty
