"""How strong the noise of an image is, estimated from that image alone.

What is flat in an image shows its noise. Two views of it: differences of neighbouring pixels, before anything is
known, and later what a prediction leaves behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from scipy.special import ndtr
from torch import Tensor

from napari_dip.prior.likelihood import Gaussian, Likelihood, NoiseVariance


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
BLOCK = 8
"""Side of the blocks of JPEG and its kin."""
CERTAIN = 1.3
"""How much larger the squared steps between compressed blocks are, at the least."""
COMPRESSION_FACTOR = 1.5
"""The error of compression is alike in neighbouring pixels: white noise stands for it if it is taken to be stronger."""


@dataclass(frozen=True)
class Given:
    """What is known of the noise beforehand, in units of the scaled image.

    Attributes
    ----------
    kind : str
        "auto", "gaussian", "poisson", "poisson-gaussian" or "compression".
    sigma : float or None
        Standard deviation of what does not depend on brightness.
    gain : float or None
        Value of one photon.
    dark : float or None
        Value of a pixel without light; unknown, the variance is a line over brightness that may start anywhere.
    """

    kind: str = "auto"
    sigma: float | None = None
    gain: float | None = None
    dark: float | None = None


@dataclass(frozen=True)
class Found:
    """The noise of an image.

    Attributes
    ----------
    likelihood : Likelihood
    reach : int
        How many pixels the noise of one pixel reaches into its neighbours: 0 for white noise, at most 2.
    kind : str
        "gaussian", "poisson", "poisson-gaussian", "multiplicative" or "compression".
    """

    likelihood: Likelihood
    reach: int
    kind: str


def find_noise(planes: np.ndarray, visible: np.ndarray, given: Given | None = None) -> Found:
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
    given : Given, optional
        What need not be found.
    """
    given = given or Given()
    visible = np.broadcast_to(visible, planes.shape)
    error, certain = compression_error(planes)
    if given.kind == "compression" or (given.kind == "auto" and certain):
        return Found(Gaussian(NoiseVariance((COMPRESSION_FACTOR * error) ** 2)), 0, "compression")
    blocks = [_flat_blocks(planes, visible, step) for step in (1, 2, 3)]
    level = [np.quantile(variance, DIFFERENCES.flattest) if variance.size else np.inf for _, variance in blocks]
    reach = 0
    while reach < 2 and level[reach] < 0.5 * level[reach + 1] < np.inf:
        reach += 1
    low, high = saturation(planes, visible)
    # photon counts pile up at zero by themselves; only read noise as strong as a photon is cut off there
    free = _strength(*blocks[reach], DIFFERENCES, -np.inf, high)
    if np.isfinite(low):
        unlit = free.read - free.gain * free.offset
        usual = float(free.at(torch.tensor(planes[visible].mean())))
        low = low if unlit > max(free.gain**2, 0.1 * usual) else -np.inf
    strength = _strength(*blocks[reach], DIFFERENCES, low, high, given)
    kind = given.kind if given.kind != "auto" else _kind(strength, float(planes[visible].mean()))
    return Found(Gaussian(strength, low, high), reach, kind)


def _kind(strength: NoiseVariance, brightness: float) -> str:
    """Name noise by what most of its variance comes from at the mean brightness."""
    light = max(brightness - strength.offset, 0)
    photons, multiplicative = strength.gain * light, strength.multiplicative * light**2
    total = strength.read + photons + multiplicative + 1e-12
    if multiplicative > 0.5 * total:
        return "multiplicative"
    share = (photons + multiplicative) / total
    return "gaussian" if share < 0.1 else "poisson" if share > 0.9 else "poisson-gaussian"


def compression_error(planes: np.ndarray) -> tuple[float, bool]:
    """Find the error of block-wise compression from the steps between its blocks of 8 x 8 pixels.

    The errors of two blocks are independent, so a step between them is, squared, larger than one within a block by
    twice their variance. The grid may start anywhere, as in a cut-out.

    Parameters
    ----------
    planes : (n, y, x) array

    Returns
    -------
    deviation : float
        Root mean square of the error.
    certain : bool
        Whether the steps stand out along both axes as they do in no image without such blocks.

    References
    ----------
    Fan, de Queiroz: Identification of bitmap compression history. IEEE Trans. Image Process. 12, 2003 (steps between
    blocks tell of compression).
    """
    if min(planes.shape[1:]) < 4 * BLOCK:
        return 0.0, False
    variance, ratios = 0.0, []
    for axis in (1, 2):
        lines = (np.diff(planes, axis=axis) ** 2).mean((0, 3 - axis))
        # the median, since one frame or horizon must not count for a grid
        steps = np.array([np.median(lines[phase::BLOCK]) for phase in range(BLOCK)])
        second, largest = np.sort(steps)[-2:]
        variance += (largest - np.median(steps)) / 4
        ratios.append(largest / max(second, 1e-12))
    return float(np.sqrt(max(variance, 0.0))), bool(min(ratios) > CERTAIN)


def saturation(planes: np.ndarray, visible: np.ndarray) -> tuple[float, float]:
    """Find where the measurement saturates: at its lowest or highest value, if values pile up there.

    Returns
    -------
    low, high : float
        0 and 1, or minus and plus infinity where nothing is saturated.
    """
    values = planes[np.broadcast_to(visible, planes.shape)]

    def piled_up(depth: np.ndarray) -> bool:
        at, near = np.count_nonzero(depth <= 1e-6), np.count_nonzero((depth > 1e-6) & (depth < 1 / 64)) / 4
        return bool(at > 2e-3 * values.size and at > 2 * near > 0)  # with nothing near, these may just be counts

    return 0.0 if piled_up(values) else -np.inf, 1.0 if piled_up(1 - values) else np.inf


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
    estimated = noise.noise_variance(prediction)
    value, spread = noise.unclipped(prediction, estimated, measured)
    images = (x.cpu().numpy().reshape(seen.shape) for x in (prediction, (value - prediction) ** 2 + spread))
    for mean, square, counts in zip(*images, seen, strict=True):
        of_block = _block_means(mean, square, counts, RESIDUALS.side)
        brightness.append(of_block[0])
        variance.append(of_block[1])
    left = _strength(np.concatenate(brightness), np.concatenate(variance), RESIDUALS)
    return left.at(prediction).clamp(estimated, MOST_CORRECTION * estimated)


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


def _strength(
    brightness: np.ndarray,
    variance: np.ndarray,
    blocks: Blocks,
    low: float = -np.inf,
    high: float = np.inf,
    given: Given | None = None,
) -> NoiseVariance:
    """Fit a curve to the variance of the flattest blocks at each brightness."""
    given = given or Given()
    if variance.size < 16:  # next to nothing to see: take the image to be good, but for what is known
        level, spread = np.array([0.5]), np.array([1e-4])
    else:
        bins = np.array_split(np.argsort(brightness), min(16, variance.size // 16))
        level = np.array([brightness[i].mean() for i in bins])
        spread = np.array([np.quantile(variance[i], blocks.flattest) for i in bins]) / blocks.bias + 1e-7
        level, spread = _unclip(level, spread, low, high)
    return _curve(level, spread, given)


def _curve(level: np.ndarray, spread: np.ndarray, given: Given) -> NoiseVariance:
    """Fit what is not given of read, gain and multiplicative part, by relative errors; none of them is negative."""
    offset = float(level.min()) if given.dark is None else given.dark
    light = (level - offset).clip(0)
    terms = {"read": np.ones_like(light), "gain": light, "multiplicative": light**2}
    wanted = {
        "auto": ("read", "gain", "multiplicative"),
        "gaussian": ("read",),
        "poisson": ("gain",),
        "poisson-gaussian": ("read", "gain"),
    }[given.kind]
    known = {"read": None if given.sigma is None else given.sigma**2, "gain": given.gain}
    found = {name: value for name, value in known.items() if value is not None and name in wanted}
    left = spread - sum(value * terms[name] for name, value in found.items())
    sought = [name for name in wanted if name not in found]
    if sought:
        size = np.maximum(spread, 0.02 * np.median(spread))  # blocks without any noise must not count for all
        rows = np.stack([terms[name] for name in sought], 1) / size[:, None]
        found |= dict(zip(sought, map(float, nnls(rows, (left / size).clip(0))[0]), strict=True))
    return NoiseVariance(**{"read": 0.0, **found}, offset=offset)


def _unclip(mean: np.ndarray, variance: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of normal distributions from those of their values cut off at `low` and `high`.

    Found by iteration. Where nearly all is cut off nothing can be told, so those are left out if others remain
    (Foi, Signal Processing 89, 2009, treats the same by tables).
    """
    if not (np.isfinite(low) or np.isfinite(high)):
        return mean, variance
    room = np.minimum(mean - low, high - mean) / np.sqrt(variance)
    if np.count_nonzero(room > 0.8) >= 3:
        mean, variance = mean[room > 0.8], variance[room > 0.8]
    low, high = max(low, -1e3), min(high, 1e3)  # far enough to be infinite, without its arithmetic
    centre, spread = mean.copy(), variance.copy()
    for _ in range(50):
        first, second = _clipped_moments(centre, np.sqrt(spread), low, high)
        centre = np.clip(centre + mean - first, low - 1, high + 1)
        spread = np.clip(spread * variance / (second - first**2).clip(1e-9), variance, 6 * variance)
    return centre, spread


def _clipped_moments(mean: np.ndarray, deviation: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """First two moments of a normal variable cut off at `low` and `high`."""
    a, b = (low - mean) / deviation, (high - mean) / deviation
    below, inside, above = ndtr(a), ndtr(b) - ndtr(a), ndtr(-b)
    at_a, at_b = (np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi) for x in (a, b))
    first = low * below + high * above + mean * inside + deviation * (at_a - at_b)
    second = low**2 * below + high**2 * above + mean**2 * inside + 2 * mean * deviation * (at_a - at_b)
    return first, second + deviation**2 * (inside + a * at_a - b * at_b)
