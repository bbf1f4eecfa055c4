"""Skips: low frequencies against the FFT, the ScaleU formula, identity at the start."""

import pytest
import torch
from torch import nn

from pipeline.models.skip_moderation import SKIPS, Exchange, ScaledSkips, low_frequencies


def lowest_by_fft(features):
    """The 2×2 frequencies around the middle of the centred spectrum, transformed back."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(features), dim=(-2, -1))
    row, column = features.shape[-2] // 2, features.shape[-1] // 2
    window = (..., slice(max(row - 1, 0), row + 1), slice(max(column - 1, 0), column + 1))
    kept = torch.zeros_like(spectrum)
    kept[window] = spectrum[window]
    return torch.fft.ifft2(torch.fft.ifftshift(kept, dim=(-2, -1))).real


@pytest.mark.parametrize("size", [(8, 8), (5, 8), (7, 3), (2, 2), (1, 4)])
def test_low_frequencies_are_those_of_the_centred_spectrum(size):
    features = torch.randn(2, 3, *size)
    torch.testing.assert_close(
        low_frequencies(features), lowest_by_fft(features), atol=1e-5, rtol=1e-4
    )


def test_low_frequencies_of_a_wave_and_in_bfloat16():
    rows = torch.arange(16) / 16 * 2 * torch.pi
    slow, fast = rows.cos().view(1, 1, 16, 1), (4 * rows).cos().view(1, 1, 16, 1)
    image = (3 + slow + fast).expand(1, 1, 16, 16)
    # frequency −1 without its twin +1 is half of a real wave
    torch.testing.assert_close(low_frequencies(image), (3 + slow / 2).expand(1, 1, 16, 16))
    with torch.autocast("cpu", torch.bfloat16):
        rough = low_frequencies(image.bfloat16().contiguous(memory_format=torch.channels_last))
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), low_frequencies(image), atol=0.05, rtol=0.02)


def test_scale_u_scales_channels_and_low_frequencies_of_any_number_of_skips():
    torch.manual_seed(0)
    block = ScaledSkips(2, [3, 1, 2])
    nn.init.normal_(block.main_scale)
    nn.init.normal_(block.skip_scales)
    main, skips = torch.randn(2, 2, 6, 8), [torch.randn(2, c, 6, 8) for c in (3, 1, 2)]
    scaled = [main * (block.main_scale.tanh() + 1)[:, None, None]]
    for skip, s in zip(skips, block.skip_scales, strict=True):
        low = lowest_by_fft(skip)
        scaled.append(skip - low + low * (s.tanh() + 1))
    expected = block.mix(torch.cat(scaled, 1))
    torch.testing.assert_close(block(main, skips), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("skips", ["zero_conv", "scale_u"])
def test_exchange_is_the_identity_at_the_start(skips):
    features = [torch.randn(2, 8, 6, 4) for _ in range(3)]
    for before, after in zip(features, Exchange(8, 3, skips)(features), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("skips", list(SKIPS))
def test_exchange_is_simultaneous_and_each_branch_hears_the_other(skips):
    torch.manual_seed(0)
    exchange = Exchange(4, 2, skips)
    for parameter in exchange.parameters():
        nn.init.normal_(parameter)
    image, mask = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    new_image, new_mask = exchange([image, mask])
    assert torch.equal(new_image, exchange.branches[0](image, [mask]))
    assert torch.equal(new_mask, exchange.branches[1](mask, [image]))  # not of new_image
    other_image, other_mask = exchange([image, mask + 1])
    assert not torch.allclose(new_image, other_image)
    assert not torch.allclose(new_mask, other_mask)


@pytest.mark.parametrize("skips", list(SKIPS))
def test_own_skip_is_heard_from_the_start(skips):
    join = SKIPS[skips].own(4, [4])
    main, skip = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    assert not torch.allclose(join(main, [skip]), join(main, [torch.zeros_like(skip)]))
