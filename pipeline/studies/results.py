"""The figures of a study's runs, and their differences to each run's own baseline."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.io.errors import UserError
from pipeline.io.params import value
from pipeline.studies.study import Cell, ColumnSettings

MIX_FILE = "data/mixes/{}/mix.json"
SCORES_FILE = "data/filtered/scores.parquet"
ARMS = ("repeated", "pasted")  # origins of pairs that are not told apart by a column
KEYS = ["architecture", "mix", "seed"]


def read_cell(
    read: Callable[[str], bytes], cell: Cell, collect: dict[str, ColumnSettings]
) -> pd.DataFrame:
    """What one run found.

    Args:
        read: gives the content of a file of the run.
        cell: the run.
        collect: figure name to where it is.

    Returns:
        A row for each architecture, mix and seed: the cell's `values` in columns of the axes'
        names, `repeat`, `KEYS`, `baseline` (a mix), `real` and `synthetic` (pairs trained on),
        `also` (what else the mix holds, such as `130 repeated` or `augmented`), `kept` (pairs
        that the filter kept; NaN where it kept all) and the figures.

    Raises:
        UserError: a file or a row of it is missing.
    """
    frame = pd.DataFrame(columns=KEYS)
    for name, column in collect.items():
        figure = _read_column(read, column, cell.values).rename(columns={column.column: name})
        frame = figure if frame.empty else frame.merge(figure, on=KEYS, how="left")
    mixes = list(dict.fromkeys(frame["mix"]))
    summaries = {mix: json.loads(read(MIX_FILE.format(mix))) for mix in mixes}
    sizes = {mix: summary["pairs"] for mix, summary in summaries.items()}
    baselines = {mix: _baseline(mix, cell.params) for mix in mixes}
    keys = frame[KEYS].assign(
        baseline=frame["mix"].map(baselines),
        real=frame["mix"].map({mix: sizes[mix].get("train_real", 0) for mix in mixes}),
        synthetic=frame["mix"].map({mix: sizes[mix].get("train_synthetic", 0) for mix in mixes}),
        also=frame["mix"].map({mix: _also(summary) for mix, summary in summaries.items()}),
        kept=_total_kept(read),
    )
    labels = pd.DataFrame(cell.values | {"repeat": cell.repeat}, index=frame.index)
    return pd.concat([labels, keys, frame[list(collect)]], axis=1)


def pool_repeats(runs: pd.DataFrame, axes: list[str], figures: list[str]) -> pd.DataFrame:
    """The repeats of each cell in place of its seeds: means over the seeds of each.

    Each fold is tested on groups that no other one is, and all of a fold's runs on the same; so
    differences are taken fold by fold, and their spread over the folds is that over groups. Sizes
    are means over the folds, which differ by a few pairs.

    Args:
        runs: rows of `read_cell` of all cells.
        axes: names of the axes.
        figures: names of the figures.

    Returns:
        The columns of `runs`, with the repeat's name as `seed`.
    """
    cell = [*axes, "architecture", "mix", "baseline"]
    groups = runs.groupby(cell, sort=False)
    sizes = groups[["real", "synthetic", "kept"]].transform("mean").round()
    sizes = sizes.astype({"real": int, "synthetic": int})
    pooled = runs.assign(**sizes, also=groups["also"].transform("first"), seed=runs["repeat"])
    same = [*cell, "real", "synthetic", "also", "kept", "repeat", "seed"]
    return pooled.groupby(same, sort=False, dropna=False)[figures].mean().reset_index()


def compare(runs: pd.DataFrame, axes: list[str], figures: list[str]) -> pd.DataFrame:
    """Means over the seeds, and differences to the baseline seed by seed.

    Seed number k starts every training of one architecture from the same weights, so that the
    difference of two mixes is taken before the mean; its spread is that of the differences.

    Args:
        runs: rows of `read_cell` of all cells, or of `pool_repeats`.
        axes: names of the axes.
        figures: names of the figures.

    Returns:
        A row for each cell, architecture and mix, in the order of `runs`: the columns of
        `read_cell` but seed and repeat, `seeds` (their number), and for each figure `<figure>`,
        `<figure>_sd`, `<figure>_difference`, `<figure>_difference_sd` and
        `<figure>_difference_percent` (of the baseline's mean). Differences are NaN for a
        baseline, spreads with one seed.
    """
    base = runs[[*axes, *KEYS, *figures]].rename(columns={"mix": "baseline"})
    joined = runs.merge(
        base, on=[*axes, "architecture", "baseline", "seed"], how="left", suffixes=("", "_base")
    )
    for figure in figures:
        difference = joined[figure] - joined[f"{figure}_base"]
        joined[f"{figure}_difference"] = difference.where(joined["mix"] != joined["baseline"])
    same = [*axes, "architecture", "mix", "baseline", "real", "synthetic", "also", "kept"]
    groups = joined.groupby(same, sort=False, dropna=False)
    table = groups["seed"].nunique().rename("seeds").reset_index()
    for figure in figures:
        for column in (figure, f"{figure}_difference"):
            table[column] = groups[column].mean().to_numpy()
            table[f"{column}_sd"] = groups[column].std(ddof=1).to_numpy()
        share = table[f"{figure}_difference"] / groups[f"{figure}_base"].mean().to_numpy()
        table[f"{figure}_difference_percent"] = 100 * share
    return table


def is_baseline(table: pd.DataFrame) -> pd.Series:
    """Which rows of `compare` the others are compared with."""
    return table["mix"] == table["baseline"]


def is_judged(table: pd.DataFrame) -> pd.Series:
    """Which rows of `compare` the study is about: mixes that no other one is compared with."""
    return ~table["mix"].isin(table["baseline"])


def _read_column(
    read: Callable[[str], bytes], column: ColumnSettings, values: dict[str, str]
) -> pd.DataFrame:
    where = {name: wanted.format_map(values) for name, wanted in column.where.items()}
    table = pd.read_csv(io.BytesIO(read(column.file)))
    wanted = [*KEYS, *where, column.column]
    missing = [name for name in wanted if name not in table]
    if missing:
        raise UserError(f"{column.file}: lacks the columns {', '.join(missing)}; got {list(table)}")
    chosen = np.ones(len(table), dtype=bool)
    for name, wanted_value in where.items():
        chosen &= (table[name].astype(str) == wanted_value).to_numpy()
    rows = table.loc[chosen, [*KEYS, column.column]]
    if rows.empty or rows.duplicated(KEYS).any():
        raise UserError(
            f"{column.file}: {len(rows)} rows with {where or 'no condition'}, expected one "
            "for each architecture, mix and seed; mend `where` in the study"
        )
    return rows.reset_index(drop=True)


def _also(summary: dict[str, Any]) -> str:
    """What a mix holds beside real and synthetic pairs, in words."""
    pairs = summary["pairs"]
    parts = [f"{pairs[f'train_{arm}']} {arm}" for arm in ARMS if f"train_{arm}" in pairs]
    return ", ".join([*parts, "augmented"] if summary.get("augmentation") else parts)


def _baseline(mix: str, params: dict[str, Any]) -> str:
    own = value(f"segmenters.mixes.{mix}", params).get("baseline")
    return own or value("segmenters.baseline", params)


def _total_kept(read: Callable[[str], bytes]) -> float:
    kept = pd.read_parquet(io.BytesIO(read(SCORES_FILE)))["kept"]
    return np.nan if kept.all() else float(kept.sum())
