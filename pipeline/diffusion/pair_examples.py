"""What models of pairs are trained on: photo and label map as the channels of one tensor.

The label map joins mask and silhouette (see `pipeline.data.label_maps`); its code follows the three
channels of the photo.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.data.label_maps import join_labels, split_labels
from pipeline.diffusion.examples import AugmentedPairs, Clean, to_tensors
from pipeline.models.label_codes import LabelCode

PHOTO_CHANNELS = 3


@dataclass(frozen=True)
class PairLayout:
    """How a pair becomes a tensor and back."""

    code: LabelCode
    total_classes: int
    with_object: bool  # whether label maps hold silhouettes

    @property
    def channels(self) -> int:
        """3 + k."""
        return PHOTO_CHANNELS + self.code.channels

    def encode(self, images, masks, objects) -> tuple[Tensor, Tensor]:
        """Arrays of N pairs (as in `Pairs`; N times None = no silhouettes) as tensors.

        Returns:
            Photo and code, float32 N×(3+k)×H×W in [−1, 1], and defects, bool N×H×W.
        """
        photos, masks, silhouettes = to_tensors(images, masks, objects)
        outlines = None if silhouettes is None else silhouettes.numpy()
        labels = join_labels(masks.numpy().astype(np.uint8), outlines, self.total_classes)
        codes = self.code.encode(torch.from_numpy(labels))
        return torch.cat([photos, codes], dim=1), masks > 0

    def decode(self, x: Tensor) -> tuple[Tensor, np.ndarray]:
        """Photos float32 N×3×H×W in [−1, 1] and label maps uint8 N×H×W of drawn N×(3+k)×H×W."""
        photos, codes = x.float().split([PHOTO_CHANNELS, self.code.channels], dim=1)
        return photos, self.code.decode(codes).cpu().numpy()

    def split(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Masks uint8 N×H×W and silhouettes bool N×H×W (None without) of label maps."""
        return split_labels(labels, self.total_classes, self.with_object)


@dataclass(frozen=True)
class PairExamples(AugmentedPairs):
    """Pairs as the clean tensors of an unconditional model."""

    layout: PairLayout

    def clean(self, images, masks, objects) -> Clean:
        """See AugmentedPairs."""
        x0, defects = self.layout.encode(images, masks, objects)
        return Clean(x0, torch.zeros(len(x0), 0, *x0.shape[2:]), defects)
