"""The perceptual distance against its definition, written out."""

import pytest
import torch
from torch.nn import functional

from pipeline.models.perceptual import PerceptualDistance


@pytest.fixture(scope="module")
def distance():
    return PerceptualDistance()


def photos(seed=0):
    smooth = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return functional.interpolate(smooth, size=64, mode="bicubic").clamp(-1, 1)


def test_matches_its_definition(distance):
    x, y = photos(0), photos(1)
    expected = []
    for a, b in zip(distance.features(x), distance.features(y), strict=True):
        cosine = functional.cosine_similarity(a, b, dim=1)  # ‖u − v‖² = 2 − 2·cos of unit vectors
        expected.append((2 - 2 * cosine).mean(dim=(1, 2)))
    expected = torch.stack(expected).mean(dim=0)
    torch.testing.assert_close(distance(x, y), expected, rtol=1e-3, atol=1e-5)


def test_depths(distance):
    shapes = [f.shape[2:] for f in distance.features(photos())]
    assert shapes == [(32, 32), (16, 16), (8, 8), (4, 4)]


def test_blur_is_farther_than_a_change_of_brightness(distance):
    texture = photos() + 0.3 * torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    x = texture.clamp(-1, 1)
    blurred = functional.avg_pool2d(x, 5, stride=1, padding=2)
    brighter = x * 0.95
    assert (distance(x, x) == 0).all()
    assert (distance(x, blurred) > 5 * distance(x, brighter)).all()


def test_uses_pretrained_weights_and_stays_frozen(distance):
    x = photos().requires_grad_()
    distance.train()
    distance(x, photos(1)).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in distance.parameters())
    assert not any(m.training for m in distance.encoder.modules())
    assert PerceptualDistance()(photos(), photos(1)).tolist() == pytest.approx(
        distance(photos(), photos(1)).tolist()
    )
