"""Rows or columns of a plane that have offsets of their own, as of a scanner, of interlace, of two readout circuits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d


@dataclass(frozen=True)
class Lines:
    """When steps between lines are taken for offsets.

    Attributes
    ----------
    least : float
        How many times the variance that noise alone gives the steps between lines have to have.
    opposite : float
        Offsets of their own make each step up be followed by one down: the correlation of neighbouring steps is -0.5.
        Structure has steps that are followed by the like. It has to be below this.
    trimmed : float
        Part of the differences between two lines that is left out at either end: edges that cross them.
    known : float
        Part of two lines that has to be known.
    efficiency : float
        Variance of a mean that is trimmed so much over that of a plain one, for Gaussian noise.
    apart : tuple of int
        Rows so far apart are compared.
    slow : float
        Standard deviation in rows of the Gaussian window over which changes are slow.
    """

    least: float = 2.5
    opposite: float = -0.25
    trimmed: float = 0.4
    known: float = 0.25
    efficiency: float = 1.4
    apart: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12)
    slow: float = 8.0


LINES = Lines()


def line_offsets(plane: np.ndarray, known: np.ndarray, how: Lines = LINES) -> np.ndarray:
    """Find the offset of each row.

    Differences of rows near each other are known up to noise and structure. Offsets are taken to be independent of each
    other, with the variance that these show, and come to as little as explains them (a posterior mean): slow changes
    stay with the image.

    Parameters
    ----------
    plane : (y, x) array
    known : (y, x) bool array
        Pixels that count.
    how : Lines, optional

    Returns
    -------
    (y,) array
        Zero where rows have none.
    """
    rows, columns = plane.shape
    if rows < 16 or columns < 16:
        return np.zeros(rows)
    found = {step: _steps(plane, known, step, how) for step in how.apart}
    steps, by_noise, usable = found[1]
    if np.count_nonzero(usable) < 12:
        return np.zeros(rows)
    seen = _variance(steps[usable])
    variance = (seen - float(np.median(by_noise[usable]))) / 2
    if seen < how.least * float(np.median(by_noise[usable])) or _correlation(steps, usable, seen) > how.opposite:
        return np.zeros(rows)
    matrix, right = np.eye(rows) / variance, np.zeros(rows)
    for step, (apart, noise, usable) in found.items():
        if not usable.any():
            continue
        structure = max(_variance(apart[usable]) - seen, 0.0)  # lines further apart differ by what the image holds, too
        # what is far beyond is an edge of the image, and tells little
        weight = usable / (noise + structure + np.maximum(apart**2 - 18 * variance, 0)) / len(found)
        first = np.arange(rows - step)
        matrix[first, first] += weight
        matrix[first + step, first + step] += weight
        matrix[first, first + step] -= weight
        matrix[first + step, first] -= weight
        right[step:] += weight * apart
        right[:-step] -= weight * apart
    return _without_slow(np.linalg.solve(matrix, right), variance, how.slow)


def slow_error(deviation: float, how: Lines = LINES) -> float:
    """Give the standard deviation of what is left of offsets of this deviation: their slow part, which stays."""
    return float(deviation / (2 * np.pi**0.5 * how.slow) ** 0.5)


def _without_slow(offsets: np.ndarray, variance: float, scale: float) -> np.ndarray:
    """Leave slow changes to the image, as far as they are more than independent offsets have."""
    slow = gaussian_filter1d(offsets, scale, mode="nearest")
    expected = variance / (2 * np.pi**0.5 * scale)
    kept = expected / max(float(np.mean(slow**2)), expected)
    return np.asarray(offsets - (1 - kept) * slow)


def _steps(plane: np.ndarray, known: np.ndarray, step: int, how: Lines) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the difference of rows so far apart, its variance from noise, and where enough is known of both."""
    both = known[step:] & known[:-step]
    counts = both.sum(1)
    usable = counts >= max(16, how.known * plane.shape[1])
    apart = plane[step:].astype(np.float64) - plane[:-step]
    found = [_trimmed(line[k], how.trimmed) if ok else 0.0 for line, k, ok in zip(apart, both, usable, strict=True)]
    return np.array(found), 2 * how.efficiency * _noise(plane, known) / np.maximum(counts, 1), usable


def _correlation(steps: np.ndarray, usable: np.ndarray, variance: float) -> float:
    """Correlation of neighbouring steps; an edge along a row counts little."""
    pairs, bound = usable[1:] & usable[:-1], 3 * variance**0.5
    a, b = steps[1:][pairs].clip(-bound, bound), steps[:-1][pairs].clip(-bound, bound)
    return float((a * b).mean() / max((a * a).mean(), 1e-300)) if pairs.any() else 0.0


def _variance(values: np.ndarray) -> float:
    """Variance of the bulk of some values that are around zero."""
    return float(np.median(values**2)) / 0.4549


def _trimmed(values: np.ndarray, part: float) -> float:
    ordered = np.sort(values)
    cut = int(part * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())


def _noise(plane: np.ndarray, known: np.ndarray) -> float:
    """Variance of the noise from differences along the rows, which do not know of their offsets."""
    x = plane.astype(np.float64)
    second = (x[:, :-2] - 2 * x[:, 1:-1] + x[:, 2:])[known[:, :-2] & known[:, 1:-1] & known[:, 2:]]
    if not second.size:
        return 0.0
    return float(max(np.median(second**2) / 0.4549, 0.5 * np.mean(second**2)) / 6)
