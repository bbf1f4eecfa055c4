"""The super-resolution network of SynthSet (Heschl et al., "Super-resolution" and fig. 3).

One U-Net on the channels of image and mask, as the Concat pair network, whose condition, the pair
at half the size, is resized to the nearest pixel and concatenated at the input and before every
down- and up-sampling block.
"""

from itertools import pairwise

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.pair_blocks import (
    BranchSettings,
    DownBlock,
    LayerShape,
    ResidualLayers,
    TimeEmbedding,
    UpBlock,
    check_heads,
    check_size,
    level_widths,
    output_head,
    self_attention,
    start_at_identity,
)
from pipeline.models.skip_moderation import DirectSkips


class SuperresNetworkSettings(BranchSettings):
    """Size and shape of the network; the defaults are the pair network's, for 256 px."""

    attention: bool = True  # in the middle; costs the fourth power of its side


def build_superres_unet(
    settings: SuperresNetworkSettings,
    channels: int,
    condition_channels: int,
    size: tuple[int, int],
    output_groups: int = 1,
    name: str = "superres.network",
) -> "SuperresUNet":
    """The network that draws at height × width `size`.

    Args:
        settings: see there.
        channels: C of what is drawn.
        condition_channels: K of the condition.
        size: of what is drawn.
        output_groups: how many outputs there are for each channel.
        name: of the section, for messages.

    Raises:
        UserError: the size is not divisible by the total stride, or the channels in the middle
            not by the heads.
    """
    check_size(size, settings.multipliers, settings.unshuffle, name)
    if settings.attention:
        check_heads(settings.heads, level_widths(settings.width, settings.multipliers)[-1], name)
    return SuperresUNet(
        channels=channels,
        condition_channels=condition_channels,
        output_groups=output_groups,
        **settings.model_dump(),
    )


class SuperresUNet(ModelMixin, ConfigMixin):
    """Predicts from a noisy picture, its timestep and the same picture at a lower resolution.

    Args:
        channels: C of the picture.
        condition_channels: K of the condition.
        width: channels of the first level; level i has width · multipliers[i].
        multipliers: see width; one down and one up block between two levels.
        blocks: residual layers a block.
        attention: whether there is self-attention in the middle.
        heads: of it; they divide the channels of the middle.
        groups: of the group normalisation; fewer where the channels cannot be divided.
        scale_shift: how the time embedding enters.
        unshuffle: fold f×f pixels into channels at the input.
        dropout: in the residual layers.
        output_groups: how many outputs there are for each channel.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        channels: int,
        condition_channels: int,
        width: int,
        multipliers: list[float],
        blocks: int,
        attention: bool,
        heads: int,
        groups: int,
        scale_shift: bool,
        unshuffle: int,
        dropout: float,
        output_groups: int = 1,
    ) -> None:
        super().__init__()
        widths = level_widths(width, multipliers)
        shape = LayerShape(blocks, 4 * width, groups, scale_shift, dropout)
        folded = unshuffle**2
        extra = condition_channels
        self.time = TimeEmbedding(shape.time_channels)
        self.input = nn.Conv2d((channels + extra) * folded, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(
            DownBlock(fine + extra, coarse, shape) for fine, coarse in pairwise(widths)
        )
        self.middle = ResidualLayers(widths[-1], widths[-1], shape, total=1)
        self.attend = self_attention(widths[-1], heads, groups) if attention else nn.Identity()
        self.up = nn.ModuleList(
            UpBlock(coarse + extra, coarse, fine, DirectSkips, shape)
            for fine, coarse in list(pairwise(widths))[::-1]
        )
        self.output = output_head(widths[0], channels * output_groups * folded, groups)
        start_at_identity(self)

    def forward(self, x: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """Predict.

        Args:
            x: noisy picture, float N×C×H×W.
            timesteps: integer N.
            condition: float N×K×h×w of any size; half of H×W as published.

        Returns:
            float N×gC×H×W with g = `output_groups`.

        Raises:
            ValueError: the condition has another number of channels than the network was made for.
        """
        if condition.shape[1] != self.config.condition_channels:
            raise ValueError(
                f"condition: got {condition.shape[1]} channels, "
                f"expected {self.config.condition_channels}"
            )
        time = self.time(timesteps)
        x = functional.pixel_unshuffle(_beside(x, condition), self.config.unshuffle)
        x = self.input(x)  # N×w₀×H/f×W/f
        skips = []
        for block in self.down:
            x, skip = block(_beside(x, condition), time)
            skips.append(skip)
        x = self.attend(self.middle(x, time))
        for block, skip in zip(self.up, skips[::-1], strict=True):
            x = block(_beside(x, condition), skip, time)
        return functional.pixel_shuffle(self.output(x), self.config.unshuffle)


def _beside(features: Tensor, condition: Tensor) -> Tensor:
    """Features N×C×h×w and the condition at their size, N×(C+K)×h×w."""
    resized = functional.interpolate(condition, size=features.shape[2:], mode="nearest")
    return torch.cat([features, resized.to(features.dtype)], dim=1)
