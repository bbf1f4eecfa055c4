"""Trials of verdicts on trainings that were counted once.

The trainings of an arm and the groups judged are the population; a trial is an experiment that sees
a few of either. Groups are drawn with replacement and each draw is a group of its own, so that the
population's figure is the truth that an interval should hold. Two identical arms are disjoint draws
of one arm's trainings: what they differ by is chance alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.calibration.methods import METHODS
from pipeline.io.seeding import numpy_rng
from pipeline.statistics.comparison import Difference, compare_runs
from pipeline.statistics.ratios import Ratios, draw_groups
from pipeline.statistics.verdicts import UNTOLD, judge

TWINS = 3  # identical arms beside a better one: four comparisons, as in the demo
RESAMPLES = 300


@dataclass(frozen=True)
class Size:
    """Of one experiment."""

    seeds: int
    groups: int


def single_trials(
    arms: Mapping[str, Ratios], sizes: list[Size], trials: int, seed: int
) -> pd.DataFrame:
    """Every method on one comparison at a time.

    Args:
        arms: name to all its trainings; the others are compared with the first.
        sizes: of the experiments.
        trials: for each size and arm.
        seed: of the draws.

    Returns:
        A row for each size, arm and method: seeds, groups, arm (the first's name: two identical
        arms), difference (the truth), method, `told` (share of trials with a verdict), `held`
        (share whose interval holds the truth), `width` (mean of the intervals), each share with
        its Clopper-Pearson interval in `…_low` and `…_high`.
    """
    names = list(arms)
    rows = []
    for size in sizes:
        for name in names:
            rng = numpy_rng(seed, "calibration", name, size.seeds, size.groups)
            pair = arms[name], arms[names[0]]
            truth = _truth(*pair)
            found = np.array([_try_methods(pair, size, rng) for _ in range(trials)])  # T×M×2
            row = {"seeds": size.seeds, "groups": size.groups, "arm": name}
            rows += shares(row | {"difference": truth}, found, list(METHODS))
    return pd.DataFrame(rows)


def shares(row: dict[str, Any], found: np.ndarray, methods: list[str]) -> list[dict[str, Any]]:
    """A row for each method: `row`, `method`, `told`, `held` and `width` as of `single_trials`.

    Args:
        row: what the experiments have in common, the true `difference` among it.
        found: float T×M×2, the interval of each trial and method.
        methods: names of the M.
    """
    truth, rows = row["difference"], []
    for method, (low, high) in zip(methods, np.moveaxis(found, (1, 2), (0, 1)), strict=True):
        told, held = (low > 0) | (high < 0), (low <= truth) & (truth <= high)
        own = share("told", told) | share("held", held) | {"width": (high - low).mean()}
        rows.append(row | {"method": method} | own)
    return rows


def family_trials(
    arms: Mapping[str, Ratios], sizes: list[Size], trials: int, seed: int
) -> pd.DataFrame:
    """The chosen method on `TWINS` identical arms and a better one side by side.

    Args:
        arms: the baseline and the better arm, in this order.
        sizes: of the experiments; the baseline needs `TWINS` + 1 times as many trainings.
        trials: for each size.
        seed: of the draws.

    Returns:
        A row for each size and correction: `told` is the share of trials in which any twin was
        told from the baseline, `found` that in which the better arm was called better.
    """
    baseline, better = arms.values()
    rows = []
    for size in sizes:
        rng = numpy_rng(seed, "calibration", "family", size.seeds, size.groups)
        results = []
        for _ in range(trials):
            groups = rng.integers(baseline.total_groups, size=size.groups)
            first = rng.permutation(len(better.numerator))[: size.seeds]  # those of both
            rest = np.setdiff1d(np.arange(len(baseline.numerator)), first)
            others = np.split(rng.permutation(rest)[: TWINS * size.seeds], TWINS)
            twins = [part(baseline, seeds, groups) for seeds in others]
            runs, base = [*twins, part(better, first, groups)], part(baseline, first, groups)
            draws = draw_groups([size.groups], RESAMPLES, int(rng.integers(2**31)))
            compared = [compare_runs(run, base, draws) for run in runs]
            results.append([_corrected(compared, name) for name in CORRECTIONS])
        for index, name in enumerate(CORRECTIONS):
            told, found = np.array(results)[:, index].T
            row = {"seeds": size.seeds, "groups": size.groups, "correction": name}
            rows.append(row | share("told", told) | share("found", found))
    return pd.DataFrame(rows)


def share(name: str, hits: np.ndarray) -> dict[str, float]:
    """Share of hits with its Clopper-Pearson interval."""
    result = stats.binomtest(int(hits.sum()), len(hits))
    interval = result.proportion_ci(0.95, method="exact")
    return {
        name: float(result.statistic),
        f"{name}_low": float(interval.low),
        f"{name}_high": float(interval.high),
    }


def _truth(arm: Ratios, baseline: Ratios) -> float:
    if arm is baseline:
        return 0.0
    total = min(len(arm.numerator), len(baseline.numerator))
    return float(arm.scores()[:total].mean() - baseline.scores()[:total].mean())


def _try_methods(
    pair: tuple[Ratios, Ratios], size: Size, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """The interval of each method in one experiment."""
    arm, baseline = pair
    groups = rng.integers(baseline.total_groups, size=size.groups)
    if arm is baseline:
        order = rng.permutation(len(arm.numerator))[: 2 * size.seeds]
        first, second = np.split(order, 2)
    else:  # the same seeds in both, as in the pipeline
        first = rng.integers(min(len(arm.numerator), len(baseline.numerator)), size=size.seeds)
        second = first
    runs = part(arm, first, groups), part(baseline, second, groups)
    draws = draw_groups([size.groups], RESAMPLES, int(rng.integers(2**31)))
    return [method(*runs, draws) for method in METHODS.values()]


def part(run: Ratios, seeds: np.ndarray, groups: np.ndarray) -> Ratios:
    """The run with some of its seeds and groups, some of them more than once."""
    where = np.ix_(seeds, range(run.numerator.shape[1]), groups)
    return Ratios(run.numerator[where], run.denominator[where])


def _corrected(compared: list[Difference], correction: str) -> tuple[bool, bool]:
    """Whether any twin (all but the last) was told from the baseline, and the last found better."""
    told = CORRECTIONS[correction](compared)
    return bool(np.any(told[:-1])), bool(told[-1] and compared[-1].value > 0)


def _each_alone(compared: list[Difference]) -> list[bool]:
    return [judge(found, 1).word != UNTOLD for found in compared]


def _together(compared: list[Difference]) -> list[bool]:
    return [judge(found, len(compared)).word != UNTOLD for found in compared]


CORRECTIONS = {"none": _each_alone, "Šidák": _together}
