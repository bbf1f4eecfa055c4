"""Drawing images, latents or masks from a diffusion model by one of several samplers.

Samplers are schedulers of diffusers, each built so that it is right for any number of steps:
`ddpm` (Ho et al. 2020; learned variance: Nichol & Dhariwal 2021) and `ddim` (Song et al. 2020) run
on the respaced process, since diffusers' own spacings assume a divisor of T or miss the last
timestep; `dpmsolver++` (Lu et al. 2022) is given its timesteps, `unipc` (Zhao et al. 2023) runs on
the respaced process. All of them get x₀, clipped if so set, whatever the network predicts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    UniPCMultistepScheduler,
)
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from pipeline.diffusion.guidance import GuidanceInterval, GuidedNetwork
from pipeline.diffusion.respacing import respaced_betas, respaced_timesteps, solver_timesteps
from pipeline.diffusion.schedules import DiffusionSettings, make_betas, split_output, to_x0
from pipeline.io.errors import UserError
from pipeline.io.params import Settings
from pipeline.training.precision import Precision

# weights of which moment of the training: the folders that it leaves
Checkpoint = Literal["best", "last", "train_loss", "val_loss", "every", "colour_divergence"]


@dataclass(frozen=True)
class Space:
    """What a network draws."""

    channels: int
    height: int
    width: int
    limit: float | None  # values lie within ± this; None = no limit, as in latents


def photo_space(conditions: Tensor) -> Space:
    """RGB photos in [−1, 1] of the size of their conditions, N×K×H×W."""
    return Space(3, *conditions.shape[2:], limit=1.0)


class SamplerSettings(Settings):
    """How one image is drawn."""

    sampler: Literal["ddpm", "ddim", "dpmsolver++", "unipc"] = "dpmsolver++"
    steps: int = Field(default=20, ge=1)  # at most the training's timesteps
    spacing: Literal["even", "quadratic"] = "even"  # quadratic: more of the steps at little noise
    guidance: float = Field(default=0.0, ge=0)  # s of the thesis's equation 3.12; w = 1 + s
    guidance_interval: GuidanceInterval = GuidanceInterval()
    eta: float = Field(default=0.0, ge=0, le=1)  # ddim only: 0 deterministic … 1 as noisy as ddpm
    clip: bool = True  # clip each predicted x₀ to the space's limits; latents have none
    precision: Precision = "fp32"  # bf16: autocast of the network

    @model_validator(mode="after")
    def _eta_is_used(self) -> "SamplerSettings":
        if self.eta > 0 and self.sampler != "ddim":
            raise ValueError(f"eta 0 with sampler {self.sampler}: only ddim has an eta")
        return self


class UnguidedSamplerSettings(SamplerSettings):
    """How something is drawn that no mask conditions."""

    @model_validator(mode="after")
    def _is_unguided(self) -> "UnguidedSamplerSettings":
        if self.guidance > 0:
            raise ValueError(f"guidance 0: there is no mask to guide by, got {self.guidance}")
        if self.guidance_interval != GuidanceInterval():
            raise ValueError("no guidance_interval: there is no mask to guide by")
        return self


class SuperresSamplingSettings(UnguidedSamplerSettings):
    """How pairs are enlarged (section `sampling.superres`)."""

    enabled: bool
    batch_size: int = Field(ge=1)  # pairs in one pass of the network
    condition_noise: float = Field(ge=0)  # deviation of the noise added to the small pairs
    checkpoint: Checkpoint


class SamplingSettings(SamplerSettings):
    """How a synthetic set is drawn (section `sampling` of params.yaml)."""

    count: int = Field(ge=1)  # pairs
    first: int = Field(ge=0)  # index of the first of them
    output: Literal["files", "shards"]  # how they lie in the set's folder
    shard_size: int = Field(ge=1)  # pairs in a shard
    batch_size: int | str  # images in one pass (twice that with guidance); auto: by the device
    checkpoint: Checkpoint
    superres: SuperresSamplingSettings

    @field_validator("batch_size")
    @classmethod
    def _batch_size_is_known(cls, size: int | str) -> int | str:
        if size != "auto" and (isinstance(size, str) or size < 1):
            raise ValueError("a whole number ≥ 1, or auto")
        return size


class Sampler:
    """One run from noise to images; `timesteps` are the original ones, from noisy to clean."""

    def __init__(self, timesteps: np.ndarray, step: Callable[..., Tensor]) -> None:
        """`step(i, x0, variance, x, generators)` gives the x after the i-th of `timesteps`."""
        self.timesteps = [int(t) for t in timesteps]
        self.step = step


def ddpm(alphas_cumprod: np.ndarray, settings: SamplerSettings) -> Sampler:
    """Ancestral sampling of the respaced process, variance learned or β̃."""
    timesteps = respaced_timesteps(len(alphas_cumprod), settings.steps, settings.spacing)
    schedulers = {
        kind: DDPMScheduler(
            num_train_timesteps=settings.steps,
            trained_betas=respaced_betas(alphas_cumprod, timesteps),
            prediction_type="sample",
            clip_sample=False,
            variance_type=kind,
        )
        for kind in ("fixed_small", "learned_range")
    }

    def step(i: int, x0: Tensor, variance: Tensor | None, x: Tensor, generators: list) -> Tensor:
        scheduler = schedulers["fixed_small" if variance is None else "learned_range"]
        output = x0 if variance is None else torch.cat([x0, variance], dim=1)  # N×C or N×2C
        t = settings.steps - 1 - i
        return scheduler.step(output, t, x, generator=generators).prev_sample

    return Sampler(timesteps[::-1], step)


def ddim(alphas_cumprod: np.ndarray, settings: SamplerSettings) -> Sampler:
    """DDIM on the respaced process, where diffusers' stride T // steps is always 1."""
    timesteps = respaced_timesteps(len(alphas_cumprod), settings.steps, settings.spacing)
    scheduler = DDIMScheduler(
        num_train_timesteps=settings.steps,
        trained_betas=respaced_betas(alphas_cumprod, timesteps),
        prediction_type="sample",
        clip_sample=False,
    )
    scheduler.set_timesteps(settings.steps)

    def step(i: int, x0: Tensor, variance: Tensor | None, x: Tensor, generators: list) -> Tensor:
        t = settings.steps - 1 - i
        return scheduler.step(x0, t, x, eta=settings.eta, generator=generators).prev_sample

    return Sampler(timesteps[::-1], step)


def dpmsolver(alphas_cumprod: np.ndarray, settings: SamplerSettings) -> Sampler:
    """DPM-Solver++(2M): deterministic, second order, for 10 to 30 steps."""
    total = len(alphas_cumprod)
    timesteps = solver_timesteps(total, settings.steps, settings.spacing)[::-1]
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=total,
        trained_betas=respaced_betas(alphas_cumprod, np.arange(total)),
        prediction_type="sample",
    )
    scheduler.set_timesteps(timesteps=timesteps)

    def step(i: int, x0: Tensor, variance: Tensor | None, x: Tensor, generators: list) -> Tensor:
        return scheduler.step(x0, scheduler.timesteps[i], x).prev_sample

    return Sampler(timesteps, step)


def unipc(alphas_cumprod: np.ndarray, settings: SamplerSettings) -> Sampler:
    """UniPC (Zhao et al. 2023): second order with a corrector that costs no evaluation."""
    timesteps = solver_timesteps(len(alphas_cumprod), settings.steps, settings.spacing)
    scheduler = UniPCMultistepScheduler(
        num_train_timesteps=settings.steps,
        trained_betas=respaced_betas(alphas_cumprod, timesteps),
        prediction_type="sample",
        timestep_spacing="trailing",  # which is every timestep of the respaced process
    )
    scheduler.set_timesteps(settings.steps)

    def step(i: int, x0: Tensor, variance: Tensor | None, x: Tensor, generators: list) -> Tensor:
        return scheduler.step(x0, scheduler.timesteps[i], x).prev_sample

    return Sampler(timesteps[::-1], step)


SAMPLERS: dict[str, Callable[[np.ndarray, SamplerSettings], Sampler]] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "dpmsolver++": dpmsolver,
    "unipc": unipc,
}


@torch.no_grad()
def draw(
    network: nn.Module,
    diffusion: DiffusionSettings,
    conditions: Tensor,
    generators: list[torch.Generator],
    settings: SamplerSettings,
    space: Space | None = None,
) -> Tensor:
    """Draw one image for each condition.

    Args:
        network: maps (x N×C×h×w, timesteps N, condition N×K×H×W) to N×gC×h×w, g =
            `diffusion.output_groups`; runs in evaluation mode and is left in the mode it was in.
        diffusion: the process it was trained on.
        conditions: float N×K×H×W; K = 0 for an unconditional network.
        generators: N CPU generators; the i-th alone provides the noise of the i-th image.
        settings: sampler, steps, guidance, …
        space: what is drawn; None = photos of the size of the conditions.

    Returns:
        float32 N×C×h×w within the limits of `space`, on the network's device.

    Raises:
        UserError: more steps than the training had timesteps.
    """
    if settings.steps > diffusion.timesteps:
        raise UserError(
            f"sampling.steps: got {settings.steps}, expected at most {diffusion.timesteps}, the "
            "timesteps the model was trained with"
        )
    device = next((weight.device for weight in network.parameters()), conditions.device)
    conditions = conditions.to(device)
    alphas_cumprod = torch.cumprod(1 - make_betas(diffusion), dim=0)  # ᾱ, float64, T
    sampler = SAMPLERS[settings.sampler](alphas_cumprod.numpy(), settings)
    space = space or photo_space(conditions)
    shape = (space.channels, space.height, space.width)
    x = torch.stack([torch.randn(shape, generator=g) for g in generators]).to(device)  # N×C×h×w
    was_training = network.training
    network.eval()
    guided = GuidedNetwork(network, conditions, settings.guidance, settings.guidance_interval)
    try:
        for i, t in enumerate(sampler.timesteps):
            signal, noise = alphas_cumprod[t].sqrt(), (1 - alphas_cumprod[t]).sqrt()
            timesteps = torch.full((len(x),), t, device=device)  # N
            with torch.autocast(device.type, torch.bfloat16, settings.precision == "bf16"):
                output = guided.predict(x, timesteps, float(noise / signal))
            outputs = split_output(diffusion, output, space.channels)
            x0 = to_x0(diffusion, outputs, x, signal, noise)
            x0 = _within(x0, space.limit) if settings.clip else x0
            x = sampler.step(i, x0, outputs.variance, x, generators)
    finally:
        network.train(was_training)
    return _within(x, space.limit)


def _within(x: Tensor, limit: float | None) -> Tensor:
    return x if limit is None else x.clamp(-limit, limit)
