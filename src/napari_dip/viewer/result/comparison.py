"""A result compared with its source, as a residual, and with the truth, as scores."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.viewer.layers.layers import indices_of, place_in, some_of, upright

MOST_PLANES = 64
"""Planes that scores are of, evenly spaced."""
WINDOW = 7
"""Pixels along the side of the windows of SSIM, as in skimage."""
SHOWN = 99.5
"""Per cent of the values that colours tell apart."""


def residual(before: Any, after: Any, *, rgb: bool, period: float | None = None) -> np.ndarray:
    """Compute the residual: the image less its result, of colours their mean; NaN where either is.

    >>> residual([3.0, 359.0], [358.0, 2.0], rgb=False, period=360.0).tolist()
    [5.0, -3.0]

    Parameters
    ----------
    before, after : array of one shape
    rgb : bool
        Whether the last axis is colours.
    period : float, optional
        Of angles: they differ by half of it at the most.
    """
    found = np.asarray(before, np.float32) - np.asarray(after, np.float32)
    if period is not None:
        found = (found + period / 2) % period - period / 2
    return np.asarray(found[..., :3].mean(-1) if rgb else found, np.float32)


def look_of_residual(result: dict[str, Any], values: np.ndarray) -> dict[str, Any]:
    """Return place and look of a residual layer: zero in the middle of two colours."""
    seen = np.abs(some_of(values))
    most = float(np.percentile(seen, SHOWN)) if seen.size else 1.0
    return {**place_in(result), "rgb": False, "colormap": "PiYG", "contrast_limits": (-(most or 1.0), most or 1.0)}


def scores(image: Any, truth: Any, axes: str) -> dict[str, float]:
    """Give PSNR (dB) and SSIM of an image, over the range of the truth; the mean of planes for SSIM.

    SSIM is that of Wang et al. (IEEE Transactions on Image Processing 2004), with windows of 7 x 7. MicroSSIM (Ashesh,
    Deschamps, Jug: MicroSSIM, ECCV workshops 2024), which takes off background and scale first, comes with it where its
    package is installed; it is of images without colours.

    Parameters
    ----------
    image, truth : array of one shape
    axes : str
        One letter for each dimension.

    Raises
    ------
    InputError
        If shapes differ, or the truth is the same everywhere.
    """
    from skimage.metrics import structural_similarity

    if tuple(image.shape) != tuple(truth.shape):
        raise InputError(f"The truth has the shape {tuple(truth.shape)}, and the image {tuple(image.shape)}.")
    squares, pixels, low, high = 0.0, 0, np.inf, -np.inf
    alike: list[tuple[np.ndarray, np.ndarray]] = []
    for one, true in _planes(image, truth, axes):
        known = np.isfinite(one) & np.isfinite(true)
        squares, pixels = squares + float(((one - true)[known] ** 2).sum()), pixels + int(known.sum())
        if known.any():
            low, high = min(low, float(true[known].min())), max(high, float(true[known].max()))
        if known.all() and min(one.shape[:2]) >= WINDOW:
            alike.append((one, true))
    if not high > low:
        raise InputError("The truth is the same everywhere; choose another layer.")
    last = -1 if "S" in axes else None
    found = [structural_similarity(true, one, data_range=high - low, channel_axis=last) for one, true in alike]
    error = squares / max(pixels, 1)
    psnr = float(10 * np.log10((high - low) ** 2 / error)) if error else float("inf")
    return {"PSNR": psnr, "SSIM": float(np.mean(found)) if found else float("nan"), **_micro_ssim(alike)}


def _micro_ssim(alike: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Give microSSIM of some planes, where that can be had."""
    if not alike or alike[0][0].ndim != 2 or find_spec("microssim") is None:
        return {}
    from microssim import MicroSSIM

    images, truths = ([pair[n] for pair in alike] for n in (0, 1))
    measure = MicroSSIM()
    measure.fit(truths, images)
    return {"microSSIM": float(np.mean([measure.score(*pair) for pair in zip(truths, images, strict=True)]))}


def _planes(image: Any, truth: Any, axes: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give some planes of both, evenly spaced: (y, x), or (y, x, samples)."""
    every = indices_of(axes, image.shape)
    step = max(1.0, len(every) / MOST_PLANES)
    for number in range(min(len(every), MOST_PLANES)):
        one, true = (upright(whole, axes, every[int(number * step)]).astype(np.float64) for whole in (image, truth))
        yield one, true
