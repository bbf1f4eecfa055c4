"""The discriminator beside the denoiser: whose gradients are whose, what it sees, resumption."""

import math

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from pipeline.diffusion.adversary import Adversary, AdversarySettings, draw_fake, draw_real
from pipeline.diffusion.schedules import DiffusionSettings, Schedule, make_betas
from pipeline.models.timed_discriminator import DiscriminatorNetworkSettings

SETTINGS = AdversarySettings(
    enabled=True,
    learning_rate=1e-2,
    network=DiscriminatorNetworkSettings(width=4, multipliers=[1, 2], blocks=1, groups=2),
)
SCHEDULE = Schedule(make_betas(DiffusionSettings(timesteps=100)))


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)


def adversary(seed=0):
    torch.manual_seed(seed)
    made = Adversary(SETTINGS, channels=4, size=(8, 8))
    made.prepare(Accelerator())
    return made


def gradients(network):
    return [p.grad for p in network.parameters()]


def test_the_generators_step_leaves_the_discriminator_without_gradients():
    judge, fake = adversary(), torch.randn(2, 4, 8, 8, requires_grad=True)
    judge.generator_term(fake, torch.tensor([3, 50])).backward()
    assert fake.grad.abs().sum() > 0
    assert all(gradient is None for gradient in gradients(judge.network))
    assert all(p.requires_grad for p in judge.parameters.values())


def test_the_discriminators_step_leaves_the_generator_without_gradients():
    judge, fake = adversary(), torch.randn(2, 4, 8, 8, requires_grad=True)
    before = [p.clone() for p in judge.network.parameters()]
    judge.learn(torch.randn(2, 4, 8, 8), fake * 2, torch.tensor([3, 50]))
    assert fake.grad is None
    assert any(
        not torch.equal(a, b) for a, b in zip(before, judge.network.parameters(), strict=True)
    )


def test_terms_are_the_cross_entropies_of_the_scores():
    judge, t = adversary(), torch.tensor([3, 50])
    real, fake = torch.randn(2, 2, 4, 8, 8).unbind()
    with torch.no_grad():
        on_real, on_fake = judge.network(real, t), judge.network(fake, t)
    expected = torch.nn.functional.softplus(-on_fake).mean().item()  # −log σ(score)
    assert judge.generator_term(fake, t).item() == pytest.approx(0.25 * expected, rel=1e-5)
    lesson = 0.5 * (torch.log1p(torch.exp(-on_real)) + torch.log1p(torch.exp(on_fake))).mean()
    assert judge.learn(real, fake, t).item() == pytest.approx(lesson.item(), rel=1e-5)


def test_it_learns_to_tell_real_from_fake():
    judge, t = adversary(), torch.tensor([1, 5, 20, 60])
    real, fake = torch.randn(4, 4, 8, 8) * 0.2 + 0.5, torch.randn(4, 4, 8, 8) * 0.2 - 0.5
    losses = [judge.learn(real, fake, t).item() for _ in range(30)]
    assert losses[0] > 0.5 and losses[-1] < 0.1


def test_a_fake_is_a_draw_from_the_posterior_around_the_prediction():
    t = torch.tensor([0, 1, 40, 99])
    x0_hat, x_t = torch.randn(2, 4, 3, 64, 64).unbind()
    noise = torch.randn(4, 3, 64, 64)
    fake = draw_fake(x0_hat, x_t, t, noise, SCHEDULE)
    assert torch.equal(fake[0], x0_hat[0])  # x_{−1} is the clean image
    betas = make_betas(DiffusionSettings(timesteps=100))
    kept = torch.cumprod(1 - betas, 0)
    for row in (1, 2, 3):
        i = int(t[row])
        variance = betas[i] * (1 - kept[i - 1]) / (1 - kept[i])  # Ho et al. 2020, eq. 7
        a = kept[i - 1].sqrt() * betas[i] / (1 - kept[i])
        b = (1 - betas[i]).sqrt() * (1 - kept[i - 1]) / (1 - kept[i])
        expected = a * x0_hat[row] + b * x_t[row] + variance.sqrt() * noise[row]
        torch.testing.assert_close(fake[row], expected.float(), atol=1e-5, rtol=1e-4)


def test_a_real_one_has_the_noise_of_the_step_before():
    t = torch.tensor([0, 1, 60])
    x0 = torch.full((3, 1, 128, 128), 0.5)
    real = draw_real(x0, t, torch.randn(x0.shape), SCHEDULE)
    assert torch.equal(real[0], x0[0])
    kept = torch.cumprod(1 - make_betas(DiffusionSettings(timesteps=100)), 0)
    for row in (1, 2):
        before = kept[int(t[row]) - 1]
        assert real[row].mean().item() == pytest.approx(0.5 * math.sqrt(before), abs=0.03)
        assert real[row].std().item() == pytest.approx(math.sqrt(1 - before), rel=0.03)


def test_its_state_goes_on_where_it_was():
    one, other = adversary(), adversary(seed=1)
    t, real, fake = torch.tensor([3, 50]), torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    one.learn(real, fake, t)
    state = {name: tensor.clone() for name, tensor in one.state().items()}
    one.learn(real, fake, t)
    other.restore(state)
    other.learn(real, fake, t)
    assert one.state().keys() == other.state().keys()
    for name, tensor in one.state().items():
        assert torch.equal(tensor, other.state()[name]), name
