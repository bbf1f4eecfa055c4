"""`python -m benchmarks.calibration.folds`: are verdicts over folds right as often as they say?

As `benchmarks.calibration`, but every photo is judged by trainings of the fold that did not train
on it, and an experiment sees some groups of every fold. Held against each other: the folds as
blocks, as studies had them, and groups drawn from all folds, fold by fold or regardless of them.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

from benchmarks.calibration.methods import TAILS, Interval
from benchmarks.calibration.pages import single_table
from benchmarks.calibration.trainings import arm_name, cut_folds, train_arm
from benchmarks.calibration.trials import RESAMPLES, Size, part, shares
from pipeline.evaluation.differences import FIGURES, HEADLINE, group_ratios
from pipeline.io.atomic import write_text
from pipeline.io.errors import run
from pipeline.io.params import PARAMS_FILE, read_params, value
from pipeline.io.seeding import numpy_rng
from pipeline.statistics.comparison import compare_runs
from pipeline.statistics.ratios import Ratios, draw_groups, pool_folds
from pipeline.statistics.verdicts import judge

FOLDS, SIZES = 5, [Size(seeds, groups) for seeds in (3, 5) for groups in (3, 8)]
Folds = list[Ratios]


def folds_t(arm: Folds, baseline: Folds, seed: int) -> Interval:
    """Student's t over the folds' differences, as studies had it."""
    gains = [
        float((mine.scores() - other.scores()).mean())
        for mine, other in zip(arm, baseline, strict=True)
    ]
    margin = stats.t.ppf(TAILS[1], len(gains) - 1) * stats.sem(gains)
    return float(np.mean(gains) - margin), float(np.mean(gains) + margin)


def all_groups_t(arm: Folds, baseline: Folds, seed: int) -> Interval:
    """Seeds, and groups of all folds drawn regardless of their fold."""
    return _judged(*(replace(pool_folds(folds), folds=()) for folds in (arm, baseline)), seed)


def fold_by_fold_t(arm: Folds, baseline: Folds, seed: int) -> Interval:
    """Seeds, and groups drawn fold by fold: the verdict's own."""
    return _judged(pool_folds(arm), pool_folds(baseline), seed)


METHODS: dict[str, Callable[[Folds, Folds, int], Interval]] = {
    "t over folds (studies until now)": folds_t,
    "t over seeds and over all groups": all_groups_t,
    "t over seeds and over groups of each fold (chosen)": fold_by_fold_t,
}


def fold_trials(
    arms: Mapping[str, Folds], sizes: list[Size], trials: int, seed: int
) -> pd.DataFrame:
    """Every method on one comparison at a time, in the form of `trials.single_trials`.

    Args:
        arms: name to the trainings of each fold; the others are compared with the first.
        sizes: of the experiments, with the groups of one fold.
        trials: for each size and arm.
        seed: of the draws.
    """
    first, rows = next(iter(arms.values())), []
    for size in sizes:
        for name, arm in arms.items():
            rng = numpy_rng(seed, "calibration", "folds", name, size.seeds, size.groups)
            found = np.array([_try_methods(arm, first, size, rng) for _ in range(trials)])
            row = {"seeds": size.seeds, "groups": size.groups, "arm": name}
            truth = {"difference": _truth(arm, first)}
            rows += shares(row | truth, found, list(METHODS))
    return pd.DataFrame(rows)


def main() -> None:
    """Command line: prepared set, arms, how many trainings and trials, where to write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--photos", nargs="+", default=["16"], help="of each arm")
    parser.add_argument("--seeds", type=int, default=10, help="of the first arm, others half")
    parser.add_argument("--steps", type=int, default=24, help="of each training")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True, help="folder for counts and tables")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arms, seed = _arms(arguments), value("seed", read_params(arguments.params))
    table = fold_trials(arms, SIZES, arguments.trials, seed)
    print(single_table(table))
    write_text(arguments.out / "folds.csv", table.to_csv(index=False, float_format="%.4f"))


def _arms(arguments: argparse.Namespace) -> dict[str, Folds]:
    """Name to the defect IoU of all trainings of each fold; trains those that --out lacks."""
    params, arms = read_params(arguments.params), {}
    splits = cut_folds(arguments.prepared, FOLDS, value("seed", params))
    for number, text in enumerate(arguments.photos):
        photos = None if text == "all" else int(text)
        seeds = arguments.seeds if number == 0 else arguments.seeds // 2
        folds = []
        for fold, split in enumerate(splits):
            path = arguments.out / f"counts_{arm_name(photos)}_fold_{fold}.parquet"
            if not path.exists():
                states = arguments.out / f"states_{fold}"
                counts = train_arm(split, params, photos, seeds, arguments.steps, states)
                counts.to_parquet(path, index=False)
            counts = pd.read_parquet(path)
            groups = sorted(counts["group"].unique())
            folds.append(group_ratios(counts, FIGURES[HEADLINE], groups))
        arms[arm_name(photos)] = folds
    return arms


def _try_methods(
    arm: Folds, baseline: Folds, size: Size, rng: np.random.Generator
) -> list[Interval]:
    """The interval of each method in one experiment; a seed is the same in all folds."""
    total = min(len(arm[0].numerator), len(baseline[0].numerator))
    if arm is baseline:
        first, second = np.split(rng.permutation(total)[: 2 * size.seeds], 2)
    else:  # the same seeds in both, as in the pipeline
        first = second = rng.integers(total, size=size.seeds)
    groups = [rng.integers(fold.total_groups, size=size.groups) for fold in baseline]
    sides = [
        [part(fold, seeds, chosen) for fold, chosen in zip(side, groups, strict=True)]
        for side, seeds in ((arm, first), (baseline, second))
    ]
    seed = int(rng.integers(2**31))
    return [method(*sides, seed) for method in METHODS.values()]


def _truth(arm: Folds, baseline: Folds) -> float:
    """The difference on all groups, those of each fold weighing as much as they are drawn."""
    if arm is baseline:
        return 0.0
    total = min(len(arm[0].numerator), len(baseline[0].numerator))
    weights = np.concatenate([np.full(fold.total_groups, 1 / fold.total_groups) for fold in arm])
    scores = [pool_folds(side).drawn_scores(weights[None])[0, :total] for side in (arm, baseline)]
    return float(np.mean(scores[0] - scores[1]))


def _judged(arm: Ratios, baseline: Ratios, seed: int) -> Interval:
    draws = draw_groups(arm.strata, RESAMPLES, seed)
    verdict = judge(compare_runs(arm, baseline, draws), comparisons=1)
    return verdict.low, verdict.high


if __name__ == "__main__":
    run(main)
