"""`python -m benchmarks.speed.batches`: training batches by one thread ahead and by several.

What a GPU waits for where its steps are short: pairs are moved, turned into tensors and given
noise on the CPU. Needs a core for each thread.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.speed.measuring import Contender, summarise, time_in_turn, write_table
from benchmarks.speed.networks import read_kind
from benchmarks.speed.training import CLASSES, random_pairs
from pipeline.diffusion.batches import BatchSource
from pipeline.io.cores import total_cores
from pipeline.io.errors import run
from pipeline.io.params import PARAMS_FILE


def main() -> None:
    """Command line: parameters, side of the photos, rounds, where to write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batches", type=int, default=24, help="in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for CSV and page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # noise and conversions would else take the cores of the threads
    kind = read_kind(arguments.params)
    settings = kind.settings.training
    examples = kind.examples(
        random_pairs((arguments.size, arguments.size)), CLASSES, seed=0, training=True
    )
    source = BatchSource(
        examples, settings.batch_size, settings.drop_rate, kind.settings.diffusion.timesteps, seed=0
    )

    def make(ahead: int) -> Contender:
        def work() -> None:
            for _ in source.batches(0, arguments.batches, ahead):
                pass

        amount = arguments.batches * settings.batch_size
        return Contender(f"{ahead} ahead", work, amount)

    contenders = [make(ahead) for ahead in (total_cores(), 1, 0)]
    table = summarise(contenders, time_in_turn(contenders, arguments.rounds), "samples")
    notes = (
        f"Batches of {settings.batch_size} pairs of {arguments.size}×{arguments.size} px, moved "
        "as the parameters say. The ratio tells how many times as fast the first row is."
    )
    write_table(arguments.out, "batches", table, notes)


if __name__ == "__main__":
    run(main)
