"""Which pairs of photos are compared, and their mean distance."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from pipeline.data.pairs import load_pairs
from pipeline.generation_quality import diversity
from pipeline.generation_quality.diversity import draw_pairs, mean_distance, samples_of_one_mask
from pipeline.io.manifests import read_split
from pipeline.models.perceptual import PerceptualDistance
from tests.autoencoding.squares import write_prepared

RNG = np.random.default_rng


def test_all_pairs_within_groups_and_none_across():
    groups = [np.array([4, 0, 7]), np.array([2]), np.array([], dtype=int), np.array([9, 1, 3, 5])]
    pairs = draw_pairs(groups, 100, RNG(0))
    expected = [frozenset(pair) for group in groups for pair in combinations(group.tolist(), 2)]
    assert len(pairs) == 3 + 6
    assert {frozenset(pair) for pair in pairs.tolist()} == set(expected)


def test_beyond_the_limit_each_pair_is_as_likely():
    groups = [np.arange(4), np.arange(4, 7)]  # 6 and 3 pairs
    counts = {}
    for seed in range(600):
        pairs = {frozenset(pair) for pair in draw_pairs(groups, 3, RNG(seed)).tolist()}
        assert len(pairs) == 3
        for pair in pairs:
            counts[pair] = counts.get(pair, 0) + 1
    assert len(counts) == 9
    assert all(abs(count - 200) < 5 * np.sqrt(200 * 2 / 3) for count in counts.values())


def test_many_photos_take_no_time():
    pairs = draw_pairs([np.arange(100_000)], 50, RNG(0))
    assert pairs.shape == (50, 2)
    assert (pairs[:, 0] < pairs[:, 1]).all() and pairs.max() < 100_000


@pytest.mark.parametrize("groups", [[], [np.array([3])]])
def test_no_pairs(groups):
    assert draw_pairs(groups, 5, RNG(0)).shape == (0, 2)


def test_one_mask_has_one_name_and_one_content():
    frame = pd.DataFrame(
        {"mask_id": ["a", "b", "a", "a", "b"], "mask_sha256": ["1", "2", "1", "3", "2"]}
    )
    groups = {frozenset(group.tolist()) for group in samples_of_one_mask(frame)}
    assert groups == {frozenset({0, 2}), frozenset({3}), frozenset({1, 4})}


def test_mean_distance_of_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(diversity, "AT_ONCE", 2)
    write_prepared(tmp_path, size=32)
    frame = read_split(tmp_path, "train")
    network = PerceptualDistance()
    pairs = np.array([[0, 1], [2, 2], [5, 3]])
    found = mean_distance(network, tmp_path, frame, pairs, "two photos")

    images = load_pairs(tmp_path, frame).images.astype(np.float32) / 127.5 - 1
    photos = diversity.torch.from_numpy(images).permute(0, 3, 1, 2)
    expected = network(photos[[0, 2, 5]], photos[[1, 2, 3]]).numpy()
    assert expected[1] == 0 < expected[0]
    assert found.value == pytest.approx(expected.mean(), rel=1e-4)
    assert found.deviation == pytest.approx(expected.std(), rel=1e-4)
    assert found.n == 3


def test_no_pair_gives_the_reason(tmp_path):
    found = mean_distance(None, tmp_path, pd.DataFrame(), np.empty((0, 2), int), "two photos")
    assert (found.value, found.n, found.note) == (None, 0, "no two photos")
