"""Verdicts in words."""

import numpy as np
import pytest
from scipy import stats

from pipeline.studies.verdict import outcome, verdict


@pytest.mark.parametrize("values", [(0.01, 0.02, 0.03), (0.02, 0.021, 0.022), (-0.05, -0.051)])
def test_agrees_with_the_t_test(values):
    p = stats.ttest_1samp(values, 0).pvalue
    mean, sd = np.mean(values), np.std(values, ddof=1)
    expected = "cannot be told" if p >= 0.05 else ("better" if mean > 0 else "worse")
    assert outcome(mean, sd, len(values)) == expected


def test_one_seed_tells_nothing():
    assert outcome(0.3, float("nan"), 1) == "cannot be told"


def test_all_seeds_alike_tell():
    assert outcome(-0.1, 0.0, 2) == "worse"


def test_says_which_gained_most_and_what_each_axis_changed(table, study):
    axes = {axis: list(values) for axis, values in study.axes.items()}
    paragraph, _, *lines = verdict(table, axes, "defect_iou").splitlines()
    # of each architecture's gains 0, 0.01, 0.02 and 0.03, each ± 0.01, only the last lies beyond
    # 4.30·0.01/√3 = 0.025; the four losses of 0.05 do
    assert paragraph.startswith(
        "In defect IoU, 2 of 16 comparisons came out better and 8 worse; 6 cannot be told"
    )
    assert "95% interval" in paragraph
    fpn, _, masks, filtered = lines
    assert fpn == (
        "- FPN: 1 of 8 comparisons came out better and 4 worse; 3 cannot be told. Best against its "
        "baseline: masks augmented, filter best half, 8 real + 8 synthetic pairs, 0.630 against "
        "0.600 of 8 real (+0.030 ± 0.010 over 3 seeds: better)."
    )
    # two architectures, two filters; `few` never changes
    assert masks.startswith("- Masks augmented against real, all else equal: +0.005 in defect IoU")
    assert "higher in 4 of 8 comparisons" in masks
    assert filtered.startswith("- Filter best half against none, all else equal: +0.010")


def test_folds_are_named(table, study):
    axes = {axis: list(values) for axis, values in study.axes.items()}
    text = verdict(table, axes, "defect_iou", "folds")
    assert "Student's t over the folds" in text
    assert "each of the folds is tested on photos of its own" in text
    assert "± 0.010 over 3 folds: better" in text
