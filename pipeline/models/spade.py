"""Spatially adaptive normalisation and the residual block that carries it.

SPADE: Park et al. 2019, eq. 1, in the form of Wang et al. 2022 (SDM), section 3.1:
SPADE(h, m) = GroupNorm(h)·(1 + γ(m)) + β(m), with GroupNorm without weights of its own.
The time embedding enters at a block's second norm only: SPADE(h, m)·(1 + scale) + shift.
"""

import math
from collections.abc import Sequence

import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-5


def group_count(groups: int, channels: int) -> int:
    """Groups of a GroupNorm over `channels`: `groups` where it divides them, else the largest
    common divisor (48 channels, 32 groups asked: 16; 24 channels: 8).
    """
    return math.gcd(groups, channels)


class KeptCondition:
    """Several conditions of the same images, for many passes of one network without gradients.

    γ and β depend on neither the image nor the timestep: each SPADE computes them at its first
    pass, then finds them here, as long as they fit into a number of bytes. They are the same
    bits, kept or computed anew.
    """

    def __init__(self, conditions: Sequence[Tensor], limit_bytes: int) -> None:
        """`conditions`: each M×K×H×W for the N images, M = N, or 1 where all have the same."""
        self.conditions = conditions
        self.bytes_left = limit_bytes
        self._kept: dict[tuple[SpadeNorm, int], tuple[Tensor, Tensor]] = {}

    def first(self) -> "KeptCondition":
        """The first condition alone; what is kept of it is shared."""
        first = KeptCondition(self.conditions[:1], 0)
        first._kept = self._kept
        return first

    def repeat(self, features: Tensor) -> Tensor:
        """What the images have in common under all conditions: N×… once for each of them."""
        times = len(self.conditions)
        return features if times == 1 else torch.cat([features] * times)

    def modulate(self, norm: "SpadeNorm", normalised: Tensor) -> Tensor:
        """`normalised`·(1 + γ) + β under each condition, in place.

        Args:
            norm: whose γ and β.
            normalised: images under the first condition, then under the next …: PN×C×h×w.
        """
        chunks = normalised.chunk(len(self.conditions))
        for number, part in enumerate(chunks):
            scale, shift = self._modulation(norm, number, normalised.shape[-2:])
            part.mul_(scale).add_(shift)
        return normalised

    def _modulation(
        self, norm: "SpadeNorm", number: int, size: torch.Size
    ) -> tuple[Tensor, Tensor]:
        """1 + γ and β under a condition."""
        if (norm, number) in self._kept:
            return self._kept[norm, number]
        gamma, beta = norm.modulation(self.conditions[number], size)
        found = gamma.add_(1), beta
        needed = sum(tensor.nbytes for tensor in found)
        if needed <= self.bytes_left:
            self.bytes_left -= needed
            self._kept[norm, number] = found
        return found


class SpadeNorm(nn.Module):
    """GroupNorm whose scale and shift are maps computed from the condition."""

    def __init__(self, channels: int, condition_channels: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(group_count(groups, channels), channels, EPSILON, affine=False)
        self.shared = nn.Conv2d(condition_channels, hidden, kernel_size=3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, kernel_size=3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, kernel_size=3, padding=1)

    def modulation(self, condition: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """γ and β (each N×channels×h×w) of a condition at any size N×K×H×W.

        They depend on neither the image nor the timestep, so one mask's need computing once.
        """
        if condition.shape[-2:] != size:
            condition = functional.interpolate(condition, size=size, mode="nearest")  # N×K×h×w
        hidden = functional.relu(self.shared(condition))  # N×hidden×h×w
        return self.gamma(hidden), self.beta(hidden)

    def forward(self, features: Tensor, condition: Tensor | KeptCondition) -> Tensor:
        """Features N×channels×h×w, normalised and modulated."""
        if isinstance(condition, KeptCondition):
            return condition.modulate(self, self.norm(features))
        gamma, beta = self.modulation(condition, features.shape[-2:])
        return self.norm(features) * (1 + gamma) + beta


class SpadeResnetBlock(ResnetBlock2D):
    """The residual block of Guided Diffusion with SPADE in place of both norms."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_channels: int,
        condition_channels: int,
        hidden: int,
        groups: int,
        dropout: float,
        up: bool = False,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            temb_channels=time_channels,
            groups=group_count(groups, in_channels),
            groups_out=group_count(groups, out_channels),
            eps=EPSILON,
            dropout=dropout,
            time_embedding_norm="scale_shift",
            up=up,
        )
        if up:
            # diffusers' own drops the channels-last layout from 64 images on: slower, and the
            # norms that follow then add up in another order than with fewer images
            self.upsample = nn.UpsamplingNearest2d(scale_factor=2)
        self.norm1 = SpadeNorm(in_channels, condition_channels, hidden, groups)
        self.norm2 = SpadeNorm(out_channels, condition_channels, hidden, groups)

    def forward(
        self, features: Tensor, time_embedding: Tensor, condition: Tensor | KeptCondition
    ) -> Tensor:
        """Features N×in×h×w to N×out×h×w, or N×out×2h×2w for an up block."""
        hidden = self.nonlinearity(self.norm1(features, condition))
        if self.upsample is not None:
            features, hidden = self.upsample(features), self.upsample(hidden)  # 2h×2w
        hidden = self.conv1(hidden)  # N×out×h×w
        scale_shift = self.time_emb_proj(self.nonlinearity(time_embedding))  # N×2·out
        scale, shift = scale_shift[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm2(hidden, condition) * (1 + scale) + shift
        hidden = self.conv2(self.dropout(self.nonlinearity(hidden)))
        if self.conv_shortcut is not None:
            features = self.conv_shortcut(features)
        return features + hidden
