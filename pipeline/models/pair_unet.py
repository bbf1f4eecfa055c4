"""The denoisers of SynthSet, which draw an image and its mask together (Heschl et al., fig. 2).

`concat` is one U-Net on the channels of both (SatSynth, Toker et al. 2024). `two_encoder` is a
U-Net each for image and mask; they exchange their features after every down- and up-sampling
block. `shared_encoder` sends both through the same encoder, one independently of the other, and
has a decoder each, which exchange after every up block. With two branches, either attends to the
other in the bottleneck. The published code exchanges in the encoder before two of three blocks
only, and lets the image attend with the mask's queries; here it is as the paper says.
"""

from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.cross_attention import Bottleneck
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
    start_at_identity,
)
from pipeline.models.skip_moderation import SKIPS, Exchange, SkipName

PHOTO_CHANNELS = 3

ArchitectureName = Literal["concat", "shared_encoder", "two_encoder"]


class PairNetworkSettings(BranchSettings):
    """Size and shape of the network; the defaults are the paper's, for 128 px.

    `skips` says how branches take in each other's features. `concat` has one branch, nothing to
    exchange, and plain U-Net skips: it accepts any value, so that one block of parameters serves
    all architectures.
    """

    architecture: ArchitectureName = "two_encoder"
    skips: SkipName = "scale_u"


def build_pair_unet(
    settings: PairNetworkSettings,
    code_channels: int,
    size: tuple[int, int],
    output_groups: int = 1,
    name: str = "image_dm.pair.network",
) -> "PairUNet":
    """The network for pairs of height × width `size`.

    Args:
        settings: see there.
        code_channels: k of the mask's code.
        size: height and width of image and mask.
        output_groups: how many outputs there are for each channel.
        name: of the section, for messages.

    Raises:
        UserError: the size is not divisible by the total stride, or the channels in the middle
            not by the heads.
    """
    check_size(size, settings.multipliers, settings.unshuffle, name)
    check_heads(settings.heads, level_widths(settings.width, settings.multipliers)[-1], name)
    return PairUNet(
        code_channels=code_channels, output_groups=output_groups, **settings.model_dump()
    )


class Encoder(nn.Module):
    """Down blocks of each branch, an exchange after every one, and a residual layer at the end."""

    def __init__(
        self, widths: list[int], total_branches: int, skips: SkipName, shape: LayerShape
    ) -> None:
        super().__init__()
        branches = range(total_branches)
        pairs = list(pairwise(widths))
        self.blocks = nn.ModuleList(
            nn.ModuleList(DownBlock(fine, coarse, shape) for _ in branches)
            for fine, coarse in pairs
        )
        self.exchanges = nn.ModuleList(
            _exchange(coarse, total_branches, skips) for _, coarse in pairs
        )
        self.ends = nn.ModuleList(
            ResidualLayers(widths[-1], widths[-1], shape, total=1) for _ in branches
        )

    def forward(
        self, branches: list[Tensor], time: Tensor
    ) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Each branch's features N×w₀×h×w and the time N×T.

        Returns:
            The coarsest features of each branch, and for each level, the finest first, the skips
            N×w_{l+1}×h/2^l×w/2^l of each branch.
        """
        skips = []
        for blocks, exchange in zip(self.blocks, self.exchanges, strict=True):
            results = [block(x, time) for block, x in zip(blocks, branches, strict=True)]
            skips.append([skip for _, skip in results])
            branches = exchange([halved for halved, _ in results])
        return [end(x, time) for end, x in zip(self.ends, branches, strict=True)], skips


class SharedEncoder(nn.Module):
    """One encoder that every branch passes through; as one batch, which is faster."""

    def __init__(
        self, widths: list[int], total_branches: int, skips: SkipName, shape: LayerShape
    ) -> None:
        super().__init__()
        self.total_branches = total_branches
        self.encoder = Encoder(widths, 1, skips, shape)

    def forward(
        self, branches: list[Tensor], time: Tensor
    ) -> tuple[list[Tensor], list[list[Tensor]]]:
        """See Encoder."""
        # nothing in the encoder looks at another sample, so this equals a pass for each branch
        features, skips = self.encoder(
            [torch.cat(branches)],  # 2N×w₀×h×w
            time.repeat(self.total_branches, 1),
        )
        split = [list(skip.chunk(self.total_branches)) for (skip,) in skips]
        return list(features[0].chunk(self.total_branches)), split


class Decoder(nn.Module):
    """Up blocks of each branch and an exchange after every one."""

    def __init__(
        self, widths: list[int], total_branches: int, skips: SkipName, shape: LayerShape
    ) -> None:
        super().__init__()
        # concat has nothing to moderate
        own = SKIPS[skips if total_branches > 1 else "direct"].own
        pairs = list(pairwise(widths))[::-1]
        self.blocks = nn.ModuleList(
            nn.ModuleList(UpBlock(coarse, coarse, fine, own, shape) for _ in range(total_branches))
            for fine, coarse in pairs
        )
        self.exchanges = nn.ModuleList(_exchange(fine, total_branches, skips) for fine, _ in pairs)

    def forward(
        self, branches: list[Tensor], skips: list[list[Tensor]], time: Tensor
    ) -> list[Tensor]:
        """What an encoder returns, and the time, to features N×w₀×h×w of each branch."""
        for blocks, exchange, level in zip(self.blocks, self.exchanges, skips[::-1], strict=True):
            branches = exchange(
                [
                    block(x, skip, time)
                    for block, x, skip in zip(blocks, branches, level, strict=True)
                ]
            )
        return branches


class Architecture(NamedTuple):
    """What tells the architectures apart."""

    joined: bool  # image and mask are the channels of a single branch
    encoder: type[Encoder] | type[SharedEncoder]


ARCHITECTURES: dict[ArchitectureName, Architecture] = {
    "concat": Architecture(True, Encoder),
    "two_encoder": Architecture(False, Encoder),
    "shared_encoder": Architecture(False, SharedEncoder),
}


class PairUNet(ModelMixin, ConfigMixin):
    """Predicts from a noisy image and mask code and their timestep, unconditionally.

    Args:
        code_channels: k of the mask's code.
        architecture: see the module.
        skips: see skip_moderation; without effect in `concat`.
        width: channels of the first level; level i has width · multipliers[i].
        multipliers: see width; one down and one up block between two levels.
        blocks: residual layers a block.
        heads: of the attention in the middle; they divide its channels.
        groups: of the group normalisation; fewer where the channels cannot be divided.
        scale_shift: how the time embedding enters.
        unshuffle: fold f×f pixels into channels at each branch's input.
        dropout: in the residual layers.
        output_groups: how many outputs there are for each channel.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        code_channels: int,
        architecture: ArchitectureName,
        skips: SkipName,
        width: int,
        multipliers: list[float],
        blocks: int,
        heads: int,
        groups: int,
        scale_shift: bool,
        unshuffle: int,
        dropout: float,
        output_groups: int = 1,
    ) -> None:
        super().__init__()
        kind = ARCHITECTURES[architecture]
        whole = [PHOTO_CHANNELS, code_channels]
        self.parts = [sum(whole)] if kind.joined else whole  # channels of each branch
        total_branches = len(self.parts)
        widths = level_widths(width, multipliers)
        shape = LayerShape(blocks, 4 * width, groups, scale_shift, dropout)
        folded = [channels * unshuffle**2 for channels in self.parts]
        self.time = TimeEmbedding(shape.time_channels)
        self.inputs = nn.ModuleList(nn.Conv2d(channels, widths[0], 3, 1, 1) for channels in folded)
        self.encoder = kind.encoder(widths, total_branches, skips, shape)
        self.bottleneck = Bottleneck(widths[-1], total_branches, heads, groups)
        self.decoder = Decoder(widths, total_branches, skips, shape)
        self.outputs = nn.ModuleList(
            output_head(widths[0], channels * output_groups, groups) for channels in folded
        )
        start_at_identity(self)

    def forward(self, x: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """Predict.

        Args:
            x: noisy image and code, float N×(3+k)×h×w.
            timesteps: integer N.
            condition: N×0×h×w, as there is none.

        Returns:
            float N×g(3+k)×h×w in g = `output_groups` groups of the channels of x.

        Raises:
            ValueError: the condition has channels.
        """
        if condition.shape[1]:
            raise ValueError(f"condition: got {condition.shape[1]} channels, expected 0")
        time = self.time(timesteps)
        branches = [
            convolution(functional.pixel_unshuffle(part, self.config.unshuffle))
            for convolution, part in zip(self.inputs, x.split(self.parts, dim=1), strict=True)
        ]  # N×w₀×h/f×w/f each
        branches, skips = self.encoder(branches, time)
        branches = self.decoder(self.bottleneck(branches), skips, time)
        predicted = [
            head(x).chunk(self.config.output_groups, dim=1)
            for head, x in zip(self.outputs, branches, strict=True)
        ]  # of each branch, its part of each group
        in_groups = torch.cat([part for group in zip(*predicted, strict=True) for part in group], 1)
        return functional.pixel_shuffle(in_groups, self.config.unshuffle)


def _exchange(channels: int, total_branches: int, skips: SkipName) -> nn.Module:
    return Exchange(channels, total_branches, skips) if total_branches > 1 else nn.Identity()
