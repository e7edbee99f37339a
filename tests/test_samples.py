"""The samples, without a viewer."""

import socket

import numpy as np
import pytest

from napari_dip import samples as sample_data


def psnr(a, b, span):
    return 10 * np.log10(span**2 / np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Refuse every connection."""

    def refuse(*args, **kwargs):
        raise AssertionError("The samples must not fetch anything.")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("make", [sample_data.fluorescence, sample_data.photograph, sample_data.scratched])
def test_the_same_each_time(make):
    for one, other in zip(make(), make(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fluorescence_is_noisy_around_its_truth():
    noisy, truth = sample_data.fluorescence()
    assert (noisy.shape, noisy.dtype) == ((256, 256), np.uint16)
    assert abs(float(noisy.mean()) - float(truth.mean())) < 1
    assert 15 < psnr(noisy, truth, float(np.ptp(truth))) < 25
    # the noise of photons grows with the light
    noise, bright = noisy - truth, truth > np.median(truth)
    assert noise[bright].std() > 1.5 * noise[~bright].std()


def test_photograph_has_the_noise_it_says():
    noisy, truth = sample_data.photograph()
    assert noisy.shape == truth.shape == (256, 256, 3)
    middle = (truth > 90) & (truth < 160)
    assert abs((noisy.astype(float) - truth)[middle].std() - 25) < 0.5


def test_scratched_is_scratched_only_where_it_is_labelled():
    image, labels, truth = sample_data.scratched()
    np.testing.assert_array_equal(image[labels == 0], truth[labels == 0])
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert 0.03 < (labels > 0).mean() < 0.25


def test_small_is_small():
    image, truth = sample_data.small()
    assert image.shape == (128, 128, 3)
    assert truth.shape == (512, 512, 3)
    assert image.dtype == truth.dtype == np.uint8
