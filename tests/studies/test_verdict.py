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


def test_mixes_of_other_sizes_are_held_to_each_other_if_there_are_no_more(table, study):
    sizes = table.assign(synthetic=table["synthetic"] + (table["masks"] == "augmented"))
    *_, masks, filtered = words(sizes, study)
    assert masks.startswith("- Masks augmented against real, mix by mix: +0.005 in defect IoU on")
    assert filtered.startswith("- Filter best half against none, all else equal: +0.010")
    few = table["synthetic"] + ((table["masks"] == "augmented") & (table["mix"] == "few"))
    *_, masks, _ = words(table.assign(synthetic=few), study)
    # without `few`, which never changes
    assert masks.startswith("- Masks augmented against real, all else equal: +0.010 in defect IoU")
    assert masks.endswith("higher in 4 of 4 comparisons.")


def test_what_has_a_baseline_of_its_own_is_held_to_it(runs, study):
    """Photos that are easier by 0.2 say nothing of the masks drawn for them."""
    easier = runs.assign(defect_iou=runs["defect_iou"] + 0.2 * (runs["masks"] == "augmented"))
    table = compare(easier, list(study.axes), ["defect_iou"])
    *_, masks, _ = words(table, study)
    assert masks.startswith("- Masks augmented against real, all else equal: +0.205 in defect IoU")
    *_, masks, _ = words(table, study, difference=True)
    assert masks.startswith(
        "- Masks augmented against real, all else equal: +0.005 in defect IoU above the baseline's"
    )


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
    assert paragraph.endswith("no mix is called better or worse; from two on there are intervals.")
    assert fpn.endswith("over 1 seed, which tells nothing of others: cannot be told).")
