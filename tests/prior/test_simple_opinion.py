"""A simple filter has its part in a prediction where held-out pixels are told better by it."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_dip.prior.estimators.simple_opinion import SIMPLE_OPINION, Looked, hidden_gaussians
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation

SIDE = 64


def random(seed, *size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def truth(seed=0, channels=1):
    smooth = gaussian_filter(random(seed, 1, channels, SIDE, SIDE).numpy(), (0, 0, 6, 6))
    return torch.from_numpy(smooth / smooth.std())


def measured(image, deviation=1.0, seed=1, radius=0):
    noise = NoiseModel(Gaussian(NoiseVariance(deviation**2)), radius, "gaussian")
    values = image + deviation * random(seed, *image.shape)
    observation = Observation(values, torch.ones(1, 1, SIDE, SIDE), noise=noise)
    return observation.split(0.1, torch.Generator().manual_seed(seed))


def mixed(prediction, observation):
    found = SIMPLE_OPINION.of_plane(prediction, observation)
    return (prediction, 0.0) if found is None else (found.mixed(Looked(prediction, observation)), found.part)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_bad_prediction_of_a_smooth_image_gives_way_to_a_filter(channels):
    image = truth(channels=channels)
    bad = image + 0.7 * random(5, *image.shape)
    found, part = mixed(bad, measured(image))
    assert part > 0.8
    assert ((found - image) ** 2).mean() < 0.2 * ((bad - image) ** 2).mean()


def test_a_good_prediction_of_structure_stays_as_it_is():
    image = torch.from_numpy(gaussian_filter(random(2, 1, 1, SIDE, SIDE).numpy(), (0, 0, 1, 1)) * 4)
    good = image + 0.1 * random(5, *image.shape)
    found, part = mixed(good, measured(image))
    assert part == 0 and found is good


@given(st.integers(0, 10**6))
def test_a_good_prediction_loses_next_to_nothing_by_chance(seed):
    image = truth(seed)
    good = image + 0.05 * random(seed + 1, *image.shape)
    found, _ = mixed(good, measured(image, seed=seed))
    assert ((found - image) ** 2).mean() < 0.02  # of noise of 1


def test_values_that_were_cut_off_do_not_judge():
    image = truth()
    clipped = replace(measured(image), noise=NoiseModel(Gaussian(NoiseVariance(1.0), low=0.0), 0, "gaussian"))
    bad = image + 0.7 * random(5, *image.shape)
    assert mixed(bad, clipped) == (bad, 0.0)


def test_without_held_out_pixels_nothing_is_judged():
    image = truth()
    observation = Observation(image, torch.ones(1, 1, SIDE, SIDE))
    assert mixed(image, observation) == (image, 0.0)


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_a_pixel_and_what_its_noise_reaches_say_nothing_of_it(radius):
    point = torch.zeros(1, 1, SIDE, SIDE)
    point[..., 30, 30] = 1
    observation = Observation(
        point, torch.ones(1, 1, SIDE, SIDE), noise=NoiseModel(Gaussian(NoiseVariance(1.0)), radius, "gaussian")
    )
    seen = next(hidden_gaussians(Looked(point, observation), 1.5))[0, 0]
    near = slice(30 - radius, 31 + radius)
    assert (seen[near, near] == 0).all()
    assert seen[30, 31 + radius] > 0


def test_what_was_not_measured_is_not_counted():
    values = torch.full((1, 1, SIDE, SIDE), 2.0)
    observed = torch.ones_like(values)
    values[..., :20], observed[..., :20] = 99, 0
    seen = next(hidden_gaussians(Looked(values, Observation(values, observed)), 1.0))
    assert torch.allclose(seen[..., 20:], torch.tensor(2.0))
