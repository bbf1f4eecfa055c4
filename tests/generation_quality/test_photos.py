"""Photos as features and colours, and halves that share no group."""

import numpy as np
import pandas as pd
import pytest

from pipeline.data.pairs import load_pairs
from pipeline.evaluation.colour_divergence import colour_histograms
from pipeline.generation_quality import photos
from pipeline.generation_quality.photos import halves, look_at
from pipeline.io.errors import UserError
from pipeline.io.manifests import read_split
from pipeline.models.photo_features import FEATURES, PhotoFeatures, photo_features
from tests.autoencoding.squares import write_prepared


@pytest.fixture(scope="module")
def network():
    return PhotoFeatures()


def test_all_photos_are_looked_at_whatever_the_batch(network, tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "AT_ONCE", 4)
    write_prepared(tmp_path)
    frame = read_split(tmp_path, "train")  # six photos
    found = look_at(tmp_path, frame, network, 16, "squares")
    images = load_pairs(tmp_path, frame).images
    assert np.allclose(found.features, photo_features(network, images), atol=1e-4)
    assert np.allclose(found.colours.mean(axis=0), colour_histograms(images, 16))
    assert np.array_equal(found.take(np.array([5, 0])).features, found.features[[5, 0]])


def test_no_photos_are_no_features(network, tmp_path):
    write_prepared(tmp_path, val=0)
    found = look_at(tmp_path, read_split(tmp_path, "val"), network, 16, "none")
    assert len(found) == 0
    assert found.features.shape == (0, FEATURES) and found.colours.shape == (0, 3, 16)


def test_a_changed_photo_is_named(network, tmp_path):
    write_prepared(tmp_path)
    frame = read_split(tmp_path, "train")
    (tmp_path / frame["image"][2]).write_bytes((tmp_path / frame["image"][3]).read_bytes())
    with pytest.raises(UserError, match=frame["image"][2]):
        look_at(tmp_path, frame, network, 16, "squares")


def manifest(groups):
    return pd.DataFrame({"id": [f"photo{i}" for i in range(len(groups))], "group": groups})


@pytest.mark.parametrize("seed", range(5))
def test_halves_share_no_group_and_hold_every_photo(seed):
    groups = np.array(list("aaabbcccdefff"))
    one, other = halves(manifest(groups), seed)
    assert not set(groups[one]) & set(groups[other])
    assert sorted([*one, *other]) == list(range(13))
    assert abs(len(one) - len(other)) <= 3  # a group of 3 at the cut


def test_halves_without_groups_are_halves_and_follow_the_seed():
    frame = manifest([None] * 20)
    draws = [halves(frame, seed)[0] for seed in (0, 0, 1)]
    assert len(draws[0]) == 10
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_photos_of_one_group_have_no_halves():
    one, other = halves(manifest(["a"] * 4), seed=0)
    assert sorted([len(one), len(other)]) == [0, 4]
