import numpy as np
import pytest

from pipeline.data.records import Reading, Record, no_masks
from pipeline.data.subsets import (
    SubsetSettings,
    check_subset,
    class_list,
    is_selected,
    label_map,
    subset_table,
)
from pipeline.io.errors import UserError
from pipeline.io.params import parse


def _subset(**changes):
    content = {
        "classes": {"defect": ["blemish", "mould"]},
        "others": "exclude",
        "defect_free": "exclude",
        **changes,
    }
    return parse(SubsetSettings, "subsets.x", content)


SEVERAL = {"blemish": ["blemish"], "mould": ["mould"]}


def test_classes_are_numbered_without_gaps_and_mix_comes_last():
    classes = class_list(_subset(classes=SEVERAL, overlap="mix"))
    assert [(c.index, c.name) for c in classes] == [
        (0, "background"),
        (1, "blemish"),
        (2, "mould"),
        (3, "mix"),
    ]
    assert [c.name for c in class_list(_subset(classes=SEVERAL, overlap="first"))][-1] == "mould"


def test_a_binary_mask_is_black_and_white_and_many_classes_differ_in_colour():
    assert [c.colour for c in class_list(_subset())] == [(0, 0, 0), (255, 255, 255)]
    many = class_list(_subset(classes={f"c{i}": [f"k{i}"] for i in range(40)}, overlap="last"))
    assert len({c.colour for c in many}) == 41


@pytest.mark.parametrize(
    ("present", "others", "defect_free", "expected"),
    [
        ({"blemish"}, "exclude", "exclude", True),
        ({"blemish", "gangrene"}, "exclude", "exclude", False),
        ({"blemish", "gangrene"}, "ignore", "exclude", True),
        ({"blemish", "pedicel"}, "exclude", "exclude", True),
        ({"blemish", "fruit"}, "exclude", "exclude", True),
        ({"gangrene"}, "exclude", "include", False),
        ({"gangrene"}, "ignore", "include", True),
        ({"gangrene"}, "ignore", "exclude", False),
        (set(), "exclude", "exclude", False),
        (set(), "exclude", "include", True),
    ],
)
def test_selection(present, others, defect_free, expected):
    subset = _subset(others=others, defect_free=defect_free, ignored=["pedicel"])
    assert is_selected(present, subset, "fruit") is expected


def _masks():
    blemish, mould = np.zeros((2, 1, 4), bool)
    blemish[0, :2] = True
    mould[0, 1:3] = True
    return {"blemish": blemish, "mould": mould, "pedicel": np.ones((1, 4), bool)}


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("mix", [1, 3, 2, 0]), ("first", [1, 1, 2, 0]), ("last", [1, 2, 2, 0])],
)
def test_overlapping_pixels(overlap, expected):
    labels = label_map(_masks(), _subset(classes=SEVERAL, overlap=overlap), (4, 1))
    assert labels.dtype == np.uint8
    assert labels.tolist() == [expected]


def test_overlap_can_exclude_the_photo():
    subset = _subset(classes=SEVERAL, overlap="exclude")
    assert label_map(_masks(), subset, (4, 1)) is None
    assert label_map({"blemish": _masks()["blemish"]}, subset, (4, 1)).tolist() == [[1, 1, 0, 0]]


def test_merged_categories_do_not_overlap():
    assert label_map(_masks(), _subset(), (4, 1)).tolist() == [[1, 1, 1, 0]]


def test_three_classes_on_one_pixel_follow_the_order():
    everywhere = np.ones((1, 1), bool)
    masks = dict.fromkeys("abc", everywhere)
    classes = {"b": ["b"], "c": ["c"], "a": ["a"]}
    for overlap, expected in (("first", 1), ("last", 3), ("mix", 4)):
        labels = label_map(masks, _subset(classes=classes, overlap=overlap), (1, 1))
        assert labels.tolist() == [[expected]]


def test_a_photo_without_regions_is_background():
    assert label_map({}, _subset(), (3, 2)).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"classes": SEVERAL}, "subsets.x.overlap: got None, expected mix, first, last or exclude"),
        ({"overlap": "mix"}, "subsets.x.overlap: got 'mix', expected null"),
        ({"classes": {"a": ["b"], "c": ["b"]}, "overlap": "mix"}, "each category in one class"),
        ({"classes": {"mix": ["b"]}}, "class names other than mix"),
        ({"others": "drop"}, "subsets.x.others: got 'drop'"),
        ({"other": "drop"}, "subsets.x.other: unknown parameter"),
    ],
)
def test_faulty_entries_are_named(changes, complaint):
    with pytest.raises(UserError, match=complaint):
        _subset(**changes)


def _reading(*categories):
    records = [
        Record(f"{i}.jpg", None, (4, 4), frozenset(c), no_masks) for i, c in enumerate(categories)
    ]
    return Reading(records, ["blemish", "mould", "pedicel"])


def test_unknown_category_lists_those_there_are():
    with pytest.raises(UserError, match=r"classes\.defect.*'gangrene'.*blemish, mould, pedicel"):
        check_subset("x", _subset(classes={"defect": ["mould", "gangrene"]}), _reading())
    with pytest.raises(UserError, match=r"subsets\.x\.ignored.*'stem'"):
        check_subset("x", _subset(ignored=["stem"]), _reading())
    check_subset("x", _subset(ignored=["pedicel"]), _reading())


def test_table_counts_every_subset_beside_the_expected_count():
    reading = _reading(["blemish"], ["mould"], ["mould", "pedicel"], ["blemish", "mould"], [])
    subsets = {
        "mould": _subset(classes={"defect": ["mould"]}, expected_count=39),
        "both": _subset(expected_count=790),
        "any": _subset(others="ignore", defect_free="include"),
        "rot": _subset(classes={"defect": ["rot"]}),
        "apart": _subset(classes=SEVERAL, overlap="exclude"),
    }
    rows = [line.split() for line in subset_table(reading, subsets, "both", None).splitlines()]
    assert rows[1:] == [
        ["mould", "1", "39", "defect"],
        ["→", "both", "3", "790", "defect"],
        ["any", "5", "defect"],
        ["rot", "–", "defect", "(no", "category", "rot", "here)"],
        ["apart", "≤3", "blemish,", "mould"],
    ]
