"""Figures of runs and their differences, by hand."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.io.errors import UserError
from pipeline.statistics.ratios import Ratios, to_rows
from pipeline.studies.page import figures_table
from pipeline.studies.results import compare, is_baseline, is_judged, read_cell
from pipeline.studies.study import ColumnSettings
from tests.studies.conftest import SIZES


def files_of(rows: pd.DataFrame, kept: list[bool]) -> dict[str, bytes]:
    scores = io.BytesIO()
    pd.DataFrame({"id": range(len(kept)), "kept": kept}).to_parquet(scores)
    files = {"data/filtered/scores.parquet": scores.getvalue()}
    files["metrics/segmentation.csv"] = rows.to_csv(index=False).encode()
    for mix, (real, synthetic) in SIZES.items():
        pairs = {"train_real": real, "train_synthetic": synthetic, "val_real": 3}
        present = {key: size for key, size in pairs.items() if size}
        files[f"data/mixes/{mix}/mix.json"] = json.dumps({"pairs": present}).encode()
    return files


ROWS = pd.DataFrame(
    [
        ("fpn", mix, seed, shown, 0.5 + 0.1 * seed + 0.2 * (shown == "all"))
        for mix in ("real_all", "few")
        for seed in (0, 1)
        for shown in ("background", "defect", "all")
    ],
    columns=["architecture", "mix", "seed", "class", "iou"],
)


def test_reads_a_run(cells, study):
    files = files_of(ROWS, kept=[True, False, True])
    rows = read_cell(files.__getitem__, cells[3], study.collect)
    assert rows.to_dict("records")[3] == {
        "masks": "augmented", "filter": "best half", "architecture": "fpn",
        "mix": "few", "seed": 1, "baseline": "real_2", "real": 2, "synthetic": 16, "also": "",
        "kept": 2.0,
        "defect_iou": pytest.approx(0.6), "miou": pytest.approx(0.8),
    }  # fmt: skip
    assert rows["baseline"].tolist() == ["real_all", "real_all", "real_2", "real_2"]
    assert len(rows) == 4


def test_segmenters_that_saw_the_external_pairs_alone_are_a_baseline(cells):
    """They have no mix, and no figure from before their finetuning."""
    names = ["f1", "f2"]
    runs = [("external_dice", "real_all"), ("external_dice_finetuned", "real_all")]
    runs.append(("external_dice_finetuned", "external_alone"))
    sums = pd.concat(
        to_rows(Ratios(np.full((2, 1, 2), 4.0 + n), np.full((2, 1, 2), 10.0)), [0, 1], names)
        .assign(figure=figure, architecture="fpn", mix=mix)
        for n, (figure, mix) in enumerate(runs)
    )  # fmt: skip
    files = files_of(ROWS, [True])
    files["metrics/group_sums.parquet"] = sums.to_parquet(index=False)
    run = {"pairs": {"train": list("abc"), "val": []}}
    files["data/models/segmenters_finetuned/run.json"] = json.dumps(run).encode()
    collect = {
        "dice": ColumnSettings(sums="external_dice"),
        "dice_finetuned": ColumnSettings(sums="external_dice_finetuned", baseline="external_alone"),
    }
    rows = read_cell(files.__getitem__, cells[0], collect).set_index(["mix", "seed"])
    assert rows.loc[("real_all", 1), ["dice", "dice_finetuned"]].tolist() == [0.4, 0.5]
    alone = rows.loc[("external_alone", 0)]
    assert np.isnan(alone["dice"]) and alone["dice_finetuned"] == 0.6
    assert alone[["baseline", "real", "synthetic", "also"]].tolist() == [
        "external_alone", 0, 0, "3 external",
    ]  # fmt: skip
    text = figures_table(
        compare(rows.reset_index(), ["masks", "filter"], ["dice"]), ["masks", "filter"], ["dice"]
    )
    assert "| 0 | 0 | 3 external | – |" in text


def test_all_kept_is_no_filter(cells, study):
    rows = read_cell(files_of(ROWS, [True, True]).__getitem__, cells[0], study.collect)
    assert rows["kept"].isna().all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS.drop(columns="class"), "lacks the columns class"),
        (ROWS.assign(**{"class": "mould"}), "0 rows with .*mend `where`"),
        (ROWS.assign(**{"class": "defect"}), "12 rows with .*expected one for each"),
    ],
)
def test_where_must_single_out_one_row(cells, study, rows, message):
    with pytest.raises(UserError, match=message):
        read_cell(files_of(rows, [True]).__getitem__, cells[0], study.collect)


def test_says_what_else_a_mix_holds(cells, study):
    files = files_of(ROWS, [True])
    pairs = {"train_real": 2, "train_repeated": 6, "train_pasted": 3}
    files["data/mixes/few/mix.json"] = json.dumps(
        {"pairs": pairs, "augmentation": {"hue": 0.1}}
    ).encode()
    rows = read_cell(files.__getitem__, cells[0], study.collect).set_index("mix")
    assert set(rows.loc["few", "also"]) == {"6 repeated, 3 pasted, augmented"}
    assert set(rows.loc["real_all", "also"]) == {""}
    assert set(rows.loc["few", "real"]) == {2} and set(rows.loc["few", "synthetic"]) == {0}


def test_where_may_name_an_axis(cells):
    """A class by itself where it is one of several classes, and where it is the only one."""
    column = ColumnSettings(
        file="metrics/segmentation.csv", column="iou", where={"class": "{masks}"}
    )
    table = ROWS.replace({"class": {"defect": "real", "all": "augmented"}})
    first, *_, last = (
        read_cell(files_of(table, [True]).__getitem__, cell, {"iou": column}) for cell in cells
    )
    assert first["iou"].tolist() == pytest.approx([0.5, 0.6] * 2)
    assert last["iou"].tolist() == pytest.approx([0.7, 0.8] * 2)


def test_a_mix_that_others_are_compared_with_is_not_judged(table):
    """Else fewer real photos would count as a verdict on synthetic ones."""
    few = table["mix"] == "real_2"
    table.loc[few, "baseline"] = "real_all"
    assert set(table.loc[is_judged(table), "mix"]) == {"both", "few"}


def test_intervals_are_corrected_for_the_comparisons_of_an_architecture(runs, study):
    table = compare(runs, list(study.axes), ["defect_iou"])
    chosen = table.set_index(["masks", "filter", "architecture", "mix"])
    row = chosen.loc[("augmented", "best half", "fpn", "both")]
    arm, base = np.array([0.61, 0.63, 0.65]), np.array([0.59, 0.6, 0.61])
    alone = stats.ttest_rel(arm, base).confidence_interval(0.95 ** (1 / 8))
    assert row[["defect_iou_low", "defect_iou_high"]].tolist() == pytest.approx(list(alone))
    assert row["defect_iou_verdict"] == "cannot be told"
    assert table.loc[is_baseline(table), "defect_iou_verdict"].isna().all()


def test_differences_are_taken_seed_by_seed(table):
    chosen = table.set_index(["masks", "filter", "architecture", "mix"])
    both = chosen.loc[("augmented", "best half", "fpn", "both")]
    assert both["seeds"] == 3
    assert both["defect_iou"] == pytest.approx(0.63)
    assert both["defect_iou_sd"] == pytest.approx(0.02)
    assert both["defect_iou_difference"] == pytest.approx(0.03)
    assert both["defect_iou_difference_percent"] == pytest.approx(5.0)
    assert both["miou_difference_percent"] == pytest.approx(100 * 0.015 / 0.8)
    few = chosen.loc[("real", "none", "unetplusplus", "few")]
    assert few["defect_iou_difference_percent"] == pytest.approx(-10.0)  # of its own baseline
    assert np.isnan(few["kept"])
    bases = table[is_baseline(table)]
    assert bases["mix"].unique().tolist() == ["real_all", "real_2"]
    assert bases["defect_iou_difference"].isna().all()
    assert bases["defect_iou_difference_percent"].isna().all()


def test_order_is_that_of_the_runs(runs, table):
    keys = ["masks", "filter", "architecture", "mix"]
    assert table[keys].equals(runs[keys].drop_duplicates(ignore_index=True))


def test_one_seed_has_no_spread(runs, study):
    table = compare(runs[runs["seed"] == 0], list(study.axes), list(study.collect))
    assert table["defect_iou_sd"].isna().all()
    assert table["defect_iou_difference"].notna().sum() == 16
    assert table["defect_iou_low"].isna().all()
