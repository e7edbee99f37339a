"""What a pattern leaves when it is predicted bounds the noise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_dip.prior.noise.estimation import estimate_noise
from napari_dip.prior.noise.linear_prediction import LINEAR
from napari_dip.prior.physics.noise_model import KnownNoise

SIDE = 120
y, x = np.mgrid[:SIDE, :SIDE]


def patterns(period):
    yield ((y // period + x // period) % 2).astype(float)
    yield ((y % period == 0) | (x % period == 0)).astype(float)
    yield ((y % period == 0) & (x % period == 0)).astype(float)


def white(seed, deviation=0.05):
    return np.random.default_rng(seed).normal(0, deviation, (SIDE, SIDE))


def found(image, **known):
    image, observed = image[None], np.ones((1, SIDE, SIDE), bool)
    noise = estimate_noise(image, observed, KnownNoise(**known))
    return float(noise.likelihood.noise_variance(torch.from_numpy(image)).mean()) ** 0.5, noise


@given(st.integers(2, 8), st.integers(0, 2), st.integers(0, 10**6))
def test_noise_on_a_pattern_is_found(period, kind, seed):
    sigma, noise = found(list(patterns(period))[kind] * 0.7 + white(seed))
    assert 0.04 < sigma < 0.075  # a bound; by differences alone it is up to 1
    assert noise.correlation_radius == 0


def test_what_is_told_of_the_noise_is_believed():
    image = next(patterns(3)) * 0.7 + white(0)
    sigma, noise = found(image, kind="gaussian", sigma=0.3)
    assert sigma == pytest.approx(0.3) and noise.told
    assert not found(image)[1].told


@given(st.integers(0, 10**6), st.floats(0.5, 1.2))  # beyond, it reaches further than is looked for
def test_correlated_noise_stays_correlated(seed, blur):
    radii = []
    for one in range(seed, seed + 3):
        noise = gaussian_filter(white(one), blur)
        radii.append(found(0.5 + 0.3 * np.sin(y / 15) + 0.05 * noise / noise.std())[1].correlation_radius)
    assert np.count_nonzero(radii) >= 2 or blur < 0.7  # so small an image may look uneven by chance


@pytest.mark.parametrize("radii", [(0, 0), (1, 1), (0, 3)])
def test_white_noise_cannot_be_predicted(radii):
    image, observed = white(1)[None], np.ones((1, SIDE, SIDE), bool)
    left, known = LINEAR.residuals(image, observed, radii)
    assert (left[known] ** 2).mean() == pytest.approx((image**2).mean(), rel=0.1)
    assert not known[0, :2].any() and known[0, 60, 60]


def test_of_few_pixels_nothing_is_said():
    image, observed = white(1)[None, :9, :9], np.ones((1, 9, 9), bool)
    assert LINEAR.residuals(image, observed) is None
    observed = np.random.default_rng(0).random((1, SIDE, SIDE)) < 0.3
    assert LINEAR.residuals(white(1)[None], observed) is None


def test_surroundings_that_were_not_measured_do_not_matter():
    image, observed = np.stack([next(patterns(3)) + white(2)]), np.ones((1, SIDE, SIDE), bool)
    image[:, :30], observed[:, :30] = 99, False
    left, known = LINEAR.residuals(image, observed)
    assert not known[:, :30].any()
    assert (left[known] ** 2).mean() ** 0.5 < 0.08
