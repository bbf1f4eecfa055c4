"""The concatenation U-Net: reference size, condition, resolution, unconditional use."""

import pytest
import torch
from torch.nn import functional

from pipeline.io.errors import UserError
from pipeline.models.concat_unet import ConcatNetworkSettings, ConcatUNet, build_concat_unet

SMALL = ConcatNetworkSettings(
    width=16, multipliers=[1, 2], blocks=1, head_channels=16, groups=8, attention=[4]
)


def small(condition_inputs=3, channels=4, size=(8, 8), **changes):
    settings = ConcatNetworkSettings.model_validate({**SMALL.model_dump(), **changes})
    return build_concat_unet(settings, channels, size, condition_inputs)


def with_random_output(network):
    torch.manual_seed(1)
    torch.nn.init.normal_(network.unet.conv_out.weight, std=0.1)
    return network.eval()


def test_defaults_have_the_size_of_the_published_network():
    with torch.device("meta"):
        network = build_concat_unet(ConcatNetworkSettings(), 3, (64, 64), 2)
    # 215 M of UNet2DModel(128, 512, 1024), 3 + 3 input channels; 2 · 3 weights of the rescaler
    assert sum(p.numel() for p in network.parameters()) == 215_229_321
    attention = [name for name, _ in network.named_modules() if name.endswith("to_out")]
    assert attention == ["unet.mid_block.attentions.0.to_out"]


def test_starts_at_zero_and_keeps_the_shape():
    network = small()
    output = network(torch.randn(2, 4, 8, 8), torch.tensor([3, 900]), torch.randn(2, 3, 32, 32))
    assert output.shape == (2, 4, 8, 8) and not output.any()
    learned = build_concat_unet(SMALL, 4, (8, 8), 3, output_groups=2)
    assert (
        learned(torch.randn(1, 4, 8, 8), torch.tensor([3]), torch.randn(1, 3, 8, 8)).shape[1] == 8
    )


def test_rescaler_is_repeated_bilinear_halving_then_a_trained_mixture():
    network = with_random_output(small())
    x, t, condition = torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.rand(1, 3, 32, 32)
    halved = condition
    for _ in range(2):
        halved = functional.interpolate(halved, scale_factor=0.5, mode="bilinear")
    expected = network.unet(torch.cat([x, network.rescaler(halved)], 1), t).sample
    torch.testing.assert_close(network(x, t, condition), expected, atol=1e-5, rtol=1e-4)
    network(x, t, condition).sum().backward()
    assert network.rescaler.weight.grad.abs().max() > 0


def test_unconditional_network_takes_an_empty_condition():
    network = with_random_output(small(condition_inputs=0))
    assert network.rescaler is None
    assert network(torch.randn(2, 4, 8, 8), torch.tensor([1, 2]), torch.zeros(2, 0, 8, 8)).any()
    with pytest.raises(ValueError, match="got 3 channels, expected 0"):
        network(torch.randn(1, 4, 8, 8), torch.tensor([1]), torch.zeros(1, 3, 8, 8))


def test_unshuffle_sees_each_latent_once():
    network = with_random_output(small(unshuffle=2, attention=[]))
    output = network(torch.randn(1, 4, 8, 8), torch.tensor([1]), torch.rand(1, 3, 8, 8))
    assert output.shape == (1, 4, 8, 8)
    assert network.unet.config.in_channels == 4 * 4 + 3


def test_survives_saving(tmp_path):
    network = with_random_output(small())
    network.save_pretrained(tmp_path)
    inputs = (torch.randn(1, 4, 8, 8), torch.tensor([7]), torch.rand(1, 3, 32, 32))
    assert torch.equal(ConcatUNet.from_pretrained(tmp_path)(*inputs), network(*inputs))


def test_gradient_checkpointing_gives_the_same_gradients():
    gradients = []
    for enabled in (False, True):
        torch.manual_seed(0)
        network = with_random_output(small()).train()
        if enabled:
            network.enable_gradient_checkpointing()
        torch.manual_seed(2)
        x, condition = torch.randn(1, 4, 8, 8), torch.rand(1, 3, 32, 32)
        network(x, torch.tensor([7]), condition).square().sum().backward()
        gradients.append(network.unet.conv_in.weight.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({"multipliers": [1, 1, 1, 1], "attention": []}, (12, 8), r"multipliers: 4 levels .* by 8"),
        ({"attention": [16]}, (8, 8), r"attention: got \[16\], .* are \[8, 4\]"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, size, message):
    with pytest.raises(UserError, match=message):
        small(size=size, **changes)
