"""The noise of angles that are fitted as sine and cosine, and vectors that are given their length back."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_dip.prior.estimators.simple_opinion import on_circle
from napari_dip.prior.noise.estimation import estimate_noise
from napari_dip.prior.noise.phase import variance_of_phase
from napari_dip.prior.physics.noise_model import KnownNoise


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
def test_the_variance_is_that_of_sine_and_cosine(sigma):
    angle = np.linspace(0, 2 * np.pi, 13)[:, None]
    noisy = angle + sigma * np.random.default_rng(0).standard_normal((1, 400_000))
    noise = variance_of_phase(np.exp(-(sigma**2) / 2), zero=0.5, amplitude=0.25)
    for of in (np.sin, np.cos):
        values = 0.5 + 0.25 * of(noisy)
        expected = noise.at(torch.from_numpy(values.mean(1))).numpy()
        assert values.var(1) == pytest.approx(expected, rel=0.03, abs=3e-6)


@pytest.mark.parametrize("sigma", [0.2, 0.5])
@pytest.mark.parametrize("smear", [0.0, 0.8])
def test_it_is_found_whatever_the_angles_are(sigma, smear):
    random = np.random.default_rng(1)
    y, x = np.mgrid[:96, :96] / 96
    noise = gaussian_filter(random.standard_normal((96, 96)), smear) if smear else random.standard_normal((96, 96))
    angle = 9 * np.exp(-((y - 0.5) ** 2 + x**2) / 0.2) + sigma * noise / noise.std()
    planes = (0.5 + 0.5 * np.stack([np.sin(angle), np.cos(angle)])).astype(np.float32)
    reach = 2 if smear else None
    found = estimate_noise(planes, np.ones_like(planes, bool), KnownNoise("gaussian", reach=reach, circle=(0.5, 0.5)))
    assert found.kind == "phase" and found.correlation_radius == (reach or 0)
    assert found.circle[1] == pytest.approx(0.5 * np.exp(-(sigma**2) / 2), rel=0.03)


@pytest.mark.parametrize(("smear", "reach"), [(0.0, 0), (0.7, 1), (1.0, 2)])
def test_how_far_it_reaches_is_seen_beside_fringes(smear, reach):
    random, (y, x) = np.random.default_rng(2), np.mgrid[:128, :128] / 128
    noise = gaussian_filter(random.standard_normal((128, 128)), smear)
    angle = 20 * np.exp(-((y - 0.4) ** 2 + (x - 0.5) ** 2) / 0.08) + 4 * x + 0.15 * noise / noise.std()
    planes = (0.5 + 0.5 * np.stack([np.sin(angle), np.cos(angle)])).astype(np.float32)
    found = estimate_noise(planes, np.ones_like(planes, bool), KnownNoise("gaussian", circle=(0.5, 0.5)))
    assert found.correlation_radius == reach


@pytest.mark.parametrize("width", [0.6, 1.0, 1.5, 2.5])
def test_fine_orientations_are_no_noise_that_reaches(width):
    random = np.random.default_rng(1)
    sine, cosine = (gaussian_filter(random.standard_normal((128, 128)), width) for _ in range(2))
    angle = np.arctan2(sine, cosine) + 0.1 * random.standard_normal((128, 128))
    planes = (0.5 + 0.5 * np.stack([np.sin(angle), np.cos(angle)])).astype(np.float32)
    assert not estimate_noise(planes, np.ones_like(planes, bool), KnownNoise("gaussian", circle=(0.5, 0.5))).radii[0]


def test_vectors_get_their_length_back_and_keep_their_direction():
    vectors = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    found = on_circle(0.4 + 0.1 * vectors, 0.4, 0.3) - 0.4
    assert torch.allclose(found.norm(dim=1), torch.tensor(0.3))
    assert torch.allclose(
        found / found.norm(dim=1, keepdim=True), vectors / vectors.norm(dim=1, keepdim=True), atol=1e-5
    )
