"""How far the noise of one pixel reaches into its neighbours, and what planes have of it in common."""

from __future__ import annotations

from math import comb

import numpy as np

from napari_dip.prior.noise.config import ESTIMATION, Estimation, Smear
from napari_dip.prior.noise.flat_blocks import differences, differences_along

Levels = tuple[list[float], list[float]]
"""Variance of differences along y and along x, over one pixel, two, and so on, in the flattest blocks."""


def levels_along(planes: np.ndarray, observed: np.ndarray, how: Estimation = ESTIMATION) -> Levels | None:
    """Measure the differences along each axis, over up to one pixel more than noise is looked for.

    Parameters
    ----------
    planes : (n, y, x) array
    observed : (n, y, x) bool array
        Pixels that were measured.
    how : Estimation, optional

    Returns
    -------
    Levels or None
        None where too little is seen.
    """
    levels: Levels = [], []
    for axis, along in enumerate(levels):
        for step in range(1, how.smear.most + 2):
            variance = differences_along(planes, observed, step, axis, how.differences)[1]
            if variance.size < how.curve.blocks_per_point:
                return None
            along.append(float(np.quantile(variance, how.differences.flattest)))
    return levels


def correlation_along(levels: Levels, how: Estimation = ESTIMATION) -> tuple[int, int] | None:
    """Find how far noise reaches along y and x, where it is white along one of them and far from that along the other.

    The same for images that were enlarged, whose noise has next to nothing left from pixel to pixel. Fine structure has
    both axes alike and some white noise in it; the smear of a slow amplifier and the pixels of before do not.

    Parameters
    ----------
    levels : Levels
    how : Estimation, optional

    Returns
    -------
    (int, int) or None
        None where nothing of that kind is seen.
    """
    smear = how.smear
    radii = [_reach(level, smear) for level in levels]
    if all(
        r > how.most_radius and level[0] < smear.enlarged * level[r] for r, level in zip(radii, levels, strict=True)
    ):
        return radii[0], radii[1]
    white, other = (0, 1) if levels[0][0] > levels[1][0] else (1, 0)
    known_white = levels[white][0] >= smear.white * levels[white][2]
    if not known_white or not radii[other] or levels[other][0] > smear.apart * levels[white][0]:
        return None
    return (0, radii[other]) if white == 0 else (radii[other], 0)


def line_noise(levels: Levels, how: Estimation = ESTIMATION) -> tuple[tuple[int, int], float] | None:
    """Find noise that is smeared along one axis, over structure that has both axes alike.

    Structure cancels where differences along the one axis are taken from those along the other. What is left of such
    noise is most from pixel to pixel, and falls to nothing beyond its reach; of structure that does not have both axes
    alike it grows with the distance at first.

    Parameters
    ----------
    levels : Levels
    how : Estimation, optional

    Returns
    -------
    radii : (int, int)
        How far the noise reaches along y and x.
    part : float
        Of the variance of differences over one pixel along the white axis: that of the noise.
    None
        Where nothing of that kind is seen.
    """
    smear, (y, x) = how.smear, np.array(levels)
    white, other = (y, x) if y[0] > x[0] else (x, y)
    if not white[0] > other[0]:
        return None
    apart = (white - other) / (white[0] - other[0])
    gone = np.flatnonzero(apart < smear.gone)
    if not gone.size or gone[0] > smear.most or apart[: gone[0]].max() > smear.rises:
        return None
    radius = int(gone[0])
    # of a mean over w pixels: neighbours have 1 - 1 / w of their noise in common, the next but one 1 - 2 / w
    part = (1 - other[0] / white[0]) / (1 - 2 / (3 * (radius + 1)))
    return ((0, radius) if white is y else (radius, 0)), min(float(part), 1.0)


def _reach(level: list[float], smear: Smear) -> int:
    """Say after how many steps differences grow no more; 0 where they always do, or never did."""
    for radius in range(1, len(level)):
        if level[radius] < smear.grows * level[radius - 1]:
            return radius - 1
    return 0


def part_of_neighbours(white_part: float) -> float:
    """Give the part of its variance that differences over one pixel show of noise blurred by a Gaussian.

    Parameters
    ----------
    white_part : float
        Variance of its differences of eighth order over that of its second differences: it tells the blur.
    """
    blurs = np.linspace(1.0, 0.2, 81)
    alike = np.exp(-(np.arange(9) ** 2) / (4 * blurs[:, None] ** 2))
    second, eighth = (
        (alike[:, : half + 1] @ [comb(2 * half, half + k) * (-1) ** k * (2 - (k == 0)) for k in range(half + 1)]) ** 2
        / comb(2 * half, half) ** 2
        for half in (2, 8)
    )
    return float(np.interp(white_part, eighth / second, second))


def noise_in_common(planes: np.ndarray, observed: np.ndarray, how: Estimation = ESTIMATION) -> float | None:
    """Correlation of the noise of planes that lie beside each other, seen in their flattest blocks.

    Planes that were interpolated, or averaged over time, have noise in common: one gives away what is hidden of the
    other. Of independent noise the difference of two planes has twice the variance of one.

    Parameters
    ----------
    planes : (n, y, x) array
        In their order.
    observed : (n, y, x) bool array
        Pixels that were measured.
    how : Estimation, optional

    Returns
    -------
    float or None
        0 for independent noise, 1 for the same; None where too little is seen.
    """
    apart, both = planes[1:] - planes[:-1], observed[1:] & observed[:-1]
    found = []
    for values, known in ((apart, both), (planes, observed)):
        variance = differences(values, known, 1 + how.most_radius, how.differences)[1]
        if variance.size < how.curve.blocks_per_point:
            return None
        found.append(float(np.quantile(variance, how.differences.flattest)))
    return 1 - found[0] / (2 * found[1]) if found[1] > 0 else None
