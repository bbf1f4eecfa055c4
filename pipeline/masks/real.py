"""The training masks as conditions, reused in turn (ISDM, chapter 6 of the thesis)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.data.pairs import Pairs
from pipeline.io.params import Settings
from pipeline.io.seeding import numpy_rng


@dataclass(frozen=True)
class MaskDraw:
    """The condition of one synthetic pair; `mask_id` names the training mask it was made of.

    For masks that a model draws, faults are those of `pipeline.masks.plausibility`, the gravest of
    each implausible draw.
    """

    mask: np.ndarray  # uint8 H×W, class indices
    object: np.ndarray | None  # bool H×W, the object's silhouette
    mask_id: str
    rejected: tuple[str, ...] = ()  # faults of the draws thrown away before this one
    fault: str | None = None  # of this one


MaskSource = Callable[[int], MaskDraw]


class TurnSettings(Settings):
    """In which order training masks are taken; each is used once before any is used again."""

    order: Literal["by_id", "shuffled"]  # shuffled: each round over them in an order of its own


def real_masks(pairs: Pairs, settings: TurnSettings, seed: int) -> MaskSource:
    """The training masks (with or without defects) as they are."""

    def draw(index: int) -> MaskDraw:
        return mask_in_turn(pairs, settings, seed, index)

    return draw


def mask_in_turn(pairs: Pairs, settings: TurnSettings, seed: int, index: int) -> MaskDraw:
    """The training mask whose turn it is at `index` (0, 1, …)."""
    round_number, turn = divmod(index, len(pairs))
    n = turn
    if settings.order == "shuffled":
        n = int(numpy_rng(seed, "mask order", round_number).permutation(len(pairs))[turn])
    silhouette = None if pairs.objects is None else pairs.objects[n]
    return MaskDraw(pairs.masks[n], silhouette, pairs.ids[n])
