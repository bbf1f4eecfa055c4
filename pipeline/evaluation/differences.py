"""What each mix gained over its baseline, with a verdict, from the pixel counts of all runs.

Photos of one group (fruit, tile) resemble each other, so whole groups are drawn, and a mix and its
baseline are judged on the same draws; both were trained with the same seeds. The statistics are
those of `pipeline.statistics`.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.evaluation.overlap import reduce_score, stack_counts
from pipeline.statistics.comparison import compare_runs
from pipeline.statistics.ratios import Ratios, draw_groups
from pipeline.statistics.verdicts import judge

COLUMNS = [
    *("figure", "architecture", "mix", "baseline", "seeds", "groups", "difference"),
    *("error_seeds", "error_groups", "comparisons", "low", "high", "verdict"),
]
HEADLINE = "defect_iou"


def _pooled(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tp, fp, fn, _ = np.moveaxis(counts[:, 1:], 2, 0)
    return tp, tp + fp + fn


def _imagewise(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = [[reduce_score(photo[None], "iou", "macro-imagewise")] for photo in counts]
    return np.array(scores), np.ones((len(counts), 1))


# numerator and denominator of each photo and class, N×C each, from its counts, N×C×4
FIGURES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    HEADLINE: _pooled,  # `overlap.defect_iou`
    "miou": _imagewise,  # macro-imagewise with background
}


def differences(
    counts: pd.DataFrame, baselines: dict[str, str], resamples: int, seed: int
) -> pd.DataFrame:
    """Difference of every mix to its baseline in each of `FIGURES`.

    The intervals of one architecture are corrected for the number of its mixes.

    Args:
        counts: the pixel counts of all runs, on the same test photos.
        baselines: the baseline of each mix.
        resamples: bootstrap draws of test groups.
        seed: the project's seed.

    Returns:
        One row per figure, architecture and mix that is not its own baseline, with the columns
        `COLUMNS`. `low` and `high` are the interval, the errors standard errors of the
        difference; what fewer than two seeds or two test groups cannot tell is NaN.
    """
    groups = sorted(counts["group"].unique())
    draws = draw_groups(len(groups), resamples, seed)
    rows = []
    for figure in FIGURES:
        for architecture, part in counts.groupby("architecture", sort=False):
            runs = {
                mix: group_ratios(frame, figure, groups)
                for mix, frame in part.groupby("mix", sort=False)
            }
            arms = [mix for mix in runs if baselines[mix] != mix]
            for mix in arms:
                identity = (figure, architecture, mix, baselines[mix])
                pair = (runs[mix], runs[baselines[mix]])
                rows.append((*identity, *_row(*pair, draws, len(arms))))
    return pd.DataFrame(rows, columns=COLUMNS)


def group_ratios(counts: pd.DataFrame, figure: str, groups: list[str]) -> Ratios:
    """A figure of one run (all its seeds) as ratios over the test groups.

    Args:
        counts: the run's pixel counts.
        figure: a key of `FIGURES`.
        groups: G names, in the order that the result has.
    """
    sums = [
        [_per_group(each, of_seed, groups) for each in FIGURES[figure](stack_counts(of_seed))]
        for _, of_seed in counts.groupby("seed")
    ]
    numerator, denominator = np.moveaxis(np.array(sums, dtype=float), 1, 0)  # S×C×G each
    return Ratios(numerator, denominator)


def _per_group(values: np.ndarray, counts: pd.DataFrame, groups: list[str]) -> np.ndarray:
    """N×C, photos in the order of their ids, summed over the photos of each group: C×G."""
    photos = counts.drop_duplicates("id").sort_values("id")
    belongs = photos["group"].to_numpy()[:, None] == np.array(groups, dtype=object)  # N×G
    return values.T @ belongs


def _row(arm: Ratios, baseline: Ratios, draws: np.ndarray, comparisons: int) -> tuple:
    found = compare_runs(arm, baseline, draws)
    seeds, groups = found.errors
    verdict = judge(found, comparisons)
    told = (verdict.low, verdict.high, verdict.word)
    errors = (seeds.standard, groups.standard)
    return (seeds.total, groups.total, found.value, *errors, comparisons, *told)
