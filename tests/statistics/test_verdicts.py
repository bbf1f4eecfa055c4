import math

import numpy as np
import pytest
from scipy import stats

from pipeline.statistics.comparison import Difference, Error
from pipeline.statistics.verdicts import judge


@pytest.mark.parametrize(
    ("value", "word"), [(0.05, "better"), (-0.05, "worse"), (0.01, "cannot be told")]
)
def test_the_word_is_what_student_s_interval_says(value, word):
    verdict = judge(Difference(value, (Error(0.02, 31),)), comparisons=1)
    low, high = stats.t.interval(0.95, 30, loc=value, scale=0.02)
    assert (verdict.low, verdict.high) == pytest.approx((low, high))
    assert verdict.word == word


def test_margins_of_two_errors_add_up_in_squares():
    """t of 2 and of 7 degrees of freedom are 4.303 and 2.365."""
    verdict = judge(Difference(0.0, (Error(0.01, 3), Error(0.02, 8))), comparisons=1)
    assert verdict.high == pytest.approx(math.hypot(0.04303, 0.0473), abs=1e-5)


def test_each_fold_takes_a_degree_of_freedom():
    verdict = judge(Difference(0.0, (Error(1.0, 20, 5),)), comparisons=1)
    assert verdict.high == pytest.approx(stats.t.ppf(0.975, 15))


def test_intervals_are_corrected_after_sidak():
    """Four independent intervals of 98.73 % hold together in 95 %."""
    verdict = judge(Difference(0.0, (Error(1.0, 9),)), comparisons=4)
    assert 1 - 2 * stats.t.sf(verdict.high, 8) == pytest.approx(0.95**0.25)
    assert judge(Difference(0.05, (Error(0.02, 31),)), comparisons=4).word == "cannot be told"


def test_without_an_error_nothing_is_told():
    verdict = judge(Difference(0.3, (Error(math.nan, 1), Error(0.01, 8))), comparisons=1)
    assert verdict.word == "cannot be told"
    assert math.isnan(verdict.low) and math.isnan(verdict.high)


def test_an_exact_difference_is_told_and_none_is_not():
    assert judge(Difference(-0.1, (Error(0.0, 3),)), comparisons=3).word == "worse"
    assert judge(Difference(0.0, (Error(0.0, 3),)), comparisons=3).word == "cannot be told"


@pytest.mark.parametrize(("seeds", "groups"), [(3, 8), (3, 30), (5, 12)])
@pytest.mark.parametrize(("of_seeds", "of_groups"), [(1.0, 0.0), (0.3, 3.0), (1.0, 1.0)])
def test_holds_the_truth_in_95_per_cent_of_few_normal_seeds_and_groups(
    seeds, groups, of_seeds, of_groups
):
    rng, trials, held = np.random.default_rng(0), 600, 0
    for _ in range(trials):
        samples = rng.normal(0, of_seeds, seeds), rng.normal(0, of_groups, groups)
        errors = tuple(Error(float(stats.sem(each)), len(each)) for each in samples)
        verdict = judge(Difference(sum(each.mean() for each in samples), errors), 1)
        held += verdict.low <= 0 <= verdict.high
    assert stats.binomtest(held, trials).proportion_ci(0.99).high > 0.95
