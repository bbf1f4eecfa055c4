"""Drawing one batch of pairs: the methods that `sample` may use, behind one call.

A method maps the indices of a batch to finished pairs, from its seed and these indices alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from accelerate import PartialState

from pipeline.data.label_maps import split_labels
from pipeline.data.reduction import reduce_labels
from pipeline.diffusion.model_folder import ModelCard
from pipeline.diffusion.painting import Drawn, Painter, to_pixels
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.io.seeding import derive_seed
from pipeline.models.conditioning import encode_condition


@dataclass(frozen=True)
class DrawnPair:
    """A finished pair; `mask_id` names the training mask it was drawn for, if for one.

    For masks that a model draws, faults are those of `pipeline.masks.plausibility`.
    """

    image: np.ndarray  # uint8 H×W×3
    mask: np.ndarray  # uint8 H×W, class indices
    object: np.ndarray | None  # bool H×W
    mask_id: str
    rejected: tuple[str, ...] = ()  # faults of masks that were drawn before this one
    fault: str | None = None  # of this one


Method = Callable[[Sequence[int]], list[DrawnPair]]


class Condition(Protocol):
    """What a mask source gives for an index."""

    mask: np.ndarray  # uint8 H×W
    object: np.ndarray | None  # bool H×W
    mask_id: str
    rejected: tuple[str, ...]
    fault: str | None


def sample_seed(seed: int, index: int) -> int:
    """Seed of the noise of the pair of that index; `seed` is the pipeline's."""
    return derive_seed(seed, "sample", index)


def for_masks(
    painter: Painter,
    card: ModelCard,
    source: Callable[[int], Condition],
    settings: SamplerSettings,
    seed: int,
    reduction: int,
) -> Method:
    """Photos for the masks of a source.

    Args:
        painter: one with conditions.
        card: of its model.
        source: condition of each index, `reduction` times the size that the model draws.
        settings: how to draw.
        seed: the pipeline's.
        reduction: factor by which the masks are made smaller.
    """
    painter.to(PartialState().device)

    def draw(indices: Sequence[int]) -> list[DrawnPair]:
        conditions = [source(index) for index in indices]
        masks = reduce_labels(np.stack([item.mask for item in conditions]), reduction)
        objects = [None] * len(masks)
        if card.with_object:
            objects = list(reduce_labels(np.stack([c.object for c in conditions]), reduction))
        encoded = encode_condition(
            torch.from_numpy(masks).long(),
            torch.from_numpy(np.stack(objects)) if card.with_object else None,
            len(card.classes),
        )  # N×K×H×W
        photos = to_pixels(painter.paint(encoded, _noise(seed, indices), settings).photos)
        return [
            DrawnPair(photo, mask, silhouette, item.mask_id, item.rejected, item.fault)
            for photo, mask, silhouette, item in zip(
                photos, masks, objects, conditions, strict=True
            )
        ]

    return draw


def with_masks(painter: Painter, card: ModelCard, settings: SamplerSettings, seed: int) -> Method:
    """Photos and masks drawn at once.

    Args:
        painter: one without conditions.
        card: of its model.
        settings: how to draw.
        seed: the pipeline's.
    """
    painter.to(PartialState().device)

    def draw(indices: Sequence[int]) -> list[DrawnPair]:
        nothing = torch.zeros(len(indices), 0, card.height, card.width)
        drawn = painter.paint(nothing, _noise(seed, indices), settings)
        names = [f"drawn_{index:06d}" for index in indices]
        return finished(drawn, names, len(card.classes), card.with_object)

    return draw


def finished(
    drawn: Drawn, mask_ids: Sequence[str], total_classes: int, with_object: bool
) -> list[DrawnPair]:
    """Pairs of drawn photos and label maps."""
    masks, objects = split_labels(drawn.labels, total_classes, with_object)
    silhouettes = [None] * len(masks) if objects is None else list(objects)
    rows = zip(to_pixels(drawn.photos), masks, silhouettes, mask_ids, strict=True)
    return [DrawnPair(*row) for row in rows]


def _noise(seed: int, indices: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(sample_seed(seed, index)) for index in indices]
