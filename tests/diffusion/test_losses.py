"""The losses against closed forms."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pipeline.diffusion.losses import (
    discretised_gaussian_log_likelihood,
    gaussian_kl,
    log_variance,
    timestep_weights,
    training_loss,
    variational_bound,
)
from pipeline.diffusion.schedules import (
    DiffusionSettings,
    Schedule,
    add_noise,
    make_betas,
    split_output,
    target,
    to_x0,
)

SCHEDULE = Schedule(make_betas(DiffusionSettings()))


def batch(t, channels=3, seed=0):
    torch.manual_seed(seed)
    t = torch.tensor(t)
    x0 = torch.rand(len(t), 3, 4, 4) * 2 - 1
    epsilon = torch.randn_like(x0)
    x_t = add_noise(x0, epsilon, *SCHEDULE.factors(t))
    output = torch.randn(len(t), channels, 4, 4, requires_grad=True)
    return output, x0, epsilon, x_t, t, torch.zeros(len(t), 4, 4, dtype=torch.bool)


def test_kl_equals_that_of_torch_distributions():
    torch.manual_seed(0)
    mean_q, log_q, mean_p, log_p = torch.randn(4, 100, dtype=torch.float64)
    q, p = Normal(mean_q, (log_q / 2).exp()), Normal(mean_p, (log_p / 2).exp())
    torch.testing.assert_close(gaussian_kl(mean_q, log_q, mean_p, log_p), kl_divergence(q, p))


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.3), (-0.98, 0.01), (0.7, 0.004), (3.0, 1)])
def test_likelihood_of_all_grey_levels_sums_to_one(mean, deviation):
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    log_deviation = torch.full_like(levels, math.log(deviation))
    likelihood = discretised_gaussian_log_likelihood(
        levels, torch.full_like(levels, mean), log_deviation
    ).exp()
    assert likelihood.sum().item() == pytest.approx(1, abs=1e-6)
    inner = Normal(mean, deviation).cdf(levels[100] + 1 / 255) - Normal(mean, deviation).cdf(
        levels[100] - 1 / 255
    )
    assert likelihood[100].item() == pytest.approx(max(inner.item(), 1e-12), rel=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0", "x0_skip"])
def test_bound_equals_closed_form_in_bits(prediction):
    settings = DiffusionSettings(prediction=prediction)
    output, x0, epsilon, x_t, t, defects = batch([1, 500, 999], channels=6)
    # a perfect mean leaves the difference of the variances alone; middle of the interpolation
    perfect = target(settings, x0, epsilon, *SCHEDULE.factors(t))
    output = torch.cat([perfect, torch.zeros_like(perfect)], dim=1)
    loss = training_loss(output, x0, epsilon, x_t, t, defects, SCHEDULE, settings)
    low, high = SCHEDULE.log_posterior_variance[t], SCHEDULE.log_beta[t]
    ratio = torch.exp((low - high) / 2)  # β̃ over the geometric mean of β̃ and β
    expected = (0.5 * (-ratio.log() - 1 + ratio)).mean() / math.log(2)
    assert loss.vb.item() == pytest.approx(expected.item(), abs=2e-5)
    assert loss.simple.item() == pytest.approx(0, abs=1e-10)


def test_variance_output_interpolates_between_both_bounds():
    t = torch.tensor([300])
    ends = [log_variance(torch.tensor([[[[end]]]]), t, SCHEDULE).item() for end in (-1.0, 1.0)]
    expected = [SCHEDULE.log_posterior_variance[300].item(), SCHEDULE.log_beta[300].item()]
    assert ends == pytest.approx(expected)


def test_first_timestep_is_the_likelihood_of_the_image():
    output, x0, _, x_t, t, _ = batch([0, 0], channels=6)
    x0 = 0.9 * x0  # the outermost levels have open intervals, see the sum over all levels
    variance = output[:, 3:].detach()
    bound = variational_bound(x0, x0, variance, x_t, t, SCHEDULE)
    mean = SCHEDULE.posterior_mean(x0, x_t, t)
    deviation = (0.5 * log_variance(variance, t, SCHEDULE)).exp()
    p = Normal(mean, deviation)
    inside = p.cdf(x0 + 1 / 255) - p.cdf(x0 - 1 / 255)
    expected = -inside.log2().flatten(1).mean(1)
    torch.testing.assert_close(bound, expected, rtol=1e-3, atol=1e-3)


def test_bound_trains_the_variance_alone():
    settings = DiffusionSettings(loss="hybrid")
    output, *rest = batch([0, 40, 700], channels=6)
    training_loss(output, *rest, SCHEDULE, settings).vb.backward()
    assert not output.grad[:, :3].any()
    assert output.grad[:, 3:].flatten(1).any(dim=1).all()


def test_total_is_simple_loss_plus_bound_with_weight_one():
    output, *rest = batch([3, 40], channels=6)
    loss = training_loss(output, *rest, SCHEDULE, DiffusionSettings(loss="hybrid"))
    simple = (output[:, :3] - rest[1]).square().mean()
    assert loss.simple.item() == pytest.approx(simple.item())
    assert loss.total.item() == pytest.approx(loss.simple.item() + loss.vb.item())
    plain = training_loss(output[:, :3], *rest, SCHEDULE, DiffusionSettings(loss="mse"))
    assert plain.total.item() == pytest.approx(simple.item()) and plain.vb.item() == 0


def test_defect_pixels_weigh_more():
    output, x0, epsilon, x_t, t, defects = batch([200])
    defects[0, 1, 2] = True
    settings = DiffusionSettings(loss="mse", defect_weight=3.0)
    loss = training_loss(output, x0, epsilon, x_t, t, defects, SCHEDULE, settings)
    error = (output - epsilon).square().detach()
    expected = (error.sum() + 2 * error[0, :, 1, 2].sum()) / error.numel()
    assert loss.simple.item() == pytest.approx(expected.item(), rel=1e-5)


def test_snr_weight_of_x0_is_clamped():
    settings = DiffusionSettings(prediction="x0", loss="mse", snr_clamp=[0.3, 5.0])
    weights = timestep_weights(settings, torch.tensor([0.001, 1.0, 80.0]))
    torch.testing.assert_close(weights, torch.tensor([0.3, 1.0, 5.0]))
    assert (timestep_weights(DiffusionSettings(), SCHEDULE.snr) == 1).all()


def test_a_learned_skip_is_trained_by_the_error_of_the_clean_image():
    settings = DiffusionSettings(
        prediction="x0_learned_skip", loss="hybrid", snr_clamp=[0.5, 5.0], skip_deviation=0.1
    )
    output, x0, epsilon, x_t, t, defects = batch([2, 150, 600], channels=9)
    loss = training_loss(output, x0, epsilon, x_t, t, defects, SCHEDULE, settings)
    outputs = split_output(settings, output, 3)
    error = to_x0(settings, outputs, x_t, *SCHEDULE.factors(t)) - x0
    weights = SCHEDULE.snr[t].clamp(0.5, 5.0).view(-1, 1, 1, 1)
    assert loss.simple.item() == pytest.approx((weights * error.square()).mean().item(), rel=1e-5)
    loss.simple.backward(retain_graph=True)
    assert output.grad[:, :6].flatten(1).any(dim=1).all() and not output.grad[:, 6:].any()
    output.grad = None
    loss.vb.backward()
    assert not output.grad[:, :6].any() and output.grad[:, 6:].any()


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0", "x0_skip"])
def test_snr_weight_means_the_same_for_every_prediction(prediction):
    """One wrong clean image costs the same, however it was expressed (min-SNR-5)."""
    t = [20, 300, 800]
    settings = DiffusionSettings(prediction=prediction, loss="mse", snr_clamp=[0.0, 5.0])
    _, x0, epsilon, x_t, t, defects = batch(t)
    signal, noise = SCHEDULE.factors(t)
    wrong = x0 + 0.1
    implied_noise = (x_t - signal * wrong) / noise
    output = target(settings, wrong, implied_noise, signal, noise)
    loss = training_loss(output, x0, epsilon, x_t, t, defects, SCHEDULE, settings)
    expected = (0.01 * SCHEDULE.snr[t].clamp(max=5)).mean()
    assert loss.simple.item() == pytest.approx(expected.item(), rel=1e-3)
