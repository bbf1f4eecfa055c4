"""The table of mask sources: what `masks.source` of params.yaml may name.

A source maps the index of a synthetic pair to its condition, from the seed and that index alone:
neither the number of pairs nor the order in which they are drawn matters.
"""

from collections.abc import Callable
from typing import Literal

from pipeline.data.pairs import Pairs
from pipeline.io.params import Settings
from pipeline.masks.augmented import AugmentedMaskSettings, augmented_masks
from pipeline.masks.real import MaskSource, TurnSettings, real_masks


class MaskSettings(Settings):
    """Section `masks` of params.yaml: the source, and a block of settings for each."""

    source: Literal["real", "augmented"]
    real: TurnSettings
    augmented: AugmentedMaskSettings


MASK_SOURCES: dict[str, Callable[[Pairs, MaskSettings, int], MaskSource]] = {
    "real": lambda pairs, settings, seed: real_masks(pairs, settings.real, seed),
    "augmented": lambda pairs, settings, seed: augmented_masks(pairs, settings.augmented, seed),
}
