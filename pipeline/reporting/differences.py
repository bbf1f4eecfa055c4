"""What each mix gained over its baseline, with a paired bootstrap over the test groups.

Photos of one group (fruit, tile) resemble each other, so whole groups are drawn, and the mix and
its baseline are judged on the same draw. The interval says what another choice of test groups
could have given; the spread over seeds is a second, separate uncertainty.
"""

import numpy as np
import pandas as pd

from pipeline.io.seeding import numpy_rng

INTERVAL = (0.025, 0.975)


def differences(
    counts: pd.DataFrame, baselines: dict[str, str], resamples: int, seed: int
) -> pd.DataFrame:
    """Difference in pooled defect IoU of every mix to its baseline.

    Args:
        counts: the pixel counts of all runs (`runs.read_counts`); class 0 is the background.
        baselines: the baseline of each mix.
        resamples: bootstrap draws.
        seed: the project's seed.

    Returns:
        One row per architecture and mix that is not its own baseline: architecture, mix,
        baseline, difference, low, high. `low` and `high` bound 95 % of the draws and are NaN with
        fewer than two test groups.
    """
    defects = counts[counts["class_index"] > 0]
    groups = sorted(defects["group"].unique())
    every_group_once = np.ones((1, len(groups)))
    draws = np.concatenate([every_group_once, _draws(len(groups), resamples, seed)])
    rows = []
    for architecture, part in defects.groupby("architecture", sort=False):
        pooled = {mix: _per_group(frame, groups) for mix, frame in part.groupby("mix", sort=False)}
        for mix, pixels in pooled.items():
            baseline = baselines[mix]
            if baseline == mix:
                continue
            spread = _iou(pixels, draws) - _iou(pooled[baseline], draws)
            rows.append((architecture, mix, baseline, spread[0], *_interval(spread[1:], groups)))
    columns = ["architecture", "mix", "baseline", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _interval(spread: np.ndarray, groups: list[str]) -> tuple[float, float]:
    if len(groups) < 2 or np.isnan(spread).all():
        return np.nan, np.nan
    low, high = np.nanquantile(spread, INTERVAL)
    return float(low), float(high)


def _draws(total_groups: int, resamples: int, seed: int) -> np.ndarray:
    """How often each group is in each draw: B×G."""
    rng = numpy_rng(seed, "report", "bootstrap")
    share = np.full(total_groups, 1 / total_groups)
    return rng.multinomial(total_groups, share, size=resamples).astype(float)


def _per_group(frame: pd.DataFrame, groups: list[str]) -> np.ndarray:
    """Pixels summed over the photos of a group: seeds × classes × groups × (tp, fp, fn)."""
    keys = ["seed", "class_index", "group"]
    summed = frame.groupby(keys)[["tp", "fp", "fn"]].sum()
    seeds, classes = sorted(frame["seed"].unique()), sorted(frame["class_index"].unique())
    index = pd.MultiIndex.from_product([seeds, classes, groups], names=keys)
    filled = summed.reindex(index, fill_value=0).to_numpy(dtype=float)
    return filled.reshape(len(seeds), len(classes), len(groups), 3)


def _iou(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Defect IoU of each draw (B): pooled per class, averaged over classes, then over seeds.

    A class that neither truth nor prediction shows in a draw has no IoU there and is left out.
    """
    tp, fp, fn = np.einsum("bg,scgk->kbsc", draws, pixels)  # each B×S×C
    union = tp + fp + fn
    iou = np.divide(tp, union, out=np.full_like(tp, np.nan), where=union > 0)
    return _mean(_mean(iou))  # B×S×C → B×S → B


def _mean(figures: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where nothing else is there."""
    total = (~np.isnan(figures)).sum(axis=-1)
    summed = np.nansum(figures, axis=-1)
    return np.divide(summed, total, out=np.full(summed.shape, np.nan), where=total > 0)
