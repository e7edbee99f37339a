"""What the settings say of the noise either makes sense for an image or is refused before any work."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_dip as dip
from napari_dip.prior.physics.noise_model import KnownNoise
from napari_dip.run.noise_settings import LARGEST, check_noise, known_noise
from napari_dip.settings import Settings

TINY = 100 + 10 * np.random.default_rng(0).random((8, 8))
strengths = st.none() | st.floats(1e-320, 1e308)


@pytest.mark.parametrize(
    ("chosen", "known"),
    [
        ({}, KnownNoise("auto")),
        ({"sigma": 5.0}, KnownNoise("gaussian", sigma=0.5)),
        ({"gain": 5.0}, KnownNoise("poisson-gaussian", gain=0.5)),
        ({"sigma": 5.0, "offset": 90.0}, KnownNoise("poisson-gaussian", sigma=0.5, offset=-1.0)),
        ({"noise": "poisson"}, KnownNoise("poisson", offset=-10.0)),
        ({"noise": "poisson-gaussian", "gain": 2.0}, KnownNoise("poisson-gaussian", gain=0.2)),
        ({"noise": "gaussian"}, KnownNoise("gaussian")),
        ({"noise": "compression"}, KnownNoise("compression")),
    ],
)
def test_what_is_known_is_brought_to_the_scale_of_a_plane(chosen, known):
    assert known_noise(Settings(**chosen), 100.0, 10.0) == known


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"sigma": 1e30}, "The noise sigma 1e+30 is more than a million times the range of the image (0 to 255); give"),
        ({"gain": 3e8}, "The photon gain 3e+08 is more than a million times the range of the image (0 to 255); give"),
        ({"offset": 1e9}, "The offset 1e+09 is more than a million times the range of the image (0 to 255) away from"),
        ({"offset": -1e300}, "The offset -1e+300 is more than"),
    ],
)
def test_absurd_noise_is_refused_in_one_sentence(chosen, words):
    with pytest.raises(dip.InputError) as error:
        check_noise(Settings(**chosen), 0.0, 255.0)
    assert str(error.value).startswith(words)


def test_strong_noise_is_not_refused():
    check_noise(Settings(sigma=2e8, gain=2e8, offset=-2e8), 0.0, 255.0)


def test_noise_is_refused_before_any_work():
    with pytest.raises(dip.InputError, match="million times the range of the image"):
        dip.restore_steps("denoise", TINY, sigma=1e30)


def test_planes_that_are_all_but_constant_are_not_refused():
    stack = np.stack([TINY, 100 + 1e-12 * np.arange(64).reshape(8, 8)])
    result = dip.denoise(stack, axes="ZYX", sigma=5.0, max_iterations=1, threads=1)
    assert np.isfinite(result.image).all() and result.record["planes_restored"] == 2
    assert known_noise(Settings(sigma=5.0), 100.0, 1e-300).sigma == LARGEST


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(["auto", "gaussian", "poisson", "poisson-gaussian"]),
    sigma=strengths,
    gain=strengths,
    offset=st.none() | st.floats(-1e308, 1e308),
)
def test_any_noise_gives_a_finite_result_or_is_refused(kind, sigma, gain, offset):
    chosen = {"noise": kind, "sigma": sigma, "gain": gain, "offset": offset}
    try:
        result = dip.denoise(TINY, **chosen, uncertainty=True, max_iterations=1, threads=1)
    except dip.InputError:
        return
    assert np.isfinite(result.image).all() and np.isfinite(result.uncertainty).all()


@settings(max_examples=20, deadline=None)
@given(sigma=st.floats(1e-320, 9e6), gain=st.floats(1e-320, 9e6), offset=st.floats(-9e6, 9e6))
def test_noise_that_is_not_refused_gives_a_finite_result(sigma, gain, offset):
    result = dip.denoise(TINY, sigma=sigma, gain=gain, offset=offset, uncertainty=True, max_iterations=1, threads=1)
    assert np.isfinite(result.image).all() and np.isfinite(result.uncertainty).all()
