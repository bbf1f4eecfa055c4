"""Better, worse or cannot be told: what a difference and its errors amount to.

The margin is the root of the sum of squares of Student's margins over the seeds and over the test
groups, which holds the truth at least as often as it says, however few there are of either
(Banerjee 1960); percentiles of a bootstrap and Satterthwaite's degrees of freedom do not, with
three seeds (docs/results/calibration.md).

Of many mixes some look better by chance. The interval of each is therefore widened for their
number so that all of them together hold their truths in 95 % of all experiments (Šidák 1967, which
is safe whatever the mixes have in common, such as their baseline). Holm's procedure finds a little
more but has no intervals to show: here a verdict can be read off its interval.
"""

import math
from dataclasses import dataclass

from scipy import stats

from pipeline.statistics.comparison import Difference, Error

CONFIDENCE = 0.95  # that all intervals hold their true differences
BETTER, WORSE, UNTOLD = "better", "worse", "cannot be told"


@dataclass(frozen=True)
class Verdict:
    """The interval of a difference and the word that follows from it; NaN where there is none."""

    low: float
    high: float
    word: str


def judge(difference: Difference, comparisons: int) -> Verdict:
    """The interval, corrected for the number of comparisons, and its word.

    An error that is not known leaves no interval: with one training or one test group nothing can
    be told.

    Args:
        difference: of one comparison.
        comparisons: how many are made side by side, this one included.
    """
    alone = CONFIDENCE ** (1 / comparisons)
    margin = math.hypot(*(_margin(error, alone) for error in difference.errors))
    low, high = difference.value - margin, difference.value + margin
    return Verdict(low, high, BETTER if low > 0 else WORSE if high < 0 else UNTOLD)


def _margin(error: Error, confidence: float) -> float:
    """Student's; NaN where the error is."""
    if math.isnan(error.standard):
        return math.nan
    freedom = error.total - error.parts
    return float(stats.t.ppf((1 + confidence) / 2, freedom)) * error.standard
