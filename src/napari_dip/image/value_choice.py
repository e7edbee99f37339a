"""Which value map suits an image: angles by type and range, logarithms only where the noise proves them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.source import Source
from napari_dip.image.value_map import Circular, Logarithmic

FILLED = 1.0, np.pi, 2 * np.pi, 180.0, 360.0
"""Periods: turns, orientations and angles in radians and degrees. One is taken that values fill from end to end."""
FILLED_BY_WHOLE = (180.0,)
"""The same of integers of 8 and 16 bits."""
USUAL = {0: (2 * np.pi, 360.0), 1: (256.0,), 2: (360.0, 65536.0)}
"""By bytes of an integer, 0 for other types: periods of which values take the first that they fit into."""
ON_END = 0.01
"""Part of a period within which values come to both ends of an interval that they fill."""
BEYOND = 1e-4
"""Part of a period by which values may lie beyond an interval: rounding."""


def circular(source: Source, period: float | None) -> Circular:
    """Give the map of angles, whose period is found from type and range where it is left out.

    It is the period among 1, pi, 2 pi, 180 and 360 that the values fill, from 0 or around 0; else 2 pi or 360, the
    first that they fit into. Integers of 8 bits have the period 256, and of 16 bits 360, or 65536 where they are beyond
    that, unless they fill 180. The interval of the result is that of the image: from 0, around 0, or from the least
    value.

    Raises
    ------
    InputError
        If the image has colours, or its values fit no such period.
    """
    if len(source.colours) > 1:
        raise InputError("Circular values have one sample in each pixel and this is RGB; give one channel, as the hue.")
    low, high = source.range
    found = period or _period(low, high, source.array.dtype)
    if found is None or high - low > found * (1 + BEYOND):
        which = f"the period {found:g}" if found else "a period of 2 pi or 360"
        raise InputError(
            f"The values ({low:g} to {high:g}) do not fit {which}; set the period to that of the values, such as 180 "
            "for orientations in degrees, and wrap what lies beyond it."
        )
    starts = [start for start in (0.0, -found / 2) if _fits(low, high, start, found)]
    return Circular(found, starts[0] if starts else low)


def _fits(low: float, high: float, start: float, period: float) -> bool:
    rounding = BEYOND * period
    return low >= start - rounding and high <= start + period + rounding


def _period(low: float, high: float, dtype: np.dtype[np.generic]) -> float | None:
    size = dtype.itemsize if dtype.kind in "iu" and dtype.itemsize in USUAL else 0
    step = 1.0 if dtype.kind in "iu" else 0.0
    for period in FILLED_BY_WHOLE if size else FILLED:
        for start in (0.0, -period / 2):
            end, near = start + period - step, ON_END * period
            if _fits(low, high, start, period) and low <= start + near and high >= end - near:
                return period
    return next((one for one in USUAL[size] if any(_fits(low, high, at, one) for at in (0.0, -one / 2))), None)


@dataclass(frozen=True)
class Proof:
    """What proves that noise grows in proportion to values over decades.

    Attributes
    ----------
    decades : float
        From the darkest to the brightest block: over less, their noise is not far apart.
    usual : float
        The same without `rare` of all blocks on both ends.
    rare : float
    upper : float
        Decades below the brightest over which the relative noise has to be the same everywhere.
    most_apart : float
        Largest over least relative noise there. That of photons falls tenfold over two decades.
    least, most : float
        Of the relative noise: without noise nothing is proven, and speckle is as strong as what it lies on.
    side : int
        Of a block, in pixels.
    planes, width : int
        How much is looked at: the middle of planes that are spread over the image.
    fewest : int
        Blocks of half a decade that is looked at.
    populated : int
        How many half decades of the upper ones have as many.
    """

    decades: float = 3.0
    usual: float = 2.5
    rare: float = 0.005
    upper: float = 2.0
    most_apart: float = 2.0
    least: float = 0.01
    most: float = 0.4
    side: int = 8
    planes: int = 4
    width: int = 512
    fewest: int = 4
    populated: int = 3


PROOF = Proof()


def proportional(source: Source, proof: Proof = PROOF) -> Logarithmic | None:
    """Give the map of logarithms where the noise proves that it suits; None elsewhere."""
    low, high = source.range
    if source.array.dtype.itemsize == 1 or len(source.colours) > 1 or not high >= 10**proof.decades * max(low, 0):
        return None
    found = _blocks(source, proof).lit
    if len(found.level) < proof.fewest * 2 * proof.decades:
        return None
    bottom, low, high, top = np.log10(np.quantile(found.level, [0, proof.rare, 1 - proof.rare, 1]))
    if top - bottom < proof.decades or high - low < proof.usual:
        return None
    upper = _by_half_decade(found, high, proof)
    if len(upper) < proof.populated or max(upper) > proof.most_apart * min(upper):
        return None
    relative = float(np.median(upper))
    return Logarithmic(found.scale(relative)) if proof.least <= relative <= proof.most else None


def logarithmic(source: Source, proof: Proof = PROOF) -> Logarithmic:
    """Give the map of logarithms, with the read noise that the image has.

    Raises
    ------
    InputError
        If values have no logarithm, and there is no read noise to explain them.
    """
    found, scale = _blocks(source, proof).lit, 0.0
    if len(found.level):
        bright = found.level >= np.quantile(found.level, 0.75)
        relative = np.median(found.noise[bright] / found.level[bright])
        scale = min(found.scale(float(relative)), float(np.median(found.level)))
    low, high = source.range
    if (low <= 0 and not scale) or high <= 0:
        raise InputError(
            f"The image holds values of 0 or less ({low:g} to {high:g}), which have no logarithm; "
            'set values to "linear".'
        )
    return Logarithmic(scale)


@dataclass(frozen=True)
class Blocks:
    """Blocks of an image that were measured completely.

    Attributes
    ----------
    level : array
        Their means.
    noise : array
        The standard deviation of what is finest in them.
    relative : array
        That of the logarithm, in which the slopes of a spot are no noise; NaN where there is none.
    """

    level: np.ndarray
    noise: np.ndarray
    relative: np.ndarray

    @property
    def lit(self) -> Blocks:
        """Those with some light and some noise."""
        lit = (self.level > 0) & (self.noise > 0)
        return Blocks(self.level[lit], self.noise[lit], self.relative[lit])

    def scale(self, relative: float) -> float:
        """Give the value at which read noise is as strong as noise in proportion to it; 0 where there is none."""
        dark = self.level <= np.quantile(self.level, 0.05)
        read = np.median(self.noise[dark]) ** 2 - (relative * np.median(self.level[dark])) ** 2
        return float(max(read, 0.0) ** 0.5 / relative) if relative else 0.0


def _blocks(source: Source, proof: Proof) -> Blocks:
    """Look at blocks in the middle of some planes."""
    count = min(len(source.items), proof.planes)
    numbers = [(2 * n + 1) * len(source.items) // (2 * count) for n in range(count)]
    found = [_of_plane(source, number, proof) for number in numbers]
    return Blocks(*(np.concatenate(some) for some in zip(*found, strict=True)))


def _of_plane(source: Source, number: int, proof: Proof) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    item, side = source.items[number], proof.side
    region = [slice((n - min(n, proof.width)) // 2, (n + min(n, proof.width)) // 2) for n in source.size]
    plane = source.plane(replace(item, region=(region[0], region[1])))
    height, width = (n // side * side for n in plane.observed.shape)
    shape = height // side, side, width // side, side
    values = np.where(plane.observed, plane.original[0], 0).astype(np.float64)[:height, :width].reshape(shape)
    known = plane.observed[:height, :width].reshape(shape).all((1, 3))
    logarithms = np.log(np.where(values > 0, values, np.nan))
    found = values.mean((1, 3)), _finest(values), _finest(logarithms)
    return found[0][known], found[1][known], found[2][known]


def _finest(blocks: np.ndarray) -> np.ndarray:
    """Give the standard deviation of white noise in blocks (rows, y, columns, x): of their diagonal differences."""
    across = blocks[..., ::2] - blocks[..., 1::2]
    return np.asarray(np.sqrt((((across[:, ::2] - across[:, 1::2]) / 2) ** 2).mean((1, 3))))


def _by_half_decade(found: Blocks, top: float, proof: Proof) -> list[float]:
    """Give the usual relative noise of each half decade of the upper ones that is populated."""
    decades = top - np.log10(found.level)
    usual = []
    for number in range(int(2 * proof.upper)):
        own = (decades < (number + 1) / 2) & ((decades >= number / 2) | (number == 0)) & np.isfinite(found.relative)
        if own.sum() >= proof.fewest:
            usual.append(float(np.median(found.relative[own])))
    return usual
