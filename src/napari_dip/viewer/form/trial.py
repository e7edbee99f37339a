"""A part of an image that is restored first, in seconds: what is in view, or what is drawn in a Shapes layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from napari.utils.transforms import Affine

from napari_dip.errors import InputError
from napari_dip.viewer.layers.layers import read_data
from napari_dip.viewer.layers.placing import matrix_of
from napari_dip.viewer.messages import Job, Painted

SECONDS = 12.0
"""What a trial may take by its estimate; as large a part is taken."""
SIDES = (512, 384, 256, 192, 128, 96, 64, 48, 32)
"""Pixels along Y and X that a part may have at the most."""
SUFFIX = "(part)"
AROUND = 1024
"""Pixels along Y and X around a part that its noise is estimated from, at the most; of these it takes two seconds."""
NEXT_TO_NOTHING = 1e-3
"""Of a pixel: what a way through the world and back may add."""


def part_in_view(
    viewer: ViewerModel,
    source: Image,
    axes: str,
    seconds: Callable[[tuple[int, ...]], float],
    beside: tuple[int, int] | None = None,
) -> tuple[slice, ...]:
    """Give the part of an image to try: of the plane in view what is seen, or what is drawn in the selected shapes.

    Parameters
    ----------
    viewer : napari viewer
    source : Image
    axes : str
        One letter for each dimension of its data.
    seconds : callable
        Gives about how many seconds a part of some shape takes.
    beside : (int, int), optional
        Axis and direction in which a second part lies beside it: both together take the time and the place of one.

    Returns
    -------
    tuple of slice
        For each dimension of the data; one plane of the outer axes, and around the middle of what is seen no more than
        is restored in some seconds.

    Raises
    ------
    InputError
        If nothing of the image is there, or the view does not show its planes.
    """
    shape = read_data(source).shape
    if len(axes) != len(shape):
        raise InputError("Say first what the axes of the image are.")
    _check_view(viewer, source, axes)
    low, high = _seen(viewer, source)
    found = []
    for place, (axis, size) in enumerate(zip(axes, shape, strict=True)):
        if place >= source.ndim:  # colours
            found.append((0, size))
            continue
        start, end = (
            max(int(np.floor(low[place] + NEXT_TO_NOTHING)), 0),
            min(int(np.ceil(high[place] - NEXT_TO_NOTHING)) + 1, size),
        )
        if axis not in "YX":
            at = min(max(round((low[place] + high[place]) / 2), 0), size - 1)
            start, end = at, at + 1
        if start >= end:
            raise InputError("Nothing of the image is in view; move it there, or restore the whole.")
        found.append((start, end))
    side = _side(axes, found, seconds, SECONDS if beside is None else SECONDS / 2)
    part = [_around(*pair, side) if axis in "YX" else slice(*pair) for axis, pair in zip(axes, found, strict=True)]
    if beside is not None and _drawn(viewer) is None:
        part[beside[0]] = _first_half(*found[beside[0]], side, beside[1])
    return tuple(part)


def only(part: tuple[slice, ...], job: Job, look: dict[str, Any]) -> tuple[Job, dict[str, Any]]:
    """Give the job of a part of an image, and where its result lies.

    Parameters
    ----------
    part : tuple of slice
        For each dimension of the data.
    job : Job
        Of the whole.
    look : dict
        Place and look of an image in the place of the whole, before it is enlarged.
    """
    n = len(look["scale"])
    inputs = {
        name: replace(value, part=part[:n], whole=tuple(job.image.shape[:n])) if isinstance(value, Painted) else value
        for name, value in job.inputs.items()
    }
    cut = replace(job, image=job.image[part], title=f"{job.title} {SUFFIX}", inputs=inputs, is_part=True)
    cut = replace(cut, around=_around_part(job, part), beginning=replace(job.beginning, keep=False))
    return cut, {**look, "translate": moved(look, [one.start for one in part[:n]])}


def moved(look: dict[str, Any], start: Sequence[float]) -> np.ndarray:
    """Give the translation of what begins at a pixel of an image in this place."""
    inner = Affine(scale=look["scale"], rotate=look["rotate"], shear=look["shear"], ndim=len(look["scale"]))
    there: np.ndarray = np.asarray(look["translate"]) + inner.linear_matrix @ np.asarray(start, float)
    return there


def _check_view(viewer: ViewerModel, source: Image, axes: str) -> None:
    """Refuse a view of X and Z, and the like: planes of Y and X are restored, and of one of them that shows a line.

    Raises
    ------
    InputError
    """
    if viewer.dims.ndisplay != 2:
        return
    shown = [axis - viewer.dims.ndim + source.ndim for axis in viewer.dims.displayed]
    letters = [axes[axis] if 0 <= axis < source.ndim else "another axis" for axis in shown]
    if set(letters) != {"Y", "X"}:
        raise InputError(
            f"The view shows {' and '.join(letters)}, but what is tried is a plane of Y and X: change the order of the "
            "axes below the layer list until these are seen, or restore the whole."
        )


def _seen(viewer: ViewerModel, source: Image) -> tuple[np.ndarray, np.ndarray]:
    """Give the ends of what is drawn, or else in view, in pixels of the image."""
    n = source.ndim
    to_data = np.linalg.inv(matrix_of(source))
    drawn = _drawn(viewer)
    point = np.asarray(viewer.dims.point[-n:], float)
    shown = [axis - viewer.dims.ndim + n for axis in viewer.dims.displayed if axis >= viewer.dims.ndim - n]
    if drawn is not None:
        places = np.array([drawn.data_to_world(corner) for corner in drawn.data[-1]])[:, -n:]
        corners = np.tile(point, (len(places), 1))
        corners[:, shown] = places[:, [axis - n for axis in shown]]
    elif viewer.dims.ndisplay == 2:
        ends = np.asarray(source.corner_pixels, float)[:, :n]
        middle = to_data[:n, :n] @ point + to_data[:n, n]
        both = np.tile(middle, (2, 1))
        both[:, shown] = ends[:, shown]
        return both.min(0), both.max(0)
    else:  # a volume is seen as a whole
        shape = np.array(read_data(source).shape[:n]) - 1
        return np.zeros(n), shape.astype(float)
    inside = corners @ to_data[:n, :n].T + to_data[:n, n]
    return inside.min(0), inside.max(0)


def _drawn(viewer: ViewerModel) -> Any:
    """Give the selected Shapes layer, if anything is drawn in it."""
    active = viewer.layers.selection.active
    return active if isinstance(active, Shapes) and len(active.data) else None


def _side(axes: str, found: list[tuple[int, int]], seconds: Callable[[tuple[int, ...]], float], most: float) -> int:
    """Give the largest side that is restored in time."""
    for side in SIDES:
        shape = tuple(
            min(end - start, side) if axis in "YX" else end - start
            for axis, (start, end) in zip(axes, found, strict=True)
        )
        if seconds(shape) <= most:
            return side
    return SIDES[-1]


def _around_part(job: Job, part: tuple[slice, ...]) -> Any:
    """Give what the noise of a part is estimated from: so much of its plane; None where the part is all of that.

    What is filled in by a mask is reckoned with a noise that is not estimated.
    """
    axes, shape = job.axes or "", job.image.shape
    if any(isinstance(value, Painted) for value in job.inputs.values()):
        return None
    large = []
    for axis, size, one in zip(axes, shape, part, strict=True):
        first = min(max((one.start + one.stop - AROUND) // 2, 0), max(size - AROUND, 0))
        large.append(slice(first, min(first + AROUND, size)) if axis in "YX" else one)
    return None if tuple(large) == part else job.image[tuple(large)]


def _first_half(start: int, end: int, side: int, direction: int) -> slice:
    """Give so many pixels before the middle in a direction, so that as many fit in beyond it.

    >>> _first_half(0, 100, 32, 1), _first_half(0, 100, 64, -1)
    (slice(18, 50, None), slice(50, 100, None))
    """
    length = min(max((end - start) // 2, SIDES[-1]), side, end - start)
    middle = (start + end) // 2
    first = max(middle - length, start) if direction > 0 else min(middle, end - length)
    return slice(first, first + length)


def _around(start: int, end: int, side: int) -> slice:
    """Give so many pixels around the middle."""
    length = min(end - start, side)
    first = start + (end - start - length) // 2
    return slice(first, first + length)
