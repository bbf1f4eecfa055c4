"""Lemonade's network of the parameters, and peers of as many weights.

MONAI's `SPADEDiffusionModelUNet` is the one other published network of this kind; the U-Net of
denoising-diffusion-pytorch has no condition at all.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from denoising_diffusion_pytorch import Unet
from monai.networks.nets import SPADEDiffusionModelUNet
from torch import Tensor, nn

from pipeline.diffusion.image_kinds import SdmKind, read_image_kind
from pipeline.io.errors import UserError
from pipeline.io.params import read_params, value
from pipeline.io.seeding import torch_generator


def read_kind(path: Path) -> SdmKind:
    """The semantic diffusion model of a params.yaml.

    Raises:
        UserError: it chooses another kind.
    """
    kind = read_image_kind(read_params(path), Path("none"))
    if not isinstance(kind, SdmKind):
        raise UserError(f"{path}: image_dm.kind: got {kind.name}, expected sdm")
    return kind


def image_size(path: Path) -> tuple[int, int]:
    """Height and width that a params.yaml gives its photos."""
    params = read_params(path)
    return value("image.height", params), value("image.width", params)


def randomise(network: nn.Module) -> nn.Module:
    """Weights other than the zeros that some start with: these would make sums of their own."""
    generator = torch_generator(0, "weights")
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.copy_(torch.randn(weight.shape, generator=generator) / 50)
    return network


def total_weights(network: nn.Module) -> int:
    """How many parameters it has."""
    return sum(weight.numel() for weight in network.parameters())


class Monai(nn.Module):
    """MONAI's network under our signature; its output has the channels of the image."""

    def __init__(self, condition_channels: int, width: int, levels: int) -> None:
        super().__init__()
        self.network = SPADEDiffusionModelUNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=3,
            label_nc=condition_channels,
            num_res_blocks=1,
            channels=[width, *[width * 2] * (levels - 1)],
            attention_levels=[False] * levels,
            norm_num_groups=8,
            num_head_channels=width,
            spade_intermediate_channels=32,
        )

    def forward(self, x: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """See `SpadeUNet`."""
        return self.network(x, timesteps, condition)


class Lucidrains(nn.Module):
    """The U-Net of denoising-diffusion-pytorch; the condition is not used."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = Unet(dim=width, dim_mults=(1, 2, 2, 4))

    def forward(self, x: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """See `SpadeUNet`."""
        return self.network(x, timesteps)


def of_as_many_weights(build: Callable[[int], nn.Module], wanted: int) -> nn.Module:
    """Of the widths that are multiples of 8 that whose number of weights is the nearest."""
    sizes: dict[int, int] = {}
    for width in range(8, 520, 8):
        with torch.device("meta"):
            sizes[width] = total_weights(build(width))
        if sizes[width] > wanted:
            break
    nearest = min(sizes, key=lambda width: abs(sizes[width] - wanted))
    return randomise(build(nearest))


def peers(condition_channels: int, levels: int, wanted: int) -> dict[str, nn.Module]:
    """The networks of others by name, of about `wanted` weights."""
    builders: dict[str, Callable[[int], Any]] = {
        "MONAI SPADEDiffusionModelUNet": lambda width: Monai(condition_channels, width, levels),
        "denoising-diffusion-pytorch Unet": Lucidrains,
    }
    return {name: of_as_many_weights(build, wanted) for name, build in builders.items()}
