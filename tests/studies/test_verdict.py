"""Verdicts in words."""

from pipeline.studies.results import compare
from pipeline.studies.verdict import verdict


def words(table, study, **how):
    axes = {axis: list(values) for axis, values in study.axes.items()}
    return verdict(table, axes, "defect_iou", **how).splitlines()


def test_says_which_gained_most_and_what_each_axis_changed(table, study):
    paragraph, _, *lines = words(table, study)
    # standard error 0.01/√3 = 0.006, 2 degrees of freedom, eight comparisons
    assert paragraph.startswith(
        "In defect IoU, 0 of 16 comparisons came out better and 0 worse; 16 cannot be told"
    )
    assert "not for other test photos" in paragraph
    fpn, _, masks, filtered = lines
    assert fpn == (
        "- FPN: 0 of 8 comparisons came out better and 0 worse; 8 cannot be told. Best against its "
        "baseline: masks augmented, filter best half, 8 real + 8 synthetic pairs, 0.630 against "
        "0.600 of 8 real (+0.030, -0.042 to +0.102, over 3 seeds: cannot be told)."
    )
    # two architectures, two filters; `few` never changes
    assert masks.startswith("- Masks augmented against real, all else equal: +0.005 in defect IoU")
    assert "higher in 4 of 8 comparisons" in masks
    assert filtered.startswith("- Filter best half against none, all else equal: +0.010")


def test_folds_are_named(table, study):
    paragraph, *_ = words(table, study, folds=5, over_groups=True)
    assert paragraph.endswith(
        "tested by the one of 5 folds that did not train on it; groups are drawn from all folds."
    )


def test_counts_what_is_better_and_worse(runs, study):
    means = runs.groupby([*study.axes, "architecture", "mix"])["defect_iou"].transform("mean")
    exact = runs.assign(defect_iou=means + 1e-3 * (runs["seed"] - 1) * (runs["synthetic"] > 0))
    table = compare(exact, list(study.axes), ["defect_iou"])
    paragraph, _, fpn, *_ = words(table, study, over_groups=True)
    # gains 0, 0.01, 0.02 and 0.03 against a margin of 12.5 · 0.001/√3; losses of 0.05
    assert "6 of 16 comparisons came out better and 8 worse; 2 cannot be told" in paragraph
    assert "other test groups and other seeds" in paragraph
    assert fpn.endswith("(+0.030, +0.023 to +0.037, over 3 seeds: better).")


def test_one_seed_tells_nothing(runs, study):
    table = compare(runs[runs["seed"] == 0], list(study.axes), ["defect_iou"])
    paragraph, _, fpn, *_ = words(table, study)
    assert "16 cannot be told" in paragraph
    assert fpn.endswith("over 1 seed, which tells nothing of others: cannot be told).")
