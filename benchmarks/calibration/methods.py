"""Intervals of a difference that are compared: what was used before, and what is used now."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from pipeline.statistics.comparison import compare_runs
from pipeline.statistics.ratios import Ratios
from pipeline.statistics.verdicts import CONFIDENCE, judge

TAILS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
Interval = tuple[float, float]


def groups_bootstrap(arm: Ratios, baseline: Ratios, draws: np.ndarray) -> Interval:
    """Percentiles over draws of test groups, as the report had it: seeds are taken as given."""
    spread = arm.drawn_scores(draws).mean(axis=1) - baseline.drawn_scores(draws).mean(axis=1)
    low, high = np.nanquantile(spread, TAILS)
    return float(low), float(high)


def groups_and_seeds_bootstrap(arm: Ratios, baseline: Ratios, draws: np.ndarray) -> Interval:
    """Percentiles over draws of groups and, independently, of seeds, the same in both runs."""
    total_seeds = len(arm.numerator)
    rng = np.random.default_rng(0)
    seeds = rng.integers(total_seeds, size=(len(draws), total_seeds))
    gains = arm.drawn_scores(draws) - baseline.drawn_scores(draws)  # B×S
    low, high = np.nanquantile(np.take_along_axis(gains, seeds, axis=1).mean(axis=1), TAILS)
    return float(low), float(high)


def seeds_t(arm: Ratios, baseline: Ratios, draws: np.ndarray) -> Interval:
    """Student's t over the seeds' differences, as studies had it: groups are taken as given."""
    gains = arm.scores() - baseline.scores()
    margin = stats.t.ppf(TAILS[1], len(gains) - 1) * stats.sem(gains)
    return float(gains.mean() - margin), float(gains.mean() + margin)


def seeds_and_groups_t(arm: Ratios, baseline: Ratios, draws: np.ndarray) -> Interval:
    """The verdict's own: the two margins added in squares."""
    verdict = judge(compare_runs(arm, baseline, draws), comparisons=1)
    return verdict.low, verdict.high


METHODS: dict[str, Callable[[Ratios, Ratios, np.ndarray], Interval]] = {
    "bootstrap of groups (report until now)": groups_bootstrap,
    "t over seeds (studies until now)": seeds_t,
    "bootstrap of groups and seeds": groups_and_seeds_bootstrap,
    "t over seeds and over groups (chosen)": seeds_and_groups_t,
}
