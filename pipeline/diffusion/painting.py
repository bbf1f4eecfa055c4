"""From a network to photos: what a trained or training image model draws."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.diffusion.sampling import SamplerSettings, Space, draw
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.models.autoencoder import Codec


class Drawn(NamedTuple):
    """N photos, with their label maps where the model draws these too."""

    photos: Tensor  # float32 N×3×H×W in [−1, 1]
    labels: np.ndarray | None = None  # uint8 N×H×W, see `pipeline.data.label_maps`


class Painter(Protocol):
    """Draws photos with the weights that its network has at the call."""

    network: nn.Module
    is_conditioned: bool  # else it draws the masks itself, and its conditions have 0 channels

    def to(self, device: torch.device) -> None:
        """Move everything it draws with."""

    def paint(
        self, conditions: Tensor, generators: list[torch.Generator], settings: SamplerSettings
    ) -> Drawn:
        """Photos for conditions N×K×H×W; see `sampling.draw`."""


@dataclass(frozen=True)
class PixelPainter:
    """Draws pixels."""

    network: nn.Module
    diffusion: DiffusionSettings
    is_conditioned: bool = True

    def to(self, device: torch.device) -> None:
        """See Painter."""
        self.network.to(device, memory_format=torch.channels_last)

    def paint(
        self, conditions: Tensor, generators: list[torch.Generator], settings: SamplerSettings
    ) -> Drawn:
        """See Painter."""
        return Drawn(draw(self.network, self.diffusion, conditions, generators, settings))


@dataclass(frozen=True)
class LatentPainter:
    """Draws latents and decodes them."""

    network: nn.Module
    diffusion: DiffusionSettings
    codec: Codec
    is_conditioned: bool = True

    def to(self, device: torch.device) -> None:
        """See Painter."""
        self.network.to(device, memory_format=torch.channels_last)
        self.codec.to(device)

    def paint(
        self, conditions: Tensor, generators: list[torch.Generator], settings: SamplerSettings
    ) -> Drawn:
        """See Painter."""
        space = latent_space(self.codec, *conditions.shape[2:])
        z = draw(self.network, self.diffusion, conditions, generators, settings, space)  # N×c×h×w
        self.codec.to(z.device)
        return Drawn(self.codec.decode(z).float().clamp(-1.0, 1.0))


def to_pixels(photos: Tensor) -> np.ndarray:
    """Photos in [−1, 1], N×3×H×W, as uint8 N×H×W×3."""
    pixels = ((photos.cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


def latent_space(codec: Codec, height: int, width: int) -> Space:
    """The latents of photos of that size, which have no limits.

    Raises:
        UserError: the autoencoder's factor does not divide the size.
    """
    return Space(*codec.latent_shape(height, width), limit=None)
