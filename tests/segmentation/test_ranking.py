"""Ranks of synthetic pairs."""

import numpy as np
import pandas as pd
import pytest

from pipeline.io.errors import UserError
from pipeline.segmentation.filtering import FilterSettings
from pipeline.segmentation.ranking import rank_pairs

SCORES = pd.DataFrame(
    {
        "id": ["d", "a", "c", "b"],
        "miou": [0.9, 0.5, 0.7, 0.7],
        "defect_iou": [0.1, 0.6, np.nan, 0.4],  # c shows no defect, nor does the prediction
        "cross_entropy": [0.3, 0.1, 0.2, 0.4],
        "defect_share": [0.001, 0.2, 0.0, 0.05],
        "fold": pd.array([1, 0, None, 1], dtype="Int64"),
    }
)


def settings(**changes) -> FilterSettings:
    return FilterSettings(**({"score": "miou"} | changes))


def order_of(ranked: pd.DataFrame) -> str:
    return "".join(ranked.sort_values("rank")["id"])


@pytest.mark.parametrize(
    ("score", "order", "kept"),
    [
        ("miou", "best", ["b", "d"]),  # b and c are equal: the smaller id first
        ("miou", "worst", ["a", "b"]),
        ("cross_entropy", "best", ["a", "c"]),
        ("cross_entropy", "worst", ["b", "d"]),
        ("defect_iou", "best", ["a", "b"]),
        ("defect_iou", "worst", ["b", "d"]),
    ],
)
def test_keeps_one_end_of_the_ranking(score, order, kept):
    ranked = rank_pairs(SCORES, settings(score=score, order=order, keep=2))
    assert ranked["id"].tolist() == ["a", "b", "c", "d"]
    assert ranked.loc[ranked["kept"], "id"].tolist() == kept
    assert sorted(ranked["rank"]) == [1, 2, 3, 4]


def test_keep_all_still_ranks():
    ranked = rank_pairs(SCORES, settings())
    assert ranked["kept"].all()
    assert order_of(ranked) == "dbca"


@pytest.mark.parametrize(("order", "expected"), [("best", "abdc"), ("worst", "dbac")])
def test_without_defect_iou_a_pair_comes_last_either_way(order, expected):
    assert order_of(rank_pairs(SCORES, settings(score="defect_iou", order=order))) == expected


@pytest.mark.parametrize(("order", "expected"), [("best", "badc"), ("worst", "abcd")])
def test_the_floor_outweighs_any_score(order, expected):
    """d has the best mIoU and nearly no defect, c has none: both go behind the worst."""
    ranked = rank_pairs(SCORES, settings(order=order, minimal_defect_share=0.01))
    assert order_of(ranked) == expected
    assert ranked.loc[ranked["kept"], "id"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("keep", "floor", "kept"), [(0.5, 0, "bd"), (0.7, 0, "bcd"), (0.5, 0.01, "ab"), (0.01, 0, "d")]
)
def test_a_share_is_of_all_pairs(keep, floor, kept):
    ranked = rank_pairs(SCORES, settings(keep=keep, minimal_defect_share=float(floor)))
    assert "".join(ranked.loc[ranked["kept"], "id"]) == kept


def test_reaching_the_floor_exactly_is_enough():
    ranked = rank_pairs(SCORES, settings(minimal_defect_share=0.05))
    assert ranked.loc[ranked["kept"], "id"].tolist() == ["a", "b"]


def test_the_floor_alone_needs_no_scores():
    bare = SCORES[["id", "defect_share"]]
    ranked = rank_pairs(bare, settings(score="none", minimal_defect_share=0.01))
    assert ranked.loc[ranked["kept"], "id"].tolist() == ["a", "b"]
    assert order_of(ranked) == "abcd"
    assert ranked[["miou", "fold"]].isna().all(axis=None)


def test_asking_for_too_many():
    with pytest.raises(UserError, match=r"filter\.keep: asks for 5, expected at most 4"):
        rank_pairs(SCORES, settings(keep=5))


@pytest.mark.parametrize("keep", [3, 0.7])
def test_asking_for_more_than_reach_the_floor(keep):
    expected = r"filter\.keep: asks for 3, expected at most 2 .*4 less .*minimal_defect_share 0.01"
    with pytest.raises(UserError, match=expected):
        rank_pairs(SCORES, settings(keep=keep, minimal_defect_share=0.01))


@pytest.mark.parametrize("changes", [{}, {"keep": 1}, {"score": "none"}])
def test_a_floor_that_no_pair_reaches(changes):
    with pytest.raises(UserError, match=r"minimal_defect_share: got 0.5, which none of 4"):
        rank_pairs(SCORES, settings(minimal_defect_share=0.5, **changes))


def test_types_survive_the_file(tmp_path):
    rank_pairs(SCORES, settings(keep=1)).to_parquet(tmp_path / "scores.parquet", index=False)
    read = pd.read_parquet(tmp_path / "scores.parquet")
    assert read["rank"].dtype == np.int64
    assert read["kept"].dtype == np.bool_
    assert read["fold"].tolist() == [0, 1, pd.NA, 1]
