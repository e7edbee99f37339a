"""What is no measurement is found in what instruments write, and nothing is in images that have nothing of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_dip.image.unmeasured import blank_areas, noise_floor, outliers

SIDE = 96
everywhere = np.ones((SIDE, SIDE), bool)


def scene(seed=0):
    """Smooth structure in [0, 1]."""
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE, SIDE)), 5)
    return (field - field.min()) / np.ptp(field)


def camera(seed=0, sigma=10.0, low=40, high=200):
    noise = sigma * np.random.default_rng(seed + 1).standard_normal((SIDE, SIDE))
    return (low + (high - low) * scene(seed) + noise).clip(0, 255).round()


def with_bar(image, where="bottom"):
    """Put a bar of 16 rows under an image, black, with a white rule and writing."""
    bar = np.zeros((16, SIDE))
    bar[0] = 255
    bar[5:11, 8:40] = 255 * np.repeat(np.random.default_rng(5).random((6, 16)) > 0.5, 2, axis=1)
    both = [image[16:], bar] if where == "bottom" else [bar[::-1], image[16:]]
    marked = [np.zeros((SIDE - 16, SIDE), bool), np.ones((16, SIDE), bool)]
    return np.vstack(both), np.vstack(marked if where == "bottom" else marked[::-1])


@pytest.mark.parametrize("where", ["bottom", "top"])
@pytest.mark.parametrize("seed", range(3))
def test_a_data_bar_is_found_with_all_that_stands_in_it(seed, where):
    image, bar = with_bar(camera(seed), where)
    assert (blank_areas(image[None], everywhere) == bar).all()


@pytest.mark.parametrize("value", [0, 255, 100])
def test_padding_is_found_whatever_its_value(value):
    image = camera()
    image[:, :20] = value
    found = blank_areas(image[None], everywhere)
    assert found[:, :20].all()
    assert found[:, 20:].mean() < 0.01


def test_a_background_that_was_cut_out_is_found_and_the_cells_are_not():
    cells = scene() > 0.6
    found = blank_areas(np.where(cells, camera() + 100, 0)[None], everywhere)
    assert found[~cells].mean() > 0.97
    assert found[cells].mean() < 0.03


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 30))
def test_photon_counts_are_no_area_however_few(seed, peak):
    image = np.random.default_rng(seed).poisson(peak * scene(seed) ** 2)
    assert blank_areas(image[None], everywhere).mean() < 0.02


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.3, 30))
def test_noise_is_no_area_and_has_no_outliers(seed, sigma):
    image = camera(seed, sigma)
    assert not blank_areas(image[None], everywhere).any()
    assert not outliers(image, everywhere).any()


def test_an_image_of_nothing_but_areas_is_left_as_it_is():
    drawn = 200.0 * (scene() > 0.5)
    assert not blank_areas(drawn[None], everywhere).any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([4095, 65535]))
def test_hot_pixels_are_found_and_nothing_else(seed, count, value):
    image = camera(seed)
    where = np.random.default_rng(seed + 2).choice(image.size // 9, count, replace=False)
    places = 3 * (where // (SIDE // 3)) + 1, 3 * (where % (SIDE // 3)) + 1  # no two beside each other
    image[places] = value
    marked = np.zeros_like(everywhere)
    marked[places] = True
    assert (outliers(image, everywhere) == marked).all()


@pytest.mark.parametrize("seed", range(3))
def test_salt_and_pepper_is_found_where_it_matters(seed):
    image, random = camera(seed), np.random.default_rng(seed + 7).random((SIDE, SIDE))
    salt, pepper = random > 0.975, random < 0.025
    image[salt], image[pepper] = 255, 0
    found = outliers(image, everywhere)
    assert found[salt | pepper].mean() > 0.9
    assert found[~(salt | pepper)].mean() < 0.001


def test_points_that_the_instrument_has_blurred_are_no_outliers():
    image, points = camera(sigma=3), np.zeros((SIDE, SIDE))
    points[6::12, 6::12] = 1
    image += 3000 * gaussian_filter(points, 1.0)
    assert not outliers(image, everywhere).any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 3))
def test_single_photons_are_no_outliers(seed, peak):
    assert not outliers(np.random.default_rng(seed).poisson(peak * scene(seed)).astype(float), everywhere).any()


@pytest.mark.parametrize("sigma", [0.01, 1.0, 100.0])
def test_the_floor_of_the_noise_is_its_deviation(sigma):
    ramp = np.linspace(0, 1e4, SIDE) * np.ones((SIDE, 1))
    noisy = ramp + sigma * np.random.default_rng(0).standard_normal((SIDE, SIDE))
    assert noise_floor(noisy[None], everywhere) == pytest.approx(sigma, rel=0.05)
