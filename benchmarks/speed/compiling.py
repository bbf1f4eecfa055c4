"""`python -m benchmarks.speed.compiling`: does `torch.compile` pay for the demo's network?

A forward and a backward pass of the image model's batch, compiled and not, in turn; and how long
the compiler takes, which a training has to make up for.
"""

import argparse
import time
from pathlib import Path

import torch

from benchmarks.speed.measuring import Contender, summarise, time_in_turn, write_table
from benchmarks.speed.networks import image_size, read_kind
from benchmarks.speed.training import CLASSES
from pipeline.io.errors import run
from pipeline.io.params import PARAMS_FILE


def main() -> None:
    """Command line: parameters, steps and rounds, where to write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--steps", type=int, default=2, help="of each contender in a round")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--out", type=Path, help="folder for CSV and page")
    arguments = parser.parse_args()
    kind, size = read_kind(arguments.params), image_size(arguments.params)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = kind.settings.training.batch_size
    network = kind.build(CLASSES + 1, size).to(device, memory_format=torch.channels_last).train()
    x = torch.randn(batch, 3, *size, device=device).contiguous(memory_format=torch.channels_last)
    t = torch.randint(0, kind.settings.diffusion.timesteps, (batch,), device=device)
    condition = torch.rand(batch, CLASSES + 1, *size, device=device)
    compiled = torch.compile(network)

    def steps_of(model: torch.nn.Module, total: int) -> None:
        for _ in range(total):
            model(x, t, condition).square().mean().backward()
            network.zero_grad()

    began = time.perf_counter()
    steps_of(compiled, 1)
    compiling_s = time.perf_counter() - began
    breaks = torch._dynamo.explain(network)(x, t, condition).graph_break_count
    contenders = [
        Contender(name, lambda model=model: steps_of(model, arguments.steps), arguments.steps)
        for name, model in {"compiled": compiled, "as it is": network}.items()
    ]
    table = summarise(contenders, time_in_turn(contenders, arguments.rounds), "steps")
    notes = (
        f"Forward and backward passes of {batch} images of {size[0]}×{size[1]} px in fp32. The "
        f"first step took {compiling_s:.0f} s, most of it the compiler's, which broke the network "
        f"in {breaks} places. The ratio tells how many times as fast the compiled one is."
    )
    write_table(arguments.out, "compiling", table, notes)


if __name__ == "__main__":
    run(main)
