"""What each mix gained over its baseline, with a verdict, from the pixel counts of all runs.

Photos of one group (fruit, tile) resemble each other, so whole groups are drawn, and a mix and its
baseline are judged on the same draws; both were trained with the same seeds. The statistics are
those of `pipeline.statistics`.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from pipeline.evaluation.overlap import Metric, reduce_score, stack_counts
from pipeline.statistics.comparison import compare_runs
from pipeline.statistics.ratios import Ratios, draw_groups, from_rows, to_rows
from pipeline.statistics.verdicts import judge

COLUMNS = [
    *("figure", "architecture", "mix", "baseline", "seeds", "groups", "difference"),
    *("error_seeds", "error_groups", "comparisons", "low", "high", "verdict"),
]
HEADLINE = "defect_iou"
RUN = ["figure", "architecture", "mix"]


def _pooled(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tp, fp, fn, _ = np.moveaxis(counts[:, 1:], 2, 0)
    return tp, tp + fp + fn


def _of_class(counts: np.ndarray, class_index: int) -> tuple[np.ndarray, np.ndarray]:
    tp, fp, fn, _ = np.moveaxis(counts[:, [class_index]], 2, 0)
    return tp, tp + fp + fn


def _imagewise(
    counts: np.ndarray, metric: Metric, background: bool
) -> tuple[np.ndarray, np.ndarray]:
    scores = [reduce_score(photo[None], metric, "macro-imagewise", background) for photo in counts]
    return np.array(scores)[:, None], np.ones((len(counts), 1))


# numerator and denominator of each photo and class, N×C each, from its counts, N×C×4
Figure = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
FIGURES: dict[str, Figure] = {
    HEADLINE: _pooled,  # `overlap.defect_iou`
    "miou": partial(_imagewise, metric="iou", background=True),  # macro-imagewise
}

# the SynthSet paper's two (table 1): means over the photos, the background left out
EXTERNAL_FIGURES: dict[str, Figure] = {
    "external_dice": partial(_imagewise, metric="dice", background=False),
    "external_iou": partial(_imagewise, metric="iou", background=False),
}


def class_figures(counts: pd.DataFrame) -> dict[str, Figure]:
    """The pooled IoU of each class but the background, by itself: `iou_<class>`.

    Args:
        counts: the pixel counts of all runs.
    """
    classes = counts.drop_duplicates("class_index").set_index("class_index")["class"].sort_index()
    return {
        f"iou_{name}": partial(_of_class, class_index=index)
        for index, name in classes.items()
        if index > 0
    }


def group_sums(counts: pd.DataFrame, figures: Mapping[str, Figure] = FIGURES) -> pd.DataFrame:
    """Each figure of each run as sums over its test groups, from which any draw's score follows.

    Args:
        counts: the pixel counts of all runs, on the same test photos.
        figures: name to how it is computed.

    Returns:
        The columns figure, architecture, mix and those of `ratios.to_rows`.
    """
    groups = sorted(counts["group"].unique())
    # sorted by photo and class once a run, not once a figure
    runs = {
        key: (sorted(run["seed"].unique()), _stacked_seeds(run, groups))
        for key, run in counts.groupby(["architecture", "mix"], sort=False)
    }
    parts = []
    for figure, compute in figures.items():
        for (architecture, mix), (seeds, stacked) in runs.items():
            rows = to_rows(_sum_over_groups(stacked, compute), seeds, groups)
            parts.append(rows.assign(figure=figure, architecture=architecture, mix=mix))
    table = pd.concat(parts, ignore_index=True)
    return table[[*RUN, *table.columns.drop(RUN)]]


def differences(
    sums: pd.DataFrame, baselines: Mapping[str, str], resamples: int, seed: int
) -> pd.DataFrame:
    """Difference of every mix to its baseline in each figure.

    The intervals of one figure and architecture are corrected for the number of its mixes.

    Args:
        sums: the result of `group_sums`.
        baselines: the baseline of each mix.
        resamples: bootstrap draws of test groups.
        seed: the project's seed.

    Returns:
        One row per figure, architecture and mix that is not its own baseline, with the columns
        `COLUMNS`. `low` and `high` are the interval, the errors standard errors of the
        difference; what fewer than two seeds or two test groups cannot tell is NaN.
    """
    draws = draw_groups([sums["group"].nunique()], resamples, seed)
    rows = []
    for (figure, architecture), part in sums.groupby(["figure", "architecture"], sort=False):
        runs = {mix: from_rows(frame) for mix, frame in part.groupby("mix", sort=False)}
        arms = [mix for mix in runs if baselines[mix] != mix]
        for mix in arms:
            identity = (figure, architecture, mix, baselines[mix])
            pair = (runs[mix], runs[baselines[mix]])
            rows.append((*identity, *_row(*pair, draws, len(arms))))
    return pd.DataFrame(rows, columns=COLUMNS)


def group_ratios(counts: pd.DataFrame, compute: Figure, groups: list[str]) -> Ratios:
    """A figure of one run (all its seeds) as ratios over the test groups.

    Args:
        counts: the run's pixel counts.
        compute: one of `FIGURES`.
        groups: G names, in the order that the result has.
    """
    return _sum_over_groups(_stacked_seeds(counts, groups), compute)


def _stacked_seeds(counts: pd.DataFrame, groups: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each seed the counts, N×C×4, and which photo belongs to which group, bool N×G."""
    stacked = []
    for _, of_seed in counts.groupby("seed"):
        photos = of_seed.drop_duplicates("id").sort_values("id")
        belongs = photos["group"].to_numpy()[:, None] == np.array(groups, dtype=object)
        stacked.append((stack_counts(of_seed), belongs))
    return stacked


def _sum_over_groups(stacked: list[tuple[np.ndarray, np.ndarray]], compute: Figure) -> Ratios:
    sums = [[each.T @ belongs for each in compute(counts)] for counts, belongs in stacked]
    numerator, denominator = np.moveaxis(np.array(sums, dtype=float), 1, 0)  # S×C×G each
    return Ratios(numerator, denominator)


def _row(arm: Ratios, baseline: Ratios, draws: np.ndarray, comparisons: int) -> tuple:
    found = compare_runs(arm, baseline, draws)
    seeds, groups = found.errors
    verdict = judge(found, comparisons)
    told = (verdict.low, verdict.high, verdict.word)
    errors = (seeds.standard, groups.standard)
    return (seeds.total, groups.total, found.value, *errors, comparisons, *told)
