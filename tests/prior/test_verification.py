"""Noise that is thought to be stronger than what is left of held-out pixels is doubted."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_dip.prior.estimators.posterior import Averaged, posterior_mean
from napari_dip.prior.noise.verification import VERIFICATION, residual
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation

SIZE = (1, 1, 96, 96)


def random(seed, *size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def model(deviation, radius=0, told=False):
    return NoiseModel(Gaussian(NoiseVariance(deviation**2)), radius, "gaussian", told=told)


def some(part=0.05, seed=10**7):  # no seed that draws noise, too, or the same numbers would choose pixels
    return (torch.rand(SIZE, generator=torch.Generator().manual_seed(seed)) < part).float()


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_true_noise_is_not_doubted(seed, error):
    truth = torch.full(SIZE, 0.5)
    values, prediction = truth + 0.1 * random(seed, *SIZE), truth + 0.1 * error * random(seed + 1, *SIZE)
    assert VERIFICATION.most_noise(model(0.1), prediction, values, some()) == 1


@pytest.mark.parametrize("times", [1.5, 3, 10])
def test_noise_that_is_too_strong_is_doubted(times):
    truth = torch.full(SIZE, 0.5)
    values = truth + 0.1 * random(0, *SIZE)
    most = VERIFICATION.most_noise(model(0.1 * times), truth, values, some())
    assert 1 / times**2 < most < 1.5 / times**2


def test_noise_that_was_told_or_is_correlated_and_few_pixels_are_left_alone():
    truth = torch.full(SIZE, 0.5)
    for noise, held_out in ((model(1, told=True), some()), (model(1, radius=1), some()), (model(1), some(0.001))):
        assert VERIFICATION.most_noise(noise, truth, truth, held_out) == 1
    assert VERIFICATION.most_noise(model(1), truth, truth, None) == 1


def test_the_posterior_takes_what_is_left_for_noise_that_is_doubted():
    truth = 0.5 + 0.3 * torch.sin(torch.arange(96) / 3.0).expand(SIZE)
    values, prediction = truth + 0.05 * random(0, *SIZE), truth + 0.05 * random(1, *SIZE)
    errors = []
    for told in (False, True):
        observation = replace(Observation(values, torch.ones(SIZE), noise=model(0.5, told=told)), held_out=some())
        found = posterior_mean(Averaged(observation, prediction, torch.full(SIZE, 0.5**2 + 0.05**2)))
        errors.append(float(((found.image - truth) ** 2).mean()))
        assert float(found.noise.mean()) ** 0.5 == pytest.approx(0.5 if told else 0.07, rel=0.2)
    assert errors[0] <= errors[1]


def wave(channels=1):
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    return (0.5 + 0.3 * torch.sin(x / 4) * torch.cos(y / 5)).expand(1, channels, 96, 96)


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_that_was_taken_off_looks_like_noise(channels):
    truth = wave(channels)
    values = truth + 0.1 * random(0, *truth.shape)
    found = residual(model(0.1), truth, values, torch.ones(SIZE))
    assert found.variance == pytest.approx(1, abs=0.05)
    assert all(part == pytest.approx(1, abs=0.1) for part in found.by_brightness)
    assert abs(found.correlation) < 0.05


def test_structure_that_was_taken_off_shows():
    truth = wave()
    found = residual(model(0.1), torch.full_like(truth, 0.5), truth + 0.1 * random(0, *SIZE), torch.ones(SIZE))
    assert found.variance > 1.5 and found.correlation > 0.3


def test_noise_that_grows_with_brightness_shows():
    truth = torch.linspace(0, 1, 96).expand(SIZE)
    found = residual(model(0.1), truth, truth + 0.3 * truth * random(0, *SIZE), torch.ones(SIZE))
    assert found.by_brightness[0] < 0.3 * found.by_brightness[2]


def test_correlated_noise_is_looked_at_beyond_its_reach():
    noise = random(0, 1, 1, 96, 98)
    noise = 0.1 * (noise[..., :-2] + noise[..., 1:-1] + noise[..., 2:]) / 3**0.5
    for radius, white in ((0, False), (2, True)):
        found = residual(model(0.1, radius), wave(), wave() + noise, torch.ones(SIZE))
        assert (found.correlation < 0.1) == white


def test_what_was_not_measured_or_cut_off_does_not_count():
    values, observed = wave() + 0.1 * random(0, *SIZE), torch.ones(SIZE)
    values[..., :20, :], observed[..., :20, :] = 99, 0
    values[..., 90:] = 1.0
    clipped = NoiseModel(Gaussian(NoiseVariance(0.01), high=1.0), 0, "gaussian")
    assert residual(clipped, wave(), values, observed).variance < 1.1
    assert residual(model(0.1), wave(), values, torch.zeros(SIZE)) is None
