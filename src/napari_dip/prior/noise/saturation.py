"""Where a measurement saturates, and what its mean and variance would have been without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

SAME = 1e-6
"""Values that differ by less are the same in single precision."""
LEVELS = 256
"""Values near an edge are counted by gray levels of 8 bits."""
FAR = 1e3
"""An edge so many ranges away is as good as infinite, without the arithmetic of that."""
LEAST_CLIPPED = 1e-9
"""Least variance of clipped values, squared units of [0, 1]; keeps a division finite."""


@dataclass(frozen=True)
class PileUp:
    """When values at the edge of the range are taken to be saturated.

    Attributes
    ----------
    least : float
        Part of all values that has to be there: hot pixels are fewer. Measured: benchmarks/constants.py.
    near : float
        How far from the edge, in parts of the range, others are looked at: four gray levels of 8 bits, near enough for
        a smooth histogram to be level.
    levels : int
        Where nothing is so near, so many of the next levels that there are are looked at instead.
    times : float
        How many times the mean count of those levels has to be there; a histogram that runs out smoothly has about
        one. Measured: benchmarks/constants.py.
    """

    least: float = 2e-3
    near: float = 1 / 64
    levels: int = 4
    times: float = 2.0


@dataclass(frozen=True)
class Unclipping:
    """How moments of clipped values are brought back to those without clipping.

    Attributes
    ----------
    room : float
        Distance of the mean from the edge, in standard deviations, below which too much is cut off to tell anything.
        Measured: benchmarks/constants.py.
    least_left : int
        Points that have to be left when those are taken out: a curve of three terms needs three.
    iterations : int
        Of the fixed point; where there is `room` of 0.8 the variance is right within 1e-4 after 21 of them.
    most_beyond : float
        How far beyond an edge a mean is looked for, in ranges of the image: noise that throws all values over the
        edge by more than the whole range leaves no image to restore.
    most_growth : float
        How many times the variance of the clipped values that without clipping may be. With `room` of 0.8 it is 2.3
        times, with one of 0.5 it is 6 times: more is told only where nothing else is left, and uncertain.
    """

    room: float = 0.8
    least_left: int = 3
    iterations: int = 50
    most_beyond: float = 1.0
    most_growth: float = 6.0


PILE_UP, UNCLIPPING = PileUp(), Unclipping()


def saturation(
    planes: np.ndarray, observed: np.ndarray, top: float = 1.0, pile_up: PileUp = PILE_UP
) -> tuple[float, float]:
    """Find where the measurement saturates: at its lowest or highest value, if values pile up there.

    Parameters
    ----------
    planes : (n, y, x) array
        From 0 to `top`, the lowest and the highest value.
    observed : (n or 1, y, x) bool array
        Pixels that were measured.
    top : float, optional
    pile_up : PileUp, optional

    Returns
    -------
    low, high : float
        0 and `top`, or minus and plus infinity where nothing is saturated.
    """
    values = planes[np.broadcast_to(observed, planes.shape)]

    def piled_up(depth: np.ndarray) -> bool:
        at = np.count_nonzero(depth <= SAME * top)
        if at <= pile_up.least * values.size:
            return False
        near = float(np.count_nonzero((depth > SAME * top) & (depth < pile_up.near * top)) / (LEVELS * pile_up.near))
        if not near:  # few levels
            counts = np.unique(depth, return_counts=True)[1][1 : pile_up.levels + 1]
            near = float(counts.mean()) if len(counts) == pile_up.levels else 0.0
        return bool(at > pile_up.times * near > 0)

    return 0.0 if piled_up(values) else -np.inf, top if piled_up(top - values) else np.inf


def unclip(
    mean: np.ndarray, variance: np.ndarray, low: float, high: float, how: Unclipping = UNCLIPPING
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of normal distributions from those of their values cut off at `low` and `high`.

    Found by iteration. Where nearly all is cut off nothing can be told, so those are left out if others remain.

    Parameters
    ----------
    mean, variance : (n,) array
        Of the clipped values of each distribution.
    low, high : float
        The edges; infinite where there is none.
    how : Unclipping, optional

    Returns
    -------
    mean, variance : array
        Of n values, or fewer where some were left out.

    References
    ----------
    Foi: Clipped noisy images. Signal Processing 89, 2009 (the same by tables).
    """
    if not (np.isfinite(low) or np.isfinite(high)):
        return mean, variance
    roomy = np.minimum(mean - low, high - mean) / np.sqrt(variance) > how.room
    if np.count_nonzero(roomy) >= how.least_left:
        mean, variance = mean[roomy], variance[roomy]
    low, high = max(low, -FAR), min(high, FAR)
    centre, spread = mean.copy(), variance.copy()
    for _ in range(how.iterations):
        first, second = _clipped_moments(centre, np.sqrt(spread), low, high)
        centre = np.clip(centre + mean - first, low - how.most_beyond, high + how.most_beyond)
        growth = spread * variance / (second - first**2).clip(LEAST_CLIPPED)
        spread = np.clip(growth, variance, how.most_growth * variance)
    return centre, spread


def clipped_error(mean: np.ndarray, variance: np.ndarray, low: float, high: float) -> np.ndarray:
    """Give the mean squared error, against an estimated mean, of normal values that are cut off at `low` and `high`.

    Parameters
    ----------
    mean, variance : (n,) array
        Of the values as they would be without clipping; a mean beyond an edge counts as one at that edge.
    low, high : float
        The edges; infinite where there is none.
    """
    if not (np.isfinite(low) or np.isfinite(high)):
        return variance
    low, high = max(low, -FAR), min(high, FAR)
    mean = mean.clip(low, high)
    first, second = _clipped_moments(mean, np.sqrt(variance), low, high)
    return np.asarray(second - 2 * mean * first + mean**2)


def _clipped_moments(mean: np.ndarray, deviation: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """First two moments of a normal variable cut off at `low` and `high`."""
    a, b = (low - mean) / deviation, (high - mean) / deviation
    below, inside, above = ndtr(a), ndtr(b) - ndtr(a), ndtr(-b)
    at_a, at_b = (np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi) for x in (a, b))
    first = low * below + high * above + mean * inside + deviation * (at_a - at_b)
    second = low**2 * below + high**2 * above + mean**2 * inside + 2 * mean * deviation * (at_a - at_b)
    return first, second + deviation**2 * (inside + a * at_a - b * at_b)
