"""Waves that run through the whole plane: the hum of the mains, or of a motor, that an instrument adds to the image.

A wave stands out of the spectrum as a narrow peak. So does a specimen that is periodic; but a specimen has places, and
is brighter where there is more light, while what an instrument adds has the same strength and phase everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.fft import fft2
from scipy.ndimage import uniform_filter

from napari_dip.image.planes import Region


class Wave(NamedTuple):
    """A wave: amplitude * cos(2 pi (along_y * y + along_x * x) + phase).

    Attributes
    ----------
    amplitude : float
        In the units of the image.
    along_y, along_x : float
        Cycles per pixel.
    phase : float
        At the first pixel, in radians.
    """

    amplitude: float
    along_y: float
    along_x: float
    phase: float

    @property
    def period(self) -> float:
        """Pixels from crest to crest."""
        return 1 / math.hypot(self.along_y, self.along_x)

    @property
    def direction(self) -> float:
        """Degrees from X to Y in which it runs, from 0 to below 180."""
        return math.degrees(math.atan2(self.along_y, self.along_x)) % 180


@dataclass(frozen=True)
class Waves:
    """When peaks of the spectrum are taken for waves of the instrument.

    Attributes
    ----------
    least : int
        Pixels along an axis, at the least.
    known : float
        Part of the plane that has to be known.
    periods, oblique : float
        Periods that a wave has in the plane at the least, and along each of its axes: patterns that lie along rows or
        columns are often of the specimen.
    peak : float
        How many times the power of nine tenths of what is near it in the spectrum a peak has.
    near, far : int
        Bins of the spectrum from which and to which that is.
    candidates : int
        Bins of the spectrum that are looked at, those that are highest over their surroundings.
    same : float
        How much a wave may differ between parts of the plane (a standard deviation), and between dark and bright
        pixels, in its amplitude.
    contrast : float
        How much dark and bright pixels have to differ for that, in its amplitude: a grating that fills a plane evenly
        is not told from a wave.
    follows : float
        Part that it may differ by of what the amplitude of a specimen would, which follows the light.
    most : int
        Waves; what has more of them is periodic itself.
    """

    least: int = 48
    known: float = 0.5
    periods: float = 8.0
    oblique: float = 1.5
    peak: float = 12.0
    near: int = 3
    far: int = 6
    candidates: int = 32
    same: float = 0.3
    contrast: float = 0.5
    follows: float = 0.5
    most: int = 4


WAVES = Waves()


def wave_values(waves: Sequence[Wave], region: Region) -> np.ndarray:
    """Give the sum of waves in a region (y, x)."""
    y, x = (np.arange(part.start, part.stop) for part in region)
    total = np.zeros((len(y), len(x)))
    for one in waves:
        rows, columns = np.exp(1j * (2 * np.pi * one.along_y * y + one.phase)), np.exp(2j * np.pi * one.along_x * x)
        total += one.amplitude * (np.outer(rows.real, columns.real) - np.outer(rows.imag, columns.imag))
    return total


def find_waves(plane: np.ndarray, known: np.ndarray, how: Waves = WAVES) -> list[Wave]:
    """Find the waves that run through a plane.

    Parameters
    ----------
    plane : (y, x) array
    known : (y, x) bool array
        Pixels that count.
    how : Waves, optional

    Returns
    -------
    list of Wave
        The strongest first, down to the first peak of the spectrum that is of the image.
    """
    if min(plane.shape) < how.least or known.mean() < how.known:
        return []
    level = float(plane[known].mean(dtype=np.float64))
    values = np.where(known, plane - level, 0.0)
    window = _window(plane.shape) * known
    whole = slice(0, plane.shape[0]), slice(0, plane.shape[1])
    found: list[Wave] = []
    while (start := _peak(values * window, found, how)) is not None:
        wave = _refined(values * window, window, start)
        if not _is_everywhere(values, known, wave, how) or not _is_free_of_light(values, known, wave, level, how):
            break
        if len(found) == how.most or any(not _are_harmonics(wave, one, plane.shape) for one in found):
            return []  # a lattice has several directions
        found.append(wave)
        values -= wave_values([wave], whole) * known
    return found


def _window(shape: tuple[int, ...]) -> np.ndarray:
    return np.outer(*(np.hanning(n + 2)[1:-1] for n in shape))


def _peak(windowed: np.ndarray, found: Sequence[Wave], how: Waves) -> tuple[float, float] | None:
    """Find the frequency of the highest peak that stands out of the spectrum, apart from those that were found."""
    power = np.abs(fft2(windowed)) ** 2
    y, x = (np.fft.fftfreq(n) for n in power.shape)
    along_y, along_x = np.abs(y * power.shape[0])[:, None], np.abs(x * power.shape[1])[None]
    is_oblique = (along_y >= how.oblique) & (along_x >= how.oblique)
    usable = is_oblique & (np.hypot(along_y, along_x) >= how.periods)
    height = np.log(np.maximum(power, max(float(power.max()) * 1e-20, np.finfo(float).tiny)))
    over = np.where(usable, height - uniform_filter(height, 2 * how.far + 1, mode="wrap"), -np.inf)
    order = np.argpartition(over.ravel(), -how.candidates)[-how.candidates :]
    best: tuple[float, float, float] | None = None
    for row, column in zip(*np.unravel_index(order, power.shape), strict=True):
        if any(_is_near((y[row], x[column]), one, power.shape, how) for one in found):
            continue
        reach = np.arange(-how.far, how.far + 1)
        around = power[np.ix_((row + reach) % power.shape[0], (column + reach) % power.shape[1])]
        ring = np.maximum(np.abs(reach)[:, None], np.abs(reach)[None]) >= how.near
        own = float(power[row, column])
        if own > how.peak * np.quantile(around[ring], 0.9) and (best is None or own > best[0]):
            best = own, float(y[row]), float(x[column])
    return None if best is None else best[1:]


def _is_near(at: tuple[float, float], wave: Wave, shape: tuple[int, ...], how: Waves) -> bool:
    """Whether a frequency is that of a wave, or its mirror image, as far as the spectrum tells these apart."""
    return any(
        all(abs(n * ((a - sign * b + 0.5) % 1 - 0.5)) < how.near for n, a, b in zip(shape, at, wave[1:3], strict=True))
        for sign in (1, -1)
    )


def _amplitude(windowed: np.ndarray, along_y: float, along_x: float) -> complex:
    """Give the sum over a plane against a wave of some frequency."""
    height, width = windowed.shape
    columns, rows = (2 * np.pi * f * np.arange(n) for f, n in ((along_x, width), (along_y, height)))
    lines = windowed @ np.cos(columns) - 1j * (windowed @ np.sin(columns))
    return complex(lines @ np.exp(-1j * rows))


def _refined(windowed: np.ndarray, window: np.ndarray, start: tuple[float, float]) -> Wave:
    """Find the frequency between the bins of the spectrum at which a peak is highest, and the wave there."""
    at, sizes = list(start), windowed.shape
    for step in (0.5, 0.25, 0.1, 0.03):
        for axis in (0, 1):
            width = step / sizes[axis]
            left, middle, right = (
                np.log(abs(_amplitude(windowed, at[0] + k * width * (axis == 0), at[1] + k * width * (axis == 1))))
                for k in (-1, 0, 1)
            )
            bend = left - 2 * middle + right
            if bend < 0:
                at[axis] += float(np.clip((left - right) / (2 * bend), -2, 2)) * width
    total = 2 * _amplitude(windowed, *at) / window.sum()
    return Wave(abs(total), at[0], at[1], float(np.angle(total)))


def _is_everywhere(values: np.ndarray, known: np.ndarray, wave: Wave, how: Waves) -> bool:
    """Whether a wave has the same strength and phase in all parts of the plane, and in dark and bright ones."""
    ones = []
    for rows in _thirds(values.shape[0]):
        for columns in _thirds(values.shape[1]):
            part = known[rows, columns]
            window = _window(part.shape) * part
            if part.mean() < how.known:
                continue
            phase = 2 * np.pi * (wave.along_y * rows.start + wave.along_x * columns.start)
            total = 2 * _amplitude(values[rows, columns] * window, wave.along_y, wave.along_x) / window.sum()
            ones.append(total * np.exp(-1j * (phase + wave.phase)) / wave.amplitude)
    return len(ones) >= 3 and bool(np.sqrt(np.mean(np.abs(np.array(ones) - 1) ** 2)) <= how.same)


def _is_free_of_light(values: np.ndarray, known: np.ndarray, wave: Wave, level: float, how: Waves) -> bool:
    """Whether a wave is as strong in dark pixels as in bright ones, and not by how much these are brighter.

    No more of the level is light than all of it, so a specimen would follow the light at least by what that comes to.
    """
    side = int(2 / max(abs(wave.along_y), abs(wave.along_x))) // 2 * 2 + 5
    whole = slice(0, values.shape[0]), slice(0, values.shape[1])
    smooth = uniform_filter(values - wave_values([wave], whole) * known, side)
    is_bright = smooth > np.median(smooth[known])
    window, fine = _window(values.shape) * known, values - smooth
    halves = [one * window for one in (is_bright, ~is_bright)]
    bright, dark = (2 * _amplitude(fine * one, *wave[1:3]) / one.sum() for one in halves)
    light = float((values * halves[0]).sum() / halves[0].sum() - (values * halves[1]).sum() / halves[1].sum())
    differ = abs(bright - dark) / wave.amplitude
    return light >= how.contrast * wave.amplitude and differ <= min(
        how.same, how.follows * light / max(abs(level), light)
    )


def _are_harmonics(one: Wave, other: Wave, shape: tuple[int, ...]) -> bool:
    """Whether two waves are multiples of a third, as far as pixels tell frequencies apart."""
    return any(
        all(
            abs(n * ((j * a - k * b + 0.5) % 1 - 0.5)) < 1.0
            for n, a, b in zip(shape, one[1:3], other[1:3], strict=True)
        )
        for j in range(1, 5)
        for k in range(-5, 6)
        if k
    )


def _thirds(length: int) -> list[slice]:
    """Give three parts of half the length each, that overlap."""
    half = length // 2
    return [slice(start, start + half) for start in (0, (length - half) // 2, length - half)]
