"""The pixel size that the file of a layer says, where the layer has none of its own: kept with what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import isfinite
from typing import Any

import numpy as np
from napari.layers import Image

from napari_dip.files.metadata import Metadata
from napari_dip.viewer.contributions import PIXEL_SIZE, pixel_size_in
from napari_dip.viewer.form.axes import peek_at_file
from napari_dip.viewer.layers.layers import read_data


def known_size(layer: Image, axes: str) -> Metadata | None:
    """Give the pixel size that a layer was made with, or that its file says; None if it has one of its own."""
    kept = pixel_size_in({"metadata": layer.metadata, "scale": layer.scale, "units": layer.units})
    if kept is not None:
        return kept
    units = {str(unit) for unit in layer.units}
    return _in_file(layer, axes) if (np.asarray(layer.scale) == 1).all() and units <= {"pixel"} else None


def read_z_step(layer: Image, axes: str) -> float | None:
    """Give the distance between planes along Z, over the size of a pixel along Y.

    The file of the layer tells it, or that of what it was made from, where nobody has set a scale; or else its scale.

    Returns
    -------
    float or None
        None if it is not known.
    """
    at, scale = {a: i for i, a in enumerate(axes)}, np.asarray(layer.scale)
    if not {"Z", "Y"} <= set(at) or max(at["Z"], at["Y"]) >= len(scale):
        return None
    known = known_size(layer, axes)
    if known is not None or (scale == 1).all():
        return None if known is None else known.z_step
    step = abs(float(scale[at["Z"]] / scale[at["Y"]]))
    with suppress(Exception):  # units of different kinds, such as pixels and µm, cannot be compared
        step *= float((1 * layer.units[at["Z"]]).to(layer.units[at["Y"]]).magnitude)
        return float(f"{step:.6g}") if isfinite(step) and step > 0 else None
    return None


def entry_for_result(source: Image, axes: str, factor: int, scale: Sequence[float]) -> dict[str, Any]:
    """Give the entry for the metadata of a result, that says the pixel size of the file of its source.

    Parameters
    ----------
    source : Image
    axes : str
        One letter for each dimension.
    factor : int
        How many times more pixels the result has along Y and X.
    scale : sequence of float
        Of the layer of the result; it holds as long as this is not changed.

    Returns
    -------
    dict
        Empty if the source has a pixel size of its own, or no file says any.
    """
    known = known_size(source, axes)
    if known is None:
        return {}
    larger = known.enlarged(factor)
    said = {"step": larger.step, "unit": larger.unit, "units": larger.units, "scale": [float(size) for size in scale]}
    return {PIXEL_SIZE: said}


def _in_file(layer: Image, axes: str) -> Metadata | None:
    """Read the steps along axes that are as long in the file; None if there are none."""
    peeked, shape = peek_at_file(layer), read_data(layer).shape
    if peeked is None or len(axes) != len(shape):
        return None
    lengths, found = dict(zip(axes, shape, strict=True)), peeked[1].in_dialect("plain")
    there = dict(zip(found.axes, peeked[0], strict=True)) if found.axes else _page(peeked[0])
    step = {axis: size for axis, size in found.step.items() if lengths.get(axis) == there.get(axis) is not None}
    if not {"Y", "X"} <= set(step):
        return None
    return Metadata(
        step=step, unit=found.unit, units={axis: unit for axis, unit in found.units.items() if axis in step}
    )


def _page(shape: tuple[int, ...]) -> dict[str, int]:
    """Give the lengths of a page of a file that says nothing of its axes."""
    planar = len(shape) > 2 and shape[0] <= 4
    return dict(zip("YX", shape[1:3] if planar else shape[:2], strict=False))
