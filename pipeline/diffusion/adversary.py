"""A discriminator beside the denoiser, after Diffusion-GAN (Wang et al. 2022) and SynthSet.

It judges x_{t−1}: a real one is drawn from q(x_{t−1} | x_0), a fake one from p(x_{t−1} | x_t), the
posterior around the clean image that the denoiser predicts, with the posterior's noise. It is told
t. The denoiser minimises its own loss + weight · BCE(D(fake), real); neither step gives the other
network gradients.
"""

import torch
from accelerate import Accelerator
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pipeline.diffusion.schedules import Schedule, at
from pipeline.diffusion.timesteps import TimestepSchedule
from pipeline.io.params import Settings
from pipeline.models.timed_discriminator import (
    DiscriminatorNetworkSettings,
    build_timed_discriminator,
)
from pipeline.training.state import Tensors, load_optimiser, optimiser_tensors

BETAS = (0.5, 0.999)  # of Adam, usual for discriminators


class AdversarySettings(Settings):
    """Section `discriminator`; the defaults are SynthSet's."""

    enabled: bool = False
    weight: float = Field(0.25, gt=0)  # of the denoiser's term
    learning_rate: float = Field(2.1e-4, gt=0)
    # None = all timesteps from the start, which distorts the pictures (the paper's figure 7)
    timesteps: TimestepSchedule | None = TimestepSchedule()
    network: DiscriminatorNetworkSettings = DiscriminatorNetworkSettings()


class Adversary:
    """The discriminator and its optimiser."""

    def __init__(self, settings: AdversarySettings, channels: int, size: tuple[int, int]) -> None:
        """A new discriminator for x N×channels×h×w of `size`, with torch's current random state."""
        self.settings = settings
        self.network = build_timed_discriminator(settings.network, channels, size)
        self.parameters = dict(self.network.named_parameters())

    def prepare(self, accelerator: Accelerator) -> None:
        """Move to the device and share gradients between processes."""
        self.accelerator = accelerator
        self.network.to(accelerator.device, memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(
            self.parameters.values(),
            lr=self.settings.learning_rate,
            betas=BETAS,
            weight_decay=0.0,
            fused=True,
        )
        # not the optimiser: its step must not wait for the scaler of the denoiser's gradients
        self.shared, self.optimiser = accelerator.prepare_model(self.network), optimiser

    def generator_term(self, fake: Tensor, t: Tensor) -> Tensor:
        """The denoiser's weighted term, a scalar; leaves the discriminator without gradients.

        Args:
            fake: x_{t−1} with its graph, N×C×h×w.
            t: timesteps of the x_t it comes from, N.
        """
        self.network.requires_grad_(False)
        try:
            scores = self._scores(self.network, fake, t)
        finally:
            self.network.requires_grad_(True)
        return self.settings.weight * _cross_entropy(scores, 1.0)

    def learn(self, real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
        """One step of the discriminator; returns its loss. `fake` gets no gradients."""
        both = torch.cat([real, fake.detach()])
        scores = self._scores(self.shared, both, torch.cat([t, t]))
        on_real, on_fake = scores.chunk(2)
        loss = 0.5 * (_cross_entropy(on_real, 1.0) + _cross_entropy(on_fake, 0.0))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def state(self) -> Tensors:
        """Weights and optimiser for the state file."""
        weights = {f"weights/{name}": p.detach() for name, p in self.parameters.items()}
        own = optimiser_tensors(self.optimiser, list(self.parameters))
        return weights | {f"optimiser/{name}": tensor for name, tensor in own.items()}

    @torch.no_grad()
    def restore(self, tensors: Tensors) -> None:
        """Put back what `state` gave."""
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"weights/{name}"])
        prefix = "optimiser/"
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        load_optimiser(self.optimiser, list(self.parameters), own)

    def _scores(self, network: torch.nn.Module, x: Tensor, t: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        with self.accelerator.autocast():
            return network(x, t).float()  # N


def draw_opponents(
    x0_hat: Tensor,
    x_t: Tensor,
    x0: Tensor,
    t: Tensor,
    schedule: Schedule,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """A fake and a real x_{t−1}, N×C×h×w each; see `draw_fake` and `draw_real`.

    Args:
        x0_hat: predicted clean images N×C×h×w, with their graph.
        x_t: what the denoiser saw.
        x0: clean images.
        t: timesteps, N.
        schedule: on the same device.
        generator: of the CPU; provides the noise of both.
    """
    noise = torch.randn(2, *x0.shape, generator=generator).to(x0.device)
    return draw_fake(x0_hat, x_t, t, noise[0], schedule), draw_real(x0, t, noise[1], schedule)


def draw_fake(x0_hat: Tensor, x_t: Tensor, t: Tensor, noise: Tensor, schedule: Schedule) -> Tensor:
    """x_{t−1} of p(x_{t−1} | x_t) around the predicted x_0, with posterior noise; x_0 at t = 0.

    Args:
        x0_hat: predicted clean images N×C×h×w, with their graph.
        x_t: what the denoiser saw.
        t: timesteps, N.
        noise: standard normal N×C×h×w.
        schedule: on the same device.
    """
    mean = schedule.posterior_mean(x0_hat, x_t, t)
    deviation = torch.exp(0.5 * at(schedule.log_posterior_variance, t))
    return torch.where(_is_first(t), x0_hat, mean + deviation * noise)


def draw_real(x0: Tensor, t: Tensor, noise: Tensor, schedule: Schedule) -> Tensor:
    """x_{t−1} of q(x_{t−1} | x_0), N×C×h×w; x_0 itself at t = 0."""
    signal, deviation = schedule.factors((t - 1).clamp(min=0))
    return torch.where(_is_first(t), x0, signal * x0 + deviation * noise)


def _is_first(t: Tensor) -> Tensor:
    return (t == 0).view(-1, 1, 1, 1)


def _cross_entropy(scores: Tensor, label: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))
