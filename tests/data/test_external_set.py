"""The subset and the split of a data set of another domain."""

import numpy as np
import pytest

from pipeline.data.external_subset import in_other_domain
from pipeline.data.records import Reading
from pipeline.data.splits import ExternalSplitSettings, SplitSettings, split_photos
from pipeline.data.subsets import SubsetSettings, class_list
from pipeline.io.errors import UserError
from pipeline.io.params import parse


def _subset(**classes):
    overlap = "first" if len(classes) > 1 else None
    return SubsetSettings(
        classes=classes, others="exclude", ignored=["stem"], overlap=overlap, defect_free="include"
    )


def _reading(*categories):
    return Reading(records=[], categories=list(categories), problems=[], notes=[])


def test_a_class_may_miss_some_of_its_categories():
    subset = _subset(rot=["mould", "gangrene"], spot=["blemish"])
    narrowed, notes = in_other_domain("s", subset, _reading("blemish", "mould", "leaf"))
    assert narrowed.classes == {"rot": ["mould"], "spot": ["blemish"]}
    assert narrowed.ignored == []
    assert class_list(narrowed) == class_list(subset)
    assert notes == ["class rot: the external data set has no category 'gangrene'"]


def test_a_class_without_any_category_is_refused():
    subset = _subset(rot=["mould"], spot=["blemish"])
    with pytest.raises(UserError, match=r"subsets\.s\.classes\.spot: .*'blemish'.* has: mould"):
        in_other_domain("s", subset, _reading("mould"))


def _split(groups, **shares):
    settings = parse(ExternalSplitSettings, "external.split", shares)
    return split_photos(groups, np.ones((len(groups), 1)), settings, 0)


def test_parts_without_a_share_stay_empty_and_groups_whole():
    groups = ["a"] * 5 + ["b"] * 5
    split = _split(groups, train=0.5, val=0.0, test=0.5)
    assert split.unit == "group"
    assert set(split.parts) == {"train", "test"}
    assert len(set(split.parts[:5])) == len(set(split.parts[5:])) == 1
    assert set(_split(groups, train=0.0, val=0.0, test=1.0).parts) == {"test"}


def test_three_parts_of_two_groups_are_refused():
    with pytest.raises(UserError, match=r"got 2 groups of 10 photos \(a, b\), expected at least 3"):
        _split(["a"] * 5 + ["b"] * 5, train=0.4, val=0.2, test=0.4)


def test_the_training_set_keeps_all_its_parts():
    with pytest.raises(UserError, match=r"split\.val: got 0\.0, expected greater than 0"):
        parse(SplitSettings, "split", {"train": 0.5, "val": 0.0, "test": 0.5})


def test_folds_need_both_other_parts():
    with pytest.raises(UserError, match=r"external\.split\.folds: got 3, expected null"):
        _split(["a"], train=0.0, val=0.0, test=1.0, folds=3)
