"""Waves of the instrument are found where there are any, and a specimen that is periodic stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_dip.image.waves import find_waves, wave_values

SIDE = 128
everywhere = np.ones((SIDE, SIDE), bool)
y, x = np.mgrid[:SIDE, :SIDE]
whole = slice(0, SIDE), slice(0, SIDE)


def scene(seed=0, sigma=10.0, scale=7):
    random = np.random.default_rng(seed)
    field = gaussian_filter(random.standard_normal((SIDE, SIDE)), scale)
    return 50 + 300 * (field - field.min()) / np.ptp(field) + sigma * random.standard_normal((SIDE, SIDE))


def hum(period, degrees, amplitude=10.0, phase=1.0):
    turn = np.radians(degrees)
    return amplitude * np.cos(2 * np.pi * (np.cos(turn) * x + np.sin(turn) * y) / period + phase)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(2.6, 6), st.floats(25, 65), st.booleans(), st.floats(6, 40))
def test_an_oblique_wave_is_found_between_the_bins_of_the_spectrum(seed, period, degrees, mirrored, amplitude):
    added = hum(period, 180 - degrees if mirrored else degrees, amplitude)
    (wave,) = find_waves(scene(seed) + added, everywhere)
    assert wave.amplitude == pytest.approx(amplitude, abs=1)
    assert wave.period == pytest.approx(period, rel=0.005)
    assert np.std(added - wave_values([wave], whole)) < 1


def test_its_harmonics_are_found_too():
    waves = find_waves(scene() + hum(6, 40, 20) + hum(3, 40, 6), everywhere)
    assert [round(one.period) for one in waves] == [6, 3]


def test_a_region_has_its_part_of_a_wave():
    (wave,) = find_waves(scene() + hum(5, 40), everywhere)
    region = slice(20, 50), slice(7, 100)
    assert wave_values([wave], region) == pytest.approx(wave_values([wave], whole)[region])


def test_what_is_not_known_does_not_count():
    image, known = scene() + hum(5, 40, 15), everywhere.copy()
    image[90:], known[90:] = 1e6, False
    (wave,) = find_waves(image, known)
    assert wave.amplitude == pytest.approx(15, abs=1.5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(1, 100), st.floats(0.7, 20))
def test_noise_and_structure_have_none(seed, sigma, scale):
    assert not find_waves(scene(seed, sigma, scale), everywhere)


LIGHT = 1 + np.exp(-((y - 50) ** 2 + (x - 70) ** 2) / 2000)
SPECIMENS = {
    "grating": 100 + hum(6, 30, 50),
    "grating with uneven light": LIGHT * (100 + hum(6, 30, 50)),
    "lattice": 100 + 200 * LIGHT + sum(hum(7, degrees, 15) for degrees in (10, 70, 130)),
    "fabric": LIGHT * (100 + 30 * np.sign(hum(7, 20)) * np.sign(hum(7, 110))),
    "striped cells": 200 * (LIGHT > 1.3) + (LIGHT > 1.3) * hum(5, 40, 30),
    "striped ground": 200 * (LIGHT > 1.3) + (LIGHT <= 1.3) * hum(5, 40, 30),
    "stripes that bend": 200 * LIGHT + 20 * np.cos(0.8 * x + 0.5 * y + 3 * LIGHT),
    "rows": 200 * LIGHT + hum(6, 90, 20),
    "every second column": 200 * LIGHT + 10.0 * (x % 2),
}


@pytest.mark.parametrize("name", SPECIMENS)
@pytest.mark.parametrize("sigma", [1.0, 10.0])
def test_a_specimen_that_is_periodic_stays(name, sigma):
    noise = sigma * np.random.default_rng(4).standard_normal((SIDE, SIDE))
    assert not find_waves(SPECIMENS[name] + noise, everywhere)


def test_a_plane_too_small_or_constant_has_none():
    assert not find_waves(np.ones((24, 200)), np.ones((24, 200), bool))
    assert not find_waves(np.ones((SIDE, SIDE)), everywhere)
