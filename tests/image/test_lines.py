"""Offsets of lines are found where there are any, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_dip.image.lines import line_offsets

SIDE = 128
everywhere = np.ones((SIDE, SIDE), bool)


def noisy(seed, sigma=10.0):
    random = np.random.default_rng(seed)
    field = gaussian_filter(random.standard_normal((SIDE, SIDE)), 6)
    return 100 + 200 * (field - field.min()) / np.ptp(field) + sigma * random.standard_normal((SIDE, SIDE))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(1, 30))
def test_noise_has_none(seed, sigma):
    image = noisy(seed, sigma)
    assert not line_offsets(image, everywhere).any()
    assert not line_offsets(image.T, everywhere).any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_most_of_the_offsets_of_rows_is_found(seed):
    offsets = np.random.default_rng(seed + 1).normal(0, 15, SIDE)
    found = line_offsets(noisy(seed) + offsets[:, None], everywhere)
    assert np.std(found - offsets) < 0.65 * np.std(offsets)
    assert np.std(np.diff(found - offsets)) < 0.2 * np.std(np.diff(offsets))  # what is seen: steps from row to row


def test_interlace_is_found():
    offsets = 12.0 * (np.arange(SIDE) % 2)
    assert np.diff(line_offsets(noisy(3) + offsets[:, None], everywhere)) == pytest.approx(np.diff(offsets), abs=6)


def test_what_is_not_known_does_not_count():
    offsets, known = np.random.default_rng(1).normal(0, 15, SIDE), everywhere.copy()
    image = noisy(0) + offsets[:, None]
    image[:, 40:60], known[:, 40:60] = 1e6, False
    assert np.std(line_offsets(image, known) - offsets) < 0.6 * np.std(offsets)


def test_smooth_bands_and_single_edges_are_structure():
    bands = 50 * np.sin(np.arange(SIDE) / 9)[:, None]
    edge = 80.0 * (np.arange(SIDE) > 60)[:, None]
    for structure in (bands, edge):
        assert not line_offsets(noisy(2) + structure, everywhere).any()


def test_a_plane_too_small_to_tell_has_none():
    assert not line_offsets(np.ones((8, 40)), np.ones((8, 40), bool)).any()
