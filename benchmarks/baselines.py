"""The classical methods that the scoreboard measures against: floats of [0, 1] in, restored image and notes out."""

from __future__ import annotations

from typing import Any

import numpy as np

Restored = tuple[np.ndarray, dict[str, Any]]


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
