"""The discriminator's losses by hand, and that neither side moves the other's weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.autoencoding.adversarial import Adversary, adaptive_weight, discriminator_loss
from pipeline.autoencoding.settings import AdversarialSettings

CPU = torch.device("cpu")


def adversary(**changes):
    torch.manual_seed(0)
    return Adversary(3, AdversarialSettings(width=8, layers=1, **changes), CPU)


class Generator(nn.Module):
    """Two layers, so that one of them is the last."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x):
        return self.last(functional.silu(self.first(x)))


def photos():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_hinge_by_hand():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.0, 3.0])
    # (0 + 0.5 + 2) / 3 and (0 + 1 + 4) / 3
    assert discriminator_loss(real, fake).item() == pytest.approx(0.5 * (2.5 / 3 + 5 / 3))


def test_adaptive_weight_by_hand():
    weights = nn.Parameter(torch.tensor([1.0, 2.0]))
    fidelity = 3 * weights[0] + 4 * weights[1]  # gradient (3, 4), norm 5
    adversarial = 0.5 * weights[0]  # gradient (0.5, 0)
    weight = adaptive_weight(fidelity, adversarial, weights)
    assert weight.item() == pytest.approx(10, rel=1e-4)
    assert not weight.requires_grad
    (fidelity + weight * adversarial).backward()  # both graphs are still there
    assert weights.grad.tolist() == pytest.approx([8.0, 4.0], rel=1e-4)


def test_term_is_as_strong_at_the_last_layer_as_the_fidelity():
    ours, generator, x = adversary(weight=0.75), Generator(), photos()
    fake = generator(x)
    fidelity = (fake - x).abs().mean()
    term = ours.generator_term(fidelity, fake, generator.last.weight)
    (of_term,) = torch.autograd.grad(term, generator.last.weight, retain_graph=True)
    (of_fidelity,) = torch.autograd.grad(fidelity, generator.last.weight)
    assert (of_term.norm() / of_fidelity.norm()).item() == pytest.approx(0.75, rel=1e-3)


def test_generator_step_leaves_the_discriminator_alone():
    ours, generator, x = adversary(), Generator(), photos()
    ours.learn(x, generator(x), 1e-3)
    gradients = {name: p.grad.clone() for name, p in ours.parameters.items()}
    weights = {name: p.detach().clone() for name, p in ours.parameters.items()}
    fake = generator(x)
    fidelity = (fake - x).abs().mean()
    (fidelity + ours.generator_term(fidelity, fake, generator.last.weight)).backward()
    assert all(torch.equal(p.grad, gradients[name]) for name, p in ours.parameters.items())
    assert all(torch.equal(p, weights[name]) for name, p in ours.parameters.items())
    assert all(p.grad.abs().sum() > 0 for p in generator.parameters())


def test_discriminator_step_leaves_the_generator_alone():
    ours, generator, x = adversary(), Generator(), photos()
    before = {name: p.detach().clone() for name, p in ours.parameters.items()}
    ours.learn(x, generator(x), 1e-3)
    assert all(p.grad is None for p in generator.parameters())
    assert any(not torch.equal(p, before[name]) for name, p in ours.parameters.items())


def test_generator_term_falls_where_the_discriminator_is_fooled():
    ours, x = adversary(weight=1.0), photos()
    fake = x.clone().requires_grad_()
    last = nn.Parameter(torch.ones(()))
    term = ours.generator_term((last * fake).sum(), last * fake, last)
    term.backward()
    with torch.no_grad():
        before = ours.network(fake).mean()
        after = ours.network(fake - 1e-2 * fake.grad.sign()).mean()
    assert after > before


def test_discriminator_learns_to_tell():
    ours, x = adversary(), photos()
    fake = functional.avg_pool2d(x, 3, 1, 1)
    losses = [ours.learn(x, fake, 1e-2) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


def test_starts_when_it_is_told():
    ours = adversary(start_step=3)
    assert [ours.is_active(step) for step in (0, 2, 3, 4)] == [False, False, True, True]
