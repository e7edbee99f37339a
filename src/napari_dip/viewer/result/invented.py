"""Where a result shows what was never measured: the depth of large gaps, and detail beyond the pixels of the source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_dip.viewer.layers.layers import indices_of, place_in, some_of, upright

DEEP = 4
"""Pixels from the nearest known one beyond which a gap is deep: from here on it is learned from gaps like it."""
DETAIL = 0.05
"""Part of the range of the image by which a pixel differs from interpolation, beyond which that is detail."""
TASKS = ("inpaint", "super_resolve")
"""Tasks whose results hold such areas."""


def invented(source: Any, result: Any, axes: str, task: str) -> tuple[np.ndarray, str]:
    """Find what was never measured.

    Parameters
    ----------
    source, result : array
        With `axes`; the result of super-resolution is larger along Y and X.
    axes : str
        One letter for each dimension.
    task : str
        One of `TASKS`.

    Returns
    -------
    mask : array of uint8
        Of the shape of the result without samples: 1 where it is invented.
    words : str
        How much that is.
    """
    shape = [size for size, axis in zip(result.shape, axes, strict=True) if axis != "S"]
    found, filled = np.zeros(shape, np.uint8), 0
    if task == "inpaint":
        look: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, int]] = _deep
    else:
        seen = some_of(source)
        low, high = np.percentile(seen, (1, 99)) if seen.size else (0, 0)
        least = DETAIL * float(high - low)

        def look(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, int]:
            return _detail(before, after, least), after.shape[0] * after.shape[1]

    inner = axes.replace("S", "")
    for index in indices_of(axes, result.shape):
        before, after = (upright(whole, axes, index).astype(np.float32) for whole in (source, result))
        mask, of = look(before, after)
        upright(found, inner, index)[...] = mask
        filled += of
    part = 100 * float(found.sum()) / max(filled, 1)
    if task == "inpaint":
        return found, f"{part:.0f} % of the filled pixels lie more than {DEEP} pixels from any measured one."
    return found, f"{part:.0f} % of the pixels differ from interpolation by more than {DETAIL:.0%} of the range."


def look_of_invented(result: dict[str, Any]) -> dict[str, Any]:
    """Give place and look of a Labels layer that outlines what is invented."""
    place = {name: value for name, value in place_in(result).items() if name != "rgb"}
    return {**place, "colormap": {None: "transparent", 1: "magenta"}, "opacity": 1.0}


def _deep(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, int]:
    """Find the depth of gaps: what was known stayed exactly as it was."""
    from scipy.ndimage import distance_transform_edt

    filled = before != after  # NaN differs from all
    filled = filled if filled.ndim == 2 else filled.any(-1)
    if filled.all():
        return filled, filled.size
    deep: np.ndarray = distance_transform_edt(filled) > DEEP
    return deep, int(filled.sum())


def _detail(before: np.ndarray, after: np.ndarray, least: float) -> np.ndarray:
    """Find detail that interpolation does not give."""
    from skimage.transform import resize

    smooth = resize(before, after.shape, order=3, mode="reflect", anti_aliasing=False)
    apart = np.abs(after - smooth)
    found: np.ndarray = (apart if apart.ndim == 2 else apart.mean(-1)) > least
    return found
