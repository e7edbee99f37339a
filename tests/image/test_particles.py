"""Pixels that particles have hit are found, and nothing that an instrument has imaged, however narrow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_dip.image.particles import particle_hits

SIDE = 96
everywhere = np.ones((SIDE, SIDE), bool)


def camera(seed, structure):
    """Photons and read noise of a scene, whole numbers."""
    random = np.random.default_rng(seed)
    return (random.poisson(structure) + random.normal(0, 5, structure.shape)).round().clip(0)


def cells(seed=0):
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE, SIDE)), 5)
    return 200 + 300 * (field - field.min()) / np.ptp(field)


def stars(seed, width, count=120):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    sky = np.full((SIDE, SIDE), 300.0)
    for cy, cx, light in zip(*random.uniform(3, SIDE - 3, (2, count)), random.pareto(1.1, count), strict=True):
        peak = min(250 + 250 * light, 40000)
        sky += peak * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2))
    return sky


def streaks(seed, count=12, wide=1):
    """Straight streaks of two to twelve pixels, of any direction."""
    random, charge = np.random.default_rng(seed + 77), np.zeros((SIDE, SIDE))
    for _ in range(count):
        y, x = random.uniform(6, SIDE - 14, 2)
        turn, peak = random.uniform(0, np.pi), random.uniform(300, 3000)
        for step in np.arange(0, random.integers(2, 13), 0.5):
            i, j = int(y + step * np.sin(turn)), int(max(x + step * np.cos(turn), 0))
            charge[i : i + wide, j : j + wide] = peak * random.uniform(0.6, 1)
    return charge


@pytest.mark.parametrize(("wide", "dtype"), [(1, np.uint16), (1, np.float32), (2, np.uint16)])
@pytest.mark.parametrize("seed", [1, 2, 4, 5])
def test_streaks_are_found_nearly_whole(seed, wide, dtype):
    charge = streaks(seed, wide=wide)
    found = particle_hits((camera(seed, cells(seed)) + charge).astype(dtype), everywhere)
    assert (charge[~found] ** 2).sum() < 0.1 * (charge**2).sum()
    assert found[charge == 0].mean() < 0.002


@pytest.mark.parametrize("width", [0.7, 0.9, 1.1, 1.5])
def test_streaks_among_stars_are_found_and_stars_stay(width):
    charge = streaks(7)
    found = particle_hits(camera(7, stars(7, width, 40)) + charge, everywhere)
    assert (charge[~found] ** 2).sum() < 0.05 * (charge**2).sum()
    assert (found & (charge == 0)).sum() < 10


def test_dots_beside_streaks_are_found_too():
    charge, random = streaks(4), np.random.default_rng(4)
    charge[tuple(random.integers(0, SIDE, (2, 30)))] = random.uniform(300, 3000, 30)
    found = particle_hits(camera(4, cells(4)) + charge, everywhere)
    assert found[charge > 0].mean() > 0.95


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.5, 1.5))
def test_stars_are_no_hits_however_narrow(seed, width):
    assert not particle_hits(camera(seed, stars(seed, width)), everywhere).any()


def threads(random):
    y, x = np.mgrid[:SIDE, :SIDE]
    lines = np.zeros((SIDE, SIDE))
    for cy, cx, turn in zip(*random.uniform(0, SIDE, (2, 25)), random.uniform(0, np.pi, 25), strict=True):
        along = (y - cy) * np.sin(turn) + (x - cx) * np.cos(turn)
        across = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        lines = np.maximum(lines, np.exp(-(across**2) - (along / 20) ** 4))
    return lines


def drawing(random):
    image = np.zeros((SIDE, SIDE))
    for y, x, height, width in random.integers(2, 40, (20, 4)):
        image[2 * y : 2 * y + height, 2 * x : 2 * x + width] = random.uniform()
    return image


def letters(random):
    """A label of one value that was drawn into the image."""
    return np.pad(random.random((8, 40)) > 0.6, ((80, 8), (20, 36))).astype(float)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([threads, drawing]))
def test_threads_and_drawings_have_no_hits(seed, content):
    scene = 200 + 3000 * content(np.random.default_rng(seed))
    assert not particle_hits(camera(seed, scene), everywhere).any()


@pytest.mark.parametrize("seed", range(3))
def test_a_label_in_the_image_stays(seed):
    label = letters(np.random.default_rng(seed)) > 0
    assert not particle_hits(np.where(label, 4095, camera(seed, cells(seed))), everywhere).any()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 3))
def test_noise_with_a_long_tail_has_no_hits(seed, photons):
    random = np.random.default_rng(seed)
    counts = random.poisson(photons * cells(seed) / 500)
    multiplied = np.where(counts > 0, random.gamma(np.maximum(counts, 1), 60.0), 0)  # as of an EMCCD
    assert not particle_hits(multiplied + random.normal(500, 8, counts.shape), everywhere).any()


def test_what_is_not_known_does_not_count():
    charge, known = streaks(5), everywhere.copy()
    known[:30] = False
    image = camera(5, cells(5)) + charge
    image[:30] = 1e6
    found = particle_hits(image, known)
    assert not found[:30].any()
    assert found[32:][charge[32:] > 0].mean() > 0.9
