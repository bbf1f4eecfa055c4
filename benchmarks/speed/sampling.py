"""`python -m benchmarks.speed.sampling`: guided sampling against others, on one machine in one run.

First a network evaluation: the guided prediction of a batch at one timestep. Then whole samples:
Lemonade as the parameters have it, against the plain loop (every training timestep, condition and
no condition one after the other, fp32) through the same network. Weights are random: they do not
change how long anything takes. What fewer steps cost in quality is another question, which the
study `samplers` answers.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.measuring import Contender, summarise, time_in_turn, write_table
from benchmarks.speed.networks import (
    SdmKind,
    image_size,
    peers,
    randomise,
    read_kind,
    total_weights,
)
from pipeline.diffusion.guidance import GuidedNetwork
from pipeline.diffusion.sampling import SamplingSettings, draw
from pipeline.io.errors import run
from pipeline.io.params import PARAMS_FILE, read_params, section
from pipeline.io.seeding import torch_generator
from pipeline.models.conditioning import encode_condition, null_condition
from pipeline.models.spade_unet import build_network

GUIDANCE = 0.5
CLASSES = 2


def main() -> None:
    """Command line: parameters, batch, rounds, where to write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--plain-rounds", type=int, default=3, help="with whole plain samples; 0 = leave them out"
    )
    parser.add_argument("--plain-steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="folder for CSV and pages")
    arguments = parser.parse_args()
    kind, size = read_kind(arguments.params), image_size(arguments.params)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    condition = round_objects(arguments.batch, size).to(device)
    network = randomise(kind.build(condition.shape[1], size)).eval().to(device)
    x = torch.randn(arguments.batch, 3, *size, generator=torch_generator(0, "x")).to(device)
    settings = section(SamplingSettings, "sampling", read_params(arguments.params))
    table = evaluations(
        network,
        full_size(kind, condition),
        x,
        condition,
        arguments.rounds,
        settings.precision,
    )
    notes = (
        f"Guided network evaluations of {arguments.batch} images of {size[0]}×{size[1]} px. The "
        "ratio tells how many times as fast the first row is; rounds in turn, median and extremes. "
        f"The precision of the parameters is {settings.precision} on this machine."
    )
    write_table(arguments.out, "evaluations", table, notes)
    if arguments.plain_rounds == 0:
        return
    contenders = [
        Contender(
            f"Lemonade, {settings.sampler} {settings.steps}, {settings.precision}",
            lambda: lemonade(network, kind, condition, settings),
            arguments.batch,
        ),
        Contender(
            f"plain loop, ddpm {arguments.plain_steps}, fp32",
            lambda: plain(network, x, condition, arguments.plain_steps),
            arguments.batch,
            "the same network",
        ),
    ]
    seconds = time_in_turn(contenders, arguments.plain_rounds, warm_ups=0)
    notes = f"Whole samples, {arguments.batch} at once, guidance {GUIDANCE}."
    write_table(arguments.out, "samples", summarise(contenders, seconds, "images"), notes)


def round_objects(total: int, size: tuple[int, int]) -> Tensor:
    """Round objects with a spot, as one-hot classes and silhouette."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    distance = np.hypot(rows / size[0] - 0.5, columns / size[1] - 0.5)
    masks = np.stack([(distance < 0.05 + 0.1 * i / total).astype(np.uint8) for i in range(total)])
    objects = np.stack([distance < 0.4] * total)
    return encode_condition(torch.from_numpy(masks).long(), torch.from_numpy(objects), CLASSES)


def full_size(kind: SdmKind, condition: Tensor) -> nn.Module:
    """The network of `kind` without the pixel-unshuffle that lets it work on smaller maps."""
    settings = kind.settings.network.model_copy(update={"unshuffle": 1})
    groups = kind.settings.diffusion.output_groups
    size = (condition.shape[2], condition.shape[3])
    return randomise(build_network(settings, condition.shape[1], groups, size))


@torch.no_grad()
def evaluations(
    network: nn.Module, full: nn.Module, x: Tensor, condition: Tensor, rounds: int, precision: str
) -> pd.DataFrame:
    """Seconds of a guided evaluation by network and by how it is done.

    `precision` is the faster one here; the other has one row. The peers are measured as they are
    used (fp32, two passes) and at their best.
    """
    weights = total_weights(network)
    others = peers(condition.shape[1], len(network.config.multipliers), weights)
    plain_way, batched = ("two passes", False), ("one batch", True)
    contenders = []

    def add(name: str, model: nn.Module, precision: str, way: tuple[str, bool], last: bool) -> None:
        described = f"{name}, {way[0]}, {precision}" + (", channels last" if last else "")
        contender = _evaluation(described, model, x, condition, precision, way[1], last)
        contenders.append(contender)

    add("Lemonade", network, precision, batched, True)
    add("Lemonade", network, "fp32" if precision == "bf16" else "bf16", batched, True)
    add("the same network", network, "fp32", plain_way, False)
    add("Lemonade without unshuffle", full, precision, batched, True)
    for name, model in others.items():
        add(name, model, "fp32", plain_way, False)
        add(name, model, precision, batched, True)
        if precision == "fp32":  # where channels last may be the slower layout
            add(name, model, precision, batched, False)
    return summarise(contenders, time_in_turn(contenders, rounds), "images")


def _evaluation(
    name: str,
    model: nn.Module,
    x: Tensor,
    condition: Tensor,
    precision: str,
    in_one_batch: bool,
    channels_last: bool,
) -> Contender:
    """Lemonade's way to guide (in one batch, what can be kept is kept), or the textbooks'."""
    times = torch.full((len(x),), 500, device=x.device)
    model = model.eval().to(x.device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    image = x.contiguous(memory_format=layout)
    guided = GuidedNetwork(model, condition, GUIDANCE) if in_one_batch else None

    def work() -> Tensor:
        model.to(memory_format=layout)  # several contenders share the network
        with torch.autocast(x.device.type, torch.bfloat16, precision == "bf16"):
            if guided is not None:
                return guided.predict(image, times, 1.0)
            return two_passes(model, image, times, condition)

    work()  # what is computed once is not counted
    with FlopCounterMode(display=False) as counter:
        work()
    flops = counter.get_total_flops()
    remark = f"{total_weights(model) / 1e6:.2f} M weights, {flops / 1e9:.1f} Gflop"
    return Contender(name, work, len(x), remark)


def two_passes(network: nn.Module, x: Tensor, times: Tensor, condition: Tensor) -> Tensor:
    """A guided prediction as textbooks make it, condition and no condition one after the other."""
    conditional = network(x, times, condition)
    unconditional = network(x, times, null_condition(condition))
    return (1 + GUIDANCE) * conditional - GUIDANCE * unconditional


def lemonade(
    network: nn.Module, kind: SdmKind, condition: Tensor, settings: SamplingSettings
) -> Tensor:
    """A batch as `sample` draws it."""
    network.to(memory_format=torch.channels_last)
    generators = [torch_generator(0, "sample", i) for i in range(len(condition))]
    settings = settings.model_copy(update={"guidance": GUIDANCE})
    return draw(network, kind.settings.diffusion, condition, generators, settings)


@torch.no_grad()
def plain(network: nn.Module, x: Tensor, condition: Tensor, steps: int) -> Tensor:
    """The loop of the textbooks: a scheduler of diffusers, two passes a step, fp32."""
    network.to(memory_format=torch.contiguous_format)
    scheduler = DDPMScheduler(1000, prediction_type="sample")
    scheduler.set_timesteps(steps)
    generator = torch_generator(0, "plain")
    for t in scheduler.timesteps:
        times = torch.full((len(x),), int(t), device=x.device)
        output = two_passes(network, x, times, condition)[:, :3]
        x = scheduler.step(output, int(t), x, generator=generator).prev_sample
    return x


if __name__ == "__main__":
    run(main)
