"""Losses against their definitions."""

import pytest
import torch

from pipeline.segmentation.losses import LOSSES


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    return logits, torch.randint(0, 3, (2, 4, 5), generator=generator)


def test_cross_entropy(case):
    logits, masks = case
    chosen = logits.log_softmax(dim=1).gather(1, masks[:, None])
    assert LOSSES["cross_entropy"](logits, masks).item() == pytest.approx(-chosen.mean().item())


def test_dice_averages_over_the_classes(case):
    logits, masks = case
    shares = logits.softmax(dim=1)
    losses = []
    for label in range(3):
        p, y = shares[:, label], (masks == label).float()
        losses.append(1 - 2 * (p * y).sum() / (p.sum() + y.sum()))
    expected = torch.stack(losses).mean()
    assert LOSSES["dice"](logits, masks).item() == pytest.approx(expected.item(), abs=1e-5)


def test_sum(case):
    both = LOSSES["dice"](*case) + LOSSES["cross_entropy"](*case)
    assert LOSSES["dice_ce"](*case).item() == pytest.approx(both.item())
