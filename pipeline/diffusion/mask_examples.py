"""What a mask model is trained on: label maps as channels or as latents, without a condition.

Mask and silhouette are one label map (see `pipeline.data.label_maps`), so a model draws both at
once and a defect is always part of its object.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.data.augmentation import GeometricSettings, transform_pair
from pipeline.data.label_maps import join_labels
from pipeline.data.pairs import Pairs
from pipeline.diffusion.examples import Clean, EncodedExamples
from pipeline.io.seeding import numpy_rng

ENCODED_AT_ONCE = 64


@dataclass(frozen=True)
class LabelExamples:
    """Label maps as channels, augmented anew for each batch."""

    pairs: Pairs  # their photos are not used
    total_classes: int
    encode: Callable[[Tensor], Tensor]  # labels integer N×H×W → float32 N×k×H×W
    augment: GeometricSettings
    seed: int

    def __len__(self) -> int:
        return len(self.pairs)

    def augmented(self, step: int, places: Sequence[int], indices: Sequence[int]) -> Clean:
        """See Examples."""
        return self._clean(
            [
                moved_labels(
                    self.pairs, self.total_classes, index, self.augment,
                    self.seed, "augmentation", step, place,
                )
                for place, index in zip(places, indices, strict=True)
            ]
        )  # fmt: skip

    def plain(self, part: slice) -> Clean:
        """See Examples."""
        objects = None if self.pairs.objects is None else self.pairs.objects[part]
        return self._clean(list(join_labels(self.pairs.masks[part], objects, self.total_classes)))

    def _clean(self, labels: list[np.ndarray]) -> Clean:
        maps = torch.from_numpy(np.stack(labels)).long()  # N×H×W
        defects = (maps > 0) & (maps < self.total_classes)
        return Clean(self.encode(maps), torch.zeros(len(maps), 0, *maps.shape[1:]), defects)


def moved_labels(
    pairs: Pairs,
    total_classes: int,
    index: int,
    augment: GeometricSettings,
    seed: int,
    *names: str | int,
) -> np.ndarray:
    """Label map uint8 H×W of pair `index`, transformed as `seed` and `names` decide."""
    silhouette = None if pairs.objects is None else pairs.objects[index]
    rng = numpy_rng(seed, *names)
    _, mask, silhouette = transform_pair(rng, None, pairs.masks[index], silhouette, augment)
    return join_labels(mask, silhouette, total_classes)


def encoded_labels(
    pairs: Pairs,
    total_classes: int,
    encode: Callable[[Tensor], Tensor],
    augment: GeometricSettings,
    copies: int,
    seed: int,
) -> EncodedExamples:
    """Latents of each label map as it is, and of `copies` − 1 transformed versions of it.

    Args:
        pairs: their photos are not used.
        total_classes: C, background included.
        encode: labels integer N×H×W → latents float32 N×c×h×w, on the CPU.
        augment: what may happen to a copy.
        copies: of each map in all.
        seed: decides the transformations.
    """
    unmoved = GeometricSettings()
    labels = np.stack(
        [
            moved_labels(
                pairs, total_classes, index, augment if copy else unmoved,
                seed, "augmented copy", index, copy,
            )
            for index in range(len(pairs))
            for copy in range(copies)
        ]
    )  # fmt: skip
    latents = [
        encode(torch.from_numpy(labels[first : first + ENCODED_AT_ONCE]).long())
        for first in range(0, len(labels), ENCODED_AT_ONCE)
    ]
    return EncodedExamples(
        x0=torch.cat(latents),
        masks=np.where(labels == total_classes, np.uint8(0), labels),
        objects=None,
        copies=copies,
        total_classes=total_classes,
        conditioned=False,
        seed=seed,
    )
