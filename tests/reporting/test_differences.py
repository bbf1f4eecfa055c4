import pandas as pd
import pytest

from pipeline.reporting.differences import differences

BASELINES = {"real": "real", "mixed": "real"}


def _counts(rows):
    """rows: (mix, seed, photo, group, class_index, tp, fp, fn)."""
    columns = ["mix", "seed", "id", "group", "class_index", "tp", "fp", "fn"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(architecture="fpn", tn=0)


def test_difference_of_pooled_defect_iou_by_hand():
    counts = _counts(
        [
            ("real", 0, "p", "g", 0, 999, 999, 999),  # the background has no say
            ("real", 0, "p", "g", 1, 10, 5, 5),
            ("real", 0, "q", "h", 1, 20, 10, 10),  # class 1: 30 / 60 = 0.5
            ("real", 0, "p", "g", 2, 1, 1, 2),
            ("real", 0, "q", "h", 2, 0, 0, 0),  # class 2: 1 / 4 → mean 0.375
            ("mixed", 0, "p", "g", 0, 1, 0, 0),
            ("mixed", 0, "p", "g", 1, 30, 0, 10),
            ("mixed", 0, "q", "h", 1, 30, 10, 0),  # class 1: 60 / 80 = 0.75
            ("mixed", 0, "p", "g", 2, 2, 1, 1),
            ("mixed", 0, "q", "h", 2, 0, 0, 0),  # class 2: 2 / 4 → mean 0.625
        ]
    )
    result = differences(counts, BASELINES, 100, seed=0)
    assert result[["architecture", "mix", "baseline"]].to_numpy().tolist() == [
        ["fpn", "mixed", "real"]
    ]
    assert result["difference"][0] == pytest.approx(0.25)


def test_interval_spans_the_groups_of_the_paired_draws():
    counts = _counts(
        [
            ("real", 0, "p", "g", 1, 5, 0, 5),
            ("real", 0, "q", "h", 1, 5, 0, 5),
            ("mixed", 0, "p", "g", 1, 9, 0, 1),
            ("mixed", 0, "q", "h", 1, 5, 0, 5),
        ]
    )
    row = differences(counts, BASELINES, 400, seed=0).iloc[0]
    # the draws are gg (+0.4), gh (+0.2) and hh (0), in a quarter, a half, a quarter of all cases
    assert (row["low"], row["difference"], row["high"]) == pytest.approx((0, 0.2, 0.4))


def test_equal_predictions_have_an_interval_of_zero_however_unlike_the_groups_are():
    same = [(0, "p", "g", 1, 9, 0, 1), (0, "q", "h", 1, 1, 0, 9), (0, "r", "i", 1, 5, 5, 0)]
    counts = _counts([(mix, *row) for mix in BASELINES for row in same])
    row = differences(counts, BASELINES, 100, seed=0).iloc[0]
    assert (row["low"], row["difference"], row["high"]) == (0, 0, 0)


def test_seeds_are_averaged_after_the_iou():
    counts = _counts(
        [
            ("real", 0, "p", "g", 1, 0, 0, 10),
            ("mixed", 0, "p", "g", 1, 10, 0, 0),
            ("mixed", 1, "p", "g", 1, 10, 0, 90),
        ]
    )
    row = differences(counts, BASELINES, 100, seed=0).iloc[0]
    assert row["difference"] == pytest.approx((1.0 + 0.1) / 2)


def test_one_group_gives_no_interval():
    counts = _counts([(mix, 0, "p", "g", 1, 1, 1, 1) for mix in BASELINES])
    row = differences(counts, BASELINES, 100, seed=0).iloc[0]
    assert pd.isna(row["low"])
    assert pd.isna(row["high"])
