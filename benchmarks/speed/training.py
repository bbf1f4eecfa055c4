"""`python -m benchmarks.speed.training`: training steps against others, on one machine in one run.

Lemonade's own step (augmentation, loss, fused optimiser, average) against the plain loop through
the same network, through MONAI's, and the trainer of denoising-diffusion-pytorch. The plain loop
is what tutorials show: AdamW, the average of diffusers, fp32, photos ready as tensors.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from denoising_diffusion_pytorch import GaussianDiffusion
from diffusers import DDPMScheduler
from diffusers.training_utils import EMAModel
from torch import nn
from torch.nn import functional
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
from pipeline.data.pairs import Pairs
from pipeline.diffusion.training import Trainer
from pipeline.io.errors import run
from pipeline.io.params import PARAMS_FILE
from pipeline.io.seeding import numpy_rng

CLASSES = 2
TOTAL_PAIRS = 64


def main() -> None:
    """Command line: parameters, rounds, where to write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="of each contender in a round")
    parser.add_argument("--out", type=Path, help="folder for CSV and page")
    arguments = parser.parse_args()
    kind, size = read_kind(arguments.params), image_size(arguments.params)
    batch = kind.settings.training.batch_size
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        contenders = make_contenders(kind, size, device, Path(folder), arguments.steps)
        seconds = time_in_turn(contenders, arguments.rounds)
    peak = peak_flops(device, kind.settings.training.precision)
    table = summarise(contenders, seconds, "samples")
    flops = [float(c.remark.split(" Gflop")[0].split()[-1]) * 1e9 for c in contenders]
    table.insert(
        2, "of peak", [f * r for f, r in zip(flops, table["samples/s"] / peak, strict=True)]
    )
    notes = (
        f"Training steps of {batch} samples of {size[0]}×{size[1]} px. The ratio tells how many "
        "times as fast the first row is; rounds in turn, median and extremes. Peak: "
        f"{peak / 1e12:.3g} Tflop/s, a product of two square matrices in "
        f"{kind.settings.training.precision}."
    )
    write_table(arguments.out, "training", table, notes)


def make_contenders(
    kind: SdmKind, size: tuple[int, int], device: torch.device, folder: Path, steps: int
) -> list[Contender]:
    """Each takes `steps` optimiser steps of the parameters' batch."""
    batch = kind.settings.training.batch_size
    pairs = random_pairs(size)
    examples = kind.examples(pairs, CLASSES, seed=0, training=True)
    condition_channels = CLASSES + 1
    own = kind.build(condition_channels, size)
    trainer = Trainer(
        own, examples, None, kind.settings.diffusion, kind.settings.training, 0, folder
    )
    taken = iter(range(10**9))

    def lemonade() -> None:
        for _ in range(steps):
            step = next(taken) % trainer.total_steps
            trainer._step(step, trainer.source.batch(step))

    same = randomise(kind.build(condition_channels, size))
    others = peers(condition_channels, len(own.config.multipliers), total_weights(own))
    works: dict[str, tuple[nn.Module, Callable[[], None]]] = {
        f"Lemonade, {kind.settings.training.precision}": (own, lemonade),
        "plain loop, the same network, fp32": (same, _plain(same, pairs, batch, steps, device)),
    }
    for name, network in others.items():
        make = _own_loop if name.startswith("denoising") else _plain
        works[f"{name}, fp32"] = network, make(network, pairs, batch, steps, device)
    contenders = []
    for name, (network, work) in works.items():
        work()
        with FlopCounterMode(display=False) as counter:
            work()
        gflop = counter.get_total_flops() / (steps * batch) / 1e9
        remark = f"{total_weights(network) / 1e6:.2f} M weights, {gflop:.2f} Gflop a sample"
        contenders.append(Contender(name, work, steps * batch, remark))
    return contenders


def random_pairs(size: tuple[int, int]) -> Pairs:
    """Photos and masks of noise, of height × width `size`."""
    rng = numpy_rng(0, "photos")
    shape = (TOTAL_PAIRS, *size)
    masks = rng.integers(0, CLASSES, shape, dtype=np.uint8)
    photos = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return Pairs([str(i) for i in range(TOTAL_PAIRS)], photos, masks, masks > 0)


def _plain(
    network: nn.Module, pairs: Pairs, batch: int, steps: int, device: torch.device
) -> Callable[[], None]:
    network.train().to(device)
    photos = (torch.from_numpy(pairs.images).permute(0, 3, 1, 2) / 127.5 - 1).to(device)
    labels = functional.one_hot(torch.from_numpy(pairs.masks).long(), CLASSES).permute(0, 3, 1, 2)
    objects = torch.from_numpy(pairs.objects)[:, None]
    conditions = torch.cat([labels, objects], dim=1).float().to(device)
    scheduler = DDPMScheduler(1000)
    learn = _learning(network, torch.optim.AdamW(network.parameters(), lr=1e-4))

    def work() -> None:
        for _ in range(steps):
            own = torch.randint(len(photos), (batch,))
            x0, condition = photos[own], conditions[own]
            noise, t = torch.randn_like(x0), torch.randint(1000, (batch,), device=device)
            output = network(scheduler.add_noise(x0, noise, t), t, condition)[:, :3]
            learn(functional.mse_loss(output, noise))

    return work


def _own_loop(
    network: nn.Module, pairs: Pairs, batch: int, steps: int, device: torch.device
) -> Callable[[], None]:
    """As the Trainer of denoising-diffusion-pytorch does it."""
    height, width = pairs.images.shape[1:3]
    diffusion = GaussianDiffusion(network.network, image_size=(height, width)).train().to(device)
    photos = (torch.from_numpy(pairs.images).permute(0, 3, 1, 2) / 255).to(device)
    learn = _learning(diffusion, torch.optim.Adam(diffusion.parameters(), lr=1e-4))

    def work() -> None:
        for _ in range(steps):
            learn(diffusion(photos[torch.randint(len(photos), (batch,))]))

    return work


def _learning(
    network: nn.Module, optimiser: torch.optim.Optimizer
) -> Callable[[torch.Tensor], None]:
    """What both loops do with a loss."""
    average = EMAModel(network.parameters(), decay=0.995)

    def learn(loss: torch.Tensor) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.step(network.parameters())
        loss.item()

    return learn


def peak_flops(device: torch.device, precision: str, seconds: float = 1.0) -> float:
    """What a product of large matrices reaches on the device, flop/s."""
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    side = 8192 if device.type == "cuda" else 2048
    left = torch.randn(side, side, device=device, dtype=types[precision])
    contender = Contender("product", lambda: left @ left, 2 * side**3)
    fastest = time_in_turn([contender], max(3, int(seconds * 5))).min()
    return contender.amount / fastest


if __name__ == "__main__":
    run(main)
