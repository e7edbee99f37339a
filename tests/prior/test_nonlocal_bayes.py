import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.estimators.nonlocal_bayes import FINE, NORMAL, ROUGH, PatchGroups, autocorrelation, nonlocal_bayes

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


def drift(planes: int = 6, size: int = 40) -> Tensor:
    """Planes (1, 1, z, y, x) of one texture that moves by a pixel from each to the next."""
    y, x = np.mgrid[:size, :size]
    spots = np.random.default_rng(0).random((size + planes, size + planes))
    wide = 0.3 + 2 * (gaussian_filter(spots, 1.2) - 0.5)
    return torch.from_numpy(np.stack([wide[z + y, z + x] for z in range(planes)])).float()[None, None]


def noisy(truth: Tensor, sigma: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
    """Give a blurred pilot, a measurement, and the variance of its noise."""
    pilot = torch.from_numpy(gaussian_filter(truth.numpy(), (*[0] * (truth.ndim - 2), 1.0, 1.0)))
    return pilot, truth + sigma * normal(truth), torch.full_like(truth, sigma**2)


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("known", [False, True])
def test_a_volume_of_one_plane_is_a_plane(channels, known):
    truth = texture(channels, 40)
    noise, correlation = correlated(truth, 0.1)
    given = blurred(truth, 0.8), truth + noise, torch.full_like(truth, 0.01)
    more = {"correlation": correlation if known else None, "with_variance": True}
    plane, volume = nonlocal_bayes(*given, **more), nonlocal_bayes(*(x.unsqueeze(2) for x in given), **more)
    assert all(torch.equal(a, b.squeeze(2)) for a, b in zip(plane, volume, strict=True))


@pytest.mark.parametrize("groups", [ROUGH, NORMAL, FINE])
def test_what_planes_share_is_restored_better_together(groups):
    truth = drift()
    given = noisy(truth)
    together, _ = nonlocal_bayes(*given, groups=groups)
    alone = torch.stack(
        [nonlocal_bayes(*planes, groups=groups)[0] for planes in zip(*(x.unbind(2) for x in given), strict=True)], 2
    )
    assert error(together, truth) < 0.8 * error(alone, truth)
    for z in (0, -1):  # at the ends there is less to look at
        assert error(together[:, :, z], truth[:, :, z]) < error(alone[:, :, z], truth[:, :, z])


def test_correlated_noise_is_better_known_than_ignored_in_volumes():
    truth = drift()
    noise, correlation = correlated(truth[0].transpose(0, 1), 0.1)
    measured = truth + noise.transpose(0, 1)[None]
    given = noisy(truth)[0], measured, torch.full_like(truth, 0.01)
    ignored, known = (nonlocal_bayes(*given, shape)[0] for shape in (None, correlation))
    assert error(known, truth) < 0.95 * error(ignored, truth)


def test_of_residuals_that_are_all_zero_nothing_is_told_but_that_they_are_white():
    expected = torch.zeros(5, 5)
    expected[2, 2] = 1
    torch.testing.assert_close(autocorrelation(torch.zeros(1, 1, 16, 16), 2), expected, atol=0, rtol=0)


def test_the_autocorrelation_of_a_volume_is_that_of_its_planes():
    noise, expected = correlated(torch.zeros(4, 1, 64, 64), 0.1)
    torch.testing.assert_close(autocorrelation(noise.transpose(0, 1)[None], 2), expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("truth", [texture(1, 90), texture(3, 75), drift(5, 50)], ids=["gray", "colour", "volume"])
def test_the_number_of_threads_changes_no_bit(truth):
    given, results = noisy(truth), []
    for number in (1, 2, 5):
        with threads(number):
            results.append(nonlocal_bayes(*given, groups=PatchGroups(at_once=16), with_variance=True))
            assert torch.get_num_threads() == number
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


@pytest.mark.parametrize("truth", [texture(1, 90), texture(3, 60), drift(4, 50)], ids=["gray", "colour", "volume"])
def test_tiles_of_any_size_give_the_same(truth):
    given = noisy(truth)
    whole = nonlocal_bayes(*given, groups=PatchGroups(at_once=10**6), with_variance=True)
    for at_once in (1, 70):
        tiled = nonlocal_bayes(*given, groups=PatchGroups(at_once=at_once), with_variance=True)
        for part, expected in zip(tiled, whole, strict=True):
            torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("truth", [texture(1, 50), texture(3, 50), drift(7, 40)], ids=["gray", "colour", "volume"])
def test_what_no_patch_covers_is_left_to_the_pilot(truth):
    given = noisy(truth)
    groups = PatchGroups(group_size=2, search_radius=1, search_radius_in_volume=1, stride=15, stride_of_planes=5)
    image, variance = nonlocal_bayes(*given, groups=groups, with_variance=True)
    left = image == given[0]
    assert 0.2 < left.float().mean() < 0.95
    assert torch.isfinite(image).all() and torch.equal(variance[left], given[2][left])
    assert torch.isfinite(variance).all()


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    extent=st.one_of(
        st.tuples(st.integers(1, 33), st.integers(1, 33)),
        st.tuples(st.integers(1, 6), st.integers(1, 19), st.integers(1, 19)),
    ),
    channels=st.sampled_from(CHANNELS),
    groups=st.builds(
        PatchGroups,
        group_size=st.integers(1, 40),
        search_radius=st.integers(0, 7),
        search_radius_in_volume=st.integers(0, 5),
        search_depth=st.integers(0, 3),
        stride=st.integers(1, 9),
        stride_of_planes=st.integers(1, 4),
        depth_in_volume=st.integers(1, 3),
        shared=st.integers(1, 5),
        at_once=st.integers(1, 300),
    ),
)
def test_any_size_and_any_groups_give_a_finite_image_near_what_was_given(extent, channels, groups):
    image = torch.rand(1, channels, *extent, generator=torch.Generator().manual_seed(0))
    found, variance = nonlocal_bayes(image, image, torch.full_like(image, 1e-4), groups=groups, with_variance=True)
    assert found.shape == variance.shape == image.shape
    assert (found - image).abs().max() < 1
    assert (variance > 0).all() and (variance < 2.1e-4).all()


def test_memory_does_not_grow_with_the_image():
    """All groups of the large image together would be 60 MB for each of what is made of them."""
    code = """
import resource, torch
from napari_dip.prior.estimators.nonlocal_bayes import nonlocal_bayes
torch.set_num_threads(1)
def peak(size):
    image = torch.rand(1, 1, *size)
    nonlocal_bayes(image, image, torch.full_like(image, 0.01))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
small, large = peak((96, 96)), peak((320, 320))
assert large - small < 12 * 4 * 320**2 + 30e6, (small, large)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
