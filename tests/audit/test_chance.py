"""The threshold: expected false pairs against counted ones."""

import numpy as np
import pytest
from scipy import stats

from pipeline.audit.chance import FEWEST_PHOTOS, fit_unrelated, habit, scores_within, standardise


def test_gumbel_is_found_again_though_related_pairs_hide_in_the_tail():
    rng = np.random.default_rng(0)
    scores = stats.gumbel_r.rvs(2.0, 0.5, size=100_000, random_state=rng)
    scores[:2000] = 30.0
    found = fit_unrelated(scores)
    assert found.location == pytest.approx(2.0, abs=0.05)
    assert found.scale == pytest.approx(0.5, abs=0.05)
    assert found.expected(np.array([2.0]), 1000)[0] == pytest.approx(
        1000 * (1 - np.exp(-1)), rel=0.1
    )


def test_expected_pairs_are_about_those_that_unrelated_photos_have():
    """Highest of many correlations, as the audit's are: rather fewer are found than expected."""
    rng = np.random.default_rng(1)
    highest = np.tanh(rng.normal(0, 0.1, (50, 200, 200)).max(axis=0))
    scores = scores_within(np.maximum(highest, highest.T))
    values = scores[np.triu_indices(200, 1)]
    for expected in (1000, 100, 10):
        counted = (fit_unrelated(values).expected(values, len(values)) <= expected).sum()
        assert 0.1 * expected <= counted <= 2 * expected


def test_scores_are_distances_from_the_median_in_quartiles():
    correlations = np.tanh(np.array([[0.0, 1, 2, 3, 4], [0.0, 2, 4, 6, 8]]) / 10)
    rows = habit(correlations)
    assert np.allclose(rows.centre, [0.2, 0.4]) and np.allclose(rows.spread, [0.2, 0.4])
    columns = habit(np.tile(np.tanh([[0.0, 0.1, 0.2]]), (5, 1)))  # centre 0.1, spread 0.1
    scores = standardise(correlations, rows, columns)
    assert scores[0, 4] == pytest.approx((0.4 - 0.2) / 0.2)  # (0.4 − 0.1) / 0.1 is more
    assert scores[1, 1] == pytest.approx((0.2 - 0.4) / 0.4)  # (0.2 − 0.1) / 0.1 is more


def test_a_photo_that_is_like_all_others_does_not_stand_out():
    rng = np.random.default_rng(2)
    z = rng.normal(0.2, 0.02, (40, 40))
    z[0] += 0.3  # alike to all
    z[5, 6] += 0.3  # alike to one
    scores = scores_within(np.tanh(np.maximum(z, z.T)))
    assert np.nanargmax(scores) in (5 * 40 + 6, 6 * 40 + 5)
    assert scores[5, 6] > 2 * np.nanmax(scores[0])


def test_the_smallest_set_that_is_judged_has_quartiles():
    assert FEWEST_PHOTOS >= 8
