"""What of a plane is no measurement: areas of one exact value that hold no noise, and single pixels far off.

Data bars, padding, backgrounds that were cut out and saturated areas hold nothing to be learned; neither do hot and
dead pixels, salt and pepper. They are found from the values alone, before any range is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import (
    binary_dilation,
    binary_propagation,
    generate_binary_structure,
    label,
    maximum_filter,
    minimum_filter,
    rank_filter,
)
from scipy.ndimage import sum as sum_labels

Mask = np.ndarray
"""(y, x) bool array."""

RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
"""The eight neighbours of a pixel."""
ALL = generate_binary_structure(2, 2)
"""A pixel and its eight neighbours."""


@dataclass(frozen=True)
class Areas:
    """How areas without noise are told from flat parts of an image.

    Attributes
    ----------
    side : int
        An area holds a square of so many pixels that are the same; noise as weak as a third of a step of the values
        leaves them, too, hence `next_step`.
    least : int
        Pixels of an area at the least, all those of one value together.
    rim : int
        Pixels around an area that are compared with it.
    next_step : float
        Photon counts of zero, and values that were rounded, have neighbours that are one step off. Where so many of
        those around an area that differ are, it is an image of weak noise.
    run : int
        Pixels of one value in a row, beside an area, that belong to it, as the rule of a data bar.
    inside : int
        Largest number of pixels that an area encloses and takes in.
    strip, before : float
        A bar begins with a row of which this part belongs to an area, behind one of which no more than that part does;
        all of it is taken, whatever is written there.
    on_grid : float
        Part of the borders on a grid of 8 pixels from which on areas are blocks of JPEG.
    """

    side: int = 8
    least: int = 200
    rim: int = 3
    next_step: float = 0.35
    run: int = 16
    inside: int = 16
    strip: float = 0.95
    before: float = 0.3
    on_grid: float = 0.5


@dataclass(frozen=True)
class Outliers:
    """How single pixels that are far off are told from noise and from fine structure.

    Attributes
    ----------
    deviations : float
        Standard deviations beyond all but one of the neighbours, by the noise at that brightness.
    steps : float
        Steps of the values beyond these, for counts of few photons.
    spread : float
        How many times the spread of the neighbours, their largest and smallest left out: a point of light that the
        instrument has blurred lights them up, too.
    levels : int
        Ranges of brightness with a noise of their own.
    thresholds, near : tuple of float, float
        How many times that, the first of these where half as much is reached by no more than this part of others.
    again, agreeing : float, int
        Where so many outliers on one side have the same value, and most of them, all pixels of that value are outliers
        that are so many standard deviations off.
    most : float
        Part of the image that may be outliers; more are structure.
    """

    deviations: float = 7.0
    steps: float = 8.0
    spread: float = 3.0
    levels: int = 16
    thresholds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    near: float = 0.5
    again: float = 2.0
    agreeing: int = 5
    most: float = 0.2


AREAS, OUTLIERS = Areas(), Outliers()


def blank_areas(plane: np.ndarray, known: Mask, how: Areas = AREAS) -> Mask:
    """Find areas of one exact value that hold no noise.

    Parameters
    ----------
    plane : (samples, y, x) array
    known : (y, x) bool array
        Pixels that count.
    how : Areas, optional

    Returns
    -------
    (y, x) bool array
    """
    found = partial_areas(plane, known, how)
    return found if _is_varied(plane[:, known & ~found]) else np.zeros_like(found)


def partial_areas(plane: np.ndarray, known: Mask, how: Areas = AREAS) -> Mask:
    """Find the same in a part of a plane, in which nothing else need be left."""
    found = np.zeros(known.shape, bool)
    if min(known.shape) < 2 * how.side:
        return found
    solid = _solid(plane, how.side) & known
    if np.count_nonzero(solid) < how.least:
        return found
    for value in _values(plane, solid):
        same = (plane == value[:, None, None]).all(0)
        area = solid & same
        if np.count_nonzero(area) >= how.least and _is_blank(plane, value, same, area, known, how):
            found |= _grown(plane, value, same, area, how)
    if found.any():
        found = _completed(plane, found, how)
    return np.asarray(found & known)


def outliers(plane: np.ndarray, known: Mask, how: Outliers = OUTLIERS) -> Mask:
    """Find single pixels that are far from all around them: hot, dead, salt and pepper.

    Parameters
    ----------
    plane : (y, x) array
    known : (y, x) bool array
        Pixels that count.
    how : Outliers, optional

    Returns
    -------
    (y, x) bool array
    """
    nothing = np.zeros(known.shape, bool)
    if min(known.shape) < 8 or np.count_nonzero(known) < how.levels:
        return nothing
    values = plane.astype(np.float64)
    values = np.where(known, values, np.median(values[known]))
    low, middle, high = (rank_filter(values, rank, footprint=RING, mode="reflect") for rank in (1, 4, 6))
    deviation = deviation_by_level(values - middle, middle, known, how.levels)
    step = step_of(values[known])
    least = np.maximum(how.deviations * deviation + how.steps * step, how.spread * (high - low))
    found = nothing
    for beyond in (values - high, low - values):
        times = np.where(known, beyond, -np.inf) / np.maximum(least, np.finfo(float).tiny)
        value = _in_common(values[times > 1], how)
        if value is None:
            found = found | _apart(times, how)
        else:
            off = np.abs(values - middle) > how.again * deviation + step
            found = found | (times > 1) | ((values == value) & off & known)
    # two beside each other are one defect; more are structure
    groups, count = label(found, ALL)
    sizes = sum_labels(found, groups, np.arange(1, count + 1))
    few = np.isin(groups, 1 + np.flatnonzero(sizes <= 2)) if np.count_nonzero(found) < 0.01 * found.size else found
    found &= few
    return found if 0 < np.count_nonzero(found) <= how.most * np.count_nonzero(known) else nothing


def noise_floor(plane: np.ndarray, known: Mask) -> float:
    """Give a standard deviation that about half of the pixels have at least: of differences of neighbours, robust.

    Parameters
    ----------
    plane : (samples, y, x) array
    known : (y, x) bool array
        Pixels that count.
    """
    if known.shape[1] < 3:
        return 0.0
    x = plane.astype(np.float64)
    whole = known[:, :-2] & known[:, 1:-1] & known[:, 2:]
    second = np.abs(x[..., :-2] - 2 * x[..., 1:-1] + x[..., 2:])[:, whole]
    return float(np.median(second) / (0.6745 * 6**0.5)) if second.size else 0.0


def _solid(plane: np.ndarray, side: int) -> Mask:
    """Find all squares of `side` pixels that are the same."""
    size = (1, side, side)
    flat = (maximum_filter(plane, size, mode="nearest") == minimum_filter(plane, size, mode="nearest")).all(0)
    margin = side // 2  # of squares that lie inside the image, not of repeated borders
    inside = np.zeros_like(flat)
    inside[margin : flat.shape[0] - (side - 1 - margin), margin : flat.shape[1] - (side - 1 - margin)] = True
    origin = -1 if side % 2 == 0 else 0
    return np.asarray(maximum_filter(flat & inside, side, origin=origin, mode="constant"))


def _values(plane: np.ndarray, solid: Mask) -> list[np.ndarray]:
    """Give the values that make up solid squares, the commonest first; no more than a few can be areas."""
    values, counts = np.unique(plane[:, solid], axis=1, return_counts=True)
    return [values[:, i] for i in np.argsort(-counts)[:8]]


def _is_blank(plane: np.ndarray, value: np.ndarray, same: Mask, area: Mask, known: Mask, how: Areas) -> bool:
    """Whether an area is not just where weak noise does not show, nor made of blocks of JPEG."""
    rim = binary_dilation(area, ALL, how.rim) & ~area & known
    others = rim & ~same
    if not others.any():
        return True
    for sample, own in zip(plane, value, strict=True):
        seen, near = sample[known], sample[others]
        above, below = seen[seen > own], seen[seen < own]
        next_ones = [*([above.min()] if above.size else []), *([below.max()] if below.size else [])]
        if np.isin(near, next_ones).mean() > how.next_step:
            return False
    edges = [np.flatnonzero((np.diff(area.astype(np.int8), axis=axis) != 0).any(1 - axis)) + 1 for axis in (0, 1)]
    places = np.concatenate(edges)
    return not (len(places) > 3 and (places % 8 == 0).mean() > how.on_grid)


def _is_soft(plane: np.ndarray, value: np.ndarray, area: Mask) -> bool:
    """Whether values around an area come near to its own, as where an instrument saturates."""
    around = binary_dilation(area, ALL, 2) & ~area
    apart = np.abs(plane[:, around].astype(np.float64) - value[:, None]).max(0)
    other = apart[apart > 0]
    return bool(other.size) and float((other < 0.25 * np.median(other)).mean()) > 0.1


def _grown(plane: np.ndarray, value: np.ndarray, same: Mask, area: Mask, how: Areas) -> Mask:
    """Add what goes on from an area, and other pieces of its value where nothing else comes near to that."""
    if _is_soft(plane, value, area):  # pixels beside it may be as large by chance
        return np.asarray(binary_propagation(area, ALL, mask=_solid(plane, 3) & same))
    pieces, count = label(same, ALL)
    sizes = sum_labels(same, pieces, np.arange(1, count + 1))
    return np.asarray(np.isin(pieces, 1 + np.flatnonzero(sizes > how.inside)) | area)


def _completed(plane: np.ndarray, found: Mask, how: Areas) -> Mask:
    """Add what belongs to an area: rules of one value, what little it encloses, and all that stands in a bar."""
    for axis in (1, 2):
        size = [1, 1, 1]
        size[axis] = how.run
        run = (maximum_filter(plane, size, mode="nearest") == minimum_filter(plane, size, mode="nearest")).all(0)
        wide = maximum_filter(run, [how.run if axis == a else 1 for a in (1, 2)], origin=0)
        found = found | binary_propagation(found, ALL, mask=found | (wide & run))
        along = maximum_filter(run & binary_dilation(found, ALL), [how.run + 1 if axis == a else 1 for a in (1, 2)])
        same = np.abs(np.diff(plane.astype(np.float64), axis=axis)).max(0) == 0
        pad = [(0, 0), (0, 0)]
        pad[axis - 1] = (1, 0)
        found = found | (along & np.pad(same, pad) & binary_dilation(found, ALL))
    pieces, count = label(~found)
    sizes = sum_labels(~found, pieces, np.arange(1, count + 1))
    found = found | np.isin(pieces, 1 + np.flatnonzero(sizes <= how.inside))
    for turns in range(4):
        turned = np.rot90(found, turns)
        share = turned.mean(1)
        starts = np.flatnonzero((share[1:] >= how.strip) & (share[:-1] <= how.before)) + 1
        for start in starts[-1:]:
            if share[start:].mean() > 0.5:
                turned[start:] = True
    return np.asarray(found)


def _is_varied(values: np.ndarray) -> bool:
    """Whether enough is left to learn from."""
    return values.shape[1] > 64 and bool((np.ptp(values, axis=1) > 0).any())


def deviation_by_level(apart: np.ndarray, level: np.ndarray, known: Mask, levels: int = OUTLIERS.levels) -> np.ndarray:
    """Give the standard deviation of noise at the brightness of each pixel, from the bulk of those as bright."""
    edges = np.unique(np.quantile(level[known], np.linspace(0, 1, levels + 1)[1:-1]))
    bins = np.searchsorted(edges, level)
    found = np.zeros(len(edges) + 1)
    for n in range(len(found)):
        one = np.abs(apart[known & (bins == n)])
        if one.size:
            # zeros of counts have a median of zero, and yet noise
            median, most = np.quantile(one, (0.5, 0.8))
            found[n] = max(1.4826 * median, most / 1.28)
    return np.asarray(found[bins])


def step_of(values: np.ndarray) -> float:
    """Give the usual step between values: 1 for counts, next to nothing for what was computed."""
    distinct = np.unique(values)
    return float(np.median(np.diff(distinct[: max(2, len(distinct) // 2)]))) if len(distinct) > 1 else 0.0


def _apart(beyond: np.ndarray, how: Outliers) -> Mask:
    """Find what is beyond a threshold that hardly anything comes near to: noise with a long tail fills that gap."""
    for threshold in how.thresholds:
        side = beyond > threshold
        if np.count_nonzero(beyond > threshold / 2) <= (1 + how.near) * np.count_nonzero(side):
            return np.asarray(side)
    return np.zeros(beyond.shape, bool)


def _in_common(values: np.ndarray, how: Outliers) -> float | None:
    """Give the value that most of some outliers have."""
    distinct, counts = np.unique(values, return_counts=True)
    common = counts.size and counts.max() >= max(how.agreeing, 0.5 * counts.sum())
    return float(distinct[counts.argmax()]) if common else None
