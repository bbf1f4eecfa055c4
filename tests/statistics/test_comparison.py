"""Differences and their errors: by hand, against scipy, and on groups and seeds of known spread."""

import numpy as np
import pytest
from scipy import stats

from pipeline.statistics.comparison import compare_runs, compare_scores
from pipeline.statistics.ratios import Ratios, draw_groups, from_rows, pool_folds, to_rows


def run_of(scores: np.ndarray) -> Ratios:
    """A run whose score is the plain mean of `scores`, S×G."""
    return Ratios(scores[:, None], np.ones_like(scores)[:, None])


def crossed(rng, seeds, groups, of_seeds, of_groups, of_both):
    """Scores S×G with those standard deviations."""
    return (
        rng.normal(0, of_seeds, (seeds, 1))
        + rng.normal(0, of_groups, (1, groups))
        + rng.normal(0, of_both, (seeds, groups))
    )


def test_without_spread_over_groups_it_is_the_paired_t_over_seeds():
    arm, baseline = np.array([0.7, 0.72, 0.77]), np.array([0.6, 0.61, 0.6])
    runs = [run_of(np.tile(each[:, None], (1, 6))) for each in (arm, baseline)]
    found = compare_runs(*runs, draw_groups([6], 100, 0))
    seeds, groups = found.errors
    expected = stats.ttest_rel(arm, baseline)
    assert found.value / seeds.standard == pytest.approx(expected.statistic)
    assert (seeds.total, groups.total) == (3, 6)
    assert groups.standard == pytest.approx(0, abs=1e-12)
    assert compare_scores(arm, baseline).errors[0].standard == pytest.approx(seeds.standard)


def test_without_spread_over_seeds_it_is_the_paired_t_over_groups():
    rng = np.random.default_rng(0)
    arm, baseline = rng.normal(0.1, 0.1, 20), rng.normal(0, 0.1, 20)
    runs = [run_of(np.tile(each, (4, 1))) for each in (arm, baseline)]
    found = compare_runs(*runs, draw_groups([20], 20_000, 0))
    seeds, groups = found.errors
    expected = stats.ttest_rel(arm, baseline)
    assert found.value / groups.standard == pytest.approx(expected.statistic, rel=0.02)
    assert seeds.standard == pytest.approx(0, abs=1e-12)


def test_the_errors_of_seeds_and_groups_hold_the_whole_variance():
    """On the mean of many draws from a layout whose variance is known."""
    rng, total = np.random.default_rng(1), 300
    seeds, groups, spread = 4, 10, (0.02, 0.05, 0.06)
    draws = draw_groups([groups], 300, 0)
    found = [
        compare_runs(
            run_of(crossed(rng, seeds, groups, *spread)),
            run_of(crossed(rng, seeds, groups, *spread)),
            draws,
        )
        for _ in range(total)
    ]
    once = 2 * (0.02**2 / seeds + 0.05**2 / groups)
    both = 2 * 0.06**2 / (seeds * groups)
    assert np.var([each.value for each in found]) == pytest.approx(once + both, rel=0.2)
    estimated = np.mean([sum(e.standard**2 for e in each.errors) for each in found])
    assert estimated == pytest.approx(once + 2 * both, rel=0.06)  # on the safe side


def test_equal_runs_differ_by_nothing():
    same = run_of(np.tile([0.9, 0.1, 0.4], (3, 1)))
    found = compare_runs(same, same, draw_groups([3], 50, 0))
    assert found.value == 0
    assert [error.standard for error in found.errors] == [0, 0]


@pytest.mark.parametrize(("shape", "unknown"), [((1, 5), 0), ((3, 1), 1)])
def test_one_training_or_one_group_has_no_error(shape, unknown):
    runs = [run_of(np.random.default_rng(n).random(shape)) for n in range(2)]
    found = compare_runs(*runs, draw_groups([shape[1]], 50, 0))
    assert np.isfinite(found.value)
    assert [np.isnan(error.standard) for error in found.errors] == [unknown == 0, unknown == 1]


def test_a_class_that_a_draw_lacks_is_left_out_there():
    """Two classes, the second in the second group only."""
    numerator = np.array([[[1.0, 2.0], [0.0, 3.0]]])
    denominator = np.array([[[2.0, 8.0], [0.0, 4.0]]])
    run = Ratios(numerator, denominator)
    assert run.scores() == pytest.approx([(0.3 + 0.75) / 2])
    scores = run.drawn_scores(np.array([[2.0, 0.0], [0.0, 2.0]]))
    assert scores[:, 0] == pytest.approx([0.5, (0.25 + 0.75) / 2])
    empty = Ratios(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)))
    assert np.isnan(empty.scores()).all()


def test_draws_are_of_whole_groups_and_the_same_each_time():
    draws = draw_groups([7], 50, 3)
    assert draws.shape == (50, 7) and (draws.sum(axis=1) == 7).all()
    assert np.array_equal(draws, draw_groups([7], 50, 3))
    assert not np.array_equal(draws, draw_groups([7], 50, 4))


def test_folds_are_pooled_and_drawn_fold_by_fold():
    """Stratified sampling: the variance of a mean is that of each fold, by its share squared."""
    rng, sizes = np.random.default_rng(2), (6, 6, 6)
    arms = [rng.normal(0.5 * fold, 0.1, 6) for fold in range(3)]  # folds far apart
    folds = [run_of(np.tile(arm, (2, 1))) for arm in arms]
    baseline = pool_folds([run_of(np.zeros((2, 6)))] * 3)
    pooled = pool_folds(folds)
    assert pooled.folds == sizes and pooled.scores() == pytest.approx([np.mean(arms)] * 2)
    draws = draw_groups(sizes, 20_000, 0)
    assert (draws.reshape(-1, 3, 6).sum(axis=2) == 6).all()
    assert not np.array_equal(draws[:, :6], draws[:, 6:12])
    _, error = compare_runs(pooled, baseline, draws).errors
    expected = np.sqrt(np.mean([stats.sem(arm) ** 2 for arm in arms]) / 3)
    assert error.standard == pytest.approx(expected, rel=0.02)
    assert (error.total, error.parts) == (18, 3)


def test_one_group_in_a_fold_has_no_error():
    folds = pool_folds([run_of(np.random.default_rng(n).random((2, n))) for n in (1, 4)])
    found = compare_runs(folds, folds, draw_groups(folds.strata, 50, 0))
    assert np.isnan(found.errors[1].standard)


def test_rows_and_back():
    rng = np.random.default_rng(0)
    run = Ratios(rng.random((2, 3, 4)), rng.random((2, 3, 4)))
    rows = to_rows(run, [0, 1], list("abcd"))
    again = from_rows(rows.sample(frac=1, random_state=0))
    assert np.array_equal(again.numerator, run.numerator)
    assert np.array_equal(again.denominator, run.denominator)
