"""The caller's array as the prior sees it: read item by item and never changed, checked before any computation.

An item is (samples, y, x), float32, scaled to [0, 1]: one sample for gray, three for RGB.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.axes import check_axes, guess_axes, outer_axes
from napari_dip.image.planes import take_plane
from napari_dip.image.scaling import LARGEST, Scaling
from napari_dip.image.work import Item, plan_planes

KEPT = 2**29
"""Bytes of a lazy image that are kept from the check to the work, so that it is computed once. A larger one is computed
once more to be restored, and the part of it that a network is fitted to once more for that."""

LATELY = 16
"""Regions of a lazy image that were read last and are kept: planes that lie beside those at work are needed again."""


@dataclass(frozen=True)
class Plane:
    """An item as the prior sees it.

    Attributes
    ----------
    values : (samples, y, x) float32 array
        Scaled to [0, 1]; finite everywhere.
    observed : (y, x) bool array
        Pixels that were measured and are not to be filled in.
    missing : (samples, y, x) bool array
        The values that are to be filled in: of a pixel that lacks one sample, the others stay as they are.
    scaling : Scaling
    original : (all samples, y, x) array
        As the caller has it, in a native dtype; alpha, if any, comes last.
    """

    values: np.ndarray
    observed: np.ndarray
    missing: np.ndarray
    scaling: Scaling
    original: np.ndarray

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to learn from."""
        return not self.observed.any() or bool(np.ptp(self.values[:, self.observed]) == 0)


class Source:
    """An image of any axes and dtype, with what is to be filled in.

    Parameters
    ----------
    image : array-like
        numpy, memory-mapped, dask, or anything that numpy can read. A region of a lazy one is computed once for the
        check and once for the work, and once in all if the image is not large.
    axes : str, optional
        One letter of T Z C Y X S for each dimension; guessed where left out.
    mask : array-like, optional
        Nonzero where the image is to be filled in. Of the shape of the image, or without any of its axes but Y and X:
        what it lacks, it holds for all of. `axes_of` says which axes it is taken to have.
    allow_nonfinite : bool
        Fill in NaN and inf instead of refusing them.
    keep : int
        Bytes of a lazy image, or of a lazy mask, up to which it is kept in memory.

    Attributes
    ----------
    items : list of Item
        What there is to do.
    range : (float, float)
        The least and the largest value that was measured.
    ranges : dict
        The same for each plane in which anything was measured, by its place along the outer axes.
    gaps : dict
        Whether there is anything to fill in, for each plane.
    digest, mask_digest : str
        Of shape, type and values, whatever the layout in memory; the mask's is of what it marks, and empty where there
        is none.

    Raises
    ------
    InputError
        For whatever cannot be restored.
    """

    def __init__(
        self, image: Any, axes: str | None = None, mask: Any = None, *, allow_nonfinite: bool = False, keep: int = KEPT
    ):
        self.array, self.keep = _as_array(image), keep
        _check_dtype(self.array.dtype)
        if not isinstance(axes, str | None):
            raise InputError(f"The axes {axes!r} are not allowed; give them as text, such as 'YX'.")
        self.guessed = axes is None
        self.axes = guess_axes(self.array.shape, self.array.dtype) if axes is None else axes.upper()
        check_axes(self.axes, self.array.shape)
        self.outer = outer_axes(self.axes)
        self.sizes = dict(zip(self.axes, map(int, self.array.shape), strict=True))
        self.size = self.sizes["Y"], self.sizes["X"]
        self.items = plan_planes([self.sizes[a] for a in self.outer], self.size)
        self.mask = None if mask is None else self._read_mask(mask)
        self._lately: dict[tuple[tuple[int, ...], str], np.ndarray] = {}
        self._kept: dict[tuple[int, ...], np.ndarray] = {}
        self._keeps = not isinstance(self.array, np.ndarray) and self.array.nbytes <= keep
        self.range = 0.0, 0.0
        self.ranges: dict[tuple[int, ...], tuple[float, float]] = {}
        self.gaps: dict[tuple[int, ...], bool] = {}
        self.digest, self.mask_digest = self._check_values(allow_nonfinite)

    @property
    def samples(self) -> int:
        """Samples to restore: 3 for RGB, with or without alpha, else 1."""
        return min(self.sizes.get("S", 1), 3)

    def raw(self, item: Item) -> np.ndarray:
        """Read an item as (samples, y, x), in the caller's units and a native dtype; alpha, if any, comes last."""
        if item.index in self._kept:
            return self._kept[item.index][(slice(None), *item.read_region(self.size))]
        if isinstance(self.array, np.ndarray):
            return self.read(self.array, self.axes, item)
        key = item.index, repr(item.read_region(self.size))
        if key not in self._lately:
            self._lately[key] = self.read(self.array, self.axes, item)
            while len(self._lately) > LATELY:
                del self._lately[next(iter(self._lately))]
        return self._lately[key]

    def plane(self, item: Item, scaling: Scaling | None = None) -> Plane:
        """Read an item as the prior sees it; in its own range, if no other is given."""
        original = self.raw(item)
        raw = original[: self.samples].astype(np.float64)
        missing = ~np.isfinite(raw) | self._masked(item)
        observed = np.asarray(~missing.any(0))
        scaling = scaling or Scaling.of(raw[:, observed])
        values = np.where(observed, scaling.to_prior(np.where(observed, raw, scaling.low)), 0.0)
        return Plane(np.ascontiguousarray(values, dtype=np.float32), observed, missing, scaling, original)

    def shape(self, factor: int = 1) -> tuple[int, ...]:
        """Give the shape of a result."""
        return tuple(n * (factor if a in "YX" else 1) for a, n in self.sizes.items())

    def axes_of(self, name: str, array: Any) -> str:
        """Give the axes of an array that goes with the image: Y, X and any of the others, in the order of the image.

        Where the sizes fit several: all axes of the image, or else those without S, or else those that lie innermost
        in the image, as numpy and napari align them. So 3 x 64 x 64 is ZYX of a TZYX image of 3 x 3 x 64 x 64.

        Raises
        ------
        InputError
            If it has another size; `name` says which.
        """
        free = [i for i, a in enumerate(self.axes) if a not in "YX"]
        kept = [set(some) for some in combinations(free, array.ndim - 2)] if array.ndim >= 2 else []
        choices = [[i for i, a in enumerate(self.axes) if i in some or a in "YX"] for some in kept]
        fitting = [one for one in choices if array.shape == tuple(self.array.shape[i] for i in one)]
        if fitting:
            best = max(fitting, key=lambda one: ("S" not in [self.axes[i] for i in one], one[::-1]))
            return "".join(self.axes[i] for i in best)
        others = ", ".join(self.axes[i] for i in free)
        which = f", with the axes {self.axes} or without {'any of ' * (len(free) > 1)}{others}" if free else ""
        raise InputError(
            f"The {name} has shape {tuple(array.shape)}, but the image has {tuple(self.array.shape)}; "
            f"give a {name} of the size of the image{which}."
        )

    def read(self, array: Any, axes: str, item: Item) -> np.ndarray:
        """Read an item of the image, or of an array that goes with it, with its halo.

        A lazy array is cut first, so that only what is needed is computed.
        """
        position = dict(zip(self.outer, item.index, strict=True))
        own = tuple(position[a] for a in outer_axes(axes))
        plane = np.asarray(take_plane(array, axes, own, item.read_region(self.size)))
        return plane.astype(plane.dtype.newbyteorder("="), copy=False)

    def _masked(self, item: Item) -> np.ndarray:
        """Read the mask of an item, (samples or 1, y, x); that of an alpha sample is no matter."""
        if self.mask is None:
            return np.zeros((1, 1, 1), bool)
        return np.asarray(self.read(*self.mask, item)[: self.samples] != 0)

    def _read_mask(self, mask: Any) -> tuple[Any, str]:
        array = _as_array(mask)
        axes = self.axes_of("mask", array)
        if not isinstance(array, np.ndarray) and array.nbytes <= self.keep:
            array = np.asarray(array)  # a mask of one plane would be computed for every plane
        return array, axes

    def _check_values(self, allow_nonfinite: bool) -> tuple[str, str]:
        """Look at every plane once: finite, not constant, something to fill in and something to learn from."""
        low, high, largest, masked, pixels = np.inf, -np.inf, 0.0, 0, 0
        digests = [_new_digest(self.array)] + ([] if self.mask is None else [hashlib.sha256()])
        for item in self.items:
            whole = self.read(self.array, self.axes, item)
            if self._keeps:
                self._kept[item.index] = whole
            raw, mask = whole[: self.samples], self._masked(item)
            digests[0].update(np.ascontiguousarray(whole).data)
            if self.mask is not None:
                marked = np.broadcast_to(mask, raw.shape)  # what is to be filled in, however the mask says it
                digests[1].update(np.ascontiguousarray(marked).data)
            largest = max(largest, self._largest(whole, mask))
            finite, mask = np.isfinite(raw).all(0), np.broadcast_to(mask.any(0), self.size)
            if not allow_nonfinite and not (finite | mask).all():
                raise self._refuse_nonfinite(item, finite, mask)
            seen = raw[:, finite & ~mask]
            self.gaps[item.index] = not (finite & ~mask).all()
            if seen.size:
                self.ranges[item.index] = float(seen.min()), float(seen.max())
                low, high = min(low, self.ranges[item.index][0]), max(high, self.ranges[item.index][1])
            masked, pixels = masked + int(mask.sum()), pixels + mask.size
        self._check_range(low, high, largest, masked, pixels)
        self.range = low, high
        found = [f"sha256:{digest.hexdigest()}" for digest in digests]
        return found[0], found[1] if len(found) > 1 else ""

    def _largest(self, whole: np.ndarray, mask: np.ndarray) -> float:
        """Give the largest size of what is known of a plane, alpha included; 0 where it cannot be beyond float32."""
        if whole.dtype.kind != "f" or whole.dtype.itemsize <= 4:
            return 0.0
        known = np.isfinite(whole)
        known[: self.samples] &= ~mask
        return max(-float(whole.min(where=known, initial=0)), float(whole.max(where=known, initial=0)))

    def _refuse_nonfinite(self, item: Item, finite: np.ndarray, mask: np.ndarray) -> InputError:
        y, x = np.argwhere(~(finite | mask))[0]
        place = ", ".join(
            f"{a.lower()}={i}" for a, i in [*zip(self.outer, item.index, strict=True), ("Y", y), ("X", x)]
        )
        return InputError(
            f"The image holds {(~finite).sum()} pixels that are NaN or inf, the first at {place}; "
            'repair them, or set nonfinite to "inpaint" to have them filled in.'
        )

    def _check_range(self, low: float, high: float, largest: float, masked: int, pixels: int) -> None:
        if self.mask is not None and not masked:
            raise InputError("The mask is empty; mark the pixels to be filled in with a nonzero value.")
        if masked == pixels:
            raise InputError("The mask covers the whole image; leave some pixels to restore the others from.")
        if low > high:
            raise InputError("The image holds no finite number where it is not masked; there is nothing to restore.")
        if largest > LARGEST:
            raise InputError("The image holds values that float32, the type of the result, cannot hold; scale it down.")
        if not high > low:
            raise InputError("The image is constant where it is not masked; there is nothing to restore.")


def read_array(name: str, given: Any) -> np.ndarray:
    """Read an array that a task takes beside the image, such as a point spread function; it is not changed.

    Raises
    ------
    InputError
        If it holds no pixels, or anything but finite real numbers.
    """
    array = np.asarray(_as_array(given))
    if array.dtype.kind not in "biuf":
        raise InputError(f"The {name} holds {array.dtype.name} values; give real numbers, such as float32.")
    if not array.ndim or not array.size:
        raise InputError(f"The {name} has shape {array.shape} and holds no pixels; give another.")
    if not np.isfinite(array).all():
        raise InputError(f"The {name} holds values that are NaN or inf; repair them.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def digest_of(array: np.ndarray) -> str:
    """Tell an array by shape, type and values, whatever its layout in memory."""
    digest = _new_digest(array)
    for part in np.atleast_2d(array):
        digest.update(np.ascontiguousarray(part).data)
    return f"sha256:{digest.hexdigest()}"


def _as_array(image: Any) -> Any:
    """Leave lazy and memory-mapped arrays as they are; make numpy arrays of lists, tensors and the like."""
    is_array = hasattr(image, "ndim") and isinstance(getattr(image, "dtype", None), np.dtype)
    return image if is_array else np.asarray(image)


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biuf":
        raise InputError(
            f"An image of {dtype.name} values cannot be restored; give real numbers, such as uint16 or float32."
        )


def _new_digest(array: Any) -> Any:
    digest = hashlib.sha256()
    digest.update(f"{np.dtype(array.dtype).newbyteorder('=').str} {tuple(map(int, array.shape))}".encode())
    return digest
