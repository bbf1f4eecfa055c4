"""The figures of a study's runs, and their differences to each run's own baseline.

What other seeds would have given is taken from the spread of the seeds; what other test groups
would have given from the sums over each group, where the figure has them (`tested`). The intervals
of one architecture are corrected for all its comparisons in the study.
"""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.io.errors import UserError
from pipeline.io.params import value
from pipeline.statistics.comparison import compare_scores
from pipeline.statistics.verdicts import judge
from pipeline.studies.study import Cell, ColumnSettings
from pipeline.studies.tested import Tested, read_scores

MIX_FILE = "data/mixes/{}/mix.json"
SCORES_FILE = "data/filtered/scores.parquet"
FINETUNING_FILE = "data/models/segmenters_finetuned/run.json"
EXTERNAL_ALONE = "external_alone"  # in place of a mix
ARMS = ("repeated", "pasted", "external")  # origins of pairs that are not told apart by a column
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
        names, `KEYS`, `baseline` (a mix), `real` and `synthetic` (pairs trained on), `also` (what
        else the mix holds, such as `130 repeated` or `augmented`), `kept` (pairs that the filter
        kept; NaN where it kept all), and the figures.

    Raises:
        UserError: a file or a row of it is missing.
    """
    columns = []
    for name, column in collect.items():
        if column.sums is not None:
            figure = read_scores(read, name, column.sums.format_map(cell.values))
        else:
            figure = _read_column(read, column, cell.values).rename(columns={column.column: name})
        columns.append(figure.set_index(KEYS))
    # segmenters that were never trained on a mix have no figure from before their finetuning
    frame = pd.concat(columns, axis=1).reset_index()
    mixes = list(dict.fromkeys(frame["mix"]))
    summaries = {mix: _summary(mix, read) for mix in mixes}
    sizes = {mix: summary["pairs"] for mix, summary in summaries.items()}
    baselines = {mix: _baseline(mix, cell.params) for mix in mixes}
    keys = frame[KEYS].assign(
        baseline=frame["mix"].map(baselines),
        real=frame["mix"].map({mix: sizes[mix].get("train_real", 0) for mix in mixes}),
        synthetic=frame["mix"].map({mix: sizes[mix].get("train_synthetic", 0) for mix in mixes}),
        also=frame["mix"].map({mix: _also(summary) for mix, summary in summaries.items()}),
        kept=_total_kept(read),
    )
    labels = pd.DataFrame(cell.values, index=frame.index)
    return pd.concat([labels, keys, frame[list(collect)]], axis=1)


def pool_folds(
    runs: pd.DataFrame, axes: list[str], figures: list[str], tested: Tested
) -> pd.DataFrame:
    """The folds of each cell as one: a row for each seed, as of a cell of one run.

    A figure of `tested` is that of the groups of all folds; others are means over the folds. Sizes
    are means as well, as folds differ by a few pairs.

    Args:
        runs: rows of `read_cell` of all cells.
        axes: names of the axes.
        figures: names of the figures.
        tested: the pooled test groups.
    """
    cell = [*axes, "architecture", "mix", "baseline"]
    groups = runs.groupby(cell, sort=False)
    sizes = groups[["real", "synthetic", "kept"]].transform("mean").round()
    sizes = sizes.astype({"real": int, "synthetic": int})
    pooled = runs.assign(**sizes, also=groups["also"].transform("first"))
    same = [*cell, "real", "synthetic", "also", "kept", "seed"]
    pooled = pooled.groupby(same, sort=False, dropna=False)[figures].mean().reset_index()
    scores = {
        figure: [tested.score(row, figure) for row in pooled.to_dict("records")]
        for figure in figures
        if figure in tested.figures
    }
    return pooled.assign(**scores)


def compare(
    runs: pd.DataFrame, axes: list[str], figures: list[str], tested: Tested | None = None
) -> pd.DataFrame:
    """Means over the seeds, and differences to the baseline with their intervals and verdicts.

    Args:
        runs: rows of `read_cell` of all cells, or of `pool_folds`.
        axes: names of the axes.
        figures: names of the figures.
        tested: what allows for other test groups, in the figures that it has.

    Returns:
        A row for each cell, architecture and mix, in the order of `runs`: the columns of
        `read_cell` but seed, `seeds` (their number), and for each figure `<figure>`,
        `<figure>_sd`, `<figure>_difference`, `<figure>_difference_percent` (of the baseline's
        mean), `<figure>_low`, `<figure>_high` (the interval of the difference) and
        `<figure>_verdict`. Those of differences are NaN for a baseline, spreads with one seed.
    """
    base = runs[[*axes, *KEYS, *figures]].rename(columns={"mix": "baseline"})
    joined = runs.merge(
        base, on=[*axes, "architecture", "baseline", "seed"], how="left", suffixes=("", "_base")
    )
    same = [*axes, "architecture", "mix", "baseline", "real", "synthetic", "also", "kept"]
    groups = joined.groupby(same, sort=False, dropna=False)
    table = groups["seed"].nunique().rename("seeds").reset_index()
    comparisons = table.loc[is_judged(table), "architecture"].value_counts()
    for figure in figures:
        table[figure] = groups[figure].mean().to_numpy()
        table[f"{figure}_sd"] = groups[figure].std(ddof=1).to_numpy()
        judged = [
            _judge(rows, figure, comparisons.get(rows["architecture"].iloc[0], 1), tested)
            for _, rows in groups
        ]
        table = pd.concat([table, pd.DataFrame(judged)], axis=1)
    return table


def is_baseline(table: pd.DataFrame) -> pd.Series:
    """Which rows of `compare` the others are compared with."""
    return table["mix"] == table["baseline"]


def is_judged(table: pd.DataFrame) -> pd.Series:
    """Which rows of `compare` the study is about: mixes that no other one is compared with."""
    return ~table["mix"].isin(table["baseline"])


def _judge(
    rows: pd.DataFrame, figure: str, comparisons: int, tested: Tested | None
) -> dict[str, Any]:
    """The columns on the difference of one mix, whose `rows` are its seeds."""
    first = rows.iloc[0]
    names = ("difference", "difference_percent", "low", "high", "verdict")
    if first["mix"] == first["baseline"]:
        return {f"{figure}_{name}": np.nan for name in names}
    if tested is not None and figure in tested.figures:
        found = tested.difference(first, figure)
    else:
        found = compare_scores(rows[figure].to_numpy(), rows[f"{figure}_base"].to_numpy())
    verdict = judge(found, comparisons)
    percent = 100 * found.value / (rows[figure].mean() - found.value)
    told = (found.value, percent, verdict.low, verdict.high, verdict.word)
    return {f"{figure}_{name}": content for name, content in zip(names, told, strict=True)}


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


def _summary(mix: str, read: Callable[[str], bytes]) -> dict[str, Any]:
    """mix.json, or the like of it for the segmenters that saw the few external pairs alone."""
    if mix != EXTERNAL_ALONE:
        return json.loads(read(MIX_FILE.format(mix)))
    pairs = json.loads(read(FINETUNING_FILE))["pairs"]["train"]
    return {"pairs": {"train_external": len(pairs)}}


def _baseline(mix: str, params: dict[str, Any]) -> str:
    if mix == EXTERNAL_ALONE:
        return mix
    own = value(f"segmenters.mixes.{mix}", params).get("baseline")
    return own or value("segmenters.baseline", params)


def _total_kept(read: Callable[[str], bytes]) -> float:
    kept = pd.read_parquet(io.BytesIO(read(SCORES_FILE)))["kept"]
    return np.nan if kept.all() else float(kept.sum())
