import pytest
import torch
from torch import nn

from pipeline.diffusion.guidance import predict


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


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 4, generator=generator)
    condition = torch.rand(2, 5, 4, 4, generator=generator)
    return x, torch.tensor([7, 9]), condition


def test_no_guidance_is_one_conditional_pass(inputs):
    network = Recorder()
    prediction, variance = predict(network, *inputs, guidance=0.0)
    assert network.batches == [2]
    assert variance is None
    assert torch.equal(prediction, Recorder()(*inputs))


@pytest.mark.parametrize("s", [0.5, 1.0, 2.5])
def test_guidance_follows_equation_3_12_in_one_pass_of_2n(inputs, s):
    x, timesteps, condition = inputs
    network = Recorder()
    prediction, _ = predict(network, *inputs, guidance=s)
    assert network.batches == [4]
    conditional = Recorder()(x, timesteps, condition)
    unconditional = Recorder()(x, timesteps, torch.zeros_like(condition))
    torch.testing.assert_close(prediction, (1 + s) * conditional - s * unconditional)
    # the scale w = 1 + s of SDM's code: ε_u + w(ε_c − ε_u)
    w = 1 + s
    torch.testing.assert_close(prediction, unconditional + w * (conditional - unconditional))


def test_variance_is_that_of_the_conditional_pass(inputs):
    unguided, raw = predict(Recorder(learned=True), *inputs, guidance=0.0)
    guided, variance = predict(Recorder(learned=True), *inputs, guidance=2.0)
    assert torch.equal(variance, raw)
    torch.testing.assert_close(variance, 10 * unguided)
    assert not torch.allclose(guided, unguided)


def test_a_wrong_number_of_channels_is_named(inputs):
    class FourChannels(nn.Module):
        def forward(self, x, timesteps, condition):
            return torch.zeros(len(x), 4, 4, 4)

    with pytest.raises(ValueError, match="got 4 channels, expected 3, or 6"):
        predict(FourChannels(), *inputs, guidance=0.0)
