"""The classical methods that the scoreboard measures against: floats in, restored image and notes out.

Images are in [0, 1], volumes in units of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Restored = tuple[np.ndarray, dict[str, Any]]
LEAST_GAIN = 1e-4
"""Least gain, in standard deviations of the noise: such noise is as good as the same everywhere, and can be divided
by it."""
GAUSSIAN_SIGMAS = (0.5, 0.75, 1.0, 1.5, 2.25, 3.4)
"""Of the Gaussian filters that are tried, in pixels: each some half as wide again as the one before it. Images of a
photon a pixel, and noise that was enlarged, need the widest."""
MEDIAN_SIDES = (3, 5)
"""Of the windows of the median filters that are tried, in pixels."""


def nlm(image: np.ndarray) -> Restored:
    """Non-local means with estimated sigma and the parameters of scikit-image's own example."""
    from skimage.restoration import denoise_nl_means

    sigma = estimate_sigma(image)
    options = {"h": 0.6 * sigma, "patch_size": 5, "patch_distance": 6, "fast_mode": True}
    axis = -1 if image.ndim == 3 else None
    return denoise_nl_means(image, sigma=sigma, channel_axis=axis, **options), {"sigma": 255 * sigma, **options}


def bm3d(image: np.ndarray, sigma: float | None = None) -> Restored:
    """BM3D, or CBM3D for RGB, told sigma or estimating it; needs a package whose licence is not free for all."""
    import bm3d as package

    sigma = sigma or max(estimate_sigma(image), 1e-3)
    call = package.bm3d_rgb if image.ndim == 3 else package.bm3d
    return np.asarray(call(image, sigma)), {"sigma": 255 * sigma}


def vst_bm3d(image: np.ndarray, threads: int = 0) -> Restored:
    """BM3D, or CBM3D for RGB, with the variance of photon and read noise stabilised; licence as of `bm3d`.

    The samples of RGB share one line of variance over brightness, and one sigma. Noise that does not depend on
    brightness has a flat one: the transform is as good as a change of units then, and what is left is CBM3D.
    """
    if image.ndim == 2:
        return bm3d_planes(image, threads)
    import bm3d as package

    profile = package.BM3DProfile()
    profile.num_threads = threads

    def denoise(samples: np.ndarray, sigma: float) -> np.ndarray:
        return np.moveaxis(package.bm3d_rgb(np.moveaxis(samples, 0, -1), sigma, profile), -1, 0)

    restored, notes = stabilised(np.moveaxis(image, -1, 0), denoise)
    return np.moveaxis(restored, 0, -1), notes


def bm3d_planes(volume: np.ndarray, threads: int = 0) -> Restored:
    """BM3D plane by plane, with the variance of photon and read noise stabilised; licence as of `bm3d`."""
    import bm3d as package

    profile = package.BM3DProfile()
    profile.num_threads = threads
    return stabilised(volume, lambda planes, sigma: np.stack([package.bm3d(one, sigma, profile) for one in planes]))


def bm4d(volume: np.ndarray, threads: int = 0) -> Restored:
    """BM4D of blocks of planes, with the variance of photon and read noise stabilised; licence as of `bm3d`.

    Time counts as depth: things that move are not followed.
    """
    import bm4d as package

    profile = package.BM4DProfile()
    profile.num_threads = threads

    def denoise(planes: np.ndarray, sigma: float) -> np.ndarray:
        return np.moveaxis(package.bm4d(np.moveaxis(planes, 0, -1), sigma, profile), -1, 0)  # depth comes last there

    return stabilised(volume, denoise)


def stabilised(volume: np.ndarray, denoise: Callable[[np.ndarray, float], np.ndarray]) -> Restored:
    """Denoise (..., [n,] y, x) values by a method that takes (n, y, x) planes with the sigma of their white noise.

    Nothing is told of the noise: its variance is a line over brightness, found by the estimate that our presets use,
    and what the transform leaves of it is estimated once more.
    """
    planes = volume.astype(np.float64).reshape(-1, *volume.shape[-2:])
    gain, intercept = estimate_line(planes)
    stable = anscombe(planes, gain, intercept)
    sigma = max(float(np.mean([estimate_sigma(plane) for plane in stable])), 1e-3)
    depth = volume.shape[-3] if volume.ndim > 2 else 1
    blocks = (denoise(one, sigma) for one in stable.reshape(-1, depth, *volume.shape[-2:]))
    restored = inverse_anscombe(np.stack(list(blocks)), gain, intercept)
    return restored.reshape(volume.shape), {"gain": gain, "intercept": intercept, "stabilised sigma": sigma}


def estimate_line(planes: np.ndarray) -> tuple[float, float]:
    """Estimate gain and intercept of noise whose variance is `gain * value + intercept`; the gain is never zero."""
    from napari_dip.prior.noise.estimation import estimate_noise
    from napari_dip.prior.physics.noise_model import KnownNoise  # torch has to wait for --threads

    low, span = float(planes.min()), float(np.ptp(planes)) or 1.0
    told = KnownNoise(kind="poisson-gaussian")
    found = estimate_noise((planes - low) / span, np.ones((1, 1, 1), bool), told).likelihood.noise
    dark, mean = low + found.offset * span, float(planes.mean())
    variance = found.read * span**2 + found.gain * span * (mean - dark)
    gain = max(found.gain * span, LEAST_GAIN * np.sqrt(variance))
    return gain, variance - gain * mean


def anscombe(values: np.ndarray, gain: float, intercept: float) -> np.ndarray:
    """Transform noise with variance `gain * value + intercept` to a variance of about 1.

    References
    ----------
    Generalised Anscombe transformation: Mäkitalo, Foi: Optimal Inversion of the Generalized Anscombe Transformation for
    Poisson-Gaussian Noise. IEEE Trans. Image Process. 22, 2013. Their read noise and its mean make up the intercept.
    """
    return np.asarray(2 / gain * np.sqrt((gain * values + 0.375 * gain**2 + intercept).clip(0)))


def inverse_anscombe(values: np.ndarray, gain: float, intercept: float) -> np.ndarray:
    """Give the mean of what `anscombe` made `values` of on average: the paper's exact unbiased inverse, closed form."""
    x = values.clip(2 * np.sqrt(0.375))  # less is no mean of counts
    counts = x**2 / 4 + np.sqrt(1.5) / (4 * x) - 11 / (8 * x**2) + 5 * np.sqrt(1.5) / (8 * x**3) - 1 / 8
    return np.asarray(gain * counts - intercept / gain)


def gaussian(image: np.ndarray, truth: np.ndarray, y: int = 0, scored: np.ndarray | bool = True) -> Restored:
    """Gaussian filter of the best of `GAUSSIAN_SIGMAS`: an oracle, since it is the truth that says which is best.

    Parameters
    ----------
    image, truth : float array
        Of one shape, in the same units.
    y : int
        Axis Y, which X follows; nothing is filtered along others.
    scored : bool array, optional
        Pixels that count.
    """
    from scipy.ndimage import gaussian_filter

    def filtered(sigma: float) -> np.ndarray:
        return np.asarray(gaussian_filter(image, [sigma if axis in (y, y + 1) else 0 for axis in range(image.ndim)]))

    return _best(filtered, GAUSSIAN_SIGMAS, truth, scored)


def median(image: np.ndarray, truth: np.ndarray, y: int = 0, scored: np.ndarray | bool = True) -> Restored:
    """Median filter of the better one of `MEDIAN_SIDES`: an oracle, with the parameters of `gaussian`."""
    from scipy.ndimage import median_filter

    def filtered(side: float) -> np.ndarray:
        return np.asarray(median_filter(image, [side if axis in (y, y + 1) else 1 for axis in range(image.ndim)]))

    return _best(filtered, MEDIAN_SIDES, truth, scored)


def _best(
    filtered: Callable[[float], np.ndarray], widths: Sequence[float], truth: np.ndarray, scored: np.ndarray | bool
) -> Restored:
    """Filter with the width that leaves the least error."""
    # filtered anew in the end, so that no more than one result is held at a time
    best = min(widths, key=lambda width: float(np.mean((filtered(width) - truth) ** 2, where=scored)))
    return filtered(best), {"pixels": best, "chosen by": "the truth"}


def bicubic(image: np.ndarray, factor: int) -> Restored:
    """Bicubic enlargement by Pillow, channel by channel in float."""
    from PIL import Image

    size = (image.shape[1] * factor, image.shape[0] * factor)
    channels = np.moveaxis(np.atleast_3d(image), -1, 0).astype(np.float32)
    enlarged = [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in channels]
    return np.stack(enlarged, -1) if image.ndim == 3 else enlarged[0], {}


def biharmonic(image: np.ndarray, mask: np.ndarray) -> Restored:
    """Biharmonic inpainting of scikit-image."""
    from skimage.restoration import inpaint_biharmonic

    return np.asarray(inpaint_biharmonic(image, mask, channel_axis=-1 if image.ndim == 3 else None)), {}


def estimate_sigma(image: np.ndarray) -> float:
    """Estimate noise from the median of the finest diagonal wavelet coefficients (Donoho and Johnstone, db2).

    Mean of the channels. But for the rim it is the figure of scikit-image's `estimate_sigma`, which needs PyWavelets.
    """
    from scipy.ndimage import correlate1d

    root = np.sqrt(3)
    high_pass = np.array([1 - root, -(3 - root), 3 + root, -(1 + root)]) / (4 * np.sqrt(2))
    found = []
    for channel in np.moveaxis(np.atleast_3d(image), -1, 0):
        detail = np.abs(correlate1d(correlate1d(channel, high_pass, 0), high_pass, 1)[2:-2:2, 2:-2:2])
        found.append(np.median(detail[detail > 0]) / 0.6745 if detail.any() else 0.0)
    return float(np.mean(found))
