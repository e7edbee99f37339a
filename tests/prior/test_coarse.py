"""Images of hardly any photons are restored in groups of pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import napari_dip as dip
from napari_dip.prior.estimators.coarse import GROUPING, Grid, detail
from napari_dip.prior.objectives.stack import Stack
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation
from napari_dip.run import summary

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


@given(st.integers(1, 5), st.booleans(), st.integers(0, 3), st.integers(1, 40))
def test_the_groups_of_a_region_are_those_that_cover_it(side, moved, first, length):
    """Cut out of the groups of a whole image or taken of a part of it: they are the same, but for those at the cut."""
    grid = Grid(side, side // 2 if moved else 0)
    image = torch.arange(64.0 * 64).view(1, 1, 64, 64)
    stack = Stack.of(image, torch.ones_like(image))
    start = first * side
    region = slice(start, min(start + length, 64))
    groups = grid.of_stack(stack).values[..., *grid.within((region, region))]
    size = [region.stop - region.start] * 2
    assert grid.spread(groups, size, "nearest").shape[2:] == tuple(size)
    part = image[..., region, region]
    inner = grid.of_stack(Stack.of(part, torch.ones_like(part))).values
    assert inner.shape == groups.shape
    assert torch.equal(inner[..., 1:-1, 1:-1], groups[..., 1:-1, 1:-1])


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


def sides(observation):
    return [grid.side for grid in GROUPING.grids(observation)]


def test_the_fewer_photons_the_larger_the_groups():
    found = [min(sides(observed(counts(peak) / 10.0)), default=1) for peak in (100, 3, 0.6, 0.1)]
    assert found == sorted(found) and found[0] == 1 and found[-1] == GROUPING.most
    assert sides(observed(counts(0.6) / 10.0))[::2] == [found[2], found[2] + 1]


def strong(seed=0, side=96, deviation=1.0, smooth=6):
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), smooth)
    noisy = field / field.std() * 0.3 + deviation * np.random.default_rng(seed + 9).standard_normal((side, side))
    noise = NoiseModel(Gaussian(NoiseVariance(deviation**2)), 0, "gaussian")
    return replace(observed(noisy), noise=noise)


def test_where_noise_drowns_all_that_is_fine_groups_stand_beside_single_pixels():
    assert sides(strong()) == [2, 2, 3, 3, 1]


def test_images_with_fine_structure_stay_as_they_are():
    assert not sides(strong(deviation=0.3, smooth=1))
    assert not sides(strong(deviation=0.05, smooth=2))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_fine_is_told_from_noise(seed):
    fine, coarse = detail(strong(seed, 192))
    assert abs(fine) < 0.06 and abs(coarse) < 0.1
    pixels = strong(seed, 192)
    squares = np.kron(np.random.default_rng(seed).standard_normal((64, 64)), np.ones((3, 3)))
    assert detail(replace(pixels, values=pixels.values + torch.from_numpy(squares).float()))[0] > 0.15


def test_other_noise_and_small_images_are_left_alone():
    pixels = strong()
    clipped = NoiseModel(Gaussian(NoiseVariance(1.0), low=0.0), 0, "gaussian")
    correlated = NoiseModel(Gaussian(NoiseVariance(1.0)), 1, "gaussian")
    assert not sides(replace(pixels, noise=clipped)) and not sides(replace(pixels, noise=correlated))
    assert not sides(strong(side=20)) and not sides(observed(counts(0.3, side=20) / 10.0))


def test_few_photons_are_restored_better_than_by_a_filter_and_it_is_said():
    truth = scene(3, 96)
    image = np.random.default_rng(0).poisson(truth).astype(np.uint8)
    result = dip.denoise(image, threads=1, uncertainty=True)
    filtered = min(np.mean((gaussian_filter(image.astype(float), sigma) - truth) ** 2) for sigma in (1, 1.5, 2.25, 3))
    assert np.mean((result.image - truth) ** 2) < filtered
    assert result.record["planes"][0]["noise"] == "poisson"
    assert result.record["planes"][0]["noise_variance"]["gain"] == pytest.approx(1)
    assert "binned" in summary.noise_found(result.record)
    assert result.uncertainty.shape == image.shape and (result.uncertainty > 0).all()


def test_a_replay_of_few_photons_gives_the_same_bytes():
    image = counts(1).astype(np.uint8)
    first = dip.denoise(image, threads=1, max_iterations=10)
    assert (dip.replay(first.record, image).image == first.image).all()
