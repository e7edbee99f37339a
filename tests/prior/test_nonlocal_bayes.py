import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.nonlocal_bayes import FINE, NORMAL, ROUGH, PatchGroups, autocorrelation, nonlocal_bayes

CHANNELS = [1, 2, 3]


def texture(channels: int = 1, size: int = 64) -> Tensor:
    """A fine pattern that repeats itself, never quite, and a step, in [0.1, 0.9]."""
    y, x = np.mgrid[:size, :size]
    image = 0.5 + 0.2 * np.sin(1.3 * y) * np.sin(1.1 * x) + 0.15 * (x > size // 2)
    return torch.from_numpy(np.stack([image * (1 - 0.2 * c) for c in range(channels)])).float()[None]


def normal(like: Tensor, seed: int = 0) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def blurred(image: Tensor, by: float) -> Tensor:
    return torch.from_numpy(gaussian_filter(image.numpy(), (0, 0, by, by)))


def error(image: Tensor, truth: Tensor) -> float:
    return float(((image - truth) ** 2).mean())


@pytest.mark.parametrize("groups", [ROUGH, NORMAL, FINE])
@pytest.mark.parametrize("channels", CHANNELS)
def test_noise_goes_and_texture_that_the_pilot_lacks_comes_back(channels, groups):
    truth = texture(channels)
    measured, pilot = truth + 0.05 * normal(truth), blurred(truth, 0.8)
    image, variance = nonlocal_bayes(pilot, measured, torch.full_like(truth, 0.05**2), groups=groups)
    assert variance is None and image.shape == truth.shape
    assert error(image, truth) < 0.5 * min(error(measured, truth), error(pilot, truth))


@pytest.mark.parametrize("channels", CHANNELS)
def test_an_image_without_noise_stays_nearly_as_it_is(channels):
    truth = texture(channels)
    for pilot in (truth, blurred(truth, 1.0)):
        image, _ = nonlocal_bayes(pilot, truth, torch.full_like(truth, 1e-6))
        assert error(image, truth) < 1e-6 + 0.01 * error(pilot, truth)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("sigma", [0.03, 0.1])
def test_the_variance_tells_how_large_the_error_is(sigma, channels):
    """Of a patch, with a good pilot; what overlapping patches agree on is better than that."""
    truth = texture(channels)
    measured, noise = truth + sigma * normal(truth), torch.full_like(truth, sigma**2)
    image, variance = nonlocal_bayes(truth, measured, noise, with_variance=True)
    assert variance.shape == truth.shape
    assert (variance > 0).all() and (variance <= 1.1 * noise).all()
    assert 0.15 < error(image, truth) / float(variance.mean()) < 1.5


def test_the_image_does_not_depend_on_whether_the_variance_is_wanted():
    truth = texture()
    given = blurred(truth, 1.0), truth + 0.1 * normal(truth), torch.full_like(truth, 0.01)
    torch.testing.assert_close(nonlocal_bayes(*given)[0], nonlocal_bayes(*given, with_variance=True)[0])


def test_the_variance_follows_the_noise():
    truth = texture()
    noise = torch.where(torch.arange(64) < 32, 1e-4, 1e-2).expand_as(truth)
    image, variance = nonlocal_bayes(truth, truth + noise.sqrt() * normal(truth), noise, with_variance=True)
    assert float(variance[..., 40:].mean()) > 5 * float(variance[..., :24].mean())
    assert error(image[..., 40:], truth[..., 40:]) > 5 * error(image[..., :24], truth[..., :24])


def correlated(like: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Noise averaged over 3 x 3 pixels, and its autocorrelation."""
    white = torch.randn(*like.shape[:2], *(n + 2 for n in like.shape[2:]), generator=torch.Generator().manual_seed(0))
    channels = like.shape[1]
    noise = F.conv2d(white, torch.full((channels, 1, 3, 3), sigma / 3), groups=channels)
    triangle = torch.tensor([1, 2, 3, 2, 1]) / 3
    return noise, triangle[:, None] * triangle


@pytest.mark.parametrize("trust", [0.0, 0.5])
@pytest.mark.parametrize("channels", CHANNELS)
def test_correlated_noise_is_better_known_than_ignored(channels, trust):
    truth = texture(channels)
    noise, correlation = correlated(truth, 0.1)
    given = blurred(truth, 0.4), truth + noise, torch.full_like(truth, 0.01)
    ignored, known = (nonlocal_bayes(*given, shape, trust=trust)[0] for shape in (None, correlation))
    assert error(known, truth) < 0.95 * error(ignored, truth)


def test_the_autocorrelation_of_noise_is_found():
    noise, expected = correlated(torch.zeros(1, 3, 128, 128), 0.1)
    found = autocorrelation(noise, 2)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)
    torch.testing.assert_close(found, found.flip(0, 1))
    white = autocorrelation(normal(torch.zeros(1, 1, 128, 128)), 1)
    torch.testing.assert_close(white, F.pad(torch.ones(1, 1), (1, 1, 1, 1)), atol=0.05, rtol=0)


def test_trust_takes_the_mean_of_what_is_alike_from_the_pilot():
    """With correlated noise the measured mean of a group keeps some of it."""
    truth = texture()
    biased, noise = truth + 0.1, torch.full_like(truth, 1e-4)
    means = [float((nonlocal_bayes(biased, truth, noise, trust=t)[0] - truth).mean()) for t in (0.0, 0.5, 1.0)]
    assert means == pytest.approx([0.0, 0.05, 0.1], abs=0.003)


@pytest.mark.parametrize("shape", [(8, 8), (8, 40), (45, 9), (17, 65), (4, 30), (5, 5)])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("groups", [ROUGH, NORMAL, FINE])
def test_images_of_any_size_are_covered(shape, channels, groups):
    image = torch.rand(1, channels, *shape, generator=torch.Generator().manual_seed(0))
    noise = torch.full_like(image, 0.01)
    for correlation in (None, torch.tensor([[0.2, 0.5, 0.2], [0.5, 1.0, 0.5], [0.2, 0.5, 0.2]])):
        found, variance = nonlocal_bayes(image, image, noise, correlation, groups, with_variance=True)
        assert found.shape == variance.shape == image.shape
        assert torch.isfinite(found).all() and (found - image).abs().max() < 0.7
        assert (variance > 0).all() and (variance < 0.02).all()


@pytest.mark.parametrize("pilot", [torch.full((1, 1, 40, 40), 0.5), torch.tensor([0.2, 0.8]).repeat(1, 1, 40, 20)])
def test_a_pilot_that_repeats_exactly(pilot):
    image, _ = nonlocal_bayes(pilot, pilot + 0.1 * normal(pilot), torch.full_like(pilot, 0.01))
    assert torch.isfinite(image).all()


@pytest.mark.parametrize("channels", CHANNELS)
def test_how_the_work_is_split_is_no_matter(channels):
    truth = texture(channels, 40)
    given = blurred(truth, 1.0), truth + 0.1 * normal(truth), torch.full_like(truth, 0.01)
    whole = nonlocal_bayes(*given, with_variance=True)
    in_parts = PatchGroups(at_once=7)
    for split, expected in zip(nonlocal_bayes(*given, groups=in_parts, with_variance=True), whole, strict=True):
        torch.testing.assert_close(split, expected, atol=1e-5, rtol=1e-4)


def test_a_run_repeats_bit_for_bit():
    truth = texture(3)
    given = blurred(truth, 1.0), truth + 0.1 * normal(truth), torch.full_like(truth, 0.01)
    first, again = (nonlocal_bayes(*given, with_variance=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("channels", CHANNELS)
def test_a_shift_and_a_scale_of_all_values_pass_through(channels):
    truth = texture(channels, 40)
    pilot, measured, noise = blurred(truth, 1.0), truth + 0.1 * normal(truth), torch.full_like(truth, 0.01)
    image, variance = nonlocal_bayes(pilot, measured, noise, with_variance=True)
    shifted, same = nonlocal_bayes(pilot + 0.3, measured + 0.3, noise, with_variance=True)
    torch.testing.assert_close(shifted, image + 0.3, atol=1e-3, rtol=0)
    torch.testing.assert_close(same, variance, atol=1e-5, rtol=1e-2)
    half, quarter = nonlocal_bayes(pilot / 2, measured / 2, noise / 4, with_variance=True)
    torch.testing.assert_close(half, image / 2, atol=1e-4, rtol=0)
    torch.testing.assert_close(quarter, variance / 4, atol=1e-6, rtol=1e-2)


@pytest.mark.parametrize("turn", [lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.transpose(2, 3)])
def test_a_turned_image_gives_the_turned_result(turn):
    """The grid of patches lies the other way round, so not to the last digit."""
    truth = texture(size=40)
    given = blurred(truth, 0.8), truth + 0.05 * normal(truth), torch.full_like(truth, 0.0025)
    image, turned = nonlocal_bayes(*given)[0], nonlocal_bayes(*(turn(x) for x in given))[0]
    assert error(turned, turn(image)) < 0.2 * error(image, truth)


def test_faint_noise_on_steep_edges_does_not_break_single_precision():
    edge = torch.zeros(1, 3, 40, 40)
    edge[..., 20:], edge[..., 10, 10] = 1.0, 5.0
    edge += 1e-4 * normal(edge)
    image, variance = nonlocal_bayes(edge, edge, torch.full_like(edge, 1e-6), with_variance=True)
    assert torch.isfinite(variance).all()
    assert (image - edge).abs().max() < 0.02
