"""The U-Net of the Semantic Diffusion Model (Wang et al. 2022, arXiv 2207.00050).

The U-Net of Guided Diffusion (Dhariwal & Nichol 2021): residual blocks that also resample,
scale-shift time embedding, attention at low resolutions. The image passes the encoder alone; the
mask enters the middle and the decoder through SPADE. Everything is built of diffusers' blocks.

For small budgets the input may be pixel-unshuffled (Shi et al. 2016), image and mask alike: the
network then works at 1/factor of the resolution and no pixel of the mask is lost to resizing.
"""

from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pipeline.io.errors import UserError
from pipeline.io.params import Settings
from pipeline.models.sizes import Blocks, Channels, Multiplier, Unshuffle, Width
from pipeline.models.spade import EPSILON, KeptCondition, SpadeResnetBlock, group_count

IMAGE_CHANNELS = 3


class NetworkSettings(Settings):
    """Size and shape of the network; the defaults are the paper's for 256 px."""

    width: Width = 256
    multipliers: list[Multiplier] = Field([1, 1, 2, 2, 4, 4], min_length=1)
    blocks: Blocks = 2
    attention: list[int] = Field([32, 16, 8])
    head_channels: int = Field(64, ge=1)
    spade_channels: Channels = 128
    groups: int = Field(32, ge=1)
    unshuffle: Unshuffle = 1
    dropout: float = Field(0.0, ge=0, lt=1)


def build_network(
    settings: NetworkSettings,
    condition_channels: int,
    output_groups: int,
    image_size: tuple[int, int],
) -> "SpadeUNet":
    """The network for images of height × width `image_size`, with 3 outputs in each group.

    `settings.attention` names feature maps by their shorter side in pixels at that size.

    Raises:
        UserError: the size is not divisible by the total stride, or no level has a side named in
            `settings.attention`.
    """
    levels = range(len(settings.multipliers))
    strides = [settings.unshuffle * 2**level for level in levels]
    _check_size(image_size, strides[-1])
    sides = [min(image_size) // stride for stride in strides]
    unknown = sorted(set(settings.attention) - set(sides))
    if unknown:
        raise UserError(
            f"network.attention: got {unknown}, but at {image_size[0]}×{image_size[1]} px the "
            f"levels' feature maps are {sides} px; name some of these ([] = in the middle only)"
        )
    return SpadeUNet(
        condition_channels=condition_channels,
        out_channels=IMAGE_CHANNELS * output_groups,
        attention_levels=[level for level in levels if sides[level] in settings.attention],
        **settings.model_dump(exclude={"attention"}),
    )


class SpadeUNet(ModelMixin, ConfigMixin):
    """Predicts from a noisy image, its timestep and a condition; any height and width that the
    total stride (unshuffle · 2^(levels − 1)) divides.

    Args:
        condition_channels: K of the condition tensor.
        out_channels: 3, or a multiple of it where more than the image is learned.
        width: channels of the first level; level i has width · multipliers[i].
        blocks: residual blocks a level in the encoder; the decoder has one more.
        attention_levels: levels (0 = finest) with attention after each block; the middle block
            always has it.
        head_channels: channels of an attention head; where they do not divide a level's channels
            the level has a single head.
        spade_channels: hidden channels of each SPADE.
        groups: groups of each GroupNorm, see `group_count`.
        unshuffle: factor of the pixel-unshuffle at the input and pixel-shuffle at the output.
        dropout: probability within the residual blocks.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        condition_channels: int,
        out_channels: int,
        width: int,
        multipliers: list[float],
        blocks: int,
        attention_levels: list[int],
        head_channels: int,
        spade_channels: int,
        groups: int,
        unshuffle: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.total_stride = unshuffle * 2 ** (len(multipliers) - 1)
        channels = [round(width * multiplier) for multiplier in multipliers]
        time_channels = 4 * width
        self.time_features = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, time_channels)
        self.conv_in = nn.Conv2d(IMAGE_CHANNELS * unshuffle**2, channels[0], 3, padding=1)

        def plain(inputs: int, outputs: int, down: bool = False) -> ResnetBlock2D:
            return ResnetBlock2D(
                in_channels=inputs,
                out_channels=outputs,
                temb_channels=time_channels,
                groups=group_count(groups, inputs),
                groups_out=group_count(groups, outputs),
                eps=EPSILON,
                dropout=dropout,
                time_embedding_norm="scale_shift",
                down=down,
            )

        def spade(inputs: int, outputs: int, up: bool = False) -> SpadeResnetBlock:
            mask_channels = condition_channels * unshuffle**2
            return SpadeResnetBlock(
                inputs, outputs, time_channels, mask_channels, spade_channels, groups, dropout, up
            )

        def attention(size: int, level: int) -> nn.Module:
            here = level in attention_levels
            return _attention(size, head_channels, groups) if here else nn.Identity()

        # Encoder. `skips` lists the channels of every map that the decoder takes up again.
        self.encoder = nn.ModuleList()
        current, skips = channels[0], [channels[0]]
        for level, size in enumerate(channels):
            for _ in range(blocks):
                self.encoder.append(_Step(plain(current, size), attention(size, level)))
                current = size
                skips.append(current)
            if level < len(channels) - 1:
                self.encoder.append(_Step(plain(current, current, down=True), nn.Identity()))
                skips.append(current)

        self.middle_in = spade(current, current)
        self.middle_attention = _attention(current, head_channels, groups)
        self.middle_out = spade(current, current)

        # Decoder. Each step takes a skip, except those that double the resolution.
        self.decoder = nn.ModuleList()
        for level in reversed(range(len(channels))):
            size = channels[level]
            for _ in range(blocks + 1):
                block = spade(current + skips.pop(), size)
                self.decoder.append(_Step(block, attention(size, level), takes_skip=True))
                current = size
            if level > 0:
                self.decoder.append(_Step(spade(size, size, up=True), nn.Identity()))

        self.norm_out = nn.GroupNorm(group_count(groups, current), current, EPSILON)
        self.conv_out = nn.Conv2d(current, out_channels * unshuffle**2, 3, padding=1)
        self._zero_last_layers()

    def _zero_last_layers(self) -> None:
        """Each residual branch and the output start at zero (Guided Diffusion); γ and β do not."""
        for module in self.modules():
            if isinstance(module, ResnetBlock2D):
                _zero(module.conv2)
            elif isinstance(module, Attention):
                _zero(module.to_out[0])
        _zero(self.conv_out)

    def keep(self, conditions: Sequence[Tensor], limit_bytes: int) -> KeptCondition:
        """Conditions for many passes without gradients; γ and β are then computed once.

        Args:
            conditions: each float M×K×H×W for the same N images; M = N, or 1 for all of them.
            limit_bytes: memory that γ and β may take; what does not fit is computed at each pass.

        Raises:
            UserError: height or width is not divisible by the total stride.
            ValueError: a condition's shape is not M×K×H×W.
        """
        factor = self.config.unshuffle
        for condition in conditions:
            self._check_condition(condition, (len(condition), *condition.shape[-2:]))
        return KeptCondition(
            [functional.pixel_unshuffle(condition, factor) for condition in conditions],
            limit_bytes,
        )

    def forward(self, x: Tensor, timesteps: Tensor, condition: Tensor | KeptCondition) -> Tensor:
        """Predict.

        Args:
            x: noisy images, float N×3×H×W.
            timesteps: integer N.
            condition: float N×K×H×W, or what `keep` made of P conditions for the N images: the
                encoder, which sees none of them, then runs once for all.

        Returns:
            float N×out_channels×H×W; of a learned variance the channels are the interpolation
            between log β̃ and log β, −1…1 (not clamped). With P conditions PN, all images under
            the first, then all under the next.

        Raises:
            UserError: height or width is not divisible by the total stride.
            ValueError: the condition's shape is not N×K×H×W.
        """
        _check_size(x.shape[-2:], self.total_stride)
        factor = self.config.unshuffle
        if isinstance(condition, Tensor):
            self._check_condition(condition, (len(x), *x.shape[-2:]))
            condition = functional.pixel_unshuffle(condition, factor)  # N×Kf²×H/f×W/f
        x = functional.pixel_unshuffle(x, factor)  # N×3f²×H/f×W/f
        time = self.time_embedding(self.time_features(timesteps).to(x.dtype))  # N×4·width

        hidden = self.conv_in(x)
        skips = [hidden]
        for step in self.encoder:
            hidden = self._run(step, hidden, time)
            skips.append(hidden)
        repeat = condition.repeat if isinstance(condition, KeptCondition) else _as_it_is
        hidden, time = repeat(hidden), repeat(time)  # PN
        hidden = self._run(self.middle_in, hidden, time, condition)
        hidden = self.middle_attention(hidden)
        hidden = self._run(self.middle_out, hidden, time, condition)
        for step in self.decoder:
            if step.takes_skip:
                hidden = torch.cat([hidden, repeat(skips.pop())], dim=1)
            hidden = self._run(step, hidden, time, condition)
        hidden = self.conv_out(functional.silu(self.norm_out(hidden)))
        return functional.pixel_shuffle(hidden, factor)  # N×out×H×W

    def _run(self, module: nn.Module, *inputs: Tensor | KeptCondition) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(module, *inputs)
        return module(*inputs)

    def _check_condition(self, condition: Tensor, images: tuple[int, ...]) -> None:
        """`images`: number, height and width of the images that it is for."""
        _check_size(condition.shape[-2:], self.total_stride)
        expected = (images[0], self.config.condition_channels, *images[1:])
        if tuple(condition.shape) != expected:
            raise ValueError(
                f"condition: got shape {tuple(condition.shape)}, expected {expected} "
                "(batch, classes and silhouette, height, width)"
            )


class _Step(nn.Module):
    """A residual block, then attention where the level has it."""

    def __init__(self, block: nn.Module, attention: nn.Module, takes_skip: bool = False) -> None:
        super().__init__()
        self.block, self.attention, self.takes_skip = block, attention, takes_skip

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.attention(self.block(*inputs))


def _as_it_is(features: Tensor) -> Tensor:
    return features


def _attention(channels: int, head_channels: int, groups: int) -> Attention:
    head = head_channels if channels % head_channels == 0 else channels
    return Attention(
        channels,
        heads=channels // head,
        dim_head=head,
        bias=True,
        norm_num_groups=group_count(groups, channels),
        eps=EPSILON,
        residual_connection=True,
        _from_deprecated_attn_block=True,
    )


def _zero(layer: nn.Module) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def _check_size(size: tuple[int, int], stride: int) -> None:
    height, width = size
    if height % stride or width % stride:
        near = [max(stride, round(side / stride) * stride) for side in size]
        raise UserError(
            f"image size: got {height}×{width}, expected both divisible by {stride} "
            f"(unshuffle · 2^(levels − 1)); take {near[0]}×{near[1]} or fewer network.multipliers"
        )
