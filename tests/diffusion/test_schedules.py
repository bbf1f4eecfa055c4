"""Schedules against diffusers, predictions against their algebra."""

import pytest
import torch
from diffusers import DDPMScheduler
from pydantic import ValidationError

from pipeline.diffusion.schedules import (
    DiffusionSettings,
    Outputs,
    Schedule,
    add_noise,
    make_betas,
    split_output,
    target,
    to_x0,
)

NAMES = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}


@pytest.mark.parametrize(
    ("schedule", "start", "end"),
    [("linear", 1e-4, 0.02), ("cosine", 1e-4, 0.02), ("scaled_linear", 0.0015, 0.0205)],
)
def test_betas_equal_those_of_diffusers(schedule, start, end):
    ours = make_betas(DiffusionSettings(schedule=schedule))
    theirs = DDPMScheduler(1000, beta_schedule=NAMES[schedule], beta_start=start, beta_end=end)
    torch.testing.assert_close(ours.float(), theirs.betas, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("timesteps", [50, 1000, 4000])
def test_any_number_of_timesteps_ends_in_noise(schedule, timesteps):
    betas = make_betas(DiffusionSettings(schedule=schedule, timesteps=timesteps))
    assert betas.shape == (timesteps,) and betas.min() > 0 and betas.max() <= 0.999
    table = Schedule(betas)
    assert table.snr[0] > 50 and table.snr[-1] < 1e-4
    assert (table.snr.diff() < 0).all()


def test_linear_schedule_by_hand():
    betas = make_betas(DiffusionSettings())
    assert betas[0].item() == pytest.approx(1e-4) and betas[-1].item() == pytest.approx(0.02)
    assert (1 - betas).prod().item() == pytest.approx(4.036e-5, rel=1e-3)  # ᾱ_T of DDPM


def test_noising_keeps_variance_one():
    schedule = Schedule(make_betas(DiffusionSettings(schedule="cosine")))
    total = schedule.signal**2 + schedule.noise**2
    torch.testing.assert_close(total, torch.ones(1000))


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0", "x0_skip"])
def test_predictions_convert_back_to_the_image(prediction):
    torch.manual_seed(0)
    settings = DiffusionSettings(schedule="cosine", prediction=prediction)
    schedule = Schedule(make_betas(settings))
    x0, epsilon = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    signal, noise = schedule.factors(torch.tensor([0, 10, 300, 600, 900]))
    x_t = add_noise(x0, epsilon, signal, noise)
    output = target(settings, x0, epsilon, signal, noise)
    got = to_x0(settings, Outputs(output, None, None), x_t, signal, noise)
    torch.testing.assert_close(got, x0, atol=1e-4, rtol=1e-4)


def test_skip_weighs_output_and_observation_by_their_precision():
    settings = DiffusionSettings(prediction="x0_skip", skip_deviation=0.2)
    x_t, output = torch.full((1,), 0.6), torch.full((1,), 0.1)
    for snr, share in [(1 / settings.skip_deviation**2, 0.5), (1e-9, 0.0), (1e12, 1.0)]:
        signal, noise = (torch.tensor([(s / (1 + snr)) ** 0.5]) for s in (snr, 1))
        expected = share * x_t / signal + (1 - share) * output if share else output
        got = to_x0(settings, Outputs(output, None, None), x_t, signal, noise)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_a_learned_skip_begins_at_the_given_deviation_and_follows_its_channels():
    fixed = DiffusionSettings(prediction="x0_skip", skip_deviation=0.2)
    learned = with_learned_skip(skip_deviation=0.2)
    x_t, prediction = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    signal, noise = Schedule(make_betas(learned)).factors(torch.tensor([50, 400]))

    def x0(settings, skip):
        return to_x0(settings, Outputs(prediction, skip, None), x_t, signal, noise)

    torch.testing.assert_close(x0(learned, torch.zeros(2, 3, 4, 4)), x0(fixed, None))
    skip = torch.zeros(2, 3, 4, 4)
    skip[0, 1, 2, 3] = 1e6  # noise is then all but nothing beside d, e⁴ · 0.2
    skip[1] = -1e6
    got = x0(learned, skip)
    assert got[0, 1, 2, 3].item() == pytest.approx((x_t / signal)[0, 1, 2, 3].item(), abs=1e-3)
    torch.testing.assert_close(got[1], prediction[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(got[0, 0], x0(fixed, None)[0, 0])


def test_a_learned_skip_has_weights_of_the_clean_image():
    with pytest.raises(
        ValidationError, match=r"snr_clamp \[low, high\] where prediction is x0_lea"
    ):
        with_learned_skip(snr_clamp=None)


@pytest.mark.parametrize("loss", ["mse", "hybrid"])
@pytest.mark.parametrize("prediction", ["v", "x0_learned_skip"])
def test_an_output_is_split_into_what_the_settings_name(prediction, loss):
    settings = DiffusionSettings(prediction=prediction, loss=loss, snr_clamp=[0.5, 20.0])
    output = torch.arange(3.0 * settings.output_groups).view(1, -1, 1, 1)
    parts = split_output(settings, output, 3)
    assert parts.prediction.flatten().tolist() == [0, 1, 2]
    rest = [part for part in (parts.skip, parts.variance) if part is not None]
    assert torch.equal(torch.cat([parts.prediction, *rest], dim=1), output)
    assert (parts.skip is None) == (prediction == "v")
    assert (parts.variance is None) == (loss == "mse")


def test_an_output_of_other_channels_is_refused():
    with pytest.raises(ValueError, match="got 3 channels, expected 2 · 3"):
        split_output(DiffusionSettings(), torch.zeros(1, 3, 2, 2), 3)


def with_learned_skip(**changes):
    return DiffusionSettings.model_validate(
        {"prediction": "x0_learned_skip", "loss": "mse", "snr_clamp": [0.5, 20.0], **changes}
    )


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_posterior_equals_one_step_of_diffusers(schedule):
    betas = make_betas(DiffusionSettings(schedule=schedule))
    table = Schedule(betas)
    theirs = DDPMScheduler(trained_betas=betas.numpy(), prediction_type="sample", clip_sample=False)
    torch.manual_seed(0)
    x0, x_t = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    for t in (1, 500, 999):
        zero = torch.Generator().manual_seed(7)
        step = theirs.step(x0, t, x_t, generator=zero).prev_sample
        z = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(7))
        deviation = (0.5 * table.log_posterior_variance[t]).exp()
        mean = table.posterior_mean(x0, x_t, torch.tensor([t]))
        torch.testing.assert_close(mean + deviation * z, step, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"snr_clamp": [5.0, 0.3]},
        {"snr_clamp": [1.0]},
        {"prediction": "epsilon", "snr_clamp": [0.3, 5.0]},
        {"prediction": "x0", "loss": "l1", "snr_clamp": [0.3, 5.0]},
        {"timesteps": 1},
        {"schedule": "sigmoid"},
    ],
)
def test_refuses_settings_that_make_no_sense(settings):
    with pytest.raises(ValidationError):
        DiffusionSettings(**settings)
