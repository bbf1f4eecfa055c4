"""Planted copies among synthetic photos, and photos that are none."""

import json

import numpy as np
import pytest

from pipeline.audit.memorisation import all_features, memorisation
from pipeline.io.errors import UserError
from pipeline.models.photo_features import PhotoFeatures
from tests.audit.scenes import again, scenes


@pytest.fixture(scope="module")
def network():
    return PhotoFeatures()


@pytest.fixture(scope="module")
def result(network):
    photos = scenes(34)
    train, held_out, unrelated = photos[:14], photos[14:28], photos[28:]
    synthetic = np.concatenate([[again(photo) for photo in train[:4]], unrelated])
    sides = train, held_out, synthetic
    return memorisation(*sides, all_features(network, *sides))


def test_copies_are_found_with_the_photo_they_copy(result):
    copies = result.table.iloc[:4]
    assert copies["copy"].all() and copies["pixel_suspicious"].all() and copies["suspicious"].all()
    assert copies["pixel_nearest"].tolist() == [0, 1, 2, 3]
    assert (copies["flip"] == "left-right").all() and (copies["pixel_p"] == 1 / 15).all()


def test_unrelated_photos_are_no_copies(result):
    others = result.table.iloc[4:]
    assert not others["copy"].any() and others["pixel_suspicious"].sum() <= 1
    assert (others["expected_by_chance"] > 0.05).all()


def test_the_summary_counts_the_table(result):
    figures = json.loads(json.dumps(result.summary))
    assert figures["copies"] == result.table["copy"].sum() == 4
    assert figures["suspicious"] == result.table["suspicious"].sum()
    assert figures["false_alarm_rate"] == 2 / 15 and figures["held_out"] == 14
    own, usual = result.table["pixel_score"].to_numpy(), result.held_out["pixel"].to_numpy()
    assert figures["pixel_nearer"] == pytest.approx((own[:, None] > usual).mean())


def test_too_few_held_out_photos_are_refused(network):
    photos = scenes(20)
    sides = photos[:15], photos[:3], photos[:2]
    with pytest.raises(UserError, match="got 3 held-out photos, expected at least 12"):
        memorisation(*sides, all_features(network, *sides))


def test_held_out_photos_that_are_copies_themselves_blind_nobody(network):
    """As of one object on both sides of the split: they would make any nearness usual."""
    photos = scenes(34)
    train, unrelated = photos[:14], photos[28:]
    held_out = np.concatenate([photos[14:27], again(train[0])[None]])
    synthetic = np.concatenate([again(train[3])[None], unrelated])
    sides = train, held_out, synthetic
    found = memorisation(*sides, all_features(network, *sides))
    assert found.leaked.tolist() == [False] * 13 + [True]
    assert found.summary["leaked"] == 1 and found.summary["held_out"] == 13
    assert found.table["pixel_suspicious"].tolist() == [True] + [False] * 6
    assert len(found.held_out) == 13


def test_too_few_that_are_none_are_refused(network):
    photos = scenes(26)
    held_out = np.concatenate([photos[14:25], [again(photo) for photo in photos[:3]]])
    sides = photos[:14], held_out, photos[25:]
    with pytest.raises(UserError, match="got 3 of 14 held-out photos that are copies"):
        memorisation(*sides, all_features(network, *sides))
