"""The super-resolution network: the condition before every block, start, gradients, sizes."""

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.nn import functional

from pipeline.io.errors import UserError
from pipeline.models.superres_unet import (
    SuperresNetworkSettings,
    SuperresUNet,
    build_superres_unet,
)

SMALL = SuperresNetworkSettings(width=8, multipliers=[1, 2, 2], blocks=1, heads=2, groups=4)
TIMES = torch.tensor([3, 900])


def small(size=(16, 8), **changes):
    settings = SuperresNetworkSettings.model_validate({**SMALL.model_dump(), **changes})
    return build_superres_unet(settings, 4, 5, size).eval()


def randomised(network):
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def inputs():
    torch.manual_seed(2)
    return torch.randn(2, 4, 16, 8), TIMES, torch.randn(2, 5, 8, 4)


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_the_condition_goes_into_every_block_at_its_resolution(unshuffle):
    network = randomised(small(unshuffle=unshuffle))
    x, times, condition = inputs()
    seen = []
    for block in [*network.down, *network.up]:
        block.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    network(x, times, condition)
    sides = [16 // unshuffle // 2**level for level in (0, 1, 2, 1)]
    assert [features.shape[2] for features in seen] == sides
    for features in seen:
        resized = functional.interpolate(condition, size=features.shape[2:], mode="nearest")
        assert torch.equal(features[:, -5:], resized)


def test_the_input_sees_the_condition_beside_the_pixels():
    network = small()
    first = []
    network.input.register_forward_pre_hook(lambda _, arguments: first.append(arguments[0]))
    x, times, condition = inputs()
    network(x, times, condition)
    doubled = condition.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(first[0], torch.cat([x, doubled], 1))


@pytest.mark.parametrize("changes", [{}, {"attention": False}, {"unshuffle": 2}, {"blocks": 2}])
def test_starts_at_zero_and_every_parameter_learns(changes):
    network = small(**changes)
    assert not network(*inputs()).any()
    output = randomised(network)(*inputs())
    assert output.shape == (2, 4, 16, 8)
    (output - 1).square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    attends = [m for m in network.modules() if isinstance(m, Attention)]
    assert len(attends) == changes.get("attention", True)


def test_bfloat16_and_channels_last():
    network = small()
    nn.init.normal_(network.output[-1].weight, std=0.3)
    x, times, condition = inputs()
    with torch.no_grad():
        exact = network(x, times, condition)
        network.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(x.contiguous(memory_format=torch.channels_last), times, condition)
    torch.testing.assert_close(rough.float(), exact, atol=0.1 * exact.std().item(), rtol=0.05)


def test_survives_saving(tmp_path):
    network = randomised(small())
    network.save_pretrained(tmp_path)
    again = SuperresUNet.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(*inputs()), network(*inputs()))


def test_gradient_checkpointing_gives_the_same_gradients():
    gradients = []
    for enabled in (False, True):
        network = randomised(small()).train()
        if enabled:
            network.enable_gradient_checkpointing()
        network(*inputs()).square().sum().backward()
        gradients.append(network.input.weight.grad)
    torch.testing.assert_close(*gradients)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"superres\.network\.multipliers: .* by 4, got 16×6"):
        small(size=(16, 6))
    with pytest.raises(UserError, match=r"superres\.network\.heads: got 3"):
        small(heads=3)
    small(heads=3, attention=False)  # without attention they do not matter
    x, times, condition = inputs()
    with pytest.raises(ValueError, match="got 4 channels, expected 5"):
        small()(x, times, condition[:, :4])


def test_there_can_be_further_outputs():
    network = build_superres_unet(SMALL, 4, 5, (16, 8), output_groups=2)
    assert network(*inputs()).shape == (2, 8, 16, 8)
