import numpy as np
import pytest
from diffusers import DDPMScheduler

from pipeline.diffusion.respacing import (
    SPACINGS,
    respaced_betas,
    respaced_timesteps,
    solver_timesteps,
)


@pytest.mark.parametrize("steps", [2, 10, 30, 300, 999, 1000])
def test_timesteps_are_those_of_diffusers_linspace(steps):
    scheduler = DDPMScheduler(timestep_spacing="linspace")
    scheduler.set_timesteps(steps)
    assert respaced_timesteps(1000, steps, "even")[::-1].tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("timesteps_of", [respaced_timesteps, solver_timesteps])
@pytest.mark.parametrize("total", [2, 7, 50, 1000])
def test_every_number_of_steps_gives_distinct_ascending_timesteps(timesteps_of, total, spacing):
    for steps in range(1, total + 1):
        timesteps = timesteps_of(total, steps, spacing)
        assert len(timesteps) == steps
        assert timesteps[-1] == total - 1  # starts from pure noise
        assert timesteps[0] >= 0
        assert np.all(np.diff(timesteps) > 0)


@pytest.mark.parametrize("steps", [0, 11])
def test_impossible_numbers_of_steps_are_refused(steps):
    with pytest.raises(ValueError, match=f"got {steps}, expected 1 to 10"):
        respaced_timesteps(10, steps, "even")


def test_respaced_betas_keep_the_noise_of_the_chosen_timesteps():
    alphas_cumprod = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    timesteps = respaced_timesteps(1000, 37, "quadratic")
    betas = respaced_betas(alphas_cumprod, timesteps)
    np.testing.assert_allclose(np.cumprod(1 - betas), alphas_cumprod[timesteps], rtol=1e-10)


def test_respacing_to_all_timesteps_changes_nothing():
    betas = np.linspace(1e-4, 0.02, 1000)
    respaced = respaced_betas(np.cumprod(1 - betas), respaced_timesteps(1000, 1000, "even"))
    np.testing.assert_allclose(respaced, betas, rtol=1e-9)


def test_quadratic_spacing_is_that_of_the_squares():
    # (i/4)² · 1000 for i = 0…4; and where the first squares coincide they are pushed apart
    assert respaced_timesteps(1001, 5, "quadratic").tolist() == [0, 62, 250, 562, 1000]
    assert respaced_timesteps(10, 7, "quadratic").tolist() == [0, 1, 2, 3, 4, 6, 9]
