"""What an image shows of its noise before anything is fitted: levels, saturation, and tests of its nature.

Noise that reaches into neighbouring pixels and fine structure look alike to differences of neighbours. Four things tell
them apart, and each can only speak against noise:

- *White part*. An instrument that smears its noise smears all of it, so little is left at the finest scale. Fine
  structure lies under white noise.
- *Shape*. Noise of many sources is Gaussian, however it is smeared; edges and lines have heavy tails.
- *Place*. Noise is everywhere alike in pixels of one brightness; structure has places.
- *Reach*. Noise that reaches a few pixels is not correlated beyond; a smooth image is.
"""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np
from scipy.special import gammaincinv

from napari_dip.prior.noise.compression import compression_error
from napari_dip.prior.noise.config import Estimation, VarianceCurve
from napari_dip.prior.noise.correlation import Levels, correlation_along, levels_along, line_noise, part_of_neighbours
from napari_dip.prior.noise.flat_blocks import (
    FlatBlocks,
    differences,
    differences_along,
    finest_differences,
    flat_windows,
    gamma_shape,
    high_differences,
    kurtosis,
    second_differences,
)
from napari_dip.prior.noise.saturation import saturation
from napari_dip.prior.noise.variance_curve import bins_of
from napari_dip.prior.physics.noise_model import KnownNoise

Blocks = tuple[np.ndarray, np.ndarray]
"""Brightness and noise variance of blocks."""
TINY = 1e-30
"""Keeps logarithms and quotients finite."""


class Evidence:
    """What an image shows of its noise.

    Parameters
    ----------
    planes : (n, y, x) array
        Channels or slices, values near [0, 1].
    observed : (n, y, x) bool array
        Pixels that were measured.
    known : KnownNoise
    config : Estimation
    """

    def __init__(self, planes: np.ndarray, observed: np.ndarray, known: KnownNoise, config: Estimation):
        self.planes, self.observed, self.known, self.config = planes, observed, known, config
        # what several tests look at is found once
        self.blocks, self.blocks_of_order = cache(self._blocks), cache(self._blocks_of_order)
        self.tail, self.spread = cache(self._tail), cache(self._spread)

    def _blocks(self, step: int) -> Blocks:
        """Give the blocks as second differences over some pixels show them."""
        return differences(self.planes, self.observed, step, self.config.differences)

    def _blocks_of_order(self, order: int) -> Blocks:
        """Give the blocks as differences of a high order show them: the finest scale, at which structure is weak."""
        brightness, variance = finest_differences(self.planes, self.observed, order, self.config.differences)
        return brightness, variance * self.config.differences.bias / self.config.finest_bias[order]

    @cached_property
    def between_planes(self) -> Evidence | None:
        """Give the evidence of what changes from plane to plane, without structure that stays; None of few planes."""
        planes, observed = self.planes, self.observed
        if len(planes) < self.config.fewest_planes:
            return None
        apart = (planes[1:] - planes[:-1]) / 2**0.5
        return Evidence(apart, observed[1:] & observed[:-1], self.known, self.config)

    @cached_property
    def reach(self) -> int:
        """How many pixels apart differences still grow, as those of correlated noise and of fine structure do."""
        # compression smooths the flattest blocks most; noise is correlated in the usual ones, too
        parts, radius = (self.config.differences.flattest, self.config.usual), 0
        ratios = (self.config.white_ratio, *[self.config.white_ratio_beyond] * (self.config.most_radius - 1))
        for ratio in ratios[: self.config.most_radius]:
            levels = ((self.level(radius + 1, part), self.level(radius + 2, part)) for part in parts)
            if not all(here < ratio * beyond < np.inf for here, beyond in levels):
                break
            radius += 1
        return radius

    @property
    def white_blocks(self) -> Blocks:
        """Give the blocks at the scale at which structure shows least, without what structure they show."""
        brightness, variance = self._finest_blocks
        return brightness, variance * (1 - self.structure_part)

    @property
    def _finest_blocks(self) -> Blocks:
        few = len(self.blocks(1)[1]) < self.config.few_blocks and not self.reach
        if few or self.is_compressed:
            return self.blocks(1)  # compression takes away what is finest of the noise, and leaves the rest
        found = self.blocks_of_order(8 if self.reach else 4)
        return found if found[1].size else self.blocks(1)

    def level(self, step: int, part: float | None = None) -> float:
        """Give the variance below which a part of the blocks lies; infinite where none is seen."""
        return _quantile(self.blocks(step)[1], self.config.differences.flattest if part is None else part)

    @property
    def brightness(self) -> float:
        """Mean of what was measured."""
        return float(self.planes[self.observed].mean())

    @cached_property
    def edges(self) -> tuple[float, float]:
        """Where values are cut off; infinite where they are not."""
        return saturation(self.planes, self.observed, self.known.top, self.config.pile_up)

    def has_counts(self, gain: float) -> bool:
        """Whether the lowest values are counts of photons of about this gain: hardly any lie between none and one."""
        photons = self.planes[self.observed] / max(gain, TINY)
        between = np.count_nonzero((photons > TINY) & (photons < 0.5))
        few = np.count_nonzero((photons >= 0.5) & (photons < 2.5))
        return bool(between < self.config.between * few)

    @cached_property
    def compression(self) -> tuple[float, bool]:
        """Error of block-wise compression, and whether its blocks are certain."""
        return compression_error(self.planes, self.config.compression)

    @cached_property
    def rounding(self) -> float:
        """Variance that rounding to whole numbers, or other equal steps, has added; 0 where values are not rounded."""
        steps = np.diff(np.unique(self.planes[self.observed]))
        if not steps.size or len(steps) > self.config.correlated.rounded * np.count_nonzero(self.observed):
            return 0.0
        least = float(steps.min())
        off = np.abs(steps / least - np.rint(steps / least)).max()
        return least**2 / 12 if off < 0.05 else 0.0

    @cached_property
    def white_part(self) -> float:
        """Variance at the finest scale over that of second differences, both without rounding: 1 for white noise."""
        finest = _quantile(self.blocks_of_order(8)[1], self.config.differences.flattest)
        bias = self.config.differences.bias
        usual = self.level(1) / bias - self.rounding
        return max(finest / bias - self.rounding, 0.0) / usual if np.isfinite(finest) and usual > 0 else 1.0

    @cached_property
    def structure_part(self) -> float:
        """Part of the variance at the finest scale that is structure: heavy tails that grow with the scale.

        Of a sum of Gaussian noise and structure, the excess kurtosis is that of the structure times the square of its
        part. Noise with tails of its own has them at all scales alike, and grows nowhere.
        """
        config = self.config.structure
        by_growth = (self.level(2) / max(self.level(1), TINY) - config.same) / config.growth
        if by_growth <= 0:
            return 0.0
        tail, error = kurtosis(high_differences(self.planes, self.observed, 4), self.config.residuals)
        # what compression has emptied has heavy tails at the finest scale alone
        excess = min(tail - config.gaussian - error, self.tail(2) - 3)
        by_tail = (max(excess, 0.0) / config.excess) ** 0.5
        return float(np.clip(min(by_tail, by_growth), 0.0, config.most))

    def _tail(self, step: int) -> float:
        """Kurtosis of differences in the flattest blocks, 3 for Gaussian noise."""
        return kurtosis(second_differences(self.planes, self.observed, step), self.config.residuals)[0]

    def _spread(self, step: int) -> float:
        """How much further the flattest blocks scatter than stationary noise does, as a difference of logarithms.

        The mean square of a block of Gaussian noise is nearly gamma distributed, with a shape that follows from the
        correlation of its pixels. Of structure, some places have far less than others.
        """
        brightness, variance = self.blocks(step)
        if len(variance) < 2 * self.config.curve.blocks_per_point:
            return np.inf
        shape = _shape_of_blocks(self.planes, self.observed, step, self.config.differences)
        parts = self.config.correlated.low, self.config.differences.flattest
        return excess_spread(brightness, variance, shape, parts, self.config.curve)

    @cached_property
    def periods_along(self) -> tuple[list[float], list[float]]:
        """Periods in pixels at which second differences along columns and along rows are stronger and weaker."""
        peak = self.config.correlated.peak
        return _periods(self.planes, self.observed, 1, peak), _periods(self.planes, self.observed, 2, peak)

    @property
    def periods(self) -> list[float]:
        """The same of both axes."""
        return [period for along in self.periods_along for period in along]

    @property
    def is_compressed(self) -> bool:
        """Whether the image has blocks of compression, within which little changes."""
        side = self.config.compression.side
        blocks, halves = (
            [any(abs(period / length - 1) < SAME_PERIOD for period in along) for along in self.periods_along]
            for length in (side, side / 2)
        )
        return self.compression[1] or all(blocks) or (any(blocks) and any(halves))

    @property
    def is_interpolated(self) -> bool:
        """Whether the image was enlarged or moved: interpolated noise is weaker between the pixels of before."""
        short = any(period < self.config.correlated.most_period for period in self.periods)
        return not self.is_compressed and (short or self.shared_period > 0)

    @cached_property
    def shared_period(self) -> float:
        """Longest period, in pixels, of both axes alike, as enlargement leaves it; 0 where there is none."""
        along_y, along_x = self.periods_along
        both = [a for a in along_y for b in along_x if abs(a / b - 1) < SAME_PERIOD]
        return max((one for one in both if one < self.config.correlated.most_period_of_both), default=0.0)

    @property
    def is_enlarged(self) -> bool:
        """Whether noise was enlarged with the image: from a few pixels on, it is Gaussian again."""
        limits = self.config.correlated
        return (
            self.is_interpolated
            and min(self.tail(3), self.tail(4)) < limits.line_tail
            and self.spread(4) < limits.line_spread + self._chance
        )

    @property
    def is_smeared(self) -> bool:
        """Whether what is finest is small, and Gaussian as far as it is there, or interpolated."""
        limits = self.config.correlated
        if self.is_sharp:
            return True
        if self.white_part > limits.white_part:
            return False
        if self.is_compressed:
            return True  # whatever is finest has gone
        chance = CHANCE / max(len(self.blocks(1)[1]), 1)
        if self.white_part > limits.small and self.tail(2) - 3 + self.spread(2) > limits.structure + chance:
            return False
        return self.tail(1) < limits.tail_within or self.white_part < limits.next_to_nothing or self.is_interpolated

    @property
    def is_near(self) -> bool:
        """Whether noise reaches little beyond the next pixel."""
        return not self.is_compressed and self.white_part >= self.config.correlated.white_part_if_near

    @property
    def near_part(self) -> float:
        """Part of the differences over two pixels that is noise, if it is blurred as its white part says.

        Structure is weaker in differences over one pixel, from which the blur tells the strength of the noise.
        """
        return min(self.level(1) / part_of_neighbours(self.white_part) / max(self.level(2), TINY), 1.0)

    @property
    def is_sharp(self) -> bool:
        """Whether differences are small over a pixel, nearly at their level over two, Gaussian and everywhere alike.

        What structure there is in photographs grows on.
        """
        limits, level = self.config.correlated, self.level(3)
        return (
            self.white_part < limits.white_part_if_sharp
            and self.level(1) < limits.dull * level
            and self.level(2) > limits.sharp * level
            and max(self.tail(step) for step in (1, 2, 3)) < limits.sharp_tail
            and max(self.spread(step) for step in (1, 2, 3)) < limits.sharp_spread + self._chance
        )

    @cached_property
    def is_isotropic(self) -> bool:
        """Whether next neighbours are as much alike along y as along x, unless it is rows that differ.

        Noise that a slow amplifier smears along one axis, over structure, is alike along that one only, and only from
        pixel to pixel; rows or columns with an offset differ as much over any distance.
        """
        if self.is_compressed:
            return True
        if self.levels_along is None:
            return True
        y, x = self.levels_along
        if max(y[0], x[0]) < self.config.correlated.isotropic * min(y[0], x[0]):
            return True
        return abs(y[1] - x[1]) > abs(y[0] - x[0]) / 2

    def blocks_along(self, axis: int, step: int) -> Blocks:
        """Give the blocks as second differences along one axis show them: 0 for y, 1 for x."""
        return differences_along(self.planes, self.observed, step, axis, self.config.differences)

    @cached_property
    def levels_along(self) -> Levels | None:
        """Give the variance of differences along each axis, or None where too little is seen."""
        return levels_along(self.planes, self.observed, self.config)

    @property
    def _sought(self) -> Levels | None:
        """The same, or None where it is known beforehand how far noise reaches."""
        return self.levels_along if self.known.reach is None else None

    @property
    def along(self) -> tuple[int, int] | None:
        """How far noise reaches along y and x, where it is white along one of them, or was enlarged along both."""
        return correlation_along(self._sought, self.config) if self._sought else None

    @property
    def line_noise(self) -> tuple[tuple[int, int], float] | None:
        """How far noise that is smeared along one axis reaches, and which part of the differences it is."""
        return line_noise(self._sought, self.config) if self._sought else None

    @property
    def may_be_correlated(self) -> bool:
        """Whether what grows over a few pixels may be noise, by its white part, its shape and its place."""
        limits, step = self.config.correlated, self.reach + 1
        return (
            not self.is_compressed
            and self.white_part < limits.may_be_white
            and min(self.tail(step), self.tail(step + 1)) < limits.tail
            and self.spread(step) < limits.spread + self._chance
        )

    def is_everywhere(self, step: int) -> bool:
        """Whether what differences over a step show has the shape, the place and the reach of noise."""
        limits = self.config.correlated
        within = step if self.is_compressed else step - 1  # compression empties some blocks of all that is fine
        return (
            min(self.tail(step), self.tail(step + 1)) < limits.tail
            and self.spread(step) < limits.spread + self._chance
            and self.spread(within) < limits.spread_within + self._chance
            and self._ends_before(step)
        )

    @property
    def is_level(self) -> bool:
        """Whether differences grow to a level, and not beyond: structure has no such end.

        If next to nothing lies at the finest scale, or the level is the same everywhere, that is proof enough, whatever
        the shape of what is finest: the logarithm of speckle has sharp dips.
        """
        limits = self.config.correlated
        finest, here = self.level(1), self.level(3)
        if finest > limits.white_level * here or self.level(6) > limits.level * here:
            return False
        alike = max(self.spread(2), self.spread(3)) < limits.level_spread
        return finest < limits.little * here or (alike and min(self.tail(3), self.tail(4)) < limits.level_tail)

    @property
    def is_smeared_alike(self) -> bool:
        """Whether differences between planes end at a level, as noise does that is not as strong in each of them."""
        limits = self.config.correlated
        return (
            self.white_part <= limits.white_part_between
            and self.level(1) < limits.white_level * self.level(3)
            and self.level(6) < limits.level_between * self.level(3)
            and self.level(3) < limits.level_between * self.level(2)
            and self.spread(3) < 2 * limits.spread
            and min(self.tail(3), self.tail(4)) < limits.tail
        )

    def _ends_before(self, step: int) -> bool:
        """Whether differences over a step are as large as they get: they grow little to there, or from there on."""
        limits, chance = self.config.correlated, 1 + self._chance
        before, here, beyond = (self.level(at) for at in (max(step - 1, 1), step, 2 * step))
        if self.is_compressed:  # what is left of structure is as smooth
            return here < limits.level_if_compressed * before or beyond < limits.level * here
        grows = limits.grows if step <= self.config.most_radius + 1 else limits.grows_if_interpolated
        return beyond < grows * chance * here or here < limits.level * before

    @property
    def _chance(self) -> float:
        """Relative standard error of what few blocks show: a part of their scatter and growth is chance."""
        return float(1 / max(len(self.blocks(1)[1]), 1) ** 0.5)

    @property
    def is_stationary(self) -> bool:
        """Whether what differences over one pixel show may be noise that is the same everywhere."""
        limits = self.config.correlated
        return (
            not self.is_compressed
            and self.tail(1) < limits.line_tail
            and self.spread(1) < limits.line_spread + self._chance
        )

    @property
    def is_pattern(self) -> bool:
        """Whether differences are far from Gaussian: correlated noise can be predicted, too, if it reaches far."""
        found = (self.tail(step) for step in range(1, self.config.most_radius + 2))
        return max(abs(one - 3) for one in found) > self.config.gaussian - 3


def _periods(planes: np.ndarray, observed: np.ndarray, axis: int, peak: float) -> list[float]:
    """Find the periods of the strength of second differences along an axis of (n, y, x)."""
    x, known = np.moveaxis(planes, axis, -1), np.moveaxis(observed, axis, -1)
    if x.shape[-1] < LEAST_LENGTH:
        return []
    whole = known[..., 2:] & known[..., 1:-1] & known[..., :-2]
    size = np.abs(x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]) * whole
    usual = size.sum(-1, keepdims=True) / whole.sum(-1, keepdims=True).clip(1)
    size = np.minimum(size / usual.clip(1e-12), 3.0)  # each line counts as much, and no edge for all
    count = whole.sum((0, 1))
    used = count > 0.25 * count.max()
    profile = size.sum((0, 1)) / count.clip(1)
    profile = np.where(used, profile - profile[used].mean(), 0.0)
    power = np.abs(np.fft.rfft(profile * np.hanning(len(profile)))) ** 2
    first = len(profile) // 12  # slower changes are structure
    return [len(profile) / at for at in range(first, len(power)) if power[at] > peak * np.median(power[first:])]


CHANCE = 5.0
"""What tail and spread of differences come to by chance, times the number of blocks: it matters in small images."""
SAME_PERIOD = 0.04
"""Relative difference of periods that are the same: a line of 128 pixels tells them no better."""
LEAST_LENGTH = 48
"""Pixels of a line in which a period can be seen."""


def excess_spread(
    brightness: np.ndarray, variance: np.ndarray, shape: float, parts: tuple[float, float], curve: VarianceCurve
) -> float:
    """Compare the scatter of blocks, between two of their quantiles, with that of a gamma distribution.

    Parameters
    ----------
    brightness, variance : (blocks,) array
    shape : float
        Of the gamma distribution.
    parts : (float, float)
        The quantiles.
    curve : VarianceCurve
        Says how many blocks are of one brightness.

    Returns
    -------
    float
        Difference of logarithms; 0 for stationary Gaussian noise, more where some places have far less than others.
    """
    low, high = parts
    relative = np.empty(len(variance))
    for part in bins_of(brightness, curve):
        relative[part] = variance[part] / max(np.quantile(variance[part], high), TINY)
    expected = np.log(gammaincinv(shape, high) / gammaincinv(shape, low))
    return float(-np.log(max(np.quantile(relative, low), TINY)) - expected)


def _shape_of_blocks(planes: np.ndarray, observed: np.ndarray, step: int, blocks: FlatBlocks) -> float:
    """Shape of the gamma distribution of the mean square of a block, if all were as correlated as the flattest ones."""
    side, n = blocks.side, 2 * blocks.side
    windows = flat_windows(second_differences(planes, observed, step), n, blocks.flattest / 2)
    if not len(windows):
        return side * side / 2
    alike, middle = np.empty((n - 1, n - 1)), side - 1
    for dy in range(side):
        for dx in range(-side + 1, side) if dy else range(side):
            a = windows[:, : n - dy, max(-dx, 0) : n - max(dx, 0)]
            b = windows[:, dy:, max(dx, 0) : n + min(dx, 0)]
            alike[middle + dy, middle + dx] = alike[middle - dy, middle - dx] = np.mean(a * b)
    return gamma_shape(alike / alike[middle, middle], side)


def _quantile(variance: np.ndarray, part: float) -> float:
    return float(np.quantile(variance, part)) if variance.size else np.inf
