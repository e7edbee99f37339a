"""How far a prediction is from what was measured, and how strong the noise is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import nnls
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """How the flattest blocks of an image are found.

    Attributes
    ----------
    side : int
        In pixels.
    flattest : float
        Part of the blocks, at each brightness, that is taken to be free of structure.
    bias : float
        Where that quantile of a block's mean square lies for pure noise, as a part of its variance; simulated.
    """

    side: int
    flattest: float
    bias: float


DIFFERENCES = Blocks(side=8, flattest=0.2, bias=0.73)
RESIDUALS = Blocks(side=16, flattest=0.3, bias=0.95)
MOST_CORRECTION = 2.5


class Likelihood(Protocol):
    """A model of the noise."""

    def noise_variance(self, signal: Tensor) -> Tensor:
        """Variance of the noise where the true image is `signal`, in squared units of the image."""
        ...

    def __call__(self, mean: Tensor, variance: Tensor, measured: Tensor) -> Tensor:
        """Negative log-likelihood of each measured value under a prediction and its own variance, up to a constant."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Gaussian noise whose variance grows in proportion to the signal: `floor + gain * signal`.

    With `gain` 0 it is additive white noise; otherwise it is the usual approximation of photon and read noise
    (Foi et al., IEEE Trans. Image Process. 17, 2008, eq. 3).
    """

    floor: float
    gain: float = 0.0

    def noise_variance(self, signal: Tensor) -> Tensor:
        """Variance of the noise where the true image is `signal`; never quite zero."""
        return (self.floor + self.gain * signal.detach()).clamp_min(1e-6)

    def __call__(self, mean: Tensor, variance: Tensor, measured: Tensor) -> Tensor:
        """Half of squared error over total variance plus log total variance, without the constant."""
        total = variance + self.noise_variance(mean)
        return 0.5 * ((mean - measured) ** 2 / total + total.log())


def estimate_noise(planes: np.ndarray, visible: np.ndarray) -> tuple[Gaussian, int]:
    """Estimate from the flattest blocks of an image how strong its noise is, and how far it is correlated.

    The second difference in both directions cancels whatever is locally linear along either axis (Immerkaer,
    Computer Vision and Image Understanding 64, 1996). Taken over a step of 1, 2, 3 pixels it gives the same variance
    if the noise of neighbouring pixels is independent, and ever larger ones as far as it is not.

    Parameters
    ----------
    planes : (n, y, x) array
        Channels or slices, values near [0, 1].
    visible : (n or 1, y, x) bool array
        Pixels that were measured.

    Returns
    -------
    noise : Gaussian
        Variance of the noise, as a line over brightness.
    reach : int
        How many pixels the noise of one pixel reaches into its neighbours: 0 for white noise, at most 2.
    """
    visible = np.broadcast_to(visible, planes.shape)
    blocks = [_flat_blocks(planes, visible, step) for step in (1, 2, 3)]
    level = [np.quantile(variance, DIFFERENCES.flattest) if variance.size else np.inf for _, variance in blocks]
    reach = 0
    while reach < 2 and level[reach] < 0.5 * level[reach + 1] < np.inf:
        reach += 1
    return _variance_line(*blocks[reach], DIFFERENCES), reach


def _flat_blocks(planes: np.ndarray, visible: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean brightness and noise variance of each block, from second differences over `step` pixels."""
    brightness, variance = [], []
    for plane, seen in zip(planes, visible, strict=True):
        if min(plane.shape) <= 2 * step:
            continue
        value, weight = np.where(seen, plane, 0.0).astype(np.float64), seen.astype(np.float64)
        whole = _second_difference(weight, step, [1, 1, 1]) > 8.5  # all nine pixels were measured
        residual = (_second_difference(value, step, [1, -2, 1]) / 6) ** 2
        mean = _second_difference(value, step, [1, 1, 1]) / 9
        of_block = _block_means(mean, residual, whole, DIFFERENCES.side)
        brightness.append(of_block[0])
        variance.append(of_block[1])
    empty = [np.empty(0)]
    return np.concatenate(brightness or empty), np.concatenate(variance or empty)


def corrected_noise(noise: Likelihood, prediction: Tensor, measured: Tensor, visible: Tensor) -> Tensor:
    """Noise variance of each pixel, corrected upwards where a prediction leaves more behind than was thought.

    Correlated and heavy-tailed noise is stronger than its differences tell. What a prediction that never saw a pixel
    leaves of it is noise plus its own error, so the flattest blocks show the noise. Where all is texture, they show
    that, too, hence the bound.

    Parameters
    ----------
    prediction, measured : (1, channels, [z,] y, x) Tensor
    visible : (1, 1, [z,] y, x) Tensor

    Returns
    -------
    Tensor
        Of the shape of `prediction`, between the estimated variance and `MOST_CORRECTION` times that.
    """
    brightness, variance = [], []
    seen = (visible > 0).expand_as(prediction).cpu().numpy().reshape(-1, *prediction.shape[-2:])
    images = (x.cpu().numpy().reshape(seen.shape) for x in (prediction, (measured - prediction) ** 2))
    for mean, square, counts in zip(*images, seen, strict=True):
        of_block = _block_means(mean, square, counts, RESIDUALS.side)
        brightness.append(of_block[0])
        variance.append(of_block[1])
    estimated = noise.noise_variance(prediction)
    line = _variance_line(np.concatenate(brightness), np.concatenate(variance), RESIDUALS)
    return line.noise_variance(prediction).clamp(estimated, MOST_CORRECTION * estimated)


def _second_difference(x: np.ndarray, step: int, weights: list[int]) -> np.ndarray:
    """Weighted sum of three pixels `step` apart, along y and then x, where all of them exist."""
    a, b, c = weights
    x = a * x[: -2 * step] + b * x[step:-step] + c * x[2 * step :]
    x = a * x[:, : -2 * step] + b * x[:, step:-step] + c * x[:, 2 * step :]
    return x


def _block_means(mean: np.ndarray, square: np.ndarray, counts: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Average brightness and squares over the blocks of which enough counts."""
    side = min(side, *counts.shape)
    count = _block_sum(counts, side)
    enough = count >= 0.25 * side * side
    brightness, variance = (_block_sum(x * counts, side)[enough] / count[enough] for x in (mean, square))
    return brightness, variance


def _block_sum(values: np.ndarray, side: int) -> np.ndarray:
    rows, columns = (n // side for n in values.shape)
    whole = values[: rows * side, : columns * side].astype(np.float64)
    total: np.ndarray = whole.reshape(rows, side, columns, side).sum((1, 3))
    return total


def _variance_line(brightness: np.ndarray, variance: np.ndarray, blocks: Blocks) -> Gaussian:
    """Fit floor + gain * brightness to the variance of the flattest blocks at each brightness."""
    if variance.size < 16:  # next to nothing to see: take the image to be good
        return Gaussian(1e-4)
    bins = np.array_split(np.argsort(brightness), min(16, variance.size // 16))
    level = np.array([brightness[i].mean() for i in bins]).clip(0)
    spread = np.array([np.quantile(variance[i], blocks.flattest) for i in bins]) / blocks.bias + 1e-7
    lines = np.stack([np.ones_like(level), level], 1) / spread[:, None]  # relative errors count
    floor, gain = nnls(lines, np.ones(len(bins)))[0]
    return Gaussian(float(floor), float(gain))
