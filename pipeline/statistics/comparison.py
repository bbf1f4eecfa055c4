"""How far two runs lie apart, and how far off that may be: by the test groups, by the trainings.

Every training of a run is measured on every test group, and both are samples: other photos and
other seeds would have given another difference. The two are paired: both runs are judged on the
same draws of groups, and seed number k starts both trainings from the same weights, which makes
their scores go together. What chance does to one seed on one group is in the spread of either and
so counts twice in the interval; taking it off once (Cameron, Gelbach and Miller 2011) would be
right on average, but with few groups and seeds the safe side is wanted.

Groups of several folds are drawn fold by fold, as each fold trained on photos of its own: what one
fold's trainings gained above another's is no matter of which groups were tested. A seed's score is
that of its trainings in all folds together.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.statistics.ratios import Ratios


@dataclass(frozen=True)
class Error:
    """What one source of uncertainty adds: of a mean over n, the standard error, and n.

    With n of 1 it is NaN: one says nothing of what others would give. Where the n are in `parts`,
    each with a mean of its own, each part takes a degree of freedom.
    """

    standard: float
    total: int
    parts: int = 1


@dataclass(frozen=True)
class Difference:
    """A mean over seeds of differences, and the errors of it, independent of each other."""

    value: float
    errors: tuple[Error, ...]


def compare_runs(arm: Ratios, baseline: Ratios, draws: np.ndarray) -> Difference:
    """`arm` less `baseline`, with the errors of seeds and of test groups, in this order.

    Args:
        arm: a run, or the pooled folds of several.
        baseline: one of the same seeds on the same groups, in the same order.
        draws: result of `draw_groups` for their strata.
    """
    of_seeds = compare_scores(arm.scores(), baseline.scores())
    drawn = (arm.drawn_scores(draws) - baseline.drawn_scores(draws)).mean(axis=1)
    fewest, error = min(arm.strata), math.nan
    if fewest > 1:
        # a variance over draws of G groups is too small by (G − 1) / G, most in the smallest fold
        error = math.sqrt(float(np.nanvar(drawn)) * fewest / (fewest - 1))
    of_groups = Error(error, arm.total_groups, len(arm.strata))
    return Difference(of_seeds.value, (*of_seeds.errors, of_groups))


def compare_scores(arm: np.ndarray, baseline: np.ndarray) -> Difference:
    """`arm` less `baseline` from their scores alone, with the error of the seeds.

    It leaves out what other test photos would have given.

    Args:
        arm: float S, a score each seed.
        baseline: of the same seeds, in the same order.
    """
    gains = np.subtract(arm, baseline)
    error = float(stats.sem(gains)) if len(gains) > 1 else math.nan
    return Difference(float(gains.mean()), (Error(error, len(gains)),))
