"""What the runs of a study found on their test groups: figures that any draw of groups has.

The report of each run writes every figure as sums over its test groups. The folds of a cell test
each group once, so their sums are pooled and groups are drawn from all of them, fold by fold.
"""

import io
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from pipeline.io.errors import UserError
from pipeline.io.params import value
from pipeline.statistics.comparison import Difference, compare_runs
from pipeline.statistics.ratios import Ratios, draw_groups, from_rows, pool_folds
from pipeline.studies.study import Cell, ColumnSettings

FILE = "metrics/group_sums.parquet"
RUN = ["architecture", "mix"]


@dataclass(frozen=True)
class Tested:
    """Every run's figures on its test groups, the folds of a cell pooled.

    Attributes:
        axes: names of the study's axes.
        ratios: by the values of the axes, architecture, mix and figure.
        baselines: of figures whose runs are compared with another mix than their own baseline.
        resamples: bootstrap draws of groups.
        seed: of the draws.
    """

    axes: list[str]
    ratios: dict[tuple[Hashable, ...], Ratios]
    baselines: dict[str, str]
    resamples: int
    seed: int

    @property
    def figures(self) -> set[Hashable]:
        """Names of the figures."""
        return {key[-1] for key in self.ratios}

    def score(self, row: Mapping[str, Any], figure: str) -> float:
        """A figure of the run of a row (axes, architecture, mix, seed); NaN if it has none."""
        key = self._key(row, row["mix"], figure)
        return float(self.ratios[key].scores()[row["seed"]]) if key in self.ratios else math.nan

    def difference(self, row: Mapping[str, Any], figure: str) -> Difference:
        """A run against its baseline, with the errors of seeds and of test groups."""
        mixes = row["mix"], self.baselines.get(figure, row["baseline"])
        arm, baseline = (self.ratios[self._key(row, mix, figure)] for mix in mixes)
        return compare_runs(arm, baseline, _draws(arm.strata, self.resamples, self.seed))

    def _key(self, row: Mapping[str, Any], mix: str, figure: str) -> tuple[Hashable, ...]:
        return (*(row[name] for name in self.axes), row["architecture"], mix, figure)


@cache
def _draws(strata: tuple[int, ...], resamples: int, seed: int) -> np.ndarray:
    return draw_groups(strata, resamples, seed)


def read_tested(
    runs: list[tuple[Cell, Callable[[str], bytes]]],
    axes: list[str],
    collect: Mapping[str, ColumnSettings],
) -> Tested:
    """The figures of `collect` that are sums over test groups.

    Args:
        runs: each run with what gives the content of a file of it; folds in their order.
        axes: names of the study's axes.
        collect: figure name to where it is.

    Raises:
        UserError: a run lacks the file or a figure.
    """
    wanted = {name: column.sums for name, column in collect.items() if column.sums is not None}
    parts: dict[tuple[Hashable, ...], list[Ratios]] = {}
    for cell, read in runs if wanted else []:
        table = pd.read_parquet(io.BytesIO(read(FILE)))
        for name, source in wanted.items():
            own = _rows_of(table, source.format_map(cell.values), name)
            for run, rows in own.groupby(RUN, sort=False):
                parts.setdefault((*cell.values.values(), *run, name), []).append(from_rows(rows))
    ratios = {key: pool_folds(of_folds) for key, of_folds in parts.items()}
    params = runs[0][0].params
    resamples = value("report.resamples", params) if wanted else 0
    baselines = {name: column.baseline for name, column in collect.items() if column.baseline}
    return Tested(axes, ratios, baselines, resamples, value("seed", params))


def read_scores(read: Callable[[str], bytes], name: str, source: str) -> pd.DataFrame:
    """architecture, mix, seed, and under `name` the figure `source` of all test groups of a run."""
    table = pd.read_parquet(io.BytesIO(read(FILE)))
    runs = _rows_of(table, source, name).groupby(RUN, sort=False)
    scores = [
        pd.DataFrame(
            {"seed": sorted(rows["seed"].unique()), name: from_rows(rows).scores()}
        ).assign(architecture=architecture, mix=mix)
        for (architecture, mix), rows in runs
    ]
    return pd.concat(scores, ignore_index=True)[[*RUN, "seed", name]]


def _rows_of(table: pd.DataFrame, source: str, name: str) -> pd.DataFrame:
    rows = table[table["figure"] == source]
    if rows.empty:
        known = ", ".join(table["figure"].unique())
        raise UserError(
            f"{FILE}: got no figure {source!r}, expected one of {known}; mend collect.{name}.sums "
            "in the study"
        )
    return rows
