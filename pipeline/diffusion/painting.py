"""From a network to photos: what a trained or training image model draws for conditions."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.diffusion.sampling import SamplerSettings, Space, draw
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.models.autoencoder import Codec


class Painter(Protocol):
    """Draws photos with the weights that its network has at the call."""

    network: nn.Module

    def to(self, device: torch.device) -> None:
        """Move everything it draws with."""

    def paint(
        self, conditions: Tensor, generators: list[torch.Generator], settings: SamplerSettings
    ) -> Tensor:
        """Photos float32 N×3×H×W in [−1, 1] for conditions N×K×H×W; see `sampling.draw`."""


@dataclass(frozen=True)
class PixelPainter:
    """Draws pixels."""

    network: nn.Module
    diffusion: DiffusionSettings

    def to(self, device: torch.device) -> None:
        """See Painter."""
        self.network.to(device, memory_format=torch.channels_last)

    def paint(
        self, conditions: Tensor, generators: list[torch.Generator], settings: SamplerSettings
    ) -> Tensor:
        """See Painter."""
        return draw(self.network, self.diffusion, conditions, generators, settings)


@dataclass(frozen=True)
class LatentPainter:
    """Draws latents and decodes them."""

    network: nn.Module
    diffusion: DiffusionSettings
    codec: Codec

    def to(self, device: torch.device) -> None:
        """See Painter."""
        self.network.to(device, memory_format=torch.channels_last)
        self.codec.to(device)

    def paint(
        self, conditions: Tensor, generators: list[torch.Generator], settings: SamplerSettings
    ) -> Tensor:
        """See Painter."""
        space = latent_space(self.codec, *conditions.shape[2:])
        z = draw(self.network, self.diffusion, conditions, generators, settings, space)  # N×c×h×w
        self.codec.to(z.device)
        return self.codec.decode(z).float().clamp(-1.0, 1.0)


def latent_space(codec: Codec, height: int, width: int) -> Space:
    """The latents of photos of that size, which have no limits.

    Raises:
        UserError: the autoencoder's factor does not divide the size.
    """
    return Space(*codec.latent_shape(height, width), limit=None)
