"""Losses of the segmenters, on class scores N×C×H×W and masks N×H×W.

The Dice loss (Milletari et al. 2016) averages over the classes that the batch shows, so that the
large background does not drown the defects; the cross-entropy gives each pixel a gradient.

`dice_bce` is the sum of Dice and binary cross-entropy of the SynthSet paper (Heschl et al.,
"Training the Downstream Segmentation Models"): each class has a sigmoid of its own and the
background none. The networks here score the background too, and the likeliest class is their
prediction, so a class's logit is its score less the background's: the background is predicted
just where no class's sigmoid exceeds a half. For one class this is a network of one channel.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import DiceLoss

LossName = Literal["dice_ce", "dice_bce", "dice", "cross_entropy"]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_dice = DiceLoss(mode="multiclass", from_logits=True)
_dice_of_each = DiceLoss(mode="multilabel", from_logits=True)


def dice_and_cross_entropy(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Their sum, a scalar, for float logits N×C×H×W and integer masks N×H×W."""
    return _dice(logits, masks) + F.cross_entropy(logits, masks)


def dice_and_binary_cross_entropy(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Their sum over all classes but the background, a scalar.

    Args:
        logits: float N×C×H×W, background first.
        masks: integer N×H×W.
    """
    scores = logits[:, 1:] - logits[:, :1]  # N×(C−1)×H×W
    targets = F.one_hot(masks, logits.shape[1]).movedim(-1, 1)[:, 1:].to(scores.dtype)
    return _dice_of_each(scores, targets) + F.binary_cross_entropy_with_logits(scores, targets)


LOSSES: dict[LossName, Loss] = {
    "dice_ce": dice_and_cross_entropy,
    "dice_bce": dice_and_binary_cross_entropy,
    "dice": _dice,
    "cross_entropy": F.cross_entropy,
}
