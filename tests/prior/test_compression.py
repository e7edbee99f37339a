import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_dip.prior.noise.compression import BlockSteps, compression_error


def smooth(size: int = 128) -> np.ndarray:
    return gaussian_filter(np.random.default_rng(0).random((1, size, size)), (0, 10, 10))


def blocky(side: int = 8, error: float = 0.02, phase: tuple[int, int] = (0, 0)) -> np.ndarray:
    """A smooth image with an error of its own in each block."""
    rng = np.random.default_rng(1)
    errors = rng.normal(0, error, (160 // side, 160 // side)).repeat(side, 0).repeat(side, 1)
    y, x = phase
    return smooth() + errors[y : y + 128, x : x + 128] + rng.normal(0, error / 20, (128, 128))


@pytest.mark.parametrize("phase", [(0, 0), (3, 5)])
def test_the_error_of_blocks_is_found_wherever_the_grid_starts(phase):
    error, certain = compression_error(blocky(phase=phase))
    assert certain and error == pytest.approx(0.02, rel=0.4)


def test_blocks_of_another_size_can_be_looked_for():
    assert compression_error(blocky(side=16), BlockSteps(side=16))[1]
    assert not compression_error(blocky(), BlockSteps(certain=1e6))[1]


def test_noise_has_no_blocks():
    assert not compression_error(smooth() + np.random.default_rng(0).normal(0, 0.05, (128, 128)))[1]


@pytest.mark.parametrize("planes", [np.zeros((1, 64, 64)), np.tile([0.0, 1.0], (1, 64, 32)), blocky()[:, :31]])
def test_where_nothing_can_be_told_nothing_is(planes):
    error, certain = compression_error(planes)
    assert np.isfinite(error) and not certain
