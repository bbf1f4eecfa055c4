"""The patch discriminator: how much it sees, and that pictures are judged one by one."""

import pytest
import torch
from torch import nn

from pipeline.models.patch_discriminator import PatchDiscriminator


@pytest.mark.parametrize(("layers", "pixels"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_sees_a_patch(layers, pixels):
    torch.manual_seed(0)
    network = PatchDiscriminator(3, 8, layers)
    convolutions = nn.Sequential(*(m for m in network if isinstance(m, nn.Conv2d)))
    x = torch.zeros(1, 3, 160, 160, requires_grad=True)
    scores = convolutions(x)
    middle = scores.shape[2] // 2
    scores[0, 0, middle, middle].backward()
    seen = x.grad.abs().sum(dim=(0, 1)) > 0
    assert seen.any(dim=0).sum() == seen.any(dim=1).sum() == pixels


def test_one_score_a_patch():
    assert PatchDiscriminator(3, 8, 2)(torch.zeros(2, 3, 64, 48)).shape == (2, 1, 14, 10)


def test_verdict_does_not_depend_on_the_batch():
    network, x = PatchDiscriminator(3, 8, 2), torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(network(x)[:1], network(x[:1]), rtol=1e-4, atol=1e-5)


def test_initial_weights_are_the_published_ones():
    torch.manual_seed(0)
    network = PatchDiscriminator(3, 64, 3)
    weights = torch.cat([m.weight.flatten() for m in network if isinstance(m, nn.Conv2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert all(m.bias.abs().max() == 0 for m in network if isinstance(m, nn.Conv2d))
