import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_dip.prior.likelihood import MOST_CORRECTION, Gaussian, corrected_noise, estimate_noise


@pytest.fixture
def scene() -> np.ndarray:
    """A smooth image with flat and structured parts, in [0.1, 0.9]."""
    rng = np.random.default_rng(3)
    image = gaussian_filter(rng.random((192, 192)), 6)
    image = (image - image.min()) / np.ptp(image)
    return 0.1 + 0.8 * np.where(image > 0.5, image, 0.3)


everywhere = np.ones((1, 192, 192), bool)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.2])
def test_finds_the_strength_of_white_noise(scene, sigma):
    noisy = scene + np.random.default_rng(0).normal(0, sigma, scene.shape)
    noise, reach = estimate_noise(noisy[None], everywhere)
    assert reach == 0
    found = float(noise.noise_variance(torch.tensor(0.5))) ** 0.5
    assert found == pytest.approx(sigma, rel=0.12)


def test_finds_that_photon_noise_grows_with_the_signal(scene):
    photons = 40
    noisy = np.random.default_rng(0).poisson(scene * photons) / photons
    noise, _ = estimate_noise(noisy[None], everywhere)
    for signal in (0.3, 0.8):
        found = float(noise.noise_variance(torch.tensor(signal)))
        assert found == pytest.approx(signal / photons, rel=0.35)


def test_finds_that_noise_reaches_into_neighbours(scene):
    white = np.random.default_rng(0).normal(0, 0.2, (193, 193))
    blurred = (white[1:, 1:] + white[:-1, 1:] + white[1:, :-1] + white[:-1, :-1]) / 4
    assert estimate_noise((scene + blurred)[None], everywhere)[1] == 1


def test_pixels_that_were_not_measured_do_not_count(scene):
    rng = np.random.default_rng(0)
    noisy = scene + rng.normal(0, 0.05, scene.shape)
    visible = rng.random(scene.shape) > 0.1
    noise, _ = estimate_noise(np.where(visible, noisy, 5.0)[None], visible[None])
    assert float(noise.noise_variance(torch.tensor(0.5))) ** 0.5 == pytest.approx(0.05, rel=0.15)


@pytest.mark.parametrize("shape", [(8, 8), (9, 40)])
def test_tiny_images_get_some_finite_estimate(shape):
    noise, reach = estimate_noise(np.random.default_rng(0).random((1, *shape)), np.ones((1, *shape), bool))
    assert 0 <= noise.floor < 1 and 0 <= noise.gain < 10 and reach in (0, 1, 2)


def test_the_loss_is_least_at_the_true_variance():
    measured = torch.from_numpy(np.random.default_rng(0).normal(0.5, 0.3, 100_000))
    likelihood = Gaussian(floor=0.01)  # so 0.08 is left for the prediction's own variance
    mean = torch.full_like(measured, 0.5)
    loss = {v: float(likelihood(mean, torch.full_like(mean, v), measured).mean()) for v in (0.04, 0.08, 0.16)}
    assert min(loss, key=loss.__getitem__) == 0.08


@pytest.mark.parametrize(("thought", "expected"), [(0.01, 0.01), (0.005, 0.01), (0.002, 0.002 * MOST_CORRECTION)])
def test_noise_is_corrected_upwards_within_bounds(thought, expected):
    truth = torch.full((1, 1, 160, 160), 0.5)
    noisy = truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    found = corrected_noise(Gaussian(thought), truth, noisy, torch.ones_like(truth))
    assert found.shape == truth.shape
    assert float(found.mean()) == pytest.approx(expected, rel=0.1)
