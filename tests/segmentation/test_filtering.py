"""Ranks of synthetic pairs."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.io.errors import UserError
from pipeline.io.params import parse
from pipeline.segmentation.filtering import FilterSettings, rank_pairs, unscored

SCORES = pd.DataFrame(
    {
        "id": ["d", "a", "c", "b"],
        "miou": [0.9, 0.5, 0.7, 0.7],
        "cross_entropy": [0.3, 0.1, 0.2, 0.4],
    }
)


def settings(**changes) -> FilterSettings:
    return FilterSettings(**({"score": "miou"} | changes))


@pytest.mark.parametrize(
    ("score", "order", "kept"),
    [
        ("miou", "best", ["b", "d"]),  # b and c are equal: the smaller id first
        ("miou", "worst", ["a", "b"]),
        ("cross_entropy", "best", ["a", "c"]),
        ("cross_entropy", "worst", ["b", "d"]),
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
    assert ranked.set_index("id")["rank"].to_dict() == {"d": 1, "b": 2, "c": 3, "a": 4}


def test_without_score_all_are_kept():
    ranked = rank_pairs(unscored(["b", "a"]), settings(score="none"))
    assert ranked["kept"].all()
    assert ranked["miou"].isna().all()


def test_asking_for_too_many():
    with pytest.raises(UserError, match=r"filter\.keep: asks for 5, expected at most 4"):
        rank_pairs(SCORES, settings(keep=5))


@pytest.mark.parametrize("keep", [0, -3, "some", True, 1.5])
def test_refuses_what_is_no_number(keep):
    with pytest.raises(UserError, match=r"filter\.keep"):
        parse(FilterSettings, "filter", {"score": "miou", "keep": keep})


def test_a_number_needs_a_score():
    with pytest.raises(UserError, match=r"filter\.keep: got 5, expected all"):
        parse(FilterSettings, "filter", {"score": "none", "keep": 5})


def test_off_imports_nothing_heavy():
    """A filter that is off must cost under a second."""
    code = (
        "import sys, stages.filter_unet; "
        "print([name for name in ('torch', 'segmentation_models_pytorch') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_rank_is_whole(tmp_path):
    ranked = rank_pairs(SCORES, settings(keep=1))
    ranked.to_parquet(tmp_path / "scores.parquet", index=False)
    read = pd.read_parquet(tmp_path / "scores.parquet")
    assert read["rank"].dtype == np.int64
    assert read["kept"].dtype == np.bool_
