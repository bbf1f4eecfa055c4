import pytest
import torch
from torch import nn

from pipeline.diffusion.guidance import GuidanceInterval, GuidedNetwork
from pipeline.models.spade_unet import NetworkSettings, build_network


class Recorder(nn.Module):
    """Answers a known function of its input and remembers the batch sizes it was called with."""

    def __init__(self, learned: bool = False):
        super().__init__()
        self.learned, self.batches = learned, []

    def forward(self, x, timesteps, condition):
        self.batches.append(len(x))
        mean = (
            x * 0.5 + condition.sum(dim=(1, 2, 3)).view(-1, 1, 1, 1) + timesteps.view(-1, 1, 1, 1)
        )
        return torch.cat([mean, 10 * mean], dim=1) if self.learned else mean


def predict(network, x, timesteps, condition, guidance, interval=None, noise_level=1.0):
    return GuidedNetwork(network, condition, guidance, interval).predict(x, timesteps, noise_level)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 4, generator=generator)
    condition = torch.rand(2, 5, 4, 4, generator=generator)
    return x, torch.tensor([7, 9]), condition


def test_no_guidance_is_one_conditional_pass(inputs):
    network = Recorder()
    prediction = predict(network, *inputs, guidance=0.0)
    assert network.batches == [2]
    assert torch.equal(prediction, Recorder()(*inputs))


@pytest.mark.parametrize("s", [0.5, 1.0, 2.5])
def test_guidance_follows_equation_3_12_in_one_pass_of_2n(inputs, s):
    x, timesteps, condition = inputs
    network = Recorder()
    prediction = predict(network, *inputs, guidance=s)
    assert network.batches == [4]
    conditional = Recorder()(x, timesteps, condition)
    unconditional = Recorder()(x, timesteps, torch.zeros_like(condition))
    torch.testing.assert_close(prediction, (1 + s) * conditional - s * unconditional)
    # the scale w = 1 + s of SDM's code: ε_u + w(ε_c − ε_u)
    w = 1 + s
    torch.testing.assert_close(prediction, unconditional + w * (conditional - unconditional))


def test_further_channels_are_those_of_the_conditional_pass(inputs):
    unguided = predict(Recorder(learned=True), *inputs, guidance=0.0)
    guided = predict(Recorder(learned=True), *inputs, guidance=2.0)
    assert torch.equal(guided[:, 3:], unguided[:, 3:])
    torch.testing.assert_close(guided[:, 3:], 10 * unguided[:, :3])
    assert not torch.allclose(guided[:, :3], unguided[:, :3])


@pytest.mark.parametrize(
    ("noise_level", "guided"), [(0.1, False), (0.2, False), (0.3, True), (3.0, True), (3.1, False)]
)
def test_outside_its_interval_guidance_costs_nothing(inputs, noise_level, guided):
    network = Recorder()
    interval = GuidanceInterval(above=0.2, up_to=3.0)
    prediction = predict(network, *inputs, 0.5, interval, noise_level)
    assert network.batches == [4 if guided else 2]
    expected = predict(Recorder(), *inputs, 0.5 if guided else 0.0)
    assert torch.equal(prediction, expected)


def test_an_interval_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"up_to above 0\.5: got 0\.5"):
        GuidanceInterval(above=0.5, up_to=0.5)


@pytest.mark.parametrize("free", [1 << 40, 40_000, 0])
@torch.no_grad()
def test_a_network_that_keeps_its_conditions_predicts_the_same(monkeypatch, free):
    monkeypatch.setattr("pipeline.diffusion.guidance.free_bytes", lambda device: 4 * free)
    settings = NetworkSettings(
        width=8, multipliers=[1, 2], blocks=1, attention=[], spade_channels=4, groups=4
    )
    network = build_network(settings, 2, output_groups=1, image_size=(8, 8)).eval()
    generator = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        weight.copy_(torch.randn(weight.shape, generator=generator) / 5)
    condition = torch.rand(3, 2, 8, 8, generator=generator)
    guided = GuidedNetwork(network, condition, 0.5, GuidanceInterval(above=0.2))
    for noise_level in (2.0, 1.0, 0.1):
        x = torch.randn(3, 3, 8, 8, generator=generator)
        times = torch.full((3,), 7)
        got = guided.predict(x, times, noise_level)
        alone = network(x, times, condition)
        expected = alone
        if noise_level > 0.2:
            expected = 1.5 * alone - 0.5 * network(x, times, torch.zeros_like(condition))
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_gamma_and_beta_are_computed_once(monkeypatch):
    settings = NetworkSettings(
        width=8, multipliers=[1], blocks=1, attention=[], spade_channels=4, groups=4
    )
    network = build_network(settings, 2, output_groups=1, image_size=(8, 8)).eval()
    guided = GuidedNetwork(network, torch.rand(2, 2, 8, 8), 0.5)
    x, times = torch.randn(2, 3, 8, 8), torch.tensor([3, 3])
    guided.predict(x, times, 1.0)
    monkeypatch.setattr("pipeline.models.spade.SpadeNorm.modulation", None)
    guided.predict(x, times, 1.0)
    with pytest.raises(TypeError):
        GuidedNetwork(network, torch.rand(2, 2, 8, 8), 0.5).predict(x, times, 1.0)
