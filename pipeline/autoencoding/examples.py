"""What an autoencoder is trained on: the batch of step s is a function of the seed and s."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.data.augmentation import GeometricSettings, transform_pair
from pipeline.data.label_maps import Colour, join_labels, label_colours
from pipeline.data.pairs import Pairs
from pipeline.io.seeding import numpy_rng
from pipeline.models.label_codes import LabelCode


class Batch(NamedTuple):
    """N inputs, which are the targets too."""

    x: Tensor  # float32 N×k×H×W in [−1, 1]
    labels: Tensor  # long N×H×W; photos: classes, label maps: labels

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        x = self.x.to(device, memory_format=memory_format(device))
        return Batch(x, self.labels.to(device))


def memory_format(device: torch.device) -> torch.memory_format:
    """The order of pixels and channels that is fastest there.

    PyTorch's group normalisation on a CPU is slow in channels-last order: a step takes 1.4 times
    as long.
    """
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


class Examples(Protocol):
    """A training or validation set, held in memory."""

    def __len__(self) -> int:
        """Number of pairs."""

    def augmented(self, step: int, indices: list[int]) -> Batch:
        """The pairs `indices`, moved at random: a function of the seed, `step` and `indices`."""

    def plain(self, indices: list[int]) -> Batch:
        """The pairs `indices` as they are."""

    def paint(self, x: Tensor) -> np.ndarray:
        """Inputs or reconstructions N×k×H×W as pictures uint8 N×H×W×3."""


@dataclass(frozen=True)
class PhotoExamples:
    """Photos; the masks tell where the defects are."""

    pairs: Pairs
    augment: GeometricSettings
    seed: int

    def __len__(self) -> int:
        return len(self.pairs)

    def augmented(self, step: int, indices: list[int]) -> Batch:
        """See Examples."""
        moved = [
            transform_pair(
                numpy_rng(self.seed, "augmentation", step, place),
                self.pairs.images[index],
                self.pairs.masks[index],
                None,
                self.augment,
            )
            for place, index in enumerate(indices)
        ]
        return _photo_batch([row[0] for row in moved], [row[1] for row in moved])

    def plain(self, indices: list[int]) -> Batch:
        """See Examples."""
        return _photo_batch(self.pairs.images[indices], self.pairs.masks[indices])

    def paint(self, x: Tensor) -> np.ndarray:
        """See Examples."""
        pixels = ((x.float().cpu().permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255)
        return pixels.to(torch.uint8).numpy()


@dataclass(frozen=True)
class LabelExamples:
    """Label maps in a code of labels; with silhouettes iff `pairs` has them."""

    pairs: Pairs
    colours: list[Colour]  # one a class
    code: LabelCode
    augment: GeometricSettings
    seed: int

    def __len__(self) -> int:
        return len(self.pairs)

    def labels(self) -> np.ndarray:
        """All label maps, uint8 N×H×W."""
        return join_labels(self.pairs.masks, self.pairs.objects, len(self.colours))

    def augmented(self, step: int, indices: list[int]) -> Batch:
        """See Examples."""
        objects = self.pairs.objects
        moved = [
            transform_pair(
                numpy_rng(self.seed, "augmentation", step, place),
                None,
                self.pairs.masks[index],
                None if objects is None else objects[index],
                self.augment,
            )
            for place, index in enumerate(indices)
        ]
        return self._batch([join_labels(mask, o, len(self.colours)) for _, mask, o in moved])

    def plain(self, indices: list[int]) -> Batch:
        """See Examples."""
        objects = None if self.pairs.objects is None else self.pairs.objects[indices]
        return self._batch(join_labels(self.pairs.masks[indices], objects, len(self.colours)))

    def paint(self, x: Tensor) -> np.ndarray:
        """See Examples."""
        palette = label_colours(self.colours, self.pairs.objects is not None)
        return np.array(palette, np.uint8)[self.code.decode(x.float()).cpu().numpy()]

    def _batch(self, labels: np.ndarray | list[np.ndarray]) -> Batch:
        tensor = torch.from_numpy(np.stack(labels)).long()  # N×H×W
        return Batch(self.code.encode(tensor), tensor)


def _photo_batch(images: np.ndarray | list, masks: np.ndarray | list) -> Batch:
    photos = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # N×3×H×W
    labels = torch.from_numpy(np.stack(masks)).long()
    return Batch(photos.contiguous().float() / 127.5 - 1, labels)
