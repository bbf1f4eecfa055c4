"""Figures of a study on the test groups of its runs, one fold or several."""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest

from pipeline.io.errors import UserError
from pipeline.statistics.comparison import compare_runs
from pipeline.statistics.ratios import Ratios, draw_groups, pool_folds, to_rows
from pipeline.studies import results
from pipeline.studies.study import Cell, ColumnSettings
from pipeline.studies.tested import FILE, read_scores, read_tested

PARAMS = {"seed": 3, "report": {"resamples": 200}}
COLLECT = {"iou": ColumnSettings(sums="defect_iou"), "other": ColumnSettings(file="a", column="b")}


def run_of(rng: np.random.Generator, gain: float, groups: int) -> Ratios:
    """Two seeds, one class."""
    hits = 40 + gain + rng.normal(0, 2, (2, 1, groups))
    return Ratios(hits, np.full_like(hits, 80.0))


@pytest.fixture
def folds() -> list[dict[str, Ratios]]:
    """Of three folds with 4, 5 and 4 groups, the runs by mix."""
    rng = np.random.default_rng(0)
    return [
        {mix: run_of(rng, gain, groups) for mix, gain in (("real", 0), ("both", 8))}
        for groups in (4, 5, 4)
    ]


def reader(runs: dict[str, Ratios], fold: int):
    names = [f"fold{fold}-{index}" for index in range(runs["real"].total_groups)]
    rows = [to_rows(run, [0, 1], names).assign(mix=mix) for mix, run in runs.items()]
    table = pd.concat(rows).assign(figure="defect_iou", architecture="fpn")
    content = {FILE: table.to_parquet(index=False)}
    return content.__getitem__


@pytest.fixture
def readers(folds):
    cells = [Cell({"masks": "real"}, {}, PARAMS, fold) for fold in range(3)]
    return [(cell, reader(runs, cell.fold)) for cell, runs in zip(cells, folds, strict=True)]


def test_the_folds_of_a_cell_are_compared_on_all_their_groups(readers, folds):
    tested = read_tested(readers, ["masks"], COLLECT)
    row = {"masks": "real", "architecture": "fpn", "mix": "both", "baseline": "real", "seed": 1}
    both, real = (pool_folds([runs[mix] for runs in folds]) for mix in ("both", "real"))
    expected = compare_runs(both, real, draw_groups((4, 5, 4), 200, seed=3))
    assert tested.difference(row, "iou") == expected
    seeds, groups = expected.errors
    assert (seeds.total, groups.total, groups.parts) == (2, 13, 3)
    hits = sum(runs["both"].numerator[1].sum() for runs in folds)
    assert tested.score(row, "iou") == pytest.approx(hits / (13 * 80))
    assert tested.figures == {"iou"}


def test_a_cell_of_folds_has_a_row_a_seed(readers, folds):
    """The figure of all groups; what has no sums is a mean over the folds."""
    tested = read_tested(readers, ["masks"], COLLECT)
    rows = pd.DataFrame(
        {
            "masks": "real", "architecture": "fpn", "mix": mix, "seed": seed, "baseline": "real",
            "real": 8 + fold, "synthetic": 0 if mix == "real" else 10, "also": "",
            "kept": math.nan, "iou": 0.0, "other": 0.1 * fold + seed,
        }
        for mix in ("real", "both") for fold in range(3) for seed in range(2)
    )  # fmt: skip
    pooled = results.pool_folds(rows, ["masks"], ["iou", "other"], tested)
    assert pooled[["mix", "seed", "real"]].to_numpy().tolist() == [
        ["real", 0, 9], ["real", 1, 9], ["both", 0, 9], ["both", 1, 9],
    ]  # fmt: skip
    assert pooled["other"].tolist() == pytest.approx([0.1, 1.1] * 2)
    hits = sum(runs["both"].numerator[0].sum() for runs in folds)
    assert pooled["iou"].iloc[2] == pytest.approx(hits / (13 * 80))
    table = results.compare(pooled, ["masks"], ["iou", "other"], tested).set_index("mix")
    both = tested.difference(pooled.iloc[2], "iou")
    assert table.loc["both", "iou_difference"] == pytest.approx(both.value)
    assert table.loc["both", "iou_high"] - both.value > both.errors[1].standard
    assert table.loc["both", "seeds"] == 2
    assert table.loc["both", "other_verdict"] == "cannot be told"


def test_scores_of_one_run(folds):
    scores = read_scores(reader(folds[0], 0), "iou", "defect_iou").set_index(["mix", "seed"])
    assert scores.loc[("both", 1), "iou"] == pytest.approx(folds[0]["both"].scores()[1])
    assert len(scores) == 4


def test_a_figure_may_be_of_the_cell_s_own_class(folds):
    def read(path, numerator):
        rows = to_rows(
            Ratios(np.full((1, 1, 2), numerator), np.full((1, 1, 2), 8.0)), [0], ["a", "b"]
        )
        figure = "iou_mould" if numerator == 2.0 else "iou_blemish"
        return rows.assign(figure=figure, architecture="fpn", mix="real").to_parquet(index=False)

    readers = [
        (Cell({"class": "mould"}, {}, PARAMS), partial(read, numerator=2.0)),
        (Cell({"class": "blemish"}, {}, PARAMS), partial(read, numerator=4.0)),
    ]
    tested = read_tested(readers, ["class"], {"iou": ColumnSettings(sums="iou_{class}")})
    row = {"architecture": "fpn", "mix": "real", "baseline": "real", "seed": 0}
    assert tested.score(row | {"class": "mould"}, "iou") == 0.25
    assert tested.score(row | {"class": "blemish"}, "iou") == 0.5


def test_a_figure_that_no_run_has_is_named(readers):
    unknown = {"dice": ColumnSettings(sums="dice")}
    with pytest.raises(UserError, match=r"'dice', expected one of defect_iou; mend collect.dice"):
        read_tested(readers, ["masks"], unknown)


def test_a_study_without_such_figures_reads_nothing():
    def read(path):
        raise AssertionError(path)

    column = {"other": COLLECT["other"]}
    assert not read_tested([(Cell({}, {}, PARAMS), read)], [], column).figures


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"file": "a"},
        {"sums": "a", "file": "b", "column": "c"},
        {"sums": "a", "where": {"b": "c"}},
    ],
)
def test_a_figure_has_one_place(content):
    with pytest.raises(ValueError, match=r"either sums \(and baseline\), or file and column"):
        ColumnSettings.model_validate(content)


def test_a_figure_may_have_a_baseline_of_its_own(folds):
    """Those who were never trained on a mix are in that figure only."""
    alone = folds[0] | {"alone": run_of(np.random.default_rng(9), 4, 4)}
    cell = Cell({}, {}, PARAMS)
    column = ColumnSettings(sums="defect_iou", baseline="alone")
    tested = read_tested([(cell, reader(alone, 0))], [], {"iou": column})
    row = {"architecture": "fpn", "mix": "both", "baseline": "real", "seed": 0}
    gain = alone["both"].scores().mean() - alone["alone"].scores().mean()
    assert tested.difference(row, "iou").value == pytest.approx(gain)
    rows = pd.DataFrame([row | {"iou": score} for score in alone["both"].scores()])
    rows = pd.concat([rows, rows.assign(mix="real", iou=0.5)])
    rows = rows.assign(real=1, synthetic=1, also="", kept=math.nan, seed=[0, 1, 0, 1])
    table = results.compare(rows, [], ["iou"], tested).set_index("mix")
    percent = 100 * gain / alone["alone"].scores().mean()
    assert table.loc["both", "iou_difference_percent"] == pytest.approx(percent)
    assert math.isnan(tested.score(row | {"mix": "other"}, "iou"))
