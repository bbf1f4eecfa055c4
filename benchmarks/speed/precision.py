"""`python -m benchmarks.speed.precision`: fp32 against bf16 on this machine, by kind of operation.

What `precision: auto` chooses by. Products of matrices, convolutions as in the demo's networks, and
a training step of the demo's image model.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional

from benchmarks.speed.measuring import Contender, summarise, time_in_turn, write_table
from benchmarks.speed.networks import image_size, randomise, read_kind
from pipeline.io.errors import run
from pipeline.io.params import PARAMS_FILE
from pipeline.io.seeding import torch_generator
from pipeline.training.precision import computes_in_bf16

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
CONDITION_CHANNELS = 3


def main() -> None:
    """Command line: parameters, rounds, where to write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for CSV and page")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tables = []
    for name, make in {"product": _product, "convolution": _convolution}.items():
        contenders = [make(device, precision) for precision in TYPES]
        tables.append(_compare(name, contenders, arguments.rounds))
    contenders = [_step(arguments.params, device, precision) for precision in TYPES]
    tables.append(_compare("training step, demo", contenders, arguments.rounds))
    has_instructions = "has" if computes_in_bf16() else "has no"
    notes = (
        f"This machine {has_instructions} instructions for bf16. The ratio tells how many times as "
        "fast fp32 is; rounds in turn, median and extremes."
    )
    write_table(arguments.out, "precision", pd.concat(tables, ignore_index=True), notes)


def _compare(name: str, contenders: list[Contender], rounds: int) -> pd.DataFrame:
    table = summarise(contenders, time_in_turn(contenders, rounds), "times")
    table.insert(0, "operation", name)
    return table.drop(columns="remark")


def _product(device: torch.device, precision: str) -> Contender:
    a = torch.randn(1024, 1024, generator=torch_generator(0, "a")).to(device, TYPES[precision])
    return Contender(precision, lambda: a @ a, 1)


def _convolution(device: torch.device, precision: str) -> Contender:
    x = torch.randn(16, 64, 32, 32, generator=torch_generator(0, "x"))
    weight = torch.randn(64, 64, 3, 3, generator=torch_generator(0, "w"))
    x, weight = (
        tensor.to(device, TYPES[precision], memory_format=torch.channels_last)
        for tensor in (x, weight)
    )
    return Contender(precision, lambda: functional.conv2d(x, weight, padding=1), 1)


def _step(path: Path, device: torch.device, precision: str) -> Contender:
    """Forward and backward of the image model of the parameters, eight photos at once."""
    height, width = image_size(path)
    network = randomise(read_kind(path).build(CONDITION_CHANNELS, (height, width)))
    network = network.to(device, memory_format=torch.channels_last)
    x = torch.randn(8, 3, height, width, generator=torch_generator(0, "photos")).to(device)
    condition = torch.zeros(8, CONDITION_CHANNELS, height, width, device=device)
    t = torch.full((8,), 500, device=device)

    def work() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            output = network(x, t, condition)
        output.float().square().mean().backward()

    return Contender(precision, work, 1)


if __name__ == "__main__":
    run(main)
