import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.differences import (
    FIGURES,
    class_figures,
    differences,
    group_ratios,
    group_sums,
)
from pipeline.evaluation.score_table import headline_scores

BASELINES = {"real": "real", "mixed": "real"}


def counts_of(rows: list[tuple]) -> pd.DataFrame:
    """rows: (mix, seed, photo, group, tp, fp, fn) of the only defect class, in 100 pixels."""
    frame = pd.DataFrame(rows, columns=["mix", "seed", "id", "group", "tp", "fp", "fn"])
    frame["tn"] = 100 - frame[["tp", "fp", "fn"]].sum(axis=1)
    defect = frame.assign(**{"class_index": 1, "class": "defect"})
    swapped = {"tp": "tn", "tn": "tp", "fp": "fn", "fn": "fp"}
    background = frame.rename(columns=swapped).assign(**{"class_index": 0, "class": "background"})
    return pd.concat([background, defect]).assign(architecture="fpn")


@pytest.fixture
def random_counts() -> pd.DataFrame:
    """Two mixes, three seeds, twelve photos in four groups; `mixed` finds more."""
    rng = np.random.default_rng(0)
    rows = []
    for mix, level in (("real", 0.5), ("mixed", 0.8)):
        for seed in range(3):
            for photo in range(12):
                found = int(20 * np.clip(level + rng.normal(0, 0.05), 0, 1))
                name = f"p{photo:02d}"
                rows.append((mix, seed, name, f"g{photo % 4}", found, 3, 20 - found))
    return counts_of(rows)


def test_the_difference_is_that_of_the_headline_scores(random_counts):
    table = differences(group_sums(random_counts), BASELINES, 200, seed=0).set_index("figure")
    means = headline_scores(random_counts).groupby("mix")[["defect_iou", "miou"]].mean()
    for figure, difference in (means.loc["mixed"] - means.loc["real"]).items():
        row = table.loc[figure]
        assert row["difference"] == pytest.approx(difference)
        assert row["low"] < difference < row["high"]
        assert row["verdict"] == "better"
    assert table["groups"].tolist() == [4, 4] and table["seeds"].tolist() == [3, 3]


def test_the_baseline_is_worse_than_what_is_better(random_counts):
    table = differences(group_sums(random_counts), {"real": "mixed", "mixed": "mixed"}, 200, seed=0)
    assert table["mix"].tolist() == ["real", "real"]
    assert table["verdict"].tolist() == ["worse", "worse"]


def test_the_more_mixes_the_wider_the_interval(random_counts):
    more = [random_counts]
    for number in range(3):
        copy = random_counts[random_counts["mix"] == "mixed"]
        more.append(copy.assign(mix=f"mixed_{number}"))
    baselines = BASELINES | {f"mixed_{number}": "real" for number in range(3)}
    one = differences(group_sums(random_counts), BASELINES, 200, seed=0).iloc[0]
    four = differences(group_sums(pd.concat(more)), baselines, 200, seed=0).iloc[0]
    assert (one["comparisons"], four["comparisons"]) == (1, 4)
    assert one["error_seeds"] == four["error_seeds"]
    assert one["error_groups"] == four["error_groups"]
    assert four["high"] - four["low"] > one["high"] - one["low"]


def test_one_seed_or_one_group_cannot_be_told(random_counts):
    for column, first in (("seed", 0), ("group", "g0")):
        few = random_counts[random_counts[column] == first]
        table = differences(group_sums(few), BASELINES, 200, seed=0)
        assert (table["difference"] > 0.1).all()
        assert table[["low", "high", f"error_{column}s"]].isna().all(axis=None)
        assert (table["verdict"] == "cannot be told").all()


def test_pooled_and_imagewise_ratios_by_hand():
    rows = [
        ("real", 0, "q", "g", 6, 2, 2),
        ("real", 0, "p", "g", 0, 0, 0),  # nothing shown, nothing found: 1 for this photo
        ("real", 0, "r", "h", 5, 0, 5),
    ]
    counts = counts_of(rows)
    pooled = group_ratios(counts, FIGURES["defect_iou"], ["g", "h"])
    assert pooled.numerator.tolist() == [[[6, 5]]]
    assert pooled.denominator.tolist() == [[[10, 10]]]
    imagewise = group_ratios(counts, FIGURES["miou"], ["g", "h"])
    q, r = (90 / 94 + 0.6) / 2, (90 / 95 + 0.5) / 2
    assert imagewise.numerator[0, 0] == pytest.approx([q + 1, r])
    assert imagewise.denominator.tolist() == [[[2, 1]]]


def test_each_class_has_a_figure_of_its_own():
    """Two photos, two classes: 3 of 8 pixels of the one, 2 of 4 of the other."""
    one = counts_of([("real", 0, "a", "g", 1, 1, 2), ("real", 0, "b", "g", 2, 0, 2)])
    other = one[one["class_index"] == 1].assign(**{"class_index": 2, "class": "mould"})
    other[["tp", "fp", "fn", "tn"]] = [[2, 0, 0, 98], [0, 1, 1, 98]]
    counts = pd.concat([one, other])
    figures = class_figures(counts)
    assert list(figures) == ["iou_defect", "iou_mould"]
    sums = group_sums(counts, figures).set_index("figure")[["numerator", "denominator"]]
    assert sums.loc["iou_defect"].tolist() == [3, 8]
    assert sums.loc["iou_mould"].tolist() == [2, 4]
