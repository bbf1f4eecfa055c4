"""What a diffusion model is trained on: clean tensors, their conditions, and what weighs more.

Pixels are augmented anew for each batch. Latents are encoded once before the training, from the
pairs as they are and from a number of augmented copies, as an encoder in the loop would cost more
than the denoiser itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from pipeline.data.augmentation import GeometricSettings, transform_pair
from pipeline.data.pairs import Pairs
from pipeline.io.seeding import numpy_rng
from pipeline.models.conditioning import encode_condition


class Clean(NamedTuple):
    """N examples without noise, on the CPU."""

    x0: Tensor  # float32 N×C×h×w
    condition: Tensor  # float32 N×K×H×W; K = 0 for an unconditional model
    defects: Tensor  # bool N×h×w, True where something of a class but the background is


class Examples(Protocol):
    """A training or validation set, held in memory."""

    def __len__(self) -> int:
        """Number of pairs."""

    def augmented(self, step: int, places: Sequence[int], indices: Sequence[int]) -> Clean:
        """Pairs `indices` as they stand at `places` of the batch of `step`: a function of these."""

    def plain(self, part: slice) -> Clean:
        """Pairs as they are."""


@dataclass(frozen=True)
class AugmentedPairs(ABC):
    """Pairs in memory, augmented anew for each batch."""

    pairs: Pairs
    augment: GeometricSettings
    seed: int

    @abstractmethod
    def clean(self, images, masks, objects) -> Clean:
        """Arrays of N pairs (as in `Pairs`; N times None = no silhouettes) as the model's input."""

    def __len__(self) -> int:
        return len(self.pairs)

    def augmented(self, step: int, places: Sequence[int], indices: Sequence[int]) -> Clean:
        """See Examples."""
        moved = [
            moved_pair(self.pairs, index, self.augment, self.seed, "augmentation", step, place)
            for place, index in zip(places, indices, strict=True)
        ]
        return self.clean(*zip(*moved, strict=True))

    def plain(self, part: slice) -> Clean:
        """See Examples."""
        pairs = self.pairs
        objects = [None] * len(pairs) if pairs.objects is None else pairs.objects
        return self.clean(pairs.images[part], pairs.masks[part], objects[part])


@dataclass(frozen=True)
class PhotoExamples(AugmentedPairs):
    """Photos in [−1, 1] for their masks."""

    total_classes: int

    def clean(self, images, masks, objects) -> Clean:
        """See AugmentedPairs."""
        photos, labels, silhouettes = to_tensors(images, masks, objects)
        condition = encode_condition(labels, silhouettes, self.total_classes)
        return Clean(photos, condition, labels > 0)


@dataclass(frozen=True)
class EncodedExamples:
    """What was encoded before the training, for masks or without a condition.

    `x0` holds for each pair `copies` versions one after the other; the first is the pair as it is.
    """

    x0: Tensor  # float32 (pairs · copies)×C×h×w
    masks: np.ndarray  # uint8 (pairs · copies)×H×W
    objects: np.ndarray | None  # bool (pairs · copies)×H×W
    copies: int
    total_classes: int
    conditioned: bool
    seed: int

    def __len__(self) -> int:
        return len(self.x0) // self.copies

    def augmented(self, step: int, places: Sequence[int], indices: Sequence[int]) -> Clean:
        """See Examples; one of the copies."""
        copies = [
            int(numpy_rng(self.seed, "copy", step, place).integers(self.copies)) for place in places
        ]
        return self._clean([i * self.copies + c for i, c in zip(indices, copies, strict=True)])

    def plain(self, part: slice) -> Clean:
        """See Examples."""
        return self._clean([i * self.copies for i in range(len(self))[part]])

    def _clean(self, rows: list[int]) -> Clean:
        x0 = self.x0[rows]
        masks = torch.from_numpy(self.masks[rows]).long()  # N×H×W
        defects = adaptive_max_pool2d((masks > 0)[:, None].float(), x0.shape[2:])  # N×1×h×w
        if not self.conditioned:
            return Clean(x0, torch.zeros(len(rows), 0, *masks.shape[1:]), defects[:, 0] > 0)
        silhouettes = None if self.objects is None else torch.from_numpy(self.objects[rows])
        condition = encode_condition(masks, silhouettes, self.total_classes)
        return Clean(x0, condition, defects[:, 0] > 0)


def augmented_copies(pairs: Pairs, augment: GeometricSettings, copies: int, seed: int) -> Pairs:
    """Each pair as it is, followed by `copies` − 1 augmented versions of it."""
    ids, rows = [], []
    objects = [None] * len(pairs) if pairs.objects is None else pairs.objects
    for index, name in enumerate(pairs.ids):
        ids += [f"{name}_{copy}" for copy in range(copies)]
        rows.append((pairs.images[index], pairs.masks[index], objects[index]))
        rows += [
            moved_pair(pairs, index, augment, seed, "augmented copy", index, copy)
            for copy in range(1, copies)
        ]
    images, masks, silhouettes = zip(*rows, strict=True)
    stacked = None if pairs.objects is None else np.stack(silhouettes)
    return Pairs(ids, np.stack(images), np.stack(masks), stacked)


def to_tensors(images, masks, objects) -> tuple[Tensor, Tensor, Tensor | None]:
    """Arrays of N pairs (as in `Pairs`) as float N×3×H×W in [−1, 1], long N×H×W, bool N×H×W.

    `objects` is a sequence of N silhouettes, or of N times None.
    """
    photos = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # N×3×H×W
    photos = photos.contiguous().float() / 127.5 - 1
    labels = torch.from_numpy(np.stack(masks)).long()  # N×H×W
    if any(item is None for item in objects):
        return photos, labels, None
    return photos, labels, torch.from_numpy(np.stack(objects))


def moved_pair(
    pairs: Pairs, index: int, augment: GeometricSettings, seed: int, *names: str | int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Photo, mask and silhouette of pair `index`, transformed as `seed` and `names` decide."""
    silhouette = None if pairs.objects is None else pairs.objects[index]
    rng = numpy_rng(seed, *names)
    return transform_pair(rng, pairs.images[index], pairs.masks[index], silhouette, augment)
