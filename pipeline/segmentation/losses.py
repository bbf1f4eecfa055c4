"""Losses of the segmenters, on class scores N×C×H×W and masks N×H×W.

The Dice loss (Milletari et al. 2016) averages over the classes that the batch shows, so that the
large background does not drown the defects; the cross-entropy gives each pixel a gradient.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import DiceLoss

LossName = Literal["dice_ce", "dice", "cross_entropy"]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_dice = DiceLoss(mode="multiclass", from_logits=True)


def dice_and_cross_entropy(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Their sum, a scalar, for float logits N×C×H×W and integer masks N×H×W."""
    return _dice(logits, masks) + F.cross_entropy(logits, masks)


LOSSES: dict[LossName, Loss] = {
    "dice_ce": dice_and_cross_entropy,
    "dice": _dice,
    "cross_entropy": F.cross_entropy,
}
