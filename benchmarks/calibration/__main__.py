"""`python -m benchmarks.calibration`: are the report's verdicts right as often as they say?

Trains one small segmenter many times on real photos, a few and more of them, and holds experiments
on the results: how often are identical arms told apart, how often do intervals hold the truth, how
often is the help of more real photos found? The trainings are kept in --out and not repeated.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.calibration.drawing import draw
from benchmarks.calibration.pages import family_table, single_table
from benchmarks.calibration.trainings import arm_name, hold_out, train_arm
from benchmarks.calibration.trials import TWINS, Size, family_trials, single_trials
from pipeline.evaluation.differences import FIGURES, HEADLINE, group_ratios
from pipeline.io.atomic import write_bytes, write_text
from pipeline.io.errors import UserError, run
from pipeline.io.params import PARAMS_FILE, read_params, value
from pipeline.statistics.ratios import Ratios

SEEDS, GROUPS = (3, 5), (8, 20, 40)


def main() -> None:
    """Command line: prepared set, arms, how many trainings and trials, where to write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--photos", nargs="+", default=["16", "32", "all"], help="of each arm")
    parser.add_argument("--seeds", type=int, default=36, help="of the first arm, others half")
    parser.add_argument("--steps", type=int, default=40, help="of each training")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True, help="folder for counts and tables")
    arguments = parser.parse_args()
    needed = (TWINS + 1) * max(SEEDS)
    if arguments.seeds < needed or len(arguments.photos) < 2:
        raise UserError(
            f"--seeds, --photos: got {arguments.seeds} and {len(arguments.photos)} arms, expected "
            f"at least {needed} and 2"
        )
    torch.set_num_threads(1)
    arms, seed = _arms(arguments), value("seed", read_params(arguments.params))
    sizes = [Size(seeds, groups) for seeds in SEEDS for groups in GROUPS]
    single = single_trials(arms, sizes, arguments.trials, seed)
    first, *_, last = arms
    family = family_trials({k: arms[k] for k in (first, last)}, sizes, arguments.trials, seed)
    text = "\n\n".join([_population(arms), single_table(single), family_table(family)])
    print(text)
    for name, table in {"single": single, "family": family}.items():
        content = table.to_csv(index=False, float_format="%.4f")
        write_text(arguments.out / f"calibration_{name}.csv", content)
    write_text(arguments.out / "calibration.md", text + "\n")
    write_bytes(arguments.out / "calibration.png", draw(single))


def _arms(arguments: argparse.Namespace) -> dict[str, Ratios]:
    """Name to the defect IoU of all trainings of an arm; trains those that --out lacks."""
    arms = {}
    for number, text in enumerate(arguments.photos):
        photos = None if text == "all" else int(text)
        seeds = arguments.seeds if number == 0 else arguments.seeds // 2
        path = arguments.out / f"counts_{arm_name(photos)}.parquet"
        if not path.exists():
            params, states = read_params(arguments.params), arguments.out / "states"
            split = hold_out(arguments.prepared)
            counts = train_arm(split, params, photos, seeds, arguments.steps, states)
            counts.to_parquet(path, index=False)
        counts = pd.read_parquet(path)
        groups = sorted(counts["group"].unique())
        arms[arm_name(photos)] = group_ratios(counts, FIGURES[HEADLINE], groups)
    return arms


def _population(arms: dict[str, Ratios]) -> str:
    """What the trials draw from, in a sentence an arm."""
    lines, first = [], next(iter(arms.values())).scores()
    for name, arm in arms.items():
        scores = arm.scores()
        together = np.corrcoef(scores, first[: len(scores)])[0, 1]
        lines.append(
            f"- {name}: {len(scores)} trainings, defect IoU {scores.mean():.3f} ± "
            f"{scores.std(ddof=1):.3f} on {arm.total_groups} groups; correlation of equal seeds "
            f"with the first arm {together:.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
