"""The caller's array <-> what the prior sees: axes, dtype, range, and the checks that come before any computation.

An image is cut into planes; each is restored on its own. A plane is (samples, y, x), float32, scaled to [0, 1]:
one sample for gray, three for RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.axes import check_axes, guess_axes


@dataclass(frozen=True)
class Plane:
    """One plane as the prior sees it.

    Attributes
    ----------
    values : (samples, y, x) float32 array
        Scaled to [0, 1]; finite everywhere.
    visible : (y, x) bool array
        Pixels that were measured and are not to be filled in.
    low, span : float
        `low + span * values` is the plane in the caller's units.
    """

    values: np.ndarray
    visible: np.ndarray
    low: float
    span: float

    def to_units(self, values: np.ndarray) -> np.ndarray:
        """Give values of [0, 1] in the caller's units."""
        return (values.astype(np.float64) * self.span + self.low).astype(np.float32)


class Source:
    """An image of any axes and dtype, read plane by plane and never changed.

    Parameters
    ----------
    image : array-like
        numpy, memory-mapped, dask, or anything that numpy can read.
    axes : str, optional
        One letter of T Z C Y X S for each dimension; guessed where left out.
    mask : array-like, optional
        Nonzero where the image is to be filled in: of the shape of the image, with or without S, or of one plane.
    allow_nonfinite : bool
        Fill in NaN and inf instead of refusing them.

    Attributes
    ----------
    range : (float, float)
        The least and the largest value of all planes, of pixels that are finite and not masked.

    Raises
    ------
    InputError
        For whatever cannot be restored.
    """

    def __init__(self, image: Any, axes: str | None = None, mask: Any = None, *, allow_nonfinite: bool = False):
        self.array = _as_array(image)
        _check_dtype(self.array.dtype)
        if not isinstance(axes, str | None):
            raise InputError(f"The axes {axes!r} are not allowed; give them as text, such as 'YX'.")
        self.guessed = axes is None
        self.axes = guess_axes(self.array.shape, self.array.dtype) if axes is None else axes.upper()
        check_axes(self.axes, self.array.shape)
        self.outer = "".join(a for a in self.axes if a not in "YXS")
        self.sizes = dict(zip(self.axes, self.array.shape, strict=True))
        self.indices = list(np.ndindex(*(self.sizes[a] for a in self.outer)))
        self.mask = None if mask is None else self._read_mask(mask)
        self._check_values(allow_nonfinite)

    @property
    def samples(self) -> int:
        """Samples to restore: 3 for RGB, with or without alpha, else 1."""
        return min(int(self.sizes.get("S", 1)), 3)

    def raw(self, index: tuple[int, ...]) -> np.ndarray:
        """Read a plane as (samples, y, x), in the caller's units and a native dtype; alpha, if any, comes last."""
        return self._cut(self.array, self.axes, index)

    def plane(self, index: tuple[int, ...]) -> Plane:
        """Read a plane as the prior sees it."""
        raw = self.raw(index)[: self.samples].astype(np.float64)
        visible = np.asarray(np.isfinite(raw).all(0) & ~self._masked(index))
        seen = raw[:, visible]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
        span = high - low if high > low else 1.0
        values = np.where(visible, (np.where(visible, raw, low) - low) / span, 0.0)
        return Plane(np.ascontiguousarray(values, dtype=np.float32), visible, low, span)

    def result(self, factor: int = 1) -> np.ndarray:
        """Make a float32 array for the result, filled with the image itself, enlarged where there is a factor.

        Planes that a run does not come to stay as they were; so do constant ones and an alpha sample.
        """
        shape = tuple(n * (factor if a in "YX" else 1) for a, n in self.sizes.items())
        result = np.empty(shape, np.float32)
        for index in self.indices:
            view = self._cut(result, self.axes, index, native=False)
            view[...] = self.raw(index).repeat(factor, -2).repeat(factor, -1)
        return result

    def put(self, result: np.ndarray, index: tuple[int, ...], values: Any, where: Any = True) -> None:
        """Write a restored plane (samples, y, x) in place; only the pixels (y, x) `where` it is to be."""
        np.copyto(self._cut(result, self.axes, index, native=False)[: self.samples], values, where=where)

    def _cut(self, array: Any, axes: str, index: tuple[int, ...], *, native: bool = True) -> np.ndarray:
        """Take one plane as (samples, y, x): a view of numpy arrays, read where they are lazy."""
        position = dict(zip(self.outer, index, strict=False))
        plane = array[tuple(position.get(a, slice(None)) for a in axes)]
        if native:
            plane = np.asarray(plane)
            plane = plane.astype(plane.dtype.newbyteorder("="), copy=False)
        left = [a for a in axes if a in "YXS"]
        if "S" not in left:
            plane, left = plane[None], ["S", *left]
        return np.asarray(plane.transpose([left.index(a) for a in "SYX"]))

    def _masked(self, index: tuple[int, ...]) -> np.ndarray:
        """Read the mask of a plane, (y, x)."""
        if self.mask is None:
            return np.zeros((self.sizes["Y"], self.sizes["X"]), bool)
        array, axes = self.mask
        if axes == "YX":
            return np.asarray(np.asarray(array) != 0)
        return np.asarray((self._cut(array, axes, index) != 0).any(0))

    def _read_mask(self, mask: Any) -> tuple[Any, str]:
        array = _as_array(mask)
        without_samples = self.axes.replace("S", "")
        for axes in (self.axes, without_samples, "".join(a for a in without_samples if a in "YX")):
            if array.shape == tuple(self.sizes[a] for a in axes):
                break
        else:
            raise InputError(
                f"The mask has shape {tuple(array.shape)}, but the image has {tuple(self.array.shape)}; "
                "give a mask of the size of the image."
            )
        if axes == "XY":
            array, axes = array.T, "YX"
        return array, axes

    def _check_values(self, allow_nonfinite: bool) -> None:
        """Look at every plane once: finite, not constant, something to fill in and something to learn from."""
        low, high, masked, pixels = np.inf, -np.inf, 0, 0
        for index in self.indices:
            raw, mask = self.raw(index)[: self.samples], self._masked(index)
            finite = np.isfinite(raw).all(0)
            if not allow_nonfinite and not (finite | mask).all():
                y, x = np.argwhere(~(finite | mask))[0]
                place = ", ".join(
                    f"{a.lower()}={i}" for a, i in [*zip(self.outer, index, strict=False), ("Y", y), ("X", x)]
                )
                raise InputError(
                    f"The image holds {(~finite).sum()} pixels that are NaN or inf, the first at {place}; "
                    'repair them, or set nonfinite to "inpaint" to have them filled in.'
                )
            seen = raw[:, finite & ~mask]
            if seen.size:
                low, high = min(low, float(seen.min())), max(high, float(seen.max()))
            masked, pixels = masked + int(mask.sum()), pixels + mask.size
        if self.mask is not None and not masked:
            raise InputError("The mask is empty; mark the pixels to be filled in with a nonzero value.")
        if masked == pixels:
            raise InputError("The mask covers the whole image; leave some pixels to restore the others from.")
        if low > high:
            raise InputError("The image holds no finite number where it is not masked; there is nothing to restore.")
        if max(-low, high) > float(np.finfo(np.float32).max):
            raise InputError("The image holds values that float32, the type of the result, cannot hold; scale it down.")
        if not high > low:
            raise InputError("The image is constant where it is not masked; there is nothing to restore.")
        self.range = low, high

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.indices)


def _as_array(image: Any) -> Any:
    """Leave lazy and memory-mapped arrays as they are; make numpy arrays of lists, tensors and the like."""
    is_array = hasattr(image, "ndim") and isinstance(getattr(image, "dtype", None), np.dtype)
    return image if is_array else np.asarray(image)


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biuf":
        raise InputError(
            f"An image of {dtype.name} values cannot be restored; give real numbers, such as uint16 or float32."
        )
