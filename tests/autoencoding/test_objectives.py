"""Terms of the losses by hand."""

import pytest
import torch
from torch.nn import functional

from pipeline.autoencoding.examples import Batch
from pipeline.autoencoding.objectives import LabelObjective, PhotoObjective, label_weights
from pipeline.autoencoding.settings import MaskLossSettings, PhotoLossSettings
from pipeline.models.label_codes import label_code

CPU = torch.device("cpu")


def photo_batch():
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    labels[0, 0, 0] = 2
    return Batch(torch.zeros(1, 3, 2, 2), labels)


@pytest.mark.parametrize(("pixel", "expected"), [("l1", 0.5), ("l2", 0.25)])
def test_pixels_of_defects_weigh_more(pixel, expected):
    settings = PhotoLossSettings(pixel=pixel, perceptual_weight=0.0, defect_weight=3.0)
    terms = PhotoObjective(settings, CPU).terms(torch.full((1, 3, 2, 2), 0.5), photo_batch())
    assert list(terms) == ["pixel"]
    assert terms["pixel"].item() == pytest.approx(expected * (3 + 1 + 1 + 1) / 4)


def test_perceptual_term_has_its_weight():
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    batch = Batch(x, torch.zeros(2, 32, 32, dtype=torch.long))
    blurred = functional.avg_pool2d(x, 3, 1, 1)
    one, half = (
        PhotoObjective(PhotoLossSettings(perceptual_weight=w), CPU).terms(blurred, batch)
        for w in (1.0, 0.5)
    )
    assert one["perceptual"].item() > 0.01
    assert half["perceptual"].item() == pytest.approx(0.5 * one["perceptual"].item())
    assert half["pixel"].item() == one["pixel"].item()


def test_label_weights_by_hand():
    shares = torch.tensor([0.64, 0.36])
    assert label_weights(shares, 0.0).tolist() == pytest.approx([1, 1])
    # share^−1/2 = 1.25 and 1.6667, whose mean over pixels is 0.8 + 0.6
    assert label_weights(shares, 0.5).tolist() == pytest.approx([1.25 / 1.4, 1.6667 / 1.4], 1e-4)
    full = label_weights(shares, 1.0)
    assert (full * shares).tolist() == pytest.approx([0.5, 0.5])


def test_label_that_no_mask_shows_keeps_the_weights_finite():
    weights = label_weights(torch.tensor([0.5, 0.5, 0.0]), 1.0)
    assert weights.isfinite().all()
    assert weights[:2].tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("name", ["one_hot", "bits"])
def test_label_terms_are_cross_entropy_and_dice_of_the_scores(name):
    code = label_code(name, 3)
    labels = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(0))
    x = code.encode(labels) + 0.8 * torch.randn(2, code.channels, 4, 4)
    shares = torch.tensor([0.5, 0.3, 0.2])
    settings = MaskLossSettings(class_balance=0.5, dice_weight=2.0)
    terms = LabelObjective(settings, code, shares).terms(x, Batch(code.encode(labels), labels))
    weights = label_weights(shares, 0.5)

    probabilities = code.scores(x).softmax(dim=1)  # N×L×H×W
    log_likelihood = probabilities.gather(1, labels[:, None]).log()[:, 0]
    own = weights[labels]
    expected = -(own * log_likelihood).sum() / own.sum()
    assert terms["cross_entropy"].item() == pytest.approx(expected.item(), rel=1e-4)

    dice = []
    for label in range(3):
        true, predicted = (labels == label).float(), probabilities[:, label]
        dice.append(1 - 2 * (true * predicted).sum() / (true.sum() + predicted.sum()))
    assert terms["dice"].item() == pytest.approx(2 * torch.stack(dice).mean().item(), rel=1e-4)


def test_perfect_label_map_costs_next_to_nothing():
    code = label_code("one_hot", 3)
    labels = torch.randint(0, 3, (2, 8, 8))
    objective = LabelObjective(MaskLossSettings(), code, torch.tensor([0.4, 0.3, 0.3]))
    sure = 10 * code.encode(labels)
    assert sum(objective.terms(sure, Batch(sure, labels)).values()) < 1e-3
