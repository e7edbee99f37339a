"""The flattest blocks of an image: where nothing but noise varies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.ndimage import convolve1d, minimum_filter1d

Differences = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Brightness, differences, and where all that these take was measured: (y, x) arrays."""


@dataclass(frozen=True)
class FlatBlocks:
    """How the flattest blocks of an image are found.

    Attributes
    ----------
    side : int
        In pixels. Small ones fit between structures, large ones tell a variance well.
        Measured: benchmarks/constants.py.
    flattest : float
        Part of the blocks, at each brightness, that is taken to be free of structure.
        Measured: benchmarks/constants.py.
    bias : float
        Where that quantile of a block's mean square lies for pure noise, as a part of its variance. It follows from
        `side` and `flattest`: simulated with white Gaussian noise (tests/prior/test_flat_blocks.py).
    counted : float
        Least part of the pixels of a block that has to count: of fewer, the mean square scatters so much that the
        flattest blocks would be those with the fewest. Measured: benchmarks/constants.py.
    """

    side: int
    flattest: float
    bias: float
    counted: float = 0.25


DIFFERENCES = FlatBlocks(side=8, flattest=0.2, bias=0.73)
"""For second differences: structure shows in them, so blocks are small."""
RESIDUALS = FlatBlocks(side=16, flattest=0.3, bias=0.95)
"""For what a prediction leaves behind, which has little structure left."""


def second_differences(planes: np.ndarray, observed: np.ndarray, step: int) -> Iterator[Differences]:
    """Give second differences in both directions of (n, y, x) planes, over so many pixels; noise keeps its variance."""
    for plane, known in zip(planes, observed, strict=True):
        if min(plane.shape) <= 2 * step:
            continue
        value, weight = np.where(known, plane, 0.0).astype(np.float64), known.astype(np.float64)
        whole = _weighted(weight, step, [1, 1, 1]) > 8.5  # all nine pixels were measured
        # of white noise of variance 1 the difference has 36, the squares of all nine weights
        yield _weighted(value, step, [1, 1, 1]) / 9, _weighted(value, step, [1, -2, 1]) / 6, whole


def high_differences(planes: np.ndarray, observed: np.ndarray, order: int) -> Iterator[Differences]:
    """Give differences of a high, even order in both directions of (n, y, x) planes; noise keeps its variance."""
    weights = np.array([(-1) ** k * comb(order, k) for k in range(order + 1)]) / comb(2 * order, order) ** 0.5
    inner = (slice(order // 2, -(order // 2)),) * 2
    for plane, known in zip(planes, observed, strict=True):
        if min(plane.shape) <= order:
            continue
        found, whole = np.where(known, plane, 0.0).astype(np.float64), known
        for axis in (0, 1):
            found = convolve1d(found, weights, axis=axis)
            whole = minimum_filter1d(whole, order + 1, axis=axis)
        yield plane[inner], found[inner], whole[inner]


def differences(
    planes: np.ndarray, observed: np.ndarray, step: int, blocks: FlatBlocks = DIFFERENCES
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and noise variance of each block, from second differences.

    The second difference in both directions cancels whatever is locally linear along either axis (Immerkaer,
    Computer Vision and Image Understanding 64, 1996).

    Parameters
    ----------
    planes : (n, y, x) array
    observed : (n, y, x) bool array
        Pixels that were measured.
    step : int
        Distance in pixels of those that are compared.
    blocks : FlatBlocks, optional

    Returns
    -------
    brightness, variance : (blocks,) array
    """
    found = second_differences(planes, observed, step)
    return block_means(((level, difference**2, whole) for level, difference, whole in found), blocks)


def differences_along(
    planes: np.ndarray, observed: np.ndarray, step: int, axis: int, blocks: FlatBlocks = DIFFERENCES
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and noise variance of each block, from second differences along one axis: 0 for y, 1 for x.

    Parameters
    ----------
    planes, observed, step, blocks
        As in `differences`.

    Returns
    -------
    brightness, variance : (blocks,) array
    """
    images = []
    for plane, known in zip(planes, observed, strict=True):
        x, w = np.moveaxis(np.where(known, plane, 0.0).astype(np.float64), axis, 0), np.moveaxis(known, axis, 0)
        if min(x.shape) <= 2 * step:
            continue
        first, middle, last = x[: -2 * step], x[step:-step], x[2 * step :]
        whole = w[: -2 * step] & w[step:-step] & w[2 * step :]
        images.append(((first + middle + last) / 3, (first - 2 * middle + last) ** 2 / 6, whole))
    return block_means(images, blocks)


def finest_differences(
    planes: np.ndarray, observed: np.ndarray, order: int, blocks: FlatBlocks = DIFFERENCES
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and noise variance of each block, from what changes from pixel to pixel along both axes.

    White noise is as strong there as anywhere; what an instrument has blurred, however fine, is weak.

    Parameters
    ----------
    planes, observed, blocks
        As in `differences`.
    order : int
        Of the differences; even.

    Returns
    -------
    brightness, variance : (blocks,) array
    """
    found = high_differences(planes, observed, order)
    return block_means(((level, difference**2, whole) for level, difference, whole in found), blocks)


def kurtosis(differences: Iterable[Differences], blocks: FlatBlocks) -> tuple[float, float]:
    """Kurtosis of differences in the flattest blocks, each by its own deviation, and its standard error.

    Returns
    -------
    kurtosis, error : float
        3 and infinity where too little is seen.
    """
    windows = flat_windows(differences, blocks.side, blocks.flattest)
    if not len(windows):
        return 3.0, float("inf")
    apart = windows - windows.mean((1, 2), keepdims=True)
    spread = apart.std((1, 2), keepdims=True)
    varied = spread[:, 0, 0] > 0
    if not varied.any():
        return 3.0, float("inf")
    found = ((apart[varied] / spread[varied]) ** 4).mean((1, 2))
    return float(found.mean()), float(found.std() / len(found) ** 0.5)


def flat_windows(differences: Iterable[Differences], side: int, flattest: float) -> np.ndarray:
    """Differences in the flattest windows at each brightness, of those that were measured as a whole.

    Parameters
    ----------
    differences : iterable of (y, x) arrays
        Of planes, as `second_differences` and `high_differences` give them.
    side : int
        Of a window, in pixels.
    flattest : float
        Part of the windows that is taken.

    Returns
    -------
    (windows, side, side) array
        Empty where there are fewer than 16 to choose from.
    """
    found, levels = [np.empty((0, side, side))], [np.empty(0)]
    for level, difference, whole in differences:
        if min(difference.shape) < side:
            continue
        measured = windows_of(whole, side).all((1, 2))
        found.append(windows_of(difference, side)[measured])
        levels.append(windows_of(level, side).mean((1, 2))[measured])
    windows, level = np.concatenate(found), np.concatenate(levels)
    if len(windows) < LEAST_WINDOWS:
        return windows[:0]
    power = (windows**2).mean((1, 2))
    flat = np.zeros(len(windows), bool)
    for part in np.array_split(np.argsort(level), min(8, max(1, len(level) // 12))):
        flat[part[power[part] <= np.quantile(power[part], flattest)]] = True
    return windows[flat]


LEAST_WINDOWS = 16
"""Windows that are needed to say which are the flattest."""


def gamma_shape(alike: np.ndarray, side: int) -> float:
    """Shape of the gamma distribution of the mean square of a block, by how alike its pixels are.

    Parameters
    ----------
    alike : (2 * side - 1, 2 * side - 1) array
        Autocorrelation; in its middle that of a pixel with itself, which is 1.
    side : int
        Of the block, in pixels.
    """
    pairs = side - np.abs(np.arange(-side + 1, side))
    return float(side**4 / (2 * (pairs[:, None] * pairs * alike**2).sum()))


def windows_of(image: np.ndarray, side: int) -> np.ndarray:
    """Cut an image into windows, (n, side, side)."""
    rows, columns = (n // side for n in image.shape)
    cut = image[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.swapaxes(1, 2).reshape(-1, side, side)


def block_means(
    images: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], blocks: FlatBlocks
) -> tuple[np.ndarray, np.ndarray]:
    """Average brightness and squares over the blocks of which enough counts.

    Parameters
    ----------
    images : iterable of ((y, x) array, (y, x) array, (y, x) bool array)
        Brightness, squares, and the pixels that count.
    blocks : FlatBlocks

    Returns
    -------
    brightness, variance : (blocks,) array
        Of all images.
    """
    brightness, variance = [np.empty(0)], [np.empty(0)]
    for mean, square, counts in images:
        side = min(blocks.side, *counts.shape)
        count = _block_sum(counts, side)
        enough = count >= blocks.counted * side * side
        brightness.append(_block_sum(mean * counts, side)[enough] / count[enough])
        variance.append(_block_sum(square * counts, side)[enough] / count[enough])
    return np.concatenate(brightness), np.concatenate(variance)


def _weighted(x: np.ndarray, step: int, weights: list[int]) -> np.ndarray:
    """Weighted sum of three pixels `step` apart, along y and then x, where all of them exist."""
    a, b, c = weights
    x = a * x[: -2 * step] + b * x[step:-step] + c * x[2 * step :]
    x = a * x[:, : -2 * step] + b * x[:, step:-step] + c * x[:, 2 * step :]
    return x


def _block_sum(values: np.ndarray, side: int) -> np.ndarray:
    rows, columns = (n // side for n in values.shape)
    whole = values[: rows * side, : columns * side].astype(np.float64)
    total: np.ndarray = whole.reshape(rows, side, columns, side).sum((1, 3))
    return total
