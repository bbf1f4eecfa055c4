"""The table of mask sources: what `masks.source` of params.yaml may name.

A source maps the index of a synthetic pair to its condition, from the seed and that index alone:
neither the number of pairs nor the order in which they are drawn matters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipeline.data.pairs import Pairs
from pipeline.io.params import Settings
from pipeline.masks.augmented import AugmentedMaskSettings, augmented_masks
from pipeline.masks.generated import Draw, GeneratedMaskSettings, generated_masks
from pipeline.masks.real import MaskSource, TurnSettings, real_masks


class MaskSettings(Settings):
    """Section `masks` of params.yaml: the source, and a block of settings for each."""

    source: Literal["real", "augmented", "diffusion"]
    real: TurnSettings
    augmented: AugmentedMaskSettings
    diffusion: GeneratedMaskSettings


@dataclass(frozen=True)
class MaskInputs:
    """All that a source may draw on."""

    pairs: Pairs  # for training
    settings: MaskSettings
    seed: int
    draw: Draw | None = None  # the mask model, for `diffusion` only


def _diffusion(inputs: MaskInputs) -> MaskSource:
    if inputs.draw is None:
        raise ValueError("draw: got None, expected a mask model's for the source `diffusion`")
    return generated_masks(inputs.pairs, inputs.settings.diffusion, inputs.seed, inputs.draw)


MASK_SOURCES: dict[str, Callable[[MaskInputs], MaskSource]] = {
    "real": lambda inputs: real_masks(inputs.pairs, inputs.settings.real, inputs.seed),
    "augmented": lambda inputs: augmented_masks(
        inputs.pairs, inputs.settings.augmented, inputs.seed
    ),
    "diffusion": _diffusion,
}
