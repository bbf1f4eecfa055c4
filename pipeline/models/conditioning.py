"""Label masks as the condition of an image model (Wang et al. 2022, section 3.1).

One-hot over all classes, background included, then one channel for the object's silhouette where
there is one. The null label, for classifier-free guidance, is all zeros, silhouette included: no
mask encodes to it, since every pixel has a class.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.io.params import Settings


class ConditionSettings(Settings):
    """What an image model is told beside the classes (section `condition`)."""

    object: bool  # the silhouette of the object that carries the defects


def encode_condition(masks: Tensor, objects: Tensor | None, total_classes: int) -> Tensor:
    """The condition tensor of label masks.

    Args:
        masks: integer N×H×W of class indices 0…total_classes−1.
        objects: bool N×H×W, True on the object; None = the model has no silhouette channel.
        total_classes: number of classes C, background included.

    Returns:
        float32 N×K×H×W of zeros and ones, K = C, or C + 1 with `objects`.

    Raises:
        ValueError: a mask holds an index outside 0…C−1.
    """
    if masks.numel() and not 0 <= int(masks.min()) <= int(masks.max()) < total_classes:
        raise ValueError(
            f"mask: got class indices {int(masks.min())}…{int(masks.max())}, "
            f"expected 0…{total_classes - 1}; prepare the set again with its classes renumbered"
        )
    one_hot = functional.one_hot(masks.long(), total_classes)  # N×H×W×C
    condition = one_hot.permute(0, 3, 1, 2).float()  # N×C×H×W
    if objects is not None:
        condition = torch.cat([condition, objects[:, None].float()], dim=1)  # N×(C+1)×H×W
    return condition.contiguous()


def condition_channels(total_classes: int, with_object: bool) -> int:
    """K of the condition tensor."""
    return total_classes + int(with_object)


def null_condition(like: Tensor) -> Tensor:
    """The null label for a batch shaped as `like` (N×K×H×W)."""
    return torch.zeros_like(like)
