"""The pair networks: architectures, exchange, identity at the start, sharing, gradients."""

import copy
import itertools
import re

import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from pipeline.io.errors import UserError
from pipeline.models.pair_unet import (
    ARCHITECTURES,
    PairNetworkSettings,
    PairUNet,
    build_pair_unet,
)
from pipeline.models.skip_moderation import SKIPS

SMALL = PairNetworkSettings(width=8, multipliers=[1, 2, 2], blocks=1, heads=2, groups=4)
TIMES = torch.tensor([3, 900])
TWO_BRANCHES = ["two_encoder", "shared_encoder"]


def small(code_channels=1, size=(8, 8), **changes):
    torch.manual_seed(0)
    settings = PairNetworkSettings.model_validate({**SMALL.model_dump(), **changes})
    return build_pair_unet(settings, code_channels, size).eval()


def randomised(network):
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def with_branches_awake(network):
    """Everything that starts at zero randomised, except what communicates."""
    torch.manual_seed(1)
    for name, module in network.named_modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.normal_(module.conv2.weight, std=0.1)
        elif isinstance(module, Attention) and "cross" not in name:
            nn.init.normal_(module.to_out[0].weight, std=0.3)
    for head in network.outputs:
        nn.init.normal_(head[-1].weight, std=0.3)
    return network


def predict(network, x, times=TIMES):
    with torch.no_grad():
        return network(x, times, x.new_zeros(len(x), 0, *x.shape[2:]))


def noise(channels=4, size=(8, 8), seed=2):
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("architecture", "total"),
    [("concat", 7_179_524), ("two_encoder", 15_284_246), ("shared_encoder", 10_076_112)],
)
def test_defaults_have_the_size_of_the_paper(architecture, total):
    with torch.device("meta"):
        network = build_pair_unet(PairNetworkSettings(architecture=architecture), 1, (128, 128))
    assert sum(p.numel() for p in network.parameters()) == total
    sizes = []
    network.bottleneck.register_forward_pre_hook(lambda _, x: sizes.append(x[0][0].shape[1:]))
    meta = torch.empty(1, 4, 128, 128, device="meta")
    predict(network, meta, torch.empty(1, dtype=torch.long, device="meta"))
    assert sizes == [(256, 16, 16)]  # 3 down blocks, 128² → 16²


@pytest.mark.parametrize(("architecture", "skips"), itertools.product(ARCHITECTURES, SKIPS))
def test_every_parameter_learns(architecture, skips):
    network = randomised(small(2, architecture=architecture, skips=skips, unshuffle=2))
    x = noise(5, (8, 16))  # not square
    output = network(x, TIMES, torch.zeros(2, 0, 8, 16))
    assert output.shape == x.shape
    (output - noise(5, (8, 16), 3)).square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_starts_at_zero_and_hears_the_time(architecture):
    network = small(architecture=architecture)
    assert not predict(network, noise()).any()
    randomised(network)
    output = predict(network, noise())
    assert not torch.allclose(output, predict(network, noise(), TIMES + 50))
    # no sample hears another
    alone = torch.cat([predict(network, noise()[i : i + 1], TIMES[i : i + 1]) for i in (0, 1)])
    torch.testing.assert_close(alone, output, atol=1e-4, rtol=1e-4)


def swapped(network):
    """The same network with image and mask branch in each other's place."""
    network = copy.deepcopy(network)
    lists = [network.inputs, network.outputs, network.bottleneck.selves]
    lists += [network.bottleneck.cross.branches, *network.decoder.blocks]
    lists += [exchange.branches for exchange in network.decoder.exchanges]
    if network.config.architecture == "two_encoder":
        lists += [network.encoder.ends, *network.encoder.blocks]
        lists += [exchange.branches for exchange in network.encoder.exchanges]
    for branches in lists:
        branches[0], branches[1] = branches[1], branches[0]
    return network


@pytest.mark.parametrize(("architecture", "skips"), itertools.product(TWO_BRANCHES, SKIPS))
def test_exchange_is_symmetric(architecture, skips):
    network = randomised(small(3, architecture=architecture, skips=skips))
    x = noise(6)
    image, mask = predict(network, x).chunk(2, dim=1)
    other_mask, other_image = predict(swapped(network), x.roll(3, dims=1)).chunk(2, dim=1)
    torch.testing.assert_close(other_image, image, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(other_mask, mask, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(image, mask, atol=0.01)


def branch_alone(network, branch):
    """A plain U-Net with one branch's weights: `concat` on three channels and no more."""
    alone = small(0, architecture="concat")
    place = re.compile(
        r"^(inputs|outputs|encoder\.ends|bottleneck\.selves|(?:en|de)coder\.blocks\.\d+)\.(\d)\."
    )
    state = {}
    for key, value in network.state_dict().items():
        match = place.match(key)
        if match and int(match[2]) == branch and not key.endswith(("main_scale", "skip_scales")):
            state[place.sub(r"\1.0.", key)] = value
        elif key.startswith("time."):
            state[key] = value
    alone.load_state_dict(state)
    return alone


@pytest.mark.parametrize("skips", ["zero_conv", "scale_u"])
def test_two_encoders_start_as_two_independent_networks(skips):
    network = with_branches_awake(small(3, architecture="two_encoder", skips=skips))
    x = noise(6)
    expected = [
        predict(branch_alone(network, branch), part) for branch, part in enumerate(x.chunk(2, 1))
    ]
    assert expected[0].std() > 0.1
    torch.testing.assert_close(predict(network, x), torch.cat(expected, 1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", TWO_BRANCHES)
def test_image_and_mask_reach_each_other_once_anything_communicates(architecture):
    network = with_branches_awake(small(architecture=architecture))
    x, other = noise(), noise()
    other[:, 3:] += 1  # another mask, the same image
    assert torch.equal(predict(network, x)[:, :3], predict(network, other)[:, :3])
    attending = copy.deepcopy(network)
    nn.init.normal_(attending.bottleneck.cross.branches[0].to_out[0].weight)
    parts = [attending]
    coders = [network.decoder] + ([network.encoder] if architecture == "two_encoder" else [])
    for coder, index in itertools.product(coders, range(2)):
        exchanging = copy.deepcopy(network)
        name = "decoder" if coder is network.decoder else "encoder"
        exchange = getattr(exchanging, name).exchanges[index]
        nn.init.normal_(exchange.branches[0].mix.weight)
        parts.append(exchanging)
    for changed in parts:
        assert not torch.allclose(predict(changed, x)[:, :3], predict(changed, other)[:, :3])


def test_there_is_an_exchange_after_every_block():
    two, shared = small(architecture="two_encoder"), small(architecture="shared_encoder")
    assert len(two.encoder.exchanges) == len(two.decoder.exchanges) == 2
    assert len(shared.decoder.exchanges) == 2
    encoder = shared.encoder.encoder.exchanges
    assert not list(encoder.parameters())  # the passes through it are independent
    assert not list(small(architecture="concat").decoder.exchanges.parameters())


def test_shared_encoder_is_one_encoder_for_both():
    network = randomised(small(architecture="shared_encoder"))
    plain = small(architecture="concat").encoder
    count = sum(p.numel() for p in network.encoder.parameters())
    assert count == sum(p.numel() for p in plain.parameters())
    image, mask, time = torch.randn(2, 8, 8, 8), torch.randn(2, 8, 8, 8), torch.randn(2, 32)
    with torch.no_grad():
        features, skips = network.encoder([image, mask], time)
        for index, branch in enumerate((image, mask)):  # one pass after the other
            (alone,), levels = network.encoder.encoder([branch], time)
            torch.testing.assert_close(features[index], alone, atol=1e-4, rtol=1e-4)
            for level, (skip,) in zip(skips, levels, strict=True):
                torch.testing.assert_close(level[index], skip, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bfloat16_and_channels_last(architecture):
    network = with_branches_awake(small(architecture=architecture))
    x = noise(size=(16, 8))
    exact = predict(network, x)
    network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        rough = predict(network, x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(rough.float(), exact, atol=0.1 * exact.std().item(), rtol=0.05)


def test_survives_saving(tmp_path):
    network = randomised(small())
    network.save_pretrained(tmp_path)
    again = PairUNet.from_pretrained(tmp_path)
    assert torch.equal(predict(again, noise()), predict(network, noise()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradient_checkpointing_gives_the_same_gradients(architecture):
    gradients, calls = [], []
    for enabled in (False, True):
        network = randomised(small(architecture=architecture)).train()
        layer = network.decoder.blocks[0][0].layers.layers[0]
        layer.register_forward_pre_hook(lambda *_: calls.append(1))
        if enabled:
            network.enable_gradient_checkpointing()
        network(noise(), TIMES, torch.zeros(2, 0, 8, 8)).square().sum().backward()
        gradients.append(network.inputs[0].weight.grad)
    torch.testing.assert_close(*gradients)
    assert len(calls) == 1 + 2  # the layer is computed again on the way back


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({}, (12, 10), r"pair\.network\.multipliers: 3 levels and unshuffle 1 .* by 4, got 12×10"),
        ({"unshuffle": 2}, (8, 12), r"unshuffle 2 .* divisible by 8, got 8×12"),
        ({"heads": 3}, (8, 8), r"pair\.network\.heads: got 3, expected a divisor of the 16 chan"),
    ],
)
def test_what_does_not_fit_is_refused(changes, size, message):
    with pytest.raises(UserError, match=message):
        small(size=size, **changes)


def test_a_condition_is_refused():
    with pytest.raises(ValueError, match="got 2 channels, expected 0"):
        small()(noise(), TIMES, torch.zeros(2, 2, 8, 8))


@pytest.mark.parametrize("architecture", ["concat", "two_encoder"])
def test_further_outputs_come_in_groups_of_all_channels(architecture):
    settings = SMALL.model_copy(update={"architecture": architecture, "unshuffle": 2})
    network = build_pair_unet(settings, 1, (16, 16), output_groups=2).eval()
    for head, channels in zip(network.outputs, network.parts, strict=True):
        first = 0 if len(network.outputs) == 1 or channels == 3 else 3
        numbers = torch.arange(first, first + channels).repeat_interleave(4)
        nn.init.zeros_(head[-1].weight)
        head[-1].bias.data = torch.cat([numbers, 10 + numbers]).float()
    output = predict(network, noise(4, (16, 16)))
    assert output.shape == (2, 8, 16, 16)
    assert output[:, :, 5, 6].tolist() == [[0, 1, 2, 3, 10, 11, 12, 13]] * 2
