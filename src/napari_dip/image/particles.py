"""Dots and streaks of particles: pixels that cosmic rays, X-rays or electrons hit.

An instrument blurs all that it images, so a spot of light has a soft edge. A particle hits the pixels themselves: its
edge is as sharp as a pixel, whatever its shape. That is what L.A.Cosmic finds with a Laplacian (van Dokkum, 2001); here
spots are compared with their own rim, and with the other spots of the image. Hits are found only where these two kinds
of spots stand apart: stars, threads and letters that are as narrow as a pixel have spots of all degrees in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import (
    binary_dilation,
    binary_erosion,
    binary_propagation,
    find_objects,
    generate_binary_structure,
    label,
    maximum_filter,
    minimum_filter,
    uniform_filter,
)

from napari_dip.image.unmeasured import Mask, deviation_by_level, step_of

SQUARE = generate_binary_structure(2, 2)
"""A pixel and its eight neighbours."""
SIDES = (0, 1), (2, 1), (1, 0), (1, 2)
"""The four neighbours of a pixel in an array that is padded by one."""


@dataclass(frozen=True)
class Particles:
    """How hits of particles are told from spots of an image.

    Attributes
    ----------
    deviations, steps : float
        A spot is brighter than all but one of the four neighbours of its pixels, by so many standard deviations of the
        noise at that brightness, and so many steps of the values beyond these.
    part : float
        The pixels of a spot have this part of its largest height.
    most : int
        Pixels of a spot.
    window : int
        Side of the square around a pixel, in pixels, whose median is the ground that it stands on.
    soft : float
        How much the rim of a hit, and the ground around it, differ from its ground at the most, in its own height.
    bright : float
        Standard deviations of the noise that a spot has to be high for a proof: noise hides the rim of a fainter one.
    streak, streaks : int
        Hits of such a length prove particles, for a point of light that is so sharp is no longer than two pixels. So
        many of them are needed, and as many as there are shorter ones of several pixels: single pixels that are bad, or
        noise with long tails, come to lie beside each other by chance, and three of them more rarely than two.
    between, stray : float, float
        Spots are neither hits nor soft up to this softness; their number is at most that part of the number of hits.
    point : float
        Softness up to which a spot is a point of light that the instrument has blurred. Where these are more than that
        part of the hits, too, a faint or short hit cannot be told from them.
    uneven : float
        Elsewhere, softness that is added to what a hit may have, for the noise of its rim: over its height.
    same : float
        Part of the pixels of hits that may have one and the same value: more is a label that was drawn into the image.
    rim : float
        Standard deviations from which on a pixel beside a hit belongs to it.
    turns : int
        How often hits are taken off, and others are looked for beside them.
    largest, crowd : float, float
        Part of the image that may be hit, and that may be spots, with what is beside them.
    """

    deviations: float = 6.0
    steps: float = 8.0
    part: float = 0.4
    most: int = 64
    window: int = 7
    soft: float = 0.12
    bright: float = 15.0
    streak: int = 3
    streaks: int = 3
    between: float = 0.2
    stray: float = 0.35
    point: float = 0.5
    uneven: float = 0.8
    same: float = 0.5
    rim: float = 3.5
    turns: int = 3
    largest: float = 0.05
    crowd: float = 0.2


PARTICLES = Particles()


@dataclass(frozen=True)
class Spots:
    """Bright spots of an image.

    Attributes
    ----------
    labels : (y, x) int array
        The number of the spot that a pixel belongs to, from 1; 0 where there is none.
    ground : (y, x) array
        What the spots, and the pixels around them, stand on.
    deviation : (y, x) array
        Standard deviation of the noise.
    size, length, height, softness : (n,) arrays
        Pixels, the longer side of the box around them, mean height in standard deviations of the noise, and how much
        the rim and the ground differ from the ground, in that height.
    is_thick : (n,) bool array
        Whether it holds a square of 3 x 3 pixels.
    """

    labels: np.ndarray
    ground: np.ndarray
    deviation: np.ndarray
    size: np.ndarray
    length: np.ndarray
    height: np.ndarray
    softness: np.ndarray
    is_thick: np.ndarray

    def pixels(self, some: np.ndarray) -> Mask:
        """Give the pixels of some of the spots."""
        return np.isin(self.labels, 1 + np.flatnonzero(some))


def particle_hits(plane: np.ndarray, known: Mask, how: Particles = PARTICLES) -> Mask:
    """Find pixels that particles have hit.

    Parameters
    ----------
    plane : (y, x) array
    known : (y, x) bool array
        Pixels that count.
    how : Particles, optional

    Returns
    -------
    (y, x) bool array
    """
    hit = np.zeros(known.shape, bool)
    if min(known.shape) < 16 or np.count_nonzero(known) < 256:
        return hit
    values = _filled(plane.astype(np.float64), known)
    spots = find_spots(values, known, how)
    if spots is None or not _are_proven(spots, values, how):
        return hit
    uneven, shortest = (0.0, how.streak) if _has_points(spots, how) else (how.uneven, 1)
    for _ in range(how.turns):
        sharp = (spots.softness <= how.soft + uneven / spots.height) & (spots.size <= how.most)
        sharp &= spots.length >= shortest
        new = spots.pixels(sharp)
        new |= binary_dilation(new, SQUARE) & (values - spots.ground > how.rim * spots.deviation) & known
        values = np.where(new, spots.ground, values)
        hit |= new
        spots = find_spots(values, known, how)
        if spots is None or not new.any():
            break
    return hit if np.count_nonzero(hit) <= how.largest * np.count_nonzero(known) else np.zeros_like(hit)


def find_spots(values: np.ndarray, known: Mask, how: Particles = PARTICLES) -> Spots | None:
    """Find the bright spots of an image (y, x); None where there are none, or there is hardly anything else."""
    lowest, second, middle = _neighbours(values)
    deviation = deviation_by_level(values - middle, minimum_filter(second, 3), known)
    least = how.deviations * deviation + how.steps * step_of(values[known])
    seeds = known & (values - second > least)
    if not seeds.any():
        return None
    # inside of a streak of two pixels, just one neighbour is darker
    near = binary_propagation(seeds, SQUARE, mask=seeds | (known & (values - lowest > least)))
    y, x = np.nonzero(binary_dilation(near, SQUARE))
    if len(y) > how.crowd * values.size:
        return None
    around = _windows(values, y, x, how.window)
    rise, ground = np.zeros_like(values), values.copy()
    ground[y, x] = np.median(around, axis=0)
    rise[y, x] = values[y, x] - ground[y, x]
    core = known & (rise > least) & (rise > how.part * maximum_filter(rise, 5))
    if not core.any():
        return None
    labels, count = label(core, SQUARE)
    number = labels[core] - 1
    size = np.bincount(number, minlength=count)
    base, height, noise = (np.bincount(number, of[core], count) / size for of in (ground, rise, deviation))
    # how far the ground around each pixel is from even, without the spots in it
    own = core[y, x]
    off = np.minimum(np.abs(around[:, own] - ground[core]), rise[core])
    free = ~_windows(core, y[own], x[own], how.window)
    uneven = np.bincount(number, (off * free).sum(0) / np.maximum(free.sum(0), 1), count) / size
    softness = np.maximum(_rims(values, labels, base), uneven) / height
    is_thick = np.bincount(labels[binary_erosion(core, SQUARE)], minlength=count + 1)[1:] > 0
    length = np.array([max(one.stop - one.start for one in box) for box in find_objects(labels)])
    return Spots(labels, ground, deviation, size, length, height / np.maximum(noise, 1e-9 * height), softness, is_thick)


def _are_proven(spots: Spots, values: np.ndarray, how: Particles) -> bool:
    """Whether some spots are as sharp as pixels, and stand apart from all others."""
    bright = (spots.height > how.bright) & (spots.size <= how.most)
    sharp = bright & (spots.softness <= how.soft) & ~spots.is_thick
    is_long = spots.length >= how.streak
    streaks = int(np.count_nonzero(sharp & is_long))
    pairs = int(np.count_nonzero(sharp & (spots.size > 1) & ~is_long))
    between = np.count_nonzero(bright & ~sharp & is_long & (spots.softness <= how.between))
    if streaks < max(how.streaks, pairs) or between > how.stray * streaks:
        return False
    counts = np.unique(values[spots.pixels(sharp)], return_counts=True)[1]
    return bool(counts.max() <= how.same * counts.sum())


def _has_points(spots: Spots, how: Particles) -> bool:
    """Whether the image has points of light of its own."""
    bright = (spots.height > how.bright) & (spots.size <= how.most) & ~spots.is_thick
    points = np.count_nonzero(bright & (spots.softness > how.soft) & (spots.softness <= how.point))
    return bool(points > how.stray * np.count_nonzero(bright & (spots.softness <= how.soft)))


def _neighbours(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the lowest and the second of the four neighbours of each pixel, and the mean of the two in the middle."""
    padded = np.pad(values, 1, mode="reflect")
    up, down, left, right = (_beside(padded, side) for side in SIDES)
    low, high = (np.minimum(up, down), np.minimum(left, right)), (np.maximum(up, down), np.maximum(left, right))
    one, other = np.maximum(*low), np.minimum(*high)
    return np.minimum(*low), np.minimum(one, other), (one + other) / 2


def _rims(values: np.ndarray, labels: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Give how far the pixels beside each spot are from its ground, on the mean."""
    total, count = np.zeros(len(base)), np.zeros(len(base))
    around, padded = np.pad(labels, 1), np.pad(values, 1, mode="reflect")
    for side in SIDES:
        rim = (labels > 0) & (_beside(around, side) == 0)
        number = labels[rim] - 1
        total += np.bincount(number, np.abs(_beside(padded, side)[rim] - base[number]), len(base))
        count += np.bincount(number, minlength=len(base))
    return np.asarray(total / np.maximum(count, 1))


def _beside(padded: np.ndarray, side: tuple[int, int]) -> np.ndarray:
    """Give the neighbours of all pixels at one side, of an array that is padded by one."""
    (y, x), (height, width) = side, padded.shape
    return padded[y : height - 2 + y, x : width - 2 + x]


def _windows(values: np.ndarray, y: np.ndarray, x: np.ndarray, side: int) -> np.ndarray:
    """Give the square around each of some pixels, (side * side, n)."""
    padded = np.pad(values, side // 2, mode="reflect")
    return np.stack([padded[y + i, x + j] for i in range(side) for j in range(side)])


def _filled(values: np.ndarray, known: Mask) -> np.ndarray:
    """Put the mean of what is known around it in place of what is not known."""
    if known.all():
        return values
    weight = uniform_filter(known.astype(np.float64), 5)
    near = uniform_filter(np.where(known, values, 0), 5) / np.maximum(weight, 1e-9)
    return np.where(known, values, np.where(weight > 1e-6, near, np.median(values[known])))
