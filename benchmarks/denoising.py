"""`python -m benchmarks.denoising`: how far off a trained model's clean image is, by noise level.

On the validation photos, for background, object and defects each. Where the error is above the
noise level, the model makes the photo worse than it was: what a sampler with many steps then
leaves as grain, or takes away as texture, is seen here without drawing anything.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.speed.measuring import write_table
from pipeline.data.pairs import Pairs, load_pairs
from pipeline.data.reduction import reduce_pairs
from pipeline.diffusion.examples import Clean
from pipeline.diffusion.image_kinds import IMAGE_KINDS
from pipeline.diffusion.image_model import check_prepared, load_image_model
from pipeline.diffusion.schedules import (
    DiffusionSettings,
    Schedule,
    add_noise,
    make_betas,
    split_output,
    to_x0,
)
from pipeline.io.errors import run
from pipeline.io.manifests import read_split
from pipeline.io.seeding import torch_generator

NOISE_LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


def main() -> None:
    """Command line: model, photos, where to write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("data/models/image_dm"))
    parser.add_argument("--checkpoint", default="last")
    parser.add_argument("--autoencoder", type=Path, default=Path("data/models/autoencoder"))
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--part", choices=("train", "val", "test"), default="val")
    parser.add_argument("--out", type=Path, help="folder for CSV and page")
    arguments = parser.parse_args()
    painter, card = load_image_model(arguments.model, arguments.checkpoint, arguments.autoencoder)
    pairs = load_pairs(arguments.prepared, read_split(arguments.prepared, arguments.part))
    pairs = reduce_pairs(pairs, check_prepared(card, arguments.model, arguments.prepared, pairs))
    kind = IMAGE_KINDS[card.kind](card.settings, arguments.autoencoder)
    clean = kind.examples(pairs, len(card.classes), 0, training=False).plain(slice(None))
    diffusion = card.settings.diffusion
    table = errors(painter.network.eval(), diffusion, clean, regions(pairs, clean), NOISE_LEVELS)
    notes = (
        f"Root mean square error of the clean image in {len(pairs)} photos ({arguments.part}), in "
        f"units of the noise level, prediction {diffusion.prediction}: 1 = the noisy image itself."
    )
    write_table(arguments.out, "denoising", table, notes)


def regions(pairs: Pairs, clean: Clean) -> dict[str, Tensor]:
    """What is looked at by itself, bool N×h×w each; latents have no silhouettes of their size."""
    if pairs.objects is None or clean.x0.shape[2:] != pairs.objects.shape[1:]:
        return {"defects": clean.defects, "the rest": ~clean.defects}
    objects = torch.from_numpy(pairs.objects)
    return {
        "background": ~objects & ~clean.defects,
        "object": objects & ~clean.defects,
        "defects": clean.defects,
    }


@torch.no_grad()
def errors(
    network: nn.Module,
    diffusion: DiffusionSettings,
    clean: Clean,
    regions: dict[str, Tensor],
    noise_levels: Sequence[float],
) -> pd.DataFrame:
    """A row for each timestep nearest to a noise level σ; errors divided by σ, where a region is.

    Args:
        network: in evaluation mode, on the CPU.
        diffusion: what it was trained with.
        clean: N examples.
        regions: bool N×h×w.
        noise_levels: noise over signal.
    """
    schedule = Schedule(make_betas(diffusion))
    generator = torch_generator(0, "denoising")
    rows = []
    for wanted in noise_levels:
        t = int((schedule.snr.rsqrt() - wanted).abs().argmin())
        times = torch.full((len(clean.x0),), t)
        signal, noise = schedule.factors(times)
        epsilon = torch.randn(clean.x0.shape, generator=generator)
        x_t = add_noise(clean.x0, epsilon, signal, noise)
        output = network(x_t, times, clean.condition).float()
        outputs = split_output(diffusion, output, clean.x0.shape[1])
        squared = (to_x0(diffusion, outputs, x_t, signal, noise) - clean.x0).square().mean(dim=1)
        level = float(noise[0] / signal[0])
        row: dict[str, float] = {"timestep": t, "noise level": level}
        for name, region in regions.items():
            if region.any():
                row[name] = float(squared[region].mean().sqrt()) / level
        rows.append(row)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    run(main)
