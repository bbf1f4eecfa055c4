"""How a reconstruction is judged, photos and label maps alike: weighted terms, each a scalar.

Photos: pixels, weighted on defects, and a perceptual distance, as VQGAN and LDM have them. Label
maps: cross-entropy and Dice loss (Milletari et al. 2016) on the scores of the labels, so that a
defect of a few pixels counts beside a background of thousands.
"""

from typing import Protocol

import torch
from segmentation_models_pytorch.losses import DiceLoss
from torch import Tensor
from torch.nn import functional

from pipeline.autoencoding.examples import Batch, memory_format
from pipeline.autoencoding.settings import MaskLossSettings, PhotoLossSettings
from pipeline.models.label_codes import LabelCode
from pipeline.models.perceptual import PerceptualDistance

RAREST = 1e-6  # a label that no training mask shows weighs as if it had this share of the pixels


class Objective(Protocol):
    """What a reconstruction should be like."""

    def terms(self, reconstruction: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms by name, always the same names.

        Args:
            reconstruction: float32 N×k×H×W, not clipped.
            batch: what was to be reconstructed, on the same device.
        """


class PhotoObjective:
    """For photos, and for masks that are dressed as photos."""

    def __init__(self, settings: PhotoLossSettings, device: torch.device) -> None:
        self.settings = settings
        self.perceptual = None
        if settings.perceptual_weight > 0:
            self.perceptual = PerceptualDistance().to(device, memory_format=memory_format(device))

    def terms(self, reconstruction: Tensor, batch: Batch) -> dict[str, Tensor]:
        """See Objective."""
        error = reconstruction - batch.x
        error = error.abs() if self.settings.pixel == "l1" else error.square()
        defects = (batch.labels > 0)[:, None]  # N×1×H×W
        weights = 1 + (self.settings.defect_weight - 1) * defects.to(error)
        terms = {"pixel": (weights * error).mean()}
        if self.perceptual is not None:
            distance = self.perceptual(reconstruction, batch.x).mean()
            terms["perceptual"] = self.settings.perceptual_weight * distance
        return terms


class LabelObjective:
    """For label maps in a code of labels."""

    def __init__(self, settings: MaskLossSettings, code: LabelCode, shares: Tensor) -> None:
        """`shares`: of the training masks' pixels that each label has, float L."""
        self.settings, self.code = settings, code
        self.weights = label_weights(shares, settings.class_balance)
        self.dice = DiceLoss(mode="multiclass", from_logits=True)

    def terms(self, reconstruction: Tensor, batch: Batch) -> dict[str, Tensor]:
        """See Objective."""
        scores = self.code.scores(reconstruction)  # N×L×H×W
        weights = self.weights.to(scores)
        terms = {"cross_entropy": functional.cross_entropy(scores, batch.labels, weights)}
        if self.settings.dice_weight > 0:
            terms["dice"] = self.settings.dice_weight * self.dice(scores, batch.labels)
        return terms


def label_weights(shares: Tensor, balance: float) -> Tensor:
    """Weights share^−balance of labels, scaled so that the mean over all pixels is 1."""
    weights = shares.clamp(min=RAREST) ** -balance
    return weights / (weights * shares).sum()
