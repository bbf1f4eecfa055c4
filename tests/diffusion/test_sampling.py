import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import nn

from pipeline.diffusion.sampling import SAMPLERS, SamplerSettings, SamplingSettings, draw
from pipeline.diffusion.schedules import DiffusionSettings, make_betas, target
from pipeline.io.errors import UserError
from pipeline.io.params import parse
from pipeline.io.seeding import torch_generator

PREDICTIONS = ["epsilon", "v", "x0"]


def alphas_cumprod() -> np.ndarray:
    return torch.cumprod(1 - make_betas(DiffusionSettings()), dim=0).numpy()


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def generators(total: int, start: int = 0) -> list[torch.Generator]:
    return [torch_generator(0, "sample", i) for i in range(start, start + total)]


class GaussianDenoiser(nn.Module):
    """The best possible network for pixels that are independent N(mean, deviation²).

    E[x₀ | x_t] = mean + √ᾱ·deviation² / (ᾱ·deviation² + 1 − ᾱ) · (x_t − √ᾱ·mean).
    """

    def __init__(self, diffusion: DiffusionSettings, mean: torch.Tensor, deviation: float):
        super().__init__()
        self.diffusion, self.mean, self.variance = diffusion, mean, deviation**2
        self.alpha_bar = torch.cumprod(1 - make_betas(diffusion), dim=0)

    def forward(self, x, timesteps, condition):
        alpha_bar = self.alpha_bar[timesteps].view(-1, 1, 1, 1)
        signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        gain = signal * self.variance / (alpha_bar * self.variance + 1 - alpha_bar)
        x0 = self.mean + gain * (x - signal * self.mean)
        epsilon = (x - signal * x0) / noise
        output = target(self.diffusion, x0, epsilon, signal, noise).float()
        if self.diffusion.learns_variance:
            output = torch.cat([output, -torch.ones_like(output)], dim=1)  # −1: β̃
        return output


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_a_point_mass_is_recovered_exactly(sampler, prediction, steps):
    diffusion = DiffusionSettings(prediction=prediction)
    image = randn(3, 4, 4).clamp(-1, 1)
    network = GaussianDenoiser(diffusion, image, deviation=0.0)
    settings = SamplerSettings(sampler=sampler, steps=steps)
    drawn = draw(network, diffusion, torch.zeros(2, 1, 4, 4), generators(2), settings)
    torch.testing.assert_close(drawn, image.expand(2, 3, 4, 4), atol=5e-3, rtol=0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(
    ("sampler", "eta", "steps", "loss"),
    [
        ("ddpm", 0.0, 1000, "hybrid"),
        ("ddim", 0.0, 200, "mse"),
        ("ddim", 1.0, 1000, "mse"),
        ("dpmsolver++", 0.0, 40, "hybrid"),
        ("unipc", 0.0, 40, "hybrid"),
    ],
)
def test_a_gaussian_is_recovered(sampler, eta, steps, loss, prediction):
    diffusion = DiffusionSettings(prediction=prediction, loss=loss)
    network = GaussianDenoiser(diffusion, torch.tensor(0.2), deviation=0.25)
    settings = SamplerSettings(sampler=sampler, eta=eta, steps=steps, spacing="quadratic")
    drawn = draw(network, diffusion, torch.zeros(4, 1, 32, 32), generators(4), settings)
    # 12,288 independent pixels: the estimates' own deviations are 0.0023 and 0.0016
    assert drawn.mean().item() == pytest.approx(0.2, abs=0.008)
    assert drawn.std().item() == pytest.approx(0.25, abs=0.008)


@pytest.mark.parametrize("loss", ["mse", "hybrid"])
@pytest.mark.parametrize("guidance", [0.0, 0.5])
def test_a_learned_skip_draws_the_deviation_that_it_learned(guidance, loss):
    """A network that knows the mean, and how far from it the pixels are, needs no more."""
    diffusion = DiffusionSettings(
        schedule="cosine", prediction="x0_learned_skip", loss=loss, snr_clamp=[0.5, 20.0]
    )
    factor = 0.25 / diffusion.skip_deviation

    def network(x, timesteps, condition):
        mean, skip = (
            torch.full_like(x, 0.2),
            torch.full_like(x, 4 * math.atanh(math.log(factor) / 4)),
        )
        variance = [torch.full_like(x, -1.0)] if loss == "hybrid" else []
        return torch.cat([mean, skip, *variance], dim=1)

    settings = SamplerSettings(steps=60, spacing="quadratic", guidance=guidance)
    module = Function(network)
    drawn = draw(module, diffusion, torch.zeros(4, 1, 32, 32), generators(4), settings)
    assert drawn.mean().item() == pytest.approx(0.2, abs=0.008)
    assert drawn.std().item() == pytest.approx(0.25, abs=0.008)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


@pytest.mark.parametrize("learned", [False, True])
def test_ddpm_steps_are_those_of_diffusers_linspace(learned):
    kind = "learned_range" if learned else "fixed_small"
    reference = DDPMScheduler(
        variance_type=kind, timestep_spacing="linspace", clip_sample=True, beta_schedule="linear"
    )
    reference.set_timesteps(300)
    sampler = SAMPLERS["ddpm"](alphas_cumprod(), SamplerSettings(sampler="ddpm", steps=300))
    assert sampler.timesteps == reference.timesteps.tolist()
    for i in (0, 150, 298, 299):
        x, epsilon = randn(2, 3, 4, 4, seed=1), randn(2, 3, 4, 4, seed=2)
        variance = randn(2, 3, 4, 4, seed=3) if learned else None
        output = torch.cat([epsilon, variance], dim=1) if learned else epsilon
        t = reference.timesteps[i]
        expected = reference.step(output, t, x, generator=generators(2)).prev_sample
        alpha_bar = torch.tensor(alphas_cumprod()[t])
        x0 = ((x - (1 - alpha_bar).sqrt() * epsilon) / alpha_bar.sqrt()).clamp(-1, 1)
        got = sampler.step(i, x0, variance, x, generators(2))
        torch.testing.assert_close(got, expected, atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_steps_are_those_of_diffusers_at_equal_timesteps(eta):
    # at T steps both visit every timestep; the stride of the reference is right there
    reference = DDIMScheduler(clip_sample=False, beta_schedule="linear")
    reference.set_timesteps(1000)
    settings = SamplerSettings(sampler="ddim", steps=1000, eta=eta)
    sampler = SAMPLERS["ddim"](alphas_cumprod(), settings)
    assert sampler.timesteps == reference.timesteps.tolist()
    for i in (0, 400, 998, 999):
        x, epsilon = randn(2, 3, 4, 4, seed=1), randn(2, 3, 4, 4, seed=2)
        t = reference.timesteps[i]
        expected = reference.step(epsilon, t, x, eta=eta, generator=generators(2)).prev_sample
        alpha_bar = torch.tensor(alphas_cumprod()[t])
        x0 = (x - (1 - alpha_bar).sqrt() * epsilon) / alpha_bar.sqrt()
        got = sampler.step(i, x0, None, x, generators(2))
        torch.testing.assert_close(got, expected, atol=2e-3, rtol=1e-3)


def test_ddim_with_any_number_of_steps_follows_equation_12():
    # 7 does not divide 1000; Song et al. eq. 12 with σ = 0 between our own timesteps
    alpha_bar = alphas_cumprod()
    sampler = SAMPLERS["ddim"](alpha_bar, SamplerSettings(sampler="ddim", steps=7))
    x, x0 = randn(1, 3, 4, 4, seed=1), randn(1, 3, 4, 4, seed=2)
    for i, t in enumerate(sampler.timesteps):
        now = alpha_bar[t]
        after = alpha_bar[sampler.timesteps[i + 1]] if i < 6 else 1.0
        epsilon = (x - now**0.5 * x0) / (1 - now) ** 0.5
        expected = after**0.5 * x0 + (1 - after) ** 0.5 * epsilon
        got = sampler.step(i, x0, None, x, generators(1))
        torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


class Counter(nn.Module):
    """An arbitrary deterministic network that counts its calls."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3 + 2, 3, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.batches, self.timesteps = [], []

    def forward(self, x, timesteps, condition):
        self.batches.append(len(x))
        self.timesteps.append(int(timesteps[0]))
        return self.dropout(self.conv(torch.cat([x, condition], dim=1)))


@pytest.mark.parametrize(("guidance", "batch"), [(0.0, 3), (0.5, 6)])
def test_one_network_call_a_step_on_the_original_timesteps(guidance, batch):
    network = Counter().train()
    settings = SamplerSettings(sampler="ddpm", steps=4, guidance=guidance)
    drawn = draw(network, DiffusionSettings(loss="mse"), randn(3, 2, 8, 8), generators(3), settings)
    assert network.batches == [batch] * 4
    assert network.timesteps == [999, 666, 333, 0]
    assert network.training  # left as it was, but without dropout while it drew:
    again = draw(network, DiffusionSettings(loss="mse"), randn(3, 2, 8, 8), generators(3), settings)
    assert torch.equal(drawn, again)


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 0.0), ("ddim", 1.0), ("dpmsolver++", 0.0)])
def test_a_sample_does_not_depend_on_its_partners(sampler, eta):
    conditions, settings = randn(4, 2, 8, 8), SamplerSettings(sampler=sampler, steps=5, eta=eta)
    drawn = draw(Counter(), DiffusionSettings(loss="mse"), conditions, generators(4), settings)
    order = [2, 0, 3, 1]
    shuffled = draw(
        Counter(),
        DiffusionSettings(loss="mse"),
        conditions[order],
        [generators(4)[i] for i in order],
        settings,
    )
    assert torch.equal(shuffled, drawn[order])
    others = draw(
        Counter(),
        DiffusionSettings(loss="mse"),
        torch.cat([conditions[:1], randn(3, 2, 8, 8, seed=9)]),
        generators(1) + generators(3, start=50),
        settings,
    )
    assert torch.equal(others[0], drawn[0])
    assert not torch.equal(others[1], drawn[1])


class Overshoot(nn.Module):
    """Predicts x₀ = 3 first, then x₀ = x: what clipping did to the first step stays visible."""

    def forward(self, x, timesteps, condition):
        return torch.full_like(x, 3.0) if int(timesteps[0]) == 999 else x


@pytest.mark.parametrize(("clip", "first_x0"), [(True, 1.0), (False, 3.0)])
def test_x0_is_clipped_only_if_so_set(clip, first_x0):
    # ddim: 999 → 0 with x₀ = first_x0 (Song et al. eq. 12), then x₀ = that x
    diffusion = DiffusionSettings(timesteps=1000, prediction="x0", loss="mse")
    settings = SamplerSettings(sampler="ddim", steps=2, spacing="even", clip=clip)
    drawn = draw(Overshoot(), diffusion, torch.zeros(1, 1, 4, 4), generators(1), settings)
    alpha_bar = alphas_cumprod()
    x = torch.randn((3, 4, 4), generator=generators(1)[0])[None]
    epsilon = (x - alpha_bar[999] ** 0.5 * first_x0) / (1 - alpha_bar[999]) ** 0.5
    expected = alpha_bar[0] ** 0.5 * first_x0 + (1 - alpha_bar[0]) ** 0.5 * epsilon
    torch.testing.assert_close(drawn, expected.clamp(-1, 1), atol=1e-4, rtol=0)


def test_bf16_stays_close_to_fp32():
    conditions = randn(2, 2, 8, 8)
    drawn = {
        precision: draw(
            Counter(),
            DiffusionSettings(prediction="x0", loss="mse"),
            conditions,
            generators(2),
            SamplerSettings(steps=5, precision=precision),
        )
        for precision in ("fp32", "bf16")
    }
    assert drawn["bf16"].dtype == torch.float32
    torch.testing.assert_close(drawn["bf16"], drawn["fp32"], atol=0.03, rtol=0)
    assert not torch.equal(drawn["bf16"], drawn["fp32"])


def test_more_steps_than_the_training_had_are_refused():
    with pytest.raises(UserError, match=r"sampling.steps: got 51, expected at most 50"):
        draw(
            Counter(),
            DiffusionSettings(timesteps=50),
            randn(1, 2, 8, 8),
            generators(1),
            SamplerSettings(steps=51),
        )


def test_settings_name_what_is_wrong():
    superres = {"enabled": True, "batch_size": 4, "condition_noise": 0.0, "checkpoint": "best"}
    values = {"count": 1, "first": 0, "output": "files", "shard_size": 10, "batch_size": 4}
    values |= {"checkpoint": "best", "superres": superres}
    assert parse(SamplingSettings, "sampling", values).superres.enabled
    for changes, message in (
        ({"count": 0}, r"sampling.count: got 0"),
        ({"output": "tar"}, r"sampling.output: got 'tar'"),
        ({"shard_size": 0}, r"sampling.shard_size: got 0"),
        ({"sampler": "ddpm", "eta": 0.5}, "only ddim has an eta"),
        ({"checkpoint": "first"}, r"sampling.checkpoint: got 'first'"),
        ({"superres": superres | {"guidance": 1.0}}, "guidance 0: there is no mask to guide by"),
    ):
        with pytest.raises(UserError, match=message):
            parse(SamplingSettings, "sampling", values | changes)
