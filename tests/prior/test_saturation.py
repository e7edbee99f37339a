import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dip.prior.noise.saturation import PileUp, clipped_error, saturation, unclip

everywhere = np.ones((1, 64, 64), bool)


def test_saturation_is_a_pile_of_values_at_the_edge():
    rng = np.random.default_rng(0)
    ramp = rng.random((1, 64, 64))
    assert saturation(ramp, everywhere) == (-np.inf, np.inf)
    assert saturation((1.2 * ramp).clip(0, 1), everywhere) == (-np.inf, 1.0)
    assert saturation((1.2 * ramp - 0.2).clip(0, 1), everywhere) == (0.0, np.inf)
    hot = ramp.copy()
    hot[0, 3, 3:6] = 1.0  # a few hot pixels
    assert saturation(hot, everywhere) == (-np.inf, np.inf)
    damaged = np.where(ramp > 0.5, 1.0, ramp)
    assert saturation(damaged, ramp <= 0.5) == (-np.inf, np.inf)


def test_how_large_a_pile_has_to_be_can_be_said():
    clipped = (1.2 * np.random.default_rng(0).random((1, 64, 64))).clip(0, 1)
    assert saturation(clipped, everywhere, pile_up=PileUp(least=0.3))[1] == np.inf
    assert saturation(clipped, everywhere, pile_up=PileUp(times=1000))[1] == np.inf


@settings(deadline=None, max_examples=30)
@given(mean=st.floats(-0.2, 1.2), deviation=st.floats(0.02, 0.3))
def test_the_moments_of_clipped_noise_are_brought_back(mean, deviation):
    values = np.random.default_rng(0).normal(mean, deviation, 100_000).clip(0, 1)
    moments = np.array([values.mean()]), np.array([values.var()])
    if min(moments[0][0], 1 - moments[0][0]) <= 0.8 * moments[1][0] ** 0.5:
        return  # nearly all is cut off
    centre, spread = unclip(*moments, 0.0, 1.0)
    assert centre[0] == pytest.approx(mean, abs=0.05 * deviation)
    assert spread[0] ** 0.5 == pytest.approx(deviation, rel=0.05)


def test_what_is_not_clipped_stays_as_it_is():
    mean, variance = np.array([0.2, 0.5]), np.array([0.01, 0.02])
    assert unclip(mean, variance, -np.inf, np.inf) == (mean, variance)


def test_points_without_room_are_left_out_if_enough_others_remain():
    mean, variance = np.array([0.01, 0.4, 0.5, 0.6]), np.full(4, 0.01)
    assert unclip(mean, variance, 0.0, np.inf)[0].size == 3
    assert unclip(mean[:3], variance[:3], 0.0, np.inf)[0].size == 3


@pytest.mark.parametrize(("mean", "deviation"), [(0.5, 0.2), (0.05, 0.1), (1.0, 0.3)])
def test_the_error_of_clipped_noise_is_that_of_simulated_values(mean, deviation):
    values = np.random.default_rng(0).normal(mean, deviation, 400_000).clip(0, 1)
    found = clipped_error(np.array([mean]), np.array([deviation**2]), 0.0, 1.0)
    assert found[0] == pytest.approx(((values - mean) ** 2).mean(), rel=0.02)
    assert clipped_error(np.array([mean]), np.array([0.5]), -np.inf, np.inf)[0] == 0.5
