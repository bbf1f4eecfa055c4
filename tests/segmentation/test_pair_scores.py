"""Scores of pairs by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.data.pairs import Pairs
from pipeline.segmentation.pair_scores import score_pairs


class RedMeansDefect(nn.Module):
    """Probability 3/4 for class 1 where red is 255, for class 0 where it is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(math.log(3) / 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        evidence = images[:, 0] * self.scale
        return torch.stack([-evidence, evidence], dim=1)


def test_by_hand():
    """Four pixels: all right; one of two defect pixels missed; a healthy one, all right."""
    images = np.zeros((3, 2, 2, 3), np.uint8)
    masks = np.zeros((3, 2, 2), np.uint8)
    images[0, 0, :, 0], masks[0, 0, :] = 255, 1
    images[1, 0, 0, 0], masks[1, 0, :] = 255, 1
    scores = score_pairs(RedMeansDefect(), Pairs(["x", "y", "z"], images, masks, None), 2)
    assert scores["id"].tolist() == ["x", "y", "z"]
    # y: background 2 of 3, defect 1 of 2; z: the defect occurs nowhere and counts as 1
    assert scores["miou"].tolist() == pytest.approx([1, (2 / 3 + 1 / 2) / 2, 1])
    # of the defect alone; z shows none
    assert scores["defect_iou"].tolist() == pytest.approx([1, 1 / 2, math.nan], nan_ok=True)
    right, wrong = -math.log(3 / 4), -math.log(1 / 4)
    assert scores["cross_entropy"].tolist() == pytest.approx(
        [right, (3 * right + wrong) / 4, right]
    )
