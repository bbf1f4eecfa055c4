"""The U-Net of latent diffusion, with the condition concatenated (Rombach et al. 2022).

The mask is rescaled to the size of the latents by halving it again and again (which averages
blocks of pixels), a trained 1×1 convolution without bias makes a few channels of it, and these go
into the U-Net beside the noisy latents. Without condition channels it is the unconditional network
of the mask models. The U-Net is diffusers' `UNet2DModel`; its residual branches, attention
projections and output start at zero as in the published code, which diffusers leaves out.
"""

import math

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pipeline.io.errors import UserError
from pipeline.io.params import Settings
from pipeline.models.sizes import Blocks, Channels, Multiplier, Unshuffle, Width
from pipeline.models.spade import EPSILON


class ConcatNetworkSettings(Settings):
    """Size and shape of the network.

    The defaults are those of Rombach et al. for semantic synthesis at 256 px: 215 M parameters,
    attention in the middle only.
    """

    width: Width = 128
    multipliers: list[Multiplier] = Field([1, 4, 8], min_length=1)
    blocks: Blocks = 2
    attention: list[int] = Field([])
    head_channels: int = Field(128, ge=1)
    groups: int = Field(32, ge=1)
    scale_shift: bool = False  # the time embedding scales and shifts instead of being added
    condition_channels: Channels = 3
    unshuffle: Unshuffle = 1
    dropout: float = Field(0.0, ge=0, lt=1)


def build_concat_unet(
    settings: ConcatNetworkSettings,
    channels: int,
    size: tuple[int, int],
    condition_inputs: int,
    output_groups: int = 1,
    name: str = "image_dm.ldm.network",
) -> "ConcatUNet":
    """The network for latents (or label maps) of height × width `size`.

    Args:
        settings: `attention` names feature maps by their shorter side at that size.
        channels: C of what is denoised.
        size: its height and width.
        condition_inputs: K of the condition; 0 = unconditional.
        output_groups: how many times C outputs there are.
        name: of the section, for messages.

    Raises:
        UserError: the size is not divisible by the total stride, or no level has a side named in
            `settings.attention`.
    """
    levels = range(len(settings.multipliers))
    strides = [settings.unshuffle * 2**level for level in levels]
    if any(side % strides[-1] for side in size):
        raise UserError(
            f"{name}.multipliers: {len(levels)} levels and unshuffle {settings.unshuffle} need "
            f"sides divisible by {strides[-1]}, got {size[0]}×{size[1]} (the size that is "
            "denoised); take fewer levels, or another image.height and image.width"
        )
    sides = [min(size) // stride for stride in strides]
    unknown = sorted(set(settings.attention) - set(sides))
    if unknown:
        raise UserError(
            f"{name}.attention: got {unknown}, but the levels' feature maps are {sides} wide; "
            "name some of these ([] = in the middle only)"
        )
    return ConcatUNet(
        channels=channels,
        out_channels=channels * output_groups,
        condition_inputs=condition_inputs,
        attention_levels=[level for level in levels if sides[level] in settings.attention],
        **settings.model_dump(exclude={"attention"}),
    )


class ConcatUNet(ModelMixin, ConfigMixin):
    """Predicts from noisy latents, their timestep and a condition of any higher resolution.

    Args:
        channels: C of the latents.
        out_channels: C, or a multiple of it where more than the latents is learned.
        condition_inputs: K of the condition tensor; 0 = unconditional.
        width: channels of the first level; level i has width · multipliers[i].
        multipliers: see width.
        blocks: residual blocks a level in the encoder; the decoder has one more.
        attention_levels: levels (0 = finest) with attention; the middle always has it.
        head_channels: of an attention head.
        groups: of the group normalisation; fewer where the channels cannot be divided.
        scale_shift: how the time embedding enters.
        condition_channels: what the 1×1 convolution makes of the K channels.
        unshuffle: fold n×n latents into channels at the input.
        dropout: in the residual blocks.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        channels: int,
        out_channels: int,
        condition_inputs: int,
        width: int,
        multipliers: list[float],
        blocks: int,
        attention_levels: list[int],
        head_channels: int,
        groups: int,
        scale_shift: bool,
        condition_channels: int,
        unshuffle: int,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = [round(width * multiplier) for multiplier in multipliers]
        norm_groups = math.gcd(groups, *sizes)
        folded = unshuffle**2
        self.rescaler = (
            nn.Conv2d(condition_inputs, condition_channels, 1, bias=False)
            if condition_inputs
            else None
        )
        kinds = ["Attn" if level in attention_levels else "" for level in range(len(sizes))]
        self.unet = UNet2DModel(
            in_channels=channels * folded + (condition_channels if condition_inputs else 0),
            out_channels=out_channels * folded,
            block_out_channels=sizes,
            layers_per_block=blocks,
            down_block_types=[f"{kind}DownBlock2D" for kind in kinds],
            up_block_types=[f"{kind}UpBlock2D" for kind in reversed(kinds)],
            attention_head_dim=head_channels if sizes[-1] % head_channels == 0 else sizes[-1],
            norm_num_groups=norm_groups,
            attn_norm_num_groups=norm_groups,
            norm_eps=EPSILON,
            dropout=dropout,
            resnet_time_scale_shift="scale_shift" if scale_shift else "default",
        )
        for module in self.unet.modules():
            if isinstance(module, ResnetBlock2D):
                _zero(module.conv2)
            elif isinstance(module, Attention):
                _zero(module.to_out[0])
        _zero(self.unet.conv_out)

    def forward(self, x: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """Predict.

        Args:
            x: noisy latents, float N×C×h×w.
            timesteps: integer N.
            condition: float N×K×H×W with H and W multiples of h and w; K = 0 without condition.

        Returns:
            float N×C×h×w, or N×2C×h×w with a learned variance (the last C channels).

        Raises:
            ValueError: the condition has another number of channels than the network was made for.
        """
        if condition.shape[1] != self.config.condition_inputs:
            raise ValueError(
                f"condition: got {condition.shape[1]} channels, "
                f"expected {self.config.condition_inputs}"
            )
        factor = self.config.unshuffle
        x = functional.pixel_unshuffle(x, factor)  # N×Cf²×h/f×w/f
        if self.rescaler is not None:
            # halving again and again by bilinear interpolation is the mean over blocks of pixels
            small = functional.adaptive_avg_pool2d(condition, x.shape[2:])  # N×K×h/f×w/f
            x = torch.cat([x, self.rescaler(small)], dim=1)
        output = self.unet(x, timesteps).sample
        return functional.pixel_shuffle(output, factor)


def _zero(layer: nn.Module) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
