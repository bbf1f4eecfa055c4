"""`python -m benchmarks.speed.demo`: the demo by stage, and what plain loops would take for it.

`dvc repro` runs in a clone of the last commit that holds no data. What plain loops would take for
as many training steps and samples follows from their rates, measured afterwards on the same
machine: nobody waits for a thousand steps of 160 samples. All other stages (segmenters, judges of
quality, the report) count as they are, on both sides.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from benchmarks.speed.measuring import Contender, time_in_turn, write_table
from benchmarks.speed.networks import image_size, peers, randomise, read_kind, total_weights
from benchmarks.speed.sampling import round_objects, two_passes
from benchmarks.speed.training import make_contenders
from pipeline.io.errors import UserError, run
from pipeline.io.params import PARAMS_FILE, read_params, value
from pipeline.io.seeding import torch_generator

ROOT = Path(__file__).resolve().parents[2]
STARTED = "Running stage '"
TRAINING, SAMPLING = "train-image-dm", "sample"
TIMESTEPS = 1000
BATCH = 16


def main() -> None:
    """Command line: where to write the table, how long the plain rates are measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of the plain loops")
    parser.add_argument("--out", type=Path, help="folder for CSV and page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = run_demo(Path(folder, "clone"))
    plain = plain_seconds(arguments.rounds)
    rows = [{"stage": stage, "Lemonade": took} for stage, took in seconds.items()]
    table = pd.DataFrame(rows)
    for name, by_stage in plain.items():
        table[name] = table["stage"].map(by_stage).fillna(table["Lemonade"])
    total = table.drop(columns="stage").sum()
    table.loc[len(table)] = {"stage": "in all", **total}
    ratios = ", ".join(f"{total[name] / total['Lemonade']:.1f} ({name})" for name in plain)
    notes = (
        f"Seconds of `dvc repro` on the demo by stage, DVC's own work included. {TRAINING} and "
        f"{SAMPLING} of the others from their rates, {arguments.rounds} rounds each: as many "
        f"training steps, and {TIMESTEPS} steps a sample with two passes in fp32. Times as long in "
        f"all: {ratios}."
    )
    write_table(arguments.out, "demo", table.round(1), notes)


def run_demo(clone: Path) -> dict[str, float]:
    """Seconds of each stage of `dvc repro` in a clone, those of one template together.

    Raises:
        UserError: it failed.
    """
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    seconds: dict[str, float] = {}
    stage, began = "start of DVC", time.perf_counter()
    command = [sys.executable, "-m", "dvc", "repro"]
    with subprocess.Popen(
        command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            if line.startswith(STARTED):
                seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - began
                began = time.perf_counter()
                name = line.removeprefix(STARTED).partition("'")[0]
                stage = name.rpartition(":")[2].partition("@")[0]
                print(name, flush=True)
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - began
    if process.returncode != 0:
        raise UserError(f"dvc repro in a clone of {ROOT}: exit code {process.returncode}")
    return seconds


def plain_seconds(rounds: int) -> dict[str, dict[str, float]]:
    """What training and sampling would take of plain loops, by contender and stage."""
    params = read_params(PARAMS_FILE)
    kind, size = read_kind(PARAMS_FILE), image_size(PARAMS_FILE)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    samples = kind.settings.training.max_steps * kind.settings.training.batch_size
    evaluations = value("sampling.count", params) * TIMESTEPS
    with tempfile.TemporaryDirectory() as folder:
        _, same, monai, _ = make_contenders(kind, size, device, Path(folder), steps=5)
        training = {"the same network": same, "MONAI's network": monai}
        training_rates = {name: _rate(each, rounds) for name, each in training.items()}
    condition = round_objects(BATCH, size).to(device)
    network = randomise(kind.build(condition.shape[1], size))
    others = peers(condition.shape[1], len(network.config.multipliers), total_weights(network))
    networks = {"the same network": network, "MONAI's network": next(iter(others.values()))}
    x = torch.randn(BATCH, 3, *size, generator=torch_generator(0, "x")).to(device)
    times = torch.full((BATCH,), TIMESTEPS // 2, device=device)
    found = {}
    for name, each in networks.items():
        each.eval().to(device)
        with torch.no_grad():
            rate = _rate(
                Contender(name, lambda: two_passes(each, x, times, condition), BATCH),  # noqa: B023
                rounds,
            )
        found[f"plain, {name}"] = {
            TRAINING: samples / training_rates[name],
            SAMPLING: evaluations / rate,
        }
    return found


def _rate(contender: Contender, rounds: int) -> float:
    """Things a second, the fastest of the rounds, in favour of the plain loop."""
    seconds = time_in_turn([contender], rounds)
    return contender.amount / float(seconds.min())


if __name__ == "__main__":
    run(main)
