"""One plane of an array, whatever the order of its axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_dip.image.axes import outer_axes

Region = tuple[slice, slice]


def place(axes: str, index: tuple[int, ...], region: Region | None = None) -> tuple[int | slice, ...]:
    """Say where in an array one plane lies, or a region (y, x) of it."""
    position: dict[str, int | slice] = dict(zip(outer_axes(axes), index, strict=True))
    if region is not None:
        position |= {"Y": region[0], "X": region[1]}
    return tuple(position.get(a, slice(None)) for a in axes)


def take_plane(array: Any, axes: str, index: tuple[int, ...], region: Region | None = None) -> Any:
    """Take one plane of an array, or a region (y, x) of it, as (samples, y, x): a view, where the array gives views."""
    plane = array[place(axes, index, region)]
    left = [a for a in axes if a in "YXS"]
    if "S" not in left:
        plane, left = plane[None], ["S", *left]
    return plane.transpose([left.index(a) for a in "SYX"])


def restore_order(plane: np.ndarray, axes: str) -> np.ndarray:
    """Give a plane (samples, y, x) the order of axes that it has in the image, without the outer ones."""
    left = [a for a in axes if a in "YXS"]
    if "S" not in left:
        return np.asarray(plane[0].transpose(["YX".index(a) for a in left]))
    return np.asarray(plane.transpose(["SYX".index(a) for a in left]))
