"""Folds by group."""

import numpy as np
import pandas as pd
import pytest

from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError
from pipeline.segmentation.folds import assign_folds, folds_of_masks, take


def photos(groups: str, classes: str = "") -> pd.DataFrame:
    """One photo a letter of `groups`; a letter of `classes`, if not a dot, is its class."""
    shown = [[letter] if letter != "." else [] for letter in classes or "x" * len(groups)]
    ids = [f"{index:02d}" for index in range(len(groups))]
    return pd.DataFrame({"id": ids, "group": list(groups), "classes": shown})


def test_groups_stay_whole_and_folds_are_even():
    frame = photos("aabbccddeeff" * 2)
    folds = assign_folds(frame, 3, seed=0)
    assert np.bincount(folds).tolist() == [8, 8, 8]
    assert (frame.assign(fold=folds).groupby("group")["fold"].nunique() == 1).all()


def test_each_class_is_in_each_fold():
    frame = photos("abcdef", "xxxyyy")
    folds = assign_folds(frame, 3, seed=0)
    for name in ("x", "y"):
        assert sorted(folds[[shown == [name] for shown in frame["classes"]]]) == [0, 1, 2]


def test_the_seed_decides():
    frame = photos("abcdefghijkl")
    first = assign_folds(frame, 4, seed=0)
    assert np.array_equal(first, assign_folds(frame, 4, seed=0))
    assert not np.array_equal(first, assign_folds(frame, 4, seed=1))


def test_a_photo_without_group_is_its_own():
    frame = photos("abc").assign(group=None)
    assert sorted(assign_folds(frame, 3, seed=0)) == [0, 1, 2]


def test_too_few_groups():
    expected = r"filter\.folds: got 4, expected at most 3, .*split\.group_pattern"
    with pytest.raises(UserError, match=expected):
        assign_folds(photos("aabbcc"), 4, seed=0)


def test_masks_belong_to_the_fold_of_their_photo():
    folds = folds_of_masks(["q", "p", "drawn_000012", "q"], ["p", "q"], np.array([2, 0]))
    assert folds == [0, 2, None, 0]


def test_takes_pairs_in_the_order_asked_for():
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(3, axis=3)
    pairs = Pairs(["a", "b", "c"], images, images[..., 0], images[..., 0] > 0)
    taken = take(pairs, [2, 0])
    assert taken.ids == ["c", "a"]
    assert taken.images[:, 0, 0, 0].tolist() == [2, 0]
    assert taken.masks[:, 0, 0].tolist() == [2, 0]
    assert taken.objects[:, 0, 0].tolist() == [True, False]
    assert take(Pairs(["a"], images[:1], images[:1, ..., 0], None), [0]).objects is None
