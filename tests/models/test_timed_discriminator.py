"""The discriminator: one logit a pair, time, gradients in every weight, sizes."""

import pytest
import torch

from pipeline.io.errors import UserError
from pipeline.models.timed_discriminator import (
    DiscriminatorNetworkSettings,
    TimedDiscriminator,
    build_timed_discriminator,
)

TIMES = torch.tensor([0, 40, 999])


def small(size=(8, 16), **changes):
    torch.manual_seed(0)
    settings = {"width": 8, "multipliers": [1, 2, 2], "blocks": 1, "groups": 4, **changes}
    settings = DiscriminatorNetworkSettings.model_validate(settings)
    return build_timed_discriminator(settings, 4, size).eval()


def pairs():
    return torch.randn(3, 4, 8, 16, generator=torch.Generator().manual_seed(1))


def test_judges_each_pair_by_itself_and_by_its_time():
    network = small()
    logits = network(pairs(), TIMES)
    assert logits.shape == (3,)
    alone = torch.cat([network(pairs()[i : i + 1], TIMES[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, logits, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(network(pairs(), TIMES.flip(0)), logits)


@pytest.mark.parametrize("changes", [{}, {"unshuffle": 2, "blocks": 2}])
def test_every_weight_learns_from_the_first_step(changes):
    network = small(**changes)
    target = torch.tensor([1.0, 0.0, 1.0])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(network(pairs(), TIMES), target)
    loss.backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_tells_two_sets_apart_after_a_few_steps():
    network = small()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    target = torch.tensor([1.0] * 8 + [0.0] * 8)
    generator = torch.Generator().manual_seed(3)
    for _ in range(30):
        smooth = torch.randn(8, 4, 1, 1, generator=generator).expand(8, 4, 8, 16)
        rough = torch.randn(8, 4, 8, 16, generator=generator)
        times = torch.randint(0, 1000, (16,), generator=generator)
        logits = network(torch.cat([smooth, rough]), times)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.3  # 0.69 is a guess


def test_survives_saving_and_bfloat16(tmp_path):
    network = small()
    network.save_pretrained(tmp_path)
    again = TimedDiscriminator.from_pretrained(tmp_path).to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = again(pairs(), TIMES)
    torch.testing.assert_close(rough.float(), network(pairs(), TIMES), atol=0.02, rtol=0.1)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match=r"discriminator\.network\.multipliers: .* by 4, got 8×6"):
        small(size=(8, 6))
