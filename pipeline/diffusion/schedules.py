"""The forward process: how much noise a timestep holds, and the ways to predict it away.

Symbols follow Ho et al. 2020 (DDPM) and Nichol & Dhariwal 2021 (cosine schedule): β_t the noise
added by step t, ᾱ_t the share of the image's variance that is left; x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·ε.
`signal` and `noise` name the two factors √ᾱ_t and √(1−ᾱ_t). v is Salimans & Ho 2022, eq. 8 ff.

`x0_skip` is for networks that are small or trained briefly. Predicting x0, such a network never
learns to hand through what little noise leaves visible, and blurs; predicting v, it never learns
to remove all of the noise, and leaves grain. Here the clean image is the mean of the network's
output F and of what the noisy image shows, x_t/√ᾱ_t, each weighted by its precision, if F is taken
to err by `skip_deviation` = d (0.05 for images in [−1, 1]; latents of deviation 1 want more):
    x0 = (σ²·F + d²·√ᾱ·x_t) / (σ² + d²·ᾱ),  σ² = 1 − ᾱ.
d = 0 is x0-prediction, d = 1 is v-prediction up to a factor; the skip connection of Karras et al.
2022 (EDM, eq. 7) with the deviation that is left once the mask is known, in place of σ_data.

A network that makes nothing of weak noise errs by white noise of deviation d, and that is what a
sampler then draws, all of it in many steps and some of it in few: grain, also where F is sure. With
`x0_learned_skip` the network has further outputs r, one for each channel of F, and d is
`skip_deviation` · exp(4 tanh(r / 4)): small on a plain background, large on a defect's texture.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pipeline.io.params import Settings

_SKIP_RANGE = 4.0  # e⁴ = 55 times as much or as little as skip_deviation
MAX_BETA = 0.999  # Nichol & Dhariwal: keeps the cosine schedule's last steps from being singular


class DiffusionSettings(Settings):
    """The diffusion process and its loss; the defaults are those of Wang et al. 2022 (SDM)."""

    timesteps: int = Field(1000, ge=2, le=100_000)
    schedule: Literal["linear", "scaled_linear", "cosine"] = "linear"
    prediction: Literal["epsilon", "v", "x0", "x0_skip", "x0_learned_skip"] = "epsilon"
    skip_deviation: float = Field(0.05, gt=0)  # d above, where it is learned its first value
    loss: Literal["mse", "l1", "hybrid"] = "hybrid"
    snr_clamp: list[float] | None = None
    defect_weight: float = Field(1.0, ge=0)

    @property
    def learns_variance(self) -> bool:
        """Whether the network has as many further output channels for the variance."""
        return self.loss == "hybrid"

    @property
    def learns_skip(self) -> bool:
        """Whether the network has as many further output channels for d."""
        return self.prediction == "x0_learned_skip"

    @property
    def output_groups(self) -> int:
        """How many times as many channels the network puts out as it denoises."""
        return 1 + self.learns_skip + self.learns_variance

    @model_validator(mode="after")
    def _check_snr_clamp(self) -> "DiffusionSettings":
        if self.snr_clamp is None:
            if self.learns_skip:  # the weight 1 is that of an output that is not all of the image
                raise ValueError("snr_clamp [low, high] where prediction is x0_learned_skip")
            return self
        if len(self.snr_clamp) != 2 or not 0 <= self.snr_clamp[0] < self.snr_clamp[1]:
            raise ValueError(f"snr_clamp as [low, high] with 0 ≤ low < high, not {self.snr_clamp}")
        if self.loss == "l1":
            raise ValueError("snr_clamp null with loss l1: the weights are those of squared errors")
        if self.prediction == "epsilon" and self.snr_clamp[0] > 0:
            # the weight of an ε-error would be low/SNR, which grows without bound with the noise
            raise ValueError("snr_clamp with low = 0 where prediction is epsilon")
        return self


def make_betas(settings: DiffusionSettings) -> Tensor:
    """β of every timestep, float64, shape T."""
    return SCHEDULES[settings.schedule](settings.timesteps)


def linear_betas(timesteps: int) -> Tensor:
    """1e-4 → 0.02 for T = 1000 (Ho et al. 2020), scaled so that any T ends with the same ᾱ."""
    scale = 1000 / timesteps
    return torch.linspace(1e-4 * scale, 0.02 * scale, timesteps, dtype=torch.float64).clamp(
        max=MAX_BETA
    )


def cosine_betas(timesteps: int) -> Tensor:
    """Nichol & Dhariwal 2021, eq. 17: ᾱ(τ) = cos²((τ + 0.008)/1.008 · π/2)."""
    tau = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    alpha_bar = torch.cos((tau + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=MAX_BETA)


def scaled_linear_betas(timesteps: int) -> Tensor:
    """Linear in √β, 0.0015 → 0.0205 for T = 1000 (Rombach et al. 2022); any T as above."""
    scale = 1000 / timesteps
    roots = torch.linspace(
        (0.0015 * scale) ** 0.5, (0.0205 * scale) ** 0.5, timesteps, dtype=torch.float64
    )
    return (roots**2).clamp(max=MAX_BETA)


SCHEDULES: dict[str, Callable[[int], Tensor]] = {
    "linear": linear_betas,
    "scaled_linear": scaled_linear_betas,
    "cosine": cosine_betas,
}


class Schedule:
    """What training needs of β, as float32 tensors of shape T on one device."""

    def __init__(self, betas: Tensor, device: torch.device | str = "cpu") -> None:
        alpha_bar = torch.cumprod(1 - betas, dim=0)
        before = torch.cat([torch.ones(1, dtype=betas.dtype), alpha_bar[:-1]])
        variance = betas * (1 - before) / (1 - alpha_bar)  # β̃, Ho et al. eq. 7
        # β̃ is 0 at t = 0; its neighbour stands in, as the logarithm is needed
        variance = torch.cat([variance[1:2], variance[1:]])

        def table(values: Tensor) -> Tensor:
            return values.float().to(device)

        self.timesteps = len(betas)
        self.signal = table(alpha_bar.sqrt())
        self.noise = table((1 - alpha_bar).sqrt())
        self.snr = table(alpha_bar / (1 - alpha_bar))
        self.log_beta = table(betas.log())
        self.log_posterior_variance = table(variance.log())
        self._mean_of_x0 = table(betas * before.sqrt() / (1 - alpha_bar))
        self._mean_of_x_t = table((1 - before) * (1 - betas).sqrt() / (1 - alpha_bar))

    def factors(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """`signal` and `noise` of timesteps t (N), as N×1×1×1."""
        return at(self.signal, t), at(self.noise, t)

    def posterior_mean(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Mean of q(x_{t−1} | x_t, x_0), Ho et al. 2020 eq. 7; tensors N×3×H×W."""
        return at(self._mean_of_x0, t) * x0 + at(self._mean_of_x_t, t) * x_t


def at(values: Tensor, t: Tensor) -> Tensor:
    """Entries t (N) of a table (T), as N×1×1×1 to multiply images with."""
    return values[t].view(-1, 1, 1, 1)


def add_noise(x0: Tensor, epsilon: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """x_t of Ho et al. 2020 eq. 4."""
    return signal * x0 + noise * epsilon


class Outputs(NamedTuple):
    """Channels of a network's output, N×C×H×W each; None = it has none of that kind."""

    prediction: Tensor
    skip: Tensor | None
    variance: Tensor | None


def split_output(settings: DiffusionSettings, output: Tensor, channels: int) -> Outputs:
    """The groups of C `channels` of a network's output, N×gC×H×W with g = `output_groups`.

    Raises:
        ValueError: it has more or fewer channels.
    """
    groups = settings.output_groups
    if output.shape[1] != groups * channels:
        raise ValueError(
            f"network output: got {output.shape[1]} channels, expected {groups} · {channels}"
        )
    parts = list(output.chunk(groups, dim=1))
    prediction = parts.pop(0)
    skip = parts.pop(0) if settings.learns_skip else None
    return Outputs(prediction, skip, parts.pop(0) if settings.learns_variance else None)


def target(
    settings: DiffusionSettings, x0: Tensor, epsilon: Tensor, signal: Tensor, noise: Tensor
) -> Tensor:
    """What the network should output for `settings.prediction`, whose skip is not learned."""
    return _TARGETS[settings.prediction](settings, x0, epsilon, signal, noise)


def to_x0(
    settings: DiffusionSettings, outputs: Outputs, x_t: Tensor, signal: Tensor, noise: Tensor
) -> Tensor:
    """The clean image that the outputs of a network imply, N×C×H×W."""
    return _TO_X0[settings.prediction](settings, outputs, x_t, signal, noise)


_TARGETS: dict[str, Callable[..., Tensor]] = {
    "epsilon": lambda settings, x0, epsilon, signal, noise: epsilon,
    "v": lambda settings, x0, epsilon, signal, noise: signal * epsilon - noise * x0,
    "x0": lambda settings, x0, epsilon, signal, noise: x0,
    "x0_skip": lambda settings, x0, epsilon, signal, noise: (
        x0 - settings.skip_deviation**2 * signal / noise * epsilon
    ),
}


def _x0_of_skip(
    settings: DiffusionSettings, outputs: Outputs, x_t: Tensor, signal: Tensor, noise: Tensor
) -> Tensor:
    deviation: float | Tensor = settings.skip_deviation
    if outputs.skip is not None:
        deviation = deviation * (_SKIP_RANGE * torch.tanh(outputs.skip / _SKIP_RANGE)).exp()
    return (noise**2 * outputs.prediction + deviation**2 * signal * x_t) / (
        noise**2 + (deviation * signal) ** 2
    )


_TO_X0: dict[str, Callable[..., Tensor]] = {
    "epsilon": lambda settings, outputs, x_t, signal, noise: (
        (x_t - noise * outputs.prediction) / signal
    ),
    "v": lambda settings, outputs, x_t, signal, noise: signal * x_t - noise * outputs.prediction,
    "x0": lambda settings, outputs, x_t, signal, noise: outputs.prediction,
    "x0_skip": _x0_of_skip,
    "x0_learned_skip": _x0_of_skip,
}
