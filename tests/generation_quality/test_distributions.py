"""KID, FID, precision and recall against their formulas, written out."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from pipeline.evaluation.colour_divergence import colour_divergence
from pipeline.generation_quality.distributions import (
    FID_WARNING,
    MEASURES,
    colours,
    fid,
    kid,
    precision,
    recall,
)
from pipeline.generation_quality.photos import Photos
from pipeline.generation_quality.settings import QualitySettings

SETTINGS = QualitySettings(
    kid_subsets=100,
    kid_subset_size=1000,
    neighbours=3,
    diversity_pairs=20,
    pictured_photos=2,
    colour_bins=4,
)


def photos(total, shift=0.0, seed=0, size=6):
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(total, size)) * np.linspace(1, 2, size) + shift).astype(np.float32)
    counts = rng.random((total, 3, 4)) + shift * np.arange(4)
    return Photos(features, counts / counts.sum(axis=2, keepdims=True))


def mmd_by_definition(x, y):
    """Bińkowski et al. 2018, eq. 4, pair by pair."""

    def kernel(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    m, n = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within_x / (m * (m - 1)) + within_y / (n * (n - 1)) - 2 * between / (m * n)


def test_kid_is_the_unbiased_mmd():
    a, b = photos(30, shift=0.5), photos(22, seed=1)
    settings = SETTINGS.model_copy(update={"kid_subsets": 2000})
    found = kid(a, b, settings, seed=0)
    assert found.note == "2000 subsets of 11 photos"
    expected = mmd_by_definition(a.features.astype(float), b.features.astype(float))
    # subsets without replacement give the estimate of the whole set on average
    assert found.value == pytest.approx(expected, abs=4 * found.deviation / 2000**0.5)
    assert 4 * found.deviation / 2000**0.5 < 0.1 * expected


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_kid_deviates_as_it_does_from_draw_to_draw(shift):
    draws = [
        kid(photos(40, shift, seed), photos(40, 0, 10_000 + seed), SETTINGS, seed=0)
        for seed in range(60)
    ]
    spread = np.std([draw.value for draw in draws])
    told = np.mean([draw.deviation for draw in draws])
    # twice too large at worst, where both sets are of one distribution
    assert 0.7 * spread < told < 2.2 * spread


def test_kid_of_one_distribution_is_zero_on_average():
    found = [
        kid(photos(30, 0, seed), photos(20, 0, 1000 + seed), SETTINGS, seed=0).value
        for seed in range(60)
    ]
    assert min(found) < 0 < max(found)
    assert abs(np.mean(found)) < 3 * np.std(found) / 60**0.5


def test_a_subset_is_not_larger_than_wanted():
    settings = SETTINGS.model_copy(update={"kid_subset_size": 5})
    assert kid(photos(30), photos(20), settings, seed=0).note == "100 subsets of 5 photos"


def test_same_seed_same_kid():
    a, b = photos(30, shift=0.5), photos(20, seed=1)
    assert kid(a, b, SETTINGS, seed=3) == kid(a, b, SETTINGS, seed=3)
    assert kid(a, b, SETTINGS, seed=3) != kid(a, b, SETTINGS, seed=4)


def test_fid_by_definition():
    a, b = photos(30, shift=0.5), photos(22, seed=1)
    x, y = a.features.astype(float), b.features.astype(float)
    root = sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    gap = np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)
    expected = gap + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root)
    found = fid(a, b, SETTINGS, seed=0)
    assert found.value == pytest.approx(expected)
    assert (found.n, found.n_against, found.deviation) == (30, 22, None)


def test_fid_of_fewer_photos_than_features():
    """Covariances without full rank: with tr √(AᵀA·BᵀB) = Σ singular values of A·Bᵀ."""
    a, b = photos(12, shift=0.2, size=200), photos(15, seed=1, size=200)
    x, y = a.features.astype(float), b.features.astype(float)
    deviations = [(z - z.mean(axis=0)) / np.sqrt(len(z) - 1) for z in (x, y)]
    root = np.linalg.svd(deviations[0] @ deviations[1].T, compute_uv=False).sum()
    gap = np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)
    expected = gap + sum((z**2).sum() for z in deviations) - 2 * root
    assert fid(a, b, SETTINGS, seed=0).value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("totals", "warned"), [((2048, 2048), False), ((2048, 2047), True)])
def test_fid_of_few_photos_is_warned_of(totals, warned):
    a, b = (photos(total, seed=total, size=2) for total in totals)
    assert (fid(a, b, SETTINGS, seed=0).note == FID_WARNING) == warned


def test_precision_and_recall_by_definition():
    a, b = photos(30, shift=0.8), photos(22, seed=1)

    def share(inside, of):
        """Of `inside`, those within the distance of the third neighbour of any of `of`."""
        reach = np.sort(cdist(of, of), axis=1)[:, 3]  # the nearest is the photo itself
        return (cdist(inside, of) <= reach).any(axis=1).mean()

    found = [measure(a, b, SETTINGS, 0).value for measure in (precision, recall)]
    assert found == pytest.approx([share(a.features, b.features), share(b.features, a.features)])
    assert 0 < found[0] != found[1] < 1


def test_one_photo_over_and_over_is_precise_and_recalls_nothing():
    real = photos(40)
    copies = real.take(np.zeros(20, dtype=int))
    assert precision(copies, real, SETTINGS, 0).value == 1
    assert recall(copies, real, SETTINGS, 0).value == pytest.approx(1 / 40)


def test_colours():
    a, b = photos(5, shift=0.5), photos(7, seed=1)
    expected = colour_divergence(a.colours.mean(axis=0), b.colours.mean(axis=0))
    assert colours(a, b, SETTINGS, 0).value == pytest.approx(expected)
    assert colours(a, a, SETTINGS, 0).value == pytest.approx(0)


@pytest.mark.parametrize(
    ("name", "needed"),
    [("kid", 4), ("fid", 2), ("precision", 4), ("recall", 4), ("colour_divergence", 1)],
)
def test_too_few_photos_give_the_reason(name, needed):
    real = photos(9)
    enough = MEASURES[name](photos(needed), real, SETTINGS, 0)
    assert enough.value is not None and np.isfinite(enough.value)
    few = MEASURES[name](photos(needed - 1), real, SETTINGS, 0)
    assert few.value is None
    assert few.note == f"{needed - 1} photos against 9, needs {needed} on each side"
