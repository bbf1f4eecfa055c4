"""How features that skip blocks are taken in: the three ways that SynthSet compares.

Heschl et al., "Skip Connections": `direct` concatenates; `zero_conv` adds a 1×1 convolution of the
skip that starts at zero (ControlNet, Zhang et al. 2023); `scale_u` is the ScaleU block of
InstanceDiffusion (Wang et al. 2024, after FreeU) with any number of skips: the main features times
tanh(b_c) + 1 a channel, and of each skip its 2×2 lowest frequencies times tanh(s) + 1.

Two uses: an *exchange* takes in the other branch's features, and the U-Net's *own* skip those of
the branch's own encoder. An exchange by `zero_conv` or `scale_u` gives back the main features
unchanged at the start, so that the branches begin as networks of their own. The own skip must not:
a U-Net without skips would have to find its details first. So there the 1×1 convolution after the
concatenation starts at random as any layer does, `scale_u` begins with scales of 1, and
`zero_conv` joins as `direct` does.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.models.pair_blocks import zero

SkipName = Literal["direct", "zero_conv", "scale_u"]


class DirectSkips(nn.Module):
    """Concatenation and a 1×1 convolution.

    Args:
        channels: C of the main features.
        skip_channels: C of each skip.
    """

    def __init__(self, channels: int, skip_channels: list[int]) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels + sum(skip_channels), channels, kernel_size=1)

    def forward(self, main: Tensor, skips: list[Tensor]) -> Tensor:
        """Main features N×C×h×w and skips of the same size to N×C×h×w."""
        return self.mix(torch.cat([main, *skips], dim=1))


class ZeroConvSkips(nn.Module):
    """The main features plus a 1×1 convolution of each skip that starts at zero."""

    def __init__(self, channels: int, skip_channels: list[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(skip, channels, 1) for skip in skip_channels)
        for convolution in self.convolutions:
            zero(convolution)

    def forward(self, main: Tensor, skips: list[Tensor]) -> Tensor:
        """See DirectSkips."""
        for convolution, skip in zip(self.convolutions, skips, strict=True):
            main = main + convolution(skip)
        return main


class ScaledSkips(nn.Module):
    """The ScaleU block: scaled main features and skips, concatenated, and a 1×1 convolution.

    Args:
        channels: C of the main features.
        skip_channels: C of each skip.
        picks_main: whether the convolution starts by passing on the main features alone.
    """

    def __init__(self, channels: int, skip_channels: list[int], picks_main: bool = False) -> None:
        super().__init__()
        self.main_scale = nn.Parameter(torch.zeros(channels))  # b
        self.skip_scales = nn.Parameter(torch.zeros(len(skip_channels)))  # s
        self.mix = nn.Conv2d(channels + sum(skip_channels), channels, kernel_size=1)
        if picks_main:
            nn.init.dirac_(self.mix.weight)  # output channel c = input channel c, a main feature
            nn.init.zeros_(self.mix.bias)

    def forward(self, main: Tensor, skips: list[Tensor]) -> Tensor:
        """See DirectSkips."""
        main_scale = (self.main_scale.tanh() + 1).to(main.dtype).view(1, -1, 1, 1)
        # skip + tanh(s) · low = the skip with its low frequencies times tanh(s) + 1
        scaled = [
            skip + scale.to(skip.dtype) * low_frequencies(skip)
            for skip, scale in zip(skips, self.skip_scales.tanh(), strict=True)
        ]
        return self.mix(torch.cat([main * main_scale, *scaled], dim=1))


def low_frequencies(features: Tensor) -> Tensor:
    """The part of the features in the 2×2 lowest frequencies, float N×C×h×w to the same.

    These are the frequencies 0 and −1 of either axis, the four at the middle of the centred
    spectrum; the result is the real part of their inverse transform. Projecting on their seven
    waves is cheaper than two FFTs and works in bfloat16.
    """
    n, channels, height, width = features.shape
    waves = _waves(height, width, features)  # hw×B
    pixels = features.permute(0, 2, 3, 1).reshape(n, height * width, channels)
    amplitudes = waves.T @ pixels / (height * width)  # N×B×C
    low = (waves @ amplitudes).to(features.dtype)  # N×hw×C
    return low.view(n, height, width, channels).permute(0, 3, 1, 2)


def _waves(height: int, width: int, like: Tensor) -> Tensor:
    """The cosine and sine of each low frequency, hw×B with B = 7 (fewer where a side is 1)."""
    waves = []
    for vertical in (0, -1)[:height]:
        for horizontal in (0, -1)[:width]:
            rows = torch.arange(height, device=like.device) * (vertical * math.tau / height)
            columns = torch.arange(width, device=like.device) * (horizontal * math.tau / width)
            angles = (rows[:, None] + columns).flatten()  # hw
            waves.append(angles.cos())
            if vertical or horizontal:
                waves.append(angles.sin())
    return torch.stack(waves, dim=1).to(like.dtype)


class SkipVariant(NamedTuple):
    """Both uses of one way; each makes a module of (channels, skip_channels)."""

    exchange: Callable[[int, list[int]], nn.Module]
    own: Callable[[int, list[int]], nn.Module]


SKIPS: dict[SkipName, SkipVariant] = {
    "direct": SkipVariant(DirectSkips, DirectSkips),
    "zero_conv": SkipVariant(ZeroConvSkips, DirectSkips),
    "scale_u": SkipVariant(partial(ScaledSkips, picks_main=True), ScaledSkips),
}


class Exchange(nn.Module):
    """Every branch takes in the other branches' features, all as they were before the exchange."""

    def __init__(self, channels: int, total_branches: int, skips: SkipName) -> None:
        super().__init__()
        others = [channels] * (total_branches - 1)
        self.branches = nn.ModuleList(
            SKIPS[skips].exchange(channels, others) for _ in range(total_branches)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Features of each branch, N×C×h×w, to the same."""
        return [
            moderate(main, branches[:index] + branches[index + 1 :])
            for index, (moderate, main) in enumerate(zip(self.branches, branches, strict=True))
        ]
