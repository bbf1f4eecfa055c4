"""The page's tables."""

import pandas as pd
import pytest

from pipeline.studies import page
from pipeline.studies.page import figures_table, results_table, write_page
from pipeline.studies.results import compare


def rows_of(markdown: str) -> list[list[str]]:
    lines = markdown.splitlines()
    return [[entry.strip() for entry in line.strip("|").split("|")] for line in lines]


def test_the_form_of_the_thesis(table, study):
    rows = rows_of(results_table(table, list(study.axes), "defect_iou"))
    assert rows[0] == [
        "ID", "masks", "filter", "#Filtered", "#R", "#S", "FPN", "Diff. [%]", "U-Net++", "Diff. [%]"
    ]  # fmt: skip
    assert len({len(row) for row in rows}) == 1
    # a baseline is the same in all cells: one row, without their values
    assert rows[2] == ["Baseline", "–", "–", "–", "8", "0", "0.600", "–", "0.700", "–"]
    assert rows[3] == ["Baseline", "–", "–", "–", "2", "0", "0.500", "–", "0.500", "–"]
    body = {row[0]: row[1:] for row in rows[4:]}
    assert list(body) == [str(number) for number in range(1, 9)]
    assert body["1"] == ["real", "none", "none", "8", "8", "0.600", "+0.0", "0.700", "+0.0"]
    assert body["2"] == ["real", "none", "none", "2", "16", "0.450", "-10.0", "0.450", "-10.0"]
    # above the baseline: bold; the highest of its column: italics as well
    assert body["5"][5:7] == ["**0.610**", "+1.7"]
    assert body["7"] == [
        "augmented", "best half", "8", "8", "8", "***0.630***", "+5.0", "***0.730***", "+4.3"
    ]  # fmt: skip


def test_arms_are_named(table, study):
    """What else a mix holds tells it from another of the same numbers."""
    arms = table.copy()
    arms.loc[arms["mix"] == "few", ["synthetic", "also"]] = [0, "6 repeated"]
    rows = rows_of(results_table(arms, list(study.axes), "defect_iou"))
    assert rows[0][4:8] == ["#R", "#S", "also", "FPN"]
    assert rows[1][4:8] == ["--:", "--:", "---", "--:"]
    assert [row[4:7] for row in rows if row[4:6] == ["2", "0"]] == [
        ["2", "0", "–"], ["2", "0", "6 repeated"],
    ]  # fmt: skip
    assert {len(row) for row in rows} == {11}
    one = arms[arms["architecture"] == "fpn"]
    rows = rows_of(figures_table(one, list(study.axes), ["miou"]))
    assert rows[0] == ["masks", "filter", "#R", "#S", "also", "mIoU"]


def test_a_baseline_that_differs_along_an_axis_is_shown_for_each_of_its_values(table, study):
    changed = table.copy()
    changed.loc[(changed["mix"] == "real_2") & (changed["masks"] == "real"), "defect_iou"] += 0.01
    rows = rows_of(results_table(changed, list(study.axes), "defect_iou"))
    assert [row[:3] for row in rows if row[0] == "Baseline"] == [
        ["Baseline", "–", "–"],
        ["Baseline", "real", "–"],
        ["Baseline", "augmented", "–"],
    ]


def test_an_architecture_without_a_mix_leaves_its_place_empty(table, study):
    partial = table[~((table["architecture"] == "fpn") & (table["mix"] == "few"))]
    rows = rows_of(results_table(partial, list(study.axes), "defect_iou"))
    assert [row[6:8] for row in rows if row[4:6] == ["2", "16"]] == [["", ""]] * 4


def test_the_page_tells_whose_difference_it_shows(table, study, cells):
    named = {cell.name: cell for cell in cells}
    assert "relative to the baseline. Bold" in write_page(study, "masks", ["make"], named, table)
    own = table.copy()
    own.loc[own["mix"] == "real_2", "baseline"] = "real_all"
    told = "relative to the baseline, or to 2 real for what was added to those. Bold: above it"
    assert told in write_page(study, "masks", ["make"], named, own)


def test_the_page_says_what_made_it(table, study, cells):
    named = {f"study-masks-{cell.name}-0123456789": cell for cell in cells}
    page = write_page(study, "masks", ["make", "study", "NAME=masks"], named, table)
    for text in (
        "# Masks\n",
        "Which masks help? After table 1 of a thesis.",
        "![defect IoU](masks.png)",
        "## Defect IoU",
        "## mIoU",
        "$ make study NAME=masks",
        "| `study-masks-augmented-best-half-0123456789` | `masks.source: augmented`<br>"
        "`filter.score: miou`<br>`filter.keep: 0.5` |",
        "In all of them:\n\n```yaml\nfilter.keep: all\n```",
        "means over 3 seeds",
        "baseline: real_2",
    ):
        assert text in page
    assert page.index("## Defect IoU") < page.index("## mIoU")


def test_the_form_of_the_synthset_paper(table, study):
    """One architecture, its figures side by side with their deviations."""
    one = table[table["architecture"] == "fpn"]
    rows = rows_of(figures_table(one, ["masks", "filter"], ["defect_iou", "miou"]))
    assert rows[0] == ["masks", "filter", "#R", "#S", "defect IoU", "mIoU"]
    assert rows[2] == ["–", "–", "8", "0", "0.600 ± 0.010", "0.800 ± 0.005"]
    assert rows[4] == ["real", "none", "8", "8", "0.600 ± 0.020", "0.800 ± 0.010"]
    # the highest of the arms, whatever the baseline has
    assert [row for row in rows if "**" in row[4]] == [
        ["augmented", "best half", "8", "8", "**0.630** ± 0.020", "**0.815** ± 0.010"]
    ]


def test_columns_are_a_choice_of_the_study(table, study, cells):
    named = {cell.name: cell for cell in cells}
    chosen = study.model_copy(update={"columns": "figures"})
    text = write_page(chosen, "masks", ["make"], named, table)
    assert text.index("## FPN") < text.index("## U-Net++")
    assert text.count("| masks | filter | #R | #S | defect IoU | mIoU |") == 2
    assert "Diff. [%]" not in text


def test_one_seed_has_no_deviation(runs, study, cells):
    table = compare(runs[runs["seed"] == 0], list(study.axes), list(study.collect))
    chosen = study.model_copy(update={"columns": "figures"})
    text = write_page(chosen, "masks", ["make"], {cell.name: cell for cell in cells}, table)
    assert "means over 1 seed. Bold" in text


def test_maps_keep_their_order():
    mixes = {"b": {"real": "all", "synthetic": 0}, "a": {"real": 8}, "0.5": None}
    assert page._flow(mixes) == "{b: {real: all, synthetic: 0}, a: {real: 8}, '0.5': null}"
    assert page._flow("no") == "'no'" or page._flow("no") == "no"


@pytest.mark.parametrize("missing", [["filter"], []])
def test_axes_are_columns(table, study, missing):
    axes = [axis for axis in study.axes if axis not in missing]
    some = table[table["filter"] == "none"]
    rows = rows_of(results_table(pd.DataFrame(some), axes, "miou"))
    assert rows[0][1 : 1 + len(axes)] == axes
