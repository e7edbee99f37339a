import numpy as np
import pytest

from napari_dip.prior.noise.flat_blocks import DIFFERENCES, RESIDUALS, FlatBlocks, block_means, differences


def noise(size: int = 800) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (1, size, size))


def everywhere(planes: np.ndarray) -> np.ndarray:
    return np.ones(planes.shape, bool)


def test_the_bias_of_differences_is_that_of_white_noise():
    planes = noise()
    _, variance = differences(planes, everywhere(planes), 1)
    assert np.quantile(variance, DIFFERENCES.flattest) == pytest.approx(DIFFERENCES.bias, abs=0.01)


def test_the_bias_of_residuals_is_that_of_white_noise():
    planes = noise()
    _, variance = block_means(zip(planes, planes**2, everywhere(planes), strict=True), RESIDUALS)
    assert np.quantile(variance, RESIDUALS.flattest) == pytest.approx(RESIDUALS.bias, abs=0.01)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_slopes_are_no_noise(step):
    y, x = np.mgrid[:40, :44]
    plane = (3 * y - 2 * x + 0.1 * x * y)[None].astype(float)
    brightness, variance = differences(plane, everywhere(plane), step)
    np.testing.assert_allclose(variance, 0, atol=1e-9)
    assert plane.min() < brightness.min() < brightness.max() < plane.max()


def test_blocks_of_which_too_little_counts_are_left_out():
    plane, counts = np.ones((16, 16)), np.zeros((16, 16), bool)
    counts[:8, :8] = counts[8:10, 8:] = True
    for part, left in ((0.2, 2), (0.3, 1)):
        brightness, variance = block_means([(plane, 2 * plane, counts)], FlatBlocks(8, 0.2, 1.0, counted=part))
        assert brightness.tolist() == [1.0] * left and variance.tolist() == [2.0] * left


def test_an_image_too_small_for_a_step_has_no_blocks():
    plane = np.ones((1, 4, 4))
    assert differences(plane, everywhere(plane), 2)[0].size == 0
