"""From input to reconstruction in training, with the term that shapes the latents.

VQ: codebook and commitment loss of van den Oord et al. 2017, eq. 3, with straight-through
gradients. (The quantiser of diffusers, like that of the published VQGAN, has its β on the wrong
term by default; the loss here is the paper's.) KL: the reparametrised posterior of Kingma &
Welling 2014 and its divergence from a standard normal.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.models.autoencoder import Autoencoder

COMMITMENT = 0.25  # β of van den Oord et al. 2017


class Passage(NamedTuple):
    """One pass through an autoencoder."""

    reconstruction: Tensor  # float32 N×k×H×W, not clipped
    penalty: Tensor  # float32 scalar, before its weight


def pass_through(autoencoder: Autoencoder, x: Tensor, generator: torch.Generator) -> Passage:
    """Encode and decode in training.

    Args:
        autoencoder: VQ or KL.
        x: float N×k×H×W in [−1, 1].
        generator: on the CPU; of a KL network's posterior noise.
    """
    if autoencoder.kind == "vq":
        return _pass_quantised(autoencoder, x)
    return _pass_sampled(autoencoder, x, generator)


def _pass_quantised(autoencoder: Autoencoder, x: Tensor) -> Passage:
    latents = autoencoder.latents(x).float()  # N×c×h×w
    with torch.autocast(x.device.type, enabled=False):  # distances of near codewords need fp32
        indices = nearest_codewords(autoencoder, latents)  # N×h×w
        codewords = autoencoder.network.quantize.embedding(indices).permute(0, 3, 1, 2)  # N×c×h×w
    penalty = functional.mse_loss(codewords, latents.detach())
    penalty = penalty + COMMITMENT * functional.mse_loss(latents, codewords.detach())
    straight_through = latents + (codewords - latents).detach()
    return Passage(autoencoder.decode(straight_through, is_quantised=True).float(), penalty)


def _pass_sampled(autoencoder: Autoencoder, x: Tensor, generator: torch.Generator) -> Passage:
    posterior = autoencoder.encode(x).latent_dist
    mean, std = posterior.mean.float(), posterior.std.float()
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    divergence = 0.5 * (mean.square() + std.square() - 1 - 2 * std.log()).sum()
    return Passage(autoencoder.decode(mean + std * noise).float(), divergence / x.numel())


@torch.no_grad()
def nearest_codewords(autoencoder: Autoencoder, latents: Tensor) -> Tensor:
    """Index of the codeword nearest to each position of latents N×c×h×w, long N×h×w."""
    points = latents.permute(0, 2, 3, 1)  # N×h×w×c
    book = autoencoder.network.quantize.embedding.weight  # entries×c
    return torch.cdist(points.flatten(0, 2), book).argmin(dim=1).view(points.shape[:3])


@torch.no_grad()
def spread_codebook(autoencoder: Autoencoder, latents: Tensor, generator: torch.Generator) -> None:
    """Put the codewords where latents are, so that few of them stay unused.

    Args:
        autoencoder: VQ; its codewords start in a cube too small for any but one to be the nearest.
        latents: N×c×h×w of an untrained encoder.
        generator: on the CPU; chooses among the latents.
    """
    points = latents.permute(0, 2, 3, 1).flatten(0, 2)  # (N·h·w)×c
    book = autoencoder.network.quantize.embedding.weight
    chosen = torch.randint(len(points), (len(book),), generator=generator)
    jitter = torch.randn(book.shape, generator=generator).to(book) * points.std(dim=0) * 0.1
    book.copy_(points[chosen.to(points.device)] + jitter)
