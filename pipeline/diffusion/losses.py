"""Training losses of the diffusion models: simple loss, and the hybrid one with learned variance.

The simple loss is the squared error (Ho et al. 2020, eq. 14) or the absolute one, which the
published code of latent diffusion uses.

Nichol & Dhariwal 2021, eq. 15-16: L_hybrid = L_simple + L_vlb, the second as the KL term of one
timestep in bits per dimension, which trains the variance alone (the mean is detached). Its weight
is 1: the paper's λ = 0.001 belongs to the sum over T = 1000 timesteps, not to a single one.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.diffusion.schedules import (
    DiffusionSettings,
    Schedule,
    at,
    split_output,
    target,
    to_x0,
)

GREY_LEVELS = 256


class Loss(NamedTuple):
    """Means over a batch; `vb` (bits per dimension) is 0 where no variance is learned."""

    total: Tensor
    simple: Tensor
    vb: Tensor


def training_loss(
    output: Tensor,
    x0: Tensor,
    epsilon: Tensor,
    x_t: Tensor,
    t: Tensor,
    defects: Tensor,
    schedule: Schedule,
    settings: DiffusionSettings,
    channel_weights: Tensor | None = None,
) -> Loss:
    """The loss of a batch.

    Args:
        output: the network's, N×gC×H×W with g = `settings.output_groups`.
        x0: clean images in [−1, 1] or latents, N×C×H×W.
        epsilon: the noise in x_t, N×C×H×W.
        x_t: what the network saw, N×C×H×W.
        t: timesteps, N.
        defects: bool N×H×W, True on pixels of the non-background classes.
        schedule: on the same device.
        settings: prediction, loss and weights.
        channel_weights: of the channels, float C with mean 1; None = all alike.

    Returns:
        Scalars; `total` is what to minimise.
    """
    outputs = split_output(settings, output, x0.shape[1])
    signal, noise = schedule.factors(t)
    if settings.learns_skip:
        error = to_x0(settings, outputs, x_t, signal, noise) - x0
    else:
        error = outputs.prediction - target(settings, x0, epsilon, signal, noise)
    pixel_weights = 1 + (settings.defect_weight - 1) * defects[:, None].to(error.dtype)  # N×1×H×W
    weights = timestep_weights(settings, schedule.snr[t]).view(-1, 1, 1, 1) * pixel_weights
    if channel_weights is not None:
        weights = weights * channel_weights.to(error).view(1, -1, 1, 1)
    simple = (weights * (error.abs() if settings.loss == "l1" else error.square())).mean()
    if outputs.variance is None:
        return Loss(simple, simple, torch.zeros_like(simple))
    x0_hat = to_x0(settings, outputs, x_t, signal, noise).detach()
    vb = variational_bound(x0, x0_hat, outputs.variance, x_t, t, schedule).mean()
    return Loss(simple + vb, simple, vb)


def timestep_weights(settings: DiffusionSettings, snr: Tensor) -> Tensor:
    """Weight of the squared error at signal-to-noise ratios `snr` = ᾱ/(1−ᾱ), shape as `snr`.

    Without `snr_clamp` it is 1. With [low, high] the error of the *clean image* weighs
    clamp(SNR, low, high), whatever the network predicts; [0, 5] is min-SNR-5 of Hang et al. 2023
    (eq. 8 and appendix), whose other forms follow from ε-error = SNR · x0-error and
    v-error = (SNR + 1) · x0-error (all squared).
    """
    if settings.snr_clamp is None:
        return torch.ones_like(snr)
    low, high = settings.snr_clamp
    return snr.clamp(low, high) / _ERROR_PER_X0_ERROR[settings.prediction](settings, snr)


# squared error of the network's output for a squared error 1 of the clean image, by the SNR
_ERROR_PER_X0_ERROR: dict[str, Callable[[DiffusionSettings, Tensor], Tensor]] = {
    "epsilon": lambda settings, snr: snr,
    "v": lambda settings, snr: snr + 1,
    "x0": lambda settings, snr: torch.ones_like(snr),
    # whose error `training_loss` takes of the clean image
    "x0_learned_skip": lambda settings, snr: torch.ones_like(snr),
    "x0_skip": lambda settings, snr: (1 + settings.skip_deviation**2 * snr) ** 2,
}


def variational_bound(
    x0: Tensor, x0_hat: Tensor, variance_output: Tensor, x_t: Tensor, t: Tensor, schedule: Schedule
) -> Tensor:
    """The term of the variational bound at timestep t in bits per dimension, shape N.

    KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)) for t > 0, and −log p(x_0 | x_1) at t = 0
    (Ho et al. 2020, eq. 5); p has the mean that `x0_hat` implies and the variance of
    `log_variance`.
    """
    log_p = log_variance(variance_output, t, schedule)  # N×3×H×W
    mean_p = schedule.posterior_mean(x0_hat, x_t, t)
    mean_q = schedule.posterior_mean(x0, x_t, t)
    log_q = at(schedule.log_posterior_variance, t)
    kl = gaussian_kl(mean_q, log_q, mean_p, log_p)
    nll = -discretised_gaussian_log_likelihood(x0, mean_p, 0.5 * log_p)
    first = (t == 0).view(-1, 1, 1, 1)
    return torch.where(first, nll, kl).flatten(1).mean(dim=1) / math.log(2)


def log_variance(variance_output: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """Nichol & Dhariwal 2021, eq. 14: −1…1 interpolates between log β̃_t and log β_t."""
    fraction = (variance_output + 1) / 2
    low, high = at(schedule.log_posterior_variance, t), at(schedule.log_beta, t)
    return fraction * high + (1 - fraction) * low


def gaussian_kl(mean_q: Tensor, log_q: Tensor, mean_p: Tensor, log_p: Tensor) -> Tensor:
    """KL(q ‖ p) of two Gaussians by mean and log variance, elementwise, in nats."""
    return 0.5 * (
        log_p - log_q - 1 + torch.exp(log_q - log_p) + (mean_q - mean_p).square() / log_p.exp()
    )


def discretised_gaussian_log_likelihood(x: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Log probability (nats, elementwise) of 8-bit grey levels under a Gaussian.

    Ho et al. 2020, eq. 13: each of the 256 levels of [−1, 1] owns the interval of half a level on
    both sides; the first and the last reach to infinity.
    """
    half = 1 / (GREY_LEVELS - 1)
    inverse = torch.exp(-log_deviation)
    below_upper = torch.special.ndtr((x + half - mean) * inverse)
    below_lower = torch.special.ndtr((x - half - mean) * inverse)
    below_upper = torch.where(x > 1 - half, torch.ones_like(x), below_upper)
    below_lower = torch.where(x < -1 + half, torch.zeros_like(x), below_lower)
    return (below_upper - below_lower).clamp(min=1e-12).log()
