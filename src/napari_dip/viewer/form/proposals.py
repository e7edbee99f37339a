"""Masks that an image asks for by itself: hot and dead pixels, saturated ones, stripes, scratches, no numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion, binary_opening, find_objects, grey_dilation, label, median_filter

from napari_dip.image.unmeasured import OUTLIERS, outliers
from napari_dip.viewer.layers.layers import indices_of, place_of

PIXELS, SATURATED, STRIPES, SCRATCHES, NO_NUMBERS = "pixels", "saturated", "stripes", "scratches", "no numbers"
AROUND, WIDEST, LONG = 11, 5, 15
"""A scratch differs from the median of a window with sides of so many pixels, is narrower than so many, and longer."""
LEAST_SATURATED = 2
"""Pixels of the largest value that there have to be: one is the largest everywhere."""


@dataclass(frozen=True)
class Proposal:
    """What may be looked for.

    Attributes
    ----------
    name, title : str
    threshold : float or None
        What it is by itself; None where there is none.
    meaning : str
        Of the threshold.
    """

    name: str
    title: str
    threshold: float | None = None
    meaning: str = ""


PROPOSALS = (
    Proposal(PIXELS, "hot and dead pixels", OUTLIERS.deviations, "standard deviations of the noise beyond all around"),
    Proposal(STRIPES, "stripes (rows, columns)", 8.0, "standard deviations of rows from those beside them"),
    Proposal(SCRATCHES, "scratches", 12.0, "times as far from what is around as is usual"),
    Proposal(SATURATED, "saturated pixels"),
    Proposal(NO_NUMBERS, "values that are no numbers"),
)


def propose(data: Any, axes: str, name: str, threshold: float) -> np.ndarray:
    """Find pixels to be filled in.

    Parameters
    ----------
    data : array
        Of an image.
    axes : str
        One letter for each dimension; with S for colours, a pixel counts if any of them does.
    name : str
        Of one of `PROPOSALS`.
    threshold : float
        As that means it.

    Returns
    -------
    bool array
        Of the shape of the image, without colours.
    """
    values = np.asarray(data)
    samples = axes.index("S") if "S" in axes else None
    if samples is None:
        return _found(values, axes, name, threshold)
    inner = axes.replace("S", "")
    each = [_found(one, inner, name, threshold) for one in np.moveaxis(values, samples, 0)[:3]]
    return np.asarray(np.any(each, axis=0))


def _found(values: np.ndarray, axes: str, name: str, threshold: float) -> np.ndarray:
    known = np.isfinite(values)
    if name == NO_NUMBERS:
        return np.asarray(~known)
    if name == SATURATED:
        most = values[known].max(initial=0)
        full = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else None
        found = known & (values == most)
        few = np.count_nonzero(found) < LEAST_SATURATED and most != full
        return np.asarray(found & (not few))
    find = {PIXELS: _pixels, STRIPES: _stripes, SCRATCHES: _scratches}[name]
    found = np.zeros(values.shape, bool)
    for index in indices_of(axes, values.shape):
        key = place_of(axes, index)
        found[key] = find(values[key], known[key], threshold)
    return found


def _pixels(plane: np.ndarray, known: np.ndarray, threshold: float) -> np.ndarray:
    return outliers(plane, known, replace(OUTLIERS, deviations=threshold))


def _stripes(plane: np.ndarray, known: np.ndarray, threshold: float) -> np.ndarray:
    """Find rows and columns that are brighter or darker than those on either side."""
    found = np.zeros(plane.shape, bool)
    values = np.where(known, plane, np.nan).astype(np.float64)
    for axis in (0, 1):
        lines = np.moveaxis(values, axis, 0)
        if len(lines) < 8:
            continue
        with np.errstate(invalid="ignore"):
            beside = (np.roll(lines, 2, 0) + np.roll(lines, -2, 0)) / 2  # those next to a stripe may be touched by it
            off = np.nanmedian(lines - beside, axis=1)
        off[[0, 1, -2, -1]] = 0
        spread = 1.4826 * np.nanmedian(np.abs(off - np.nanmedian(off)))
        marked = np.abs(off) > threshold * max(spread, np.finfo(float).tiny)
        # where a line is off, those that are measured against it are off by half as much the other way
        largest = np.array([np.abs(off[max(n - 2, 0) : n + 3]).max() for n in range(len(off))])
        marked &= np.abs(off) > 0.6 * largest
        np.moveaxis(found, axis, 0)[marked] = True
    return found


def _scratches(plane: np.ndarray, known: np.ndarray, threshold: float) -> np.ndarray:
    """Find narrow, long marks that are brighter or darker than what is on either side."""
    values = np.where(known, plane, np.median(plane[known]) if known.any() else 0).astype(np.float64)
    apart = values - median_filter(values, AROUND)
    apart -= np.median(apart)
    spread = max(1.4826 * float(np.median(np.abs(apart))), np.finfo(float).tiny)
    found = np.zeros(plane.shape, bool)
    for sign in (1, -1):
        marks = sign * apart > threshold * spread
        marks &= ~binary_opening(marks, np.ones((WIDEST, WIDEST)))
        labels, _ = label(marks, np.ones((3, 3)))
        for number, place in enumerate(find_objects(labels), 1):
            if np.hypot(*(one.stop - one.start for one in place)) >= LONG:
                found[place] |= labels[place] == number
    return found


def grown(labels: np.ndarray, by: int, axes: tuple[int, int]) -> np.ndarray:
    """Give labels that reach so many pixels further along two axes, or less far, if that is negative.

    Pixels of another label are not taken.
    """
    n = labels.ndim
    shape = [3 if axis in axes else 1 for axis in range(n)]
    found = labels.copy()
    for _ in range(abs(by)):
        if by > 0:
            found = np.where(found == 0, grey_dilation(found, size=shape), found)
        else:
            found = np.where(binary_erosion(found > 0, np.ones(shape, bool), border_value=1), found, 0)
    return np.asarray(found, labels.dtype)
