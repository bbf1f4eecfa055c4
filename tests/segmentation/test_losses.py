"""Losses against their definitions."""

import math

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


def test_dice_bce_of_one_class_by_hand():
    """Four pixels, their logits being the class's score less the background's."""
    background = torch.tensor([[[0.5, -1.0], [2.0, 0.0]]])
    difference = torch.tensor([[[0.0, math.log(3)], [-math.log(3), math.log(4)]]])
    logits = torch.stack([background, background + difference], dim=1)  # 1×2×2×2
    masks = torch.tensor([[[1, 1], [0, 0]]])
    # sigmoids 1/2, 3/4, 1/4, 4/5
    dice = 1 - 2 * (0.5 + 0.75) / (0.5 + 0.75 + 0.25 + 0.8 + 2)
    entropy = -(math.log(0.5) + math.log(0.75) + math.log(0.75) + math.log(0.2)) / 4
    assert LOSSES["dice_bce"](logits, masks).item() == pytest.approx(dice + entropy, abs=1e-5)


def test_dice_bce_of_several_classes_takes_each_by_itself(case):
    logits, masks = case
    total = 0.0
    for label in (1, 2):
        own = torch.stack([logits[:, 0], logits[:, label]], dim=1)
        total += LOSSES["dice_bce"](own, (masks == label).long()).item() / 2
    assert LOSSES["dice_bce"](logits, masks).item() == pytest.approx(total, abs=1e-5)


def test_dice_bce_is_least_where_the_prediction_is_right(case):
    _, masks = case
    right = 40.0 * torch.nn.functional.one_hot(masks, 3).movedim(-1, 1).float()
    right[:, 0] = 20.0  # a class is right where it exceeds the background, and no other does
    assert LOSSES["dice_bce"](right, masks).item() == pytest.approx(0, abs=1e-4)
    assert LOSSES["dice_bce"](right, (masks + 1) % 3).item() > 2


def test_dice_bce_of_a_batch_of_background_is_defined():
    logits = torch.zeros(2, 2, 4, 4, requires_grad=True)
    loss = LOSSES["dice_bce"](logits, torch.zeros(2, 4, 4, dtype=torch.long))
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert (logits.grad[:, 1] > 0).all() and (logits.grad[:, 0] < 0).all()


def test_sum(case):
    both = LOSSES["dice"](*case) + LOSSES["cross_entropy"](*case)
    assert LOSSES["dice_ce"](*case).item() == pytest.approx(both.item())
