"""Images of hardly any photons are restored in groups of pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import napari_dip as dip
from napari_dip import summary
from napari_dip.prior.coarse import FEW_PHOTONS, Grid
from napari_dip.prior.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.noise_estimation import NoiseModel
from napari_dip.prior.observation import Observation

SIDE = 60


def scene(seed=0, side=SIDE):
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 6)
    return ((field - field.min()) / np.ptp(field)) ** 2


def observed(values, mask=None, gain=0.1):
    values = torch.as_tensor(values, dtype=torch.float32).reshape(1, 1, *np.shape(values)[-2:])
    mask = torch.ones_like(values) if mask is None else mask
    return Observation(values, mask, noise=NoiseModel(Gaussian(NoiseVariance(0.0, gain=gain)), 0, "poisson"))


def counts(peak, seed=0, side=SIDE):
    return np.random.default_rng(seed + 1).poisson(peak * scene(seed, side))


@pytest.mark.parametrize("grid", [Grid(2, 0), Grid(3, 1), Grid(4, 2), Grid(7, 3)])
def test_what_is_taken_together_and_spread_again_is_the_image_if_that_is_smooth(grid):
    ramp = torch.linspace(0, 1, SIDE).expand(1, 1, SIDE, SIDE)
    image = grid.spread(grid.pooled(observed(ramp)).values, (SIDE, SIDE), "bicubic")
    assert image.shape == ramp.shape
    inner = (..., slice(10, -10), slice(10, -10))
    assert (image - ramp)[inner].abs().max() < 7e-3  # half a pixel would be more


@pytest.mark.parametrize("side", [2, 3, 5])
def test_the_noise_of_a_group_is_as_much_weaker_as_it_has_pixels(side):
    noisy = torch.from_numpy(np.random.default_rng(0).poisson(5, (300, 300)) / 10.0)
    seen = Grid(side, 0).pooled(observed(noisy))
    assert float(seen.values.var()) == pytest.approx(
        float(seen.noise.likelihood.noise_variance(torch.tensor(0.5))), rel=0.1
    )


def test_what_was_not_measured_is_not_counted():
    values, mask = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    values[..., :4], mask[..., :4] = 99, 0
    mask[..., 4], values[..., 4] = 0, 99
    seen = Grid(4, 0).pooled(observed(values, mask))
    assert (seen.observed[..., 0] == 0).all() and (seen.observed[..., 1] == 1).all()
    assert (seen.values[..., 1] == 1).all()


def test_the_fewer_photons_the_larger_the_groups():
    sides = [FEW_PHOTONS.side(observed(counts(peak) / 10.0)) for peak in (30, 3, 0.6, 0.1)]
    assert sides == sorted(sides) and sides[0] == 1 and sides[1] <= 3 and sides[-1] == FEW_PHOTONS.most


def test_other_noise_and_small_images_are_left_alone():
    gaussian = NoiseModel(Gaussian(NoiseVariance(0.1)), 0, "gaussian")
    assert FEW_PHOTONS.side(replace(observed(counts(0.3) / 10.0), noise=gaussian)) == 1
    assert FEW_PHOTONS.side(observed(counts(0.3, side=20) / 10.0)) == 1
    assert FEW_PHOTONS.side(replace(observed(counts(0.3) / 10.0), noise=observed(counts(1)).noise)) > 1


def test_few_photons_are_restored_better_than_by_a_filter_and_it_is_said():
    truth = scene(3, 96)
    image = np.random.default_rng(0).poisson(truth).astype(np.uint8)
    result = dip.denoise(image, threads=1, uncertainty=True)
    filtered = min(np.mean((gaussian_filter(image.astype(float), sigma) - truth) ** 2) for sigma in (1, 1.5, 2.25, 3))
    assert np.mean((result.image - truth) ** 2) < filtered
    assert result.record["planes"][0]["noise"] == "poisson"
    assert result.record["planes"][0]["noise_variance"]["gain"] == pytest.approx(1)
    assert "in groups of" in summary.noise_found(result.record)
    assert result.uncertainty.shape == image.shape and (result.uncertainty > 0).all()


def test_a_replay_of_few_photons_gives_the_same_bytes():
    image = counts(1).astype(np.uint8)
    first = dip.denoise(image, threads=1, max_iterations=10)
    assert (dip.replay(first.record, image).image == first.image).all()
