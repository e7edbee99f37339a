"""Layer -> array and where it lies in the world; restored array -> a new layer that lies and looks the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.transforms import Affine

from napari_dip.image import planes
from napari_dip.image.axes import outer_axes

PLACE = ("scale", "translate", "rotate", "shear", "units", "axis_labels")
LOOK = ("opacity", "blending", "interpolation2d", "interpolation3d", "rendering", "depiction", "projection_mode")
SHADES = ("contrast_limits", "gamma")
LOOKED_AT = 2**20
"""Pixels that tell what is usual."""
GRAY_LOOK = ("colormap", "iso_threshold", "attenuation")
IDLE = ("pan_zoom", "transform", "pick", "select")
"""Modes in which nothing is painted."""
RECORD, SHOWS = "napari-dip", "napari-dip shows"
"""Where a layer has the record of a run, and what it shows of it, unless that is the result."""
OWN_MASK = "napari-dip mask"
"""In the metadata of a mask that was made here, so that proposals may be written into it."""


def itself(layer: Any) -> Any:
    """Give a layer itself, where napari has handed out a proxy of it, made anew each time."""
    return getattr(layer, "__wrapped__", layer)


def can_serve(layer: Any) -> bool:
    """Whether a layer may be restored, or be an input: one of the user or a result, but none that only shows a run."""
    return SHOWS not in layer.metadata


def is_users_own(layer: Any) -> bool:
    """Whether a layer is neither a result nor shows a run."""
    return can_serve(layer) and RECORD not in layer.metadata


def read_data(layer: Image | Labels) -> Any:
    """Give the array of a layer as it is (it may be lazy): the sharpest level, if it has several."""
    return layer.data[0] if layer.multiscale else layer.data


def read_mask(labels: Any, label: int) -> np.ndarray:
    """Turn the array of a Labels layer into a mask: every nonzero label if `label` is 0, else only that one."""
    array = np.asarray(labels)
    mask: np.ndarray = array != 0 if label == 0 else array == label
    return mask


def describe(source: Image) -> dict[str, Any]:
    """Take down place and look of an image layer, so that it can be deleted while a run goes on.

    Returns
    -------
    dict
        Keyword arguments of `napari.layers.Image`.
    """
    names = PLACE + LOOK + SHADES + (() if source.rgb else GRAY_LOOK)
    found = {name: _copy(getattr(source, name)) for name in names}
    return {**found, "rgb": bool(source.rgb), "affine": np.array(source.affine.affine_matrix), "visible": True}


def enlarge(place: dict[str, Any], axes: str, factor: int) -> dict[str, Any]:
    """Give the place of an image with `factor` times the pixels along Y and X, so that it covers what it did before.

    A pixel's middle is its position, so the first small pixel lies (1/factor - 1)/2 of a large one before the first
    large one; scale, shear and rotation take this shift to the world. `affine` comes after them and stays as it is.
    """
    grows = np.array([axis in "YX" for axis in (axes[:-1] if place["rgb"] else axes)])  # colours have no place
    large = Affine(scale=place["scale"], rotate=place["rotate"], shear=place["shear"], ndim=len(grows))
    shift = np.where(grows, (1 / factor - 1) / 2, 0.0)
    return {
        **place,
        "scale": np.where(grows, np.asarray(place["scale"]) / factor, place["scale"]),
        "translate": np.asarray(place["translate"]) + large.linear_matrix @ shift,
    }


def result_shape(shape: Sequence[int], axes: str, factor: int) -> tuple[int, ...]:
    """Give the shape of a result with `factor` times the pixels along Y and X.

    >>> result_shape((5, 64, 64, 3), "ZYXS", 2)
    (5, 128, 128, 3)
    """
    return tuple(int(n) * (factor if axis in "YX" else 1) for axis, n in zip(axes, shape, strict=True))


def place_of(axes: str, index: tuple[int, ...]) -> tuple[int | slice, ...]:
    """Give where a plane is in an array, from its index along the outer axes.

    >>> place_of("YTXC", (3, 1))
    (slice(None, None, None), 3, slice(None, None, None), 1)
    """
    return planes.place(axes, index)


def indices_of(axes: str, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Give the indices of all planes along the outer axes."""
    return list(np.ndindex(*(shape[axes.index(axis)] for axis in outer_axes(axes))))


def upright(image: Any, axes: str, index: tuple[int, ...]) -> Any:
    """Give a plane as (y, x), or (y, x, samples), however the axes of its array lie; a view of it."""
    plane = planes.take_plane(image, axes, index)
    return np.asarray(np.moveaxis(plane, 0, -1) if "S" in axes else plane[0])


def index_of(axes: str, shape: Sequence[int], where: Sequence[float]) -> tuple[int, ...]:
    """Give the index along the outer axes of the plane that is nearest to a point in the coordinates of an array.

    >>> index_of("YTXC", (64, 5, 64, 3), (30.0, 1.2, 30.0, 7.0))
    (1, 2)
    """
    # colours are no dimension of a layer; restored as channels, the first of them is looked at
    position = dict(zip(axes, zip(where, shape, strict=False), strict=False))
    known = (position.get(axis, (0.0, 1)) for axis in outer_axes(axes))
    return tuple(min(max(round(float(at)), 0), int(n) - 1) for at, n in known)


def displayable(image: np.ndarray, dtype: np.dtype[Any], *, rgb: bool) -> np.ndarray:
    """Give a restored array as a layer's data.

    Gray results stay float32 in the units of their source, NaN where nothing was restored. napari shows colours that
    are floats only from 0 to 1, so the colours of an integer source are rounded back to its dtype; 0 stands for NaN.
    """
    shown = dtype_of_result(dtype, rgb=rgb)
    if shown == np.float32:
        return image
    info = np.iinfo(shown)
    # the largest int32 and up is no float32; so clip in float64
    rounded = np.rint(np.where(np.isnan(image), 0, image.astype(np.float64)))
    return np.clip(rounded, info.min, info.max).astype(shown)


def before_work(image: Any, axes: str, factor: int, *, rgb: bool) -> np.ndarray:
    """Give an array of the shape of a result, as `displayable` gives it, that shows the image before any work.

    Pixels are repeated where the result has more of them. An image that is not in memory is not read for this: what it
    will hold is NaN, or 0 in colours that are integers.
    """
    shown = dtype_of_result(image.dtype, rgb=rgb)
    if not isinstance(image, np.ndarray) or isinstance(image, np.memmap):
        shape = result_shape(image.shape, axes, factor)
        return np.zeros(shape, shown) if shown.kind in "iu" else np.full(shape, np.nan, shown)
    for place, axis in enumerate(axes):
        if axis in "YX" and factor > 1:
            image = image.repeat(factor, place)
    return np.array(image, shown)


def dtype_of_result(dtype: np.dtype[Any], *, rgb: bool) -> np.dtype[Any]:
    """Give the dtype of a result's layer, from that of its source."""
    return dtype.newbyteorder("=") if rgb and dtype.kind in "iu" else np.dtype(np.float32)


def without_colours(uncertainty: np.ndarray, *, rgb: bool) -> np.ndarray:
    """Give the mean standard deviation of red, green and blue, so that it can be shown in one scale."""
    return uncertainty[..., :3].mean(-1) if rgb else uncertainty


def uncertainty_look(look: dict[str, Any], uncertainty: np.ndarray) -> dict[str, Any]:
    """Give place and look of a layer that shows how uncertain a result is.

    It lies as the result does, has a scale of its own, and is out of sight until its eye is clicked: seen, it covers
    the result.
    """
    known = uncertainty[np.isfinite(uncertainty) & (uncertainty > 0)]  # inpainting knows most pixels exactly
    limits = (0.0, float(np.percentile(known, 99.5)) if known.size else 1.0)
    return {**place_in(look), "rgb": False, "colormap": "magma", "contrast_limits": limits, "visible": False}


def place_in(look: dict[str, Any]) -> dict[str, Any]:
    """Give only where a layer lies, of its place and look."""
    return {name: look[name] for name in (*PLACE, "affine")}


def some_of(values: np.ndarray) -> np.ndarray:
    """Give finite values, evenly spaced and no more than tell what is usual."""
    some = values.ravel()[:: max(1, values.size // LOOKED_AT)]
    return np.asarray(some[np.isfinite(some)])


def with_scale(layer: Image) -> Image:
    """Have a layer say what its colours stand for, where napari can draw that."""
    if hasattr(layer, "colorbar"):
        layer.colorbar.visible = True
    return layer


def usual_uncertainty(uncertainty: np.ndarray, image: np.ndarray) -> tuple[float, float] | None:
    """Give what is usual of an uncertainty (the median), and its part of the range of the image.

    None where nothing is uncertain, or the image is the same everywhere.
    """
    known, seen = some_of(uncertainty), some_of(image)
    known = known[known > 0]
    if not known.size or not seen.size:
        return None
    low, high = np.percentile(seen, [1, 99])
    usual = float(np.median(known))
    return (usual, usual / float(high - low)) if high > low else None


def insert_above(layers: Any, layer: Any, below: Any) -> None:
    """Insert a layer right above another one, or on top if that is gone; what is selected stays selected."""
    selected = list(layers.selection)
    layers.insert(layers.index(below) + 1 if below in layers else len(layers), layer)
    if selected:
        layers.selection = selected


def top_of_results(layers: Any, source: Any, masks: Sequence[Any] = ()) -> Any:
    """Return the layer that a new result of a source is inserted above.

    That is the uppermost of its results and masks that lie right above it, so that a new result covers them; but a mask
    that is being painted stays above.
    """
    if source not in layers:
        return source
    above = layers.index(source) + 1
    while above < len(layers):
        layer = layers[above]
        painted = layer in layers.selection and layer.mode not in IDLE
        if RECORD not in layer.metadata and (layer not in masks or painted):
            break
        above += 1
    return layers[above - 1]


def unique_name(wanted: str, taken: Iterable[str]) -> str:
    """Make a name that no layer has, by numbering it.

    >>> unique_name("cell denoised", ["cell", "cell denoised"])
    'cell denoised [1]'
    """
    names, number, name = set(taken), 0, wanted
    while name in names:
        number += 1
        name = f"{wanted} [{number}]"
    return name


def empty_mask(source: Image, taken: Iterable[str]) -> Labels:
    """Make an empty Labels layer that lies exactly on an image."""
    shape = read_data(source).shape
    place = {name: _copy(getattr(source, name)) for name in PLACE}
    mask = Labels(
        np.zeros(shape[:-1] if source.rgb else shape, np.uint8),
        name=unique_name(f"{source.name} mask", taken),
        affine=np.array(source.affine.affine_matrix),
        metadata={OWN_MASK: True},
        **place,
    )
    mask.brush_size = max(3, round(min(shape[:-1][-2:] if source.rgb else shape[-2:]) / 50))
    return mask


def _copy(value: Any) -> Any:
    return np.array(value) if isinstance(value, np.ndarray) else value
