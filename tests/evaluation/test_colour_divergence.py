"""Colour divergence: bins, extremes, and the formula by entropies."""

import numpy as np
import pytest
from scipy.stats import entropy

from pipeline.evaluation.colour_divergence import colour_divergence, colour_histograms


def random_images(seed, low=0, high=256, count=3):
    generator = np.random.default_rng(seed)
    return generator.integers(low, high, (count, 8, 8, 3), dtype=np.uint8)


def test_bins_have_fixed_edges():
    values = np.array([0, 3, 4, 255], dtype=np.uint8)  # 64 bins of 4 values
    images = np.broadcast_to(values.reshape(1, 2, 2, 1), (1, 2, 2, 3)).copy()
    images[..., 2] = 100
    histograms = colour_histograms(images)
    assert histograms.shape == (3, 64)
    for channel in (0, 1):
        assert histograms[channel, [0, 1, 63]].tolist() == [0.5, 0.25, 0.25]
        assert histograms[channel].sum() == 1
    assert histograms[2, 25] == 1
    assert colour_histograms(images, bins=256)[0].nonzero()[0].tolist() == [0, 3, 4, 255]


def test_equal_and_disjoint_sets():
    dark, bright = random_images(0, 0, 100), random_images(1, 100, 256)
    same = colour_histograms(dark)
    assert colour_divergence(same, colour_histograms(np.concatenate([dark, dark]))) == 0
    assert colour_divergence(same, colour_histograms(bright)) == pytest.approx(np.log(2))
    mixed = bright.copy()
    mixed[..., 0] = dark[..., 0]  # one channel agrees, two do not
    assert colour_divergence(same, colour_histograms(mixed)) == pytest.approx(np.log(2) * 2 / 3)


def test_formula_by_entropies_and_symmetry():
    a, b = colour_histograms(random_images(2)), colour_histograms(random_images(3, 60, 200, 5))
    # JS = H((p + q)/2) − (H(p) + H(q))/2, in nats
    expected = [
        entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2 for p, q in zip(a, b, strict=True)
    ]
    assert colour_divergence(a, b) == pytest.approx(np.mean(expected))
    assert colour_divergence(a, b) == pytest.approx(colour_divergence(b, a))


def test_by_hand():
    a, b = np.tile([1.0, 0.0], (3, 1)), np.tile([0.5, 0.5], (3, 1))
    # m = (3/4, 1/4): ½·ln(4/3) + ½·(½·ln(2/3) + ½·ln 2)
    expected = 0.5 * np.log(4 / 3) + 0.25 * np.log(2 / 3) + 0.25 * np.log(2)
    assert colour_divergence(a, b) == pytest.approx(expected)


def test_rounding_does_not_make_it_undefined():
    generator = np.random.default_rng(4)
    for _ in range(200):
        p = generator.dirichlet(np.ones(64), size=3)
        q = p * (1 + 1e-16 * generator.standard_normal(p.shape))
        assert 0 <= colour_divergence(p, q / q.sum(1, keepdims=True)) < 1e-12


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 3, 4, 4), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(images):
    with pytest.raises(ValueError, match="images: got"):
        colour_histograms(images)


def test_histograms_that_do_not_match_are_refused():
    histogram = colour_histograms(random_images(5))
    with pytest.raises(ValueError, match="expected the same"):
        colour_divergence(histogram, colour_histograms(random_images(5), bins=32))
    with pytest.raises(ValueError, match="expected 1"):
        colour_divergence(histogram, np.full_like(histogram, np.nan))
