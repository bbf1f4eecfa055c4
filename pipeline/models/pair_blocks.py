"""Blocks of the SynthSet networks (Heschl et al., Methodology and fig. 2 and 3).

A down block takes the features from one width to the next by residual layers (GN-SiLU-conv, plus
the time, GN-SiLU-conv, plus a 1×1 shortcut where the width changes) and halves the resolution; an
up block doubles it, joins the features with the encoder's of the same size and goes back to the
width before. The pair networks, the super-resolution network and the discriminator share them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from pydantic import Field
from torch import Tensor, is_grad_enabled, nn

from pipeline.io.errors import UserError
from pipeline.io.params import Settings
from pipeline.models.sizes import Blocks, Multiplier, Unshuffle, Width
from pipeline.models.spade import EPSILON, group_count

Multipliers = Annotated[list[Multiplier], Field(min_length=2)]


class BranchSettings(Settings):
    """Size and shape of a U-Net of these blocks; the defaults are the paper's."""

    width: Width = 32
    multipliers: Multipliers = Field([1, 2, 4, 8])
    blocks: Blocks = 2
    heads: int = Field(4, ge=1)
    groups: int = Field(8, ge=1)
    scale_shift: bool = False  # the time embedding scales and shifts instead of being added
    unshuffle: Unshuffle = 1
    dropout: float = Field(0.0, ge=0, lt=1)


@dataclass(frozen=True)
class LayerShape:
    """What the residual layers of a network have in common."""

    blocks: int  # residual layers a down or up block
    time_channels: int
    groups: int
    scale_shift: bool = False
    dropout: float = 0.0


def level_widths(width: int, multipliers: Sequence[float]) -> list[int]:
    """Channels of each level, the finest first."""
    return [round(width * multiplier) for multiplier in multipliers]


def check_size(
    size: tuple[int, int], multipliers: Sequence[float], unshuffle: int, name: str
) -> None:
    """See that height and width can be halved as often as a network does.

    Raises:
        UserError: a side is not divisible by unshuffle · 2^(levels − 1).
    """
    stride = unshuffle * 2 ** (len(multipliers) - 1)
    if any(side % stride for side in size):
        raise UserError(
            f"{name}.multipliers: {len(multipliers)} levels and unshuffle {unshuffle} need sides "
            f"divisible by {stride}, got {size[0]}×{size[1]}; take fewer levels, a smaller "
            f"{name}.unshuffle, or another image.height and image.width"
        )


def check_heads(heads: int, channels: int, name: str) -> None:
    """See that the channels of the middle can be shared out between the heads.

    Raises:
        UserError: they cannot.
    """
    if channels % heads:
        raise UserError(
            f"{name}.heads: got {heads}, expected a divisor of the {channels} channels in the "
            f"middle (width · last multiplier); change heads, {name}.width or {name}.multipliers"
        )


class TimeEmbedding(nn.Module):
    """Timesteps N to float N×channels: a sinusoid of that length, then an MLP."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sinusoid = Timesteps(channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.mlp = TimestepEmbedding(channels, channels)

    def forward(self, timesteps: Tensor) -> Tensor:
        """See the class."""
        return self.mlp(self.sinusoid(timesteps).to(self.mlp.linear_1.weight.dtype))


class ResidualLayers(nn.Module):
    """`shape.blocks` residual layers (or `total`), the first from in to out channels."""

    def __init__(
        self, in_channels: int, out_channels: int, shape: LayerShape, total: int | None = None
    ) -> None:
        super().__init__()
        total = shape.blocks if total is None else total
        inputs = [in_channels] + [out_channels] * (total - 1)
        self.layers = nn.ModuleList(
            ResnetBlock2D(
                in_channels=channels,
                out_channels=out_channels,
                temb_channels=shape.time_channels,
                groups=group_count(shape.groups, channels),
                groups_out=group_count(shape.groups, out_channels),
                eps=EPSILON,
                dropout=shape.dropout,
                time_embedding_norm="scale_shift" if shape.scale_shift else "default",
            )
            for channels in inputs
        )
        self.gradient_checkpointing = False  # diffusers' enable_gradient_checkpointing sets it

    def forward(self, features: Tensor, time: Tensor) -> Tensor:
        """Features N×in×h×w and the time N×T to N×out×h×w."""
        for layer in self.layers:
            if self.gradient_checkpointing and is_grad_enabled():
                features = self._gradient_checkpointing_func(layer, features, time)
            else:
                features = layer(features, time)
        return features


class DownBlock(nn.Module):
    """Residual layers, then half the resolution."""

    def __init__(self, in_channels: int, out_channels: int, shape: LayerShape) -> None:
        super().__init__()
        self.layers = ResidualLayers(in_channels, out_channels, shape)
        self.downsample = Downsample2D(out_channels, use_conv=True, name="op")

    def forward(self, features: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """N×in×h×w to N×out×h/2×w/2, and to the decoder's skip N×out×h×w."""
        skip = self.layers(features, time)
        return self.downsample(skip), skip


class UpBlock(nn.Module):
    """Twice the resolution, joined with the skip, then residual layers.

    Args:
        in_channels: of the features.
        skip_channels: of the skip; the features get as many before they are joined.
        out_channels: of the result.
        join: makes the module that joins features and [skip]; see skip_moderation.
        shape: of the residual layers.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        join: Callable[[int, list[int]], nn.Module],
        shape: LayerShape,
    ) -> None:
        super().__init__()
        self.upsample = Upsample2D(in_channels, use_conv=True, out_channels=skip_channels)
        self.join = join(skip_channels, [skip_channels])
        self.layers = ResidualLayers(skip_channels, out_channels, shape)

    def forward(self, features: Tensor, skip: Tensor, time: Tensor) -> Tensor:
        """N×in×h×w and N×skip×2h×2w to N×out×2h×2w."""
        return self.layers(self.join(self.upsample(features), [skip]), time)


def self_attention(channels: int, heads: int, groups: int) -> Attention:
    """Self-attention over the pixels, N×channels×h×w to the same, with norm and residual."""
    return Attention(
        channels,
        heads=heads,
        dim_head=channels // heads,
        norm_num_groups=group_count(groups, channels),
        eps=EPSILON,
        residual_connection=True,
    )


def output_head(in_channels: int, out_channels: int, groups: int) -> nn.Sequential:
    """GN-SiLU-conv from the finest features to what is predicted, zero at the start."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
    zero(convolution)
    norm = nn.GroupNorm(group_count(groups, in_channels), in_channels, EPSILON)
    return nn.Sequential(norm, nn.SiLU(), convolution)


def start_at_identity(network: nn.Module) -> None:
    """Zero the last layer of each residual and attention branch, as Dhariwal & Nichol 2021."""
    for module in network.modules():
        if isinstance(module, ResnetBlock2D):
            zero(module.conv2)
        elif isinstance(module, Attention):
            zero(module.to_out[0])


def zero(layer: nn.Module) -> None:
    """Set weight and bias to zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
