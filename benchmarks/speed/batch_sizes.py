"""`python -m benchmarks.speed.batch_sizes`: whether a sample depends on how many are drawn at once.

The same samples are drawn one by one, by seven and all at once, with the demo's network and
sampler. A sample's noise and mask are its own; what may differ is the order in which a kernel adds
up, since libraries choose kernels and blocks by the size of a batch. Which layers do is found by
giving each layer a part of the batch that it had before. Weights are random: an untrained network
pulls deviations together less than a trained one, so these are upper figures rather than lower.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.speed.measuring import write_table
from benchmarks.speed.networks import image_size, randomise, read_kind
from benchmarks.speed.sampling import round_objects
from pipeline.diffusion.painting import to_pixels
from pipeline.diffusion.sampling import SamplingSettings, draw
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.io.errors import run
from pipeline.io.params import PARAMS_FILE, read_params, section
from pipeline.io.seeding import torch_generator

SIZES = (1, 7, 64)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Command line: parameters, batch sizes, where to write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, help="of the sampler; default: the parameters'")
    parser.add_argument("--out", type=Path, help="folder for CSV and pages")
    arguments = parser.parse_args()
    sizes = sorted(arguments.sizes)
    kind, size = read_kind(arguments.params), image_size(arguments.params)
    settings = section(SamplingSettings, "sampling", read_params(arguments.params))
    settings = settings.model_copy(update={"steps": arguments.steps or settings.steps})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    conditions = round_objects(sizes[-1], size).to(device)
    network = randomise(kind.build(conditions.shape[1], size)).eval()
    network.to(device, memory_format=torch.channels_last)
    table = samples(network, kind.settings.diffusion, conditions, settings, sizes)
    notes = (
        f"{sizes[-1]} samples of {size[0]}×{size[1]} px, {settings.sampler} {settings.steps}, "
        f"against those drawn with batches of {sizes[0]}; deviation in grey levels of 0 to 255. "
        "Equal photos: as a share."
    )
    write_table(arguments.out, "batch-sizes", table, notes)
    notes = (
        f"Of one network evaluation of {sizes[-1]} images each layer again on the first "
        f"{' or '.join(map(str, sizes[:-1]))} of its inputs: how many layers do not give the same "
        "bits. Deviation in millionths of the layer's largest output."
    )
    table = layers(network, conditions, sizes)
    write_table(arguments.out, "batch-sizes-layers", table, notes)


def samples(
    network: nn.Module,
    diffusion: DiffusionSettings,
    conditions: Tensor,
    settings: SamplingSettings,
    sizes: Sequence[int],
) -> pd.DataFrame:
    """A row a precision and batch size: how far the photos are from those of the first size."""
    rows = []
    for precision in PRECISIONS:
        chosen = settings.model_copy(update={"precision": precision})
        drawn = {}
        for size in sizes:
            drawn[size] = np.concatenate(
                [
                    to_pixels(draw(network, diffusion, conditions[part], _noise(part), chosen))
                    for part in _batches(len(conditions), size)
                ]
            ).astype(int)
            print(f"{precision}: batches of {size}", flush=True)
        for size in sizes[1:]:
            apart = abs(drawn[size] - drawn[sizes[0]])
            rows.append(
                {
                    "precision": precision,
                    "batch size": size,
                    "bytes that differ, per million": round(1e6 * float((apart > 0).mean())),
                    "equal photos": float((apart == 0).all(axis=(1, 2, 3)).mean()),
                    "largest deviation": int(apart.max()),
                }
            )
    return pd.DataFrame(rows)


def _batches(total: int, size: int) -> Iterator[range]:
    for first in range(0, total, size):
        yield range(first, min(first + size, total))


def _noise(indices: range) -> list[torch.Generator]:
    return [torch_generator(0, "sample", index) for index in indices]


@torch.no_grad()
def layers(network: nn.Module, conditions: Tensor, sizes: Sequence[int]) -> pd.DataFrame:
    """A row a precision and kind of layer: how many depend on the size of the batch."""
    rows = []
    for precision, dtype in PRECISIONS.items():
        totals: Counter[str] = Counter()
        dependent: Counter[str] = Counter()
        largest: Counter[str] = Counter()

        def compare(
            layer: nn.Module,
            inputs: tuple,
            output: Tensor,
            totals: Counter[str] = totals,
            dependent: Counter[str] = dependent,
            largest: Counter[str] = largest,
        ) -> None:
            if len(inputs) != 1 or len(inputs[0]) != len(conditions):
                return
            kind = type(layer).__name__
            apart = max(
                float((layer.forward(inputs[0][:size]) - output[:size]).abs().max())
                for size in sizes[:-1]
            )
            totals[kind] += 1
            dependent[kind] += apart > 0
            largest[kind] = max(largest[kind], apart / float(output.abs().max().clamp(min=1e-9)))

        hooks = [
            module.register_forward_hook(compare)
            for module in network.modules()
            if not any(module.children())
        ]
        x = torch.stack(
            [
                torch.randn(3, *conditions.shape[2:], generator=g)
                for g in _noise(range(len(conditions)))
            ]
        )
        times = torch.full((len(x),), 500, device=conditions.device)
        with torch.autocast(conditions.device.type, dtype, dtype != torch.float32):
            x = x.to(conditions.device).contiguous(memory_format=torch.channels_last)
            network(x, times, conditions)
        for hook in hooks:
            hook.remove()
        rows += [
            {
                "precision": precision,
                "layer": kind,
                "layers": totals[kind],
                "dependent": dependent[kind],
                "largest deviation": 1e6 * largest[kind],
            }
            for kind in sorted(totals)
        ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    run(main)
