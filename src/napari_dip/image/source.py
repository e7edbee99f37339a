"""The caller's array as the prior sees it: read item by item and never changed, checked before any computation.

An item is (samples, y, x), float32, scaled to [0, 1]: one sample for gray, three for RGB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.axes import check_axes, guess_axes, outer_axes
from napari_dip.image.lines import line_offsets
from napari_dip.image.planes import take_plane
from napari_dip.image.scaling import LARGEST, Scaling
from napari_dip.image.unmeasured import blank_areas, noise_floor, outliers
from napari_dip.image.work import Item, plan_planes

KEPT = 2**29
"""Bytes of a lazy image that are kept from the check to the work, so that it is computed once. A larger one is computed
once more to be restored, and the part of it that a network is fitted to once more for that."""

PART = 2**26
"""Bytes of an array that are read at a time, to tell it from others."""
LATELY = 16
"""Regions of a lazy image that were read last and are kept: planes that lie beside those at work are needed again."""


MASKED = "areas", "outliers"
"""What may be found in a plane whose pixels tell nothing of the image."""
_ENDS = np.minimum, np.maximum


@dataclass(frozen=True)
class Plane:
    """An item as the prior sees it.

    Attributes
    ----------
    values : (samples, y, x) float32 array
        Scaled to [0, 1]; finite everywhere.
    observed : (y, x) bool array
        Pixels that were measured, are not to be filled in, and are not suspected to tell nothing of the image.
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
    suspects : sequence of str
        What is looked for that was not measured: "areas" without noise and samples that say nothing of their own, which
        stay as they are, "outliers", which are replaced, and "lines" with offsets of their own, which are taken off.

    Attributes
    ----------
    items : list of Item
        What there is to do.
    range : (float, float)
        The least and the largest value that was measured.
    ranges : dict
        The same for each plane in which anything was measured, by its place along the outer axes.
    floors : dict
        A standard deviation that the noise of each plane has nearly everywhere; 0 where nothing is known of it.
    gaps : dict
        Whether there is anything to fill in, for each plane.
    areas, outliers : dict
        How many pixels of each plane are suspected, where any are.
    colours : range
        The samples of the image, without alpha.
    samples_of : dict
        For each of these that is restored, which of the samples of a `Plane` it is: all but those that are the same
        everywhere, and one for several that are alike.
    digest, mask_digest : str
        Of shape, type and values, whatever the layout in memory; the mask's is of what it marks, and empty where there
        is none.

    Raises
    ------
    InputError
        For whatever cannot be restored.
    """

    def __init__(
        self,
        image: Any,
        axes: str | None = None,
        mask: Any = None,
        *,
        allow_nonfinite: bool = False,
        keep: int = KEPT,
        suspects: Sequence[str] = (),
    ):
        self.array, self.keep, self.suspects = _as_array(image), keep, suspects
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
        self.colours = range(min(self.sizes.get("S", 1), 3))
        self.samples_of = {sample: sample for sample in self.colours}
        self.range = 0.0, 0.0
        self.ranges: dict[tuple[int, ...], tuple[float, float]] = {}
        self.floors: dict[tuple[int, ...], float] = {}
        self.areas: dict[tuple[int, ...], int] = {}
        self.outliers: dict[tuple[int, ...], int] = {}
        self._lines: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
        self._suspected: dict[tuple[tuple[int, ...], str], np.ndarray] = {}
        self.gaps: dict[tuple[int, ...], bool] = {}
        self.digest, self.mask_digest = self._check_values(allow_nonfinite)

    @property
    def samples(self) -> int:
        """Samples to restore: 3 for RGB, with or without alpha, else 1; fewer where some say nothing of their own."""
        return len(set(self.samples_of.values()))

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
        raw = original[self._own].astype(np.float64) - self._offsets(item)
        mask = self._masked(item)
        missing = ~np.isfinite(raw) | (mask[self._own] if len(mask) > 1 else mask)
        observed = np.asarray(~missing.any(0))
        for what in MASKED:
            suspected = self._suspects(item, what)
            if suspected is not None:
                observed &= ~suspected
        scaling = scaling or Scaling.of(raw[:, observed], self.floors.get(item.index, 0.0))
        values = np.where(observed, scaling.to_prior(np.where(observed, raw, scaling.low)), 0.0)
        return Plane(np.ascontiguousarray(values, dtype=np.float32), observed, missing, scaling, original)

    def shape(self, factor: int = 1) -> tuple[int, ...]:
        """Give the shape of a result."""
        return tuple(n * (factor if a in "YX" else 1) for a, n in self.sizes.items())

    def areas_of(self, item: Item) -> np.ndarray | None:
        """Give where in the region (y, x) of an item there is an area without noise; None if its plane has none."""
        return self._suspects(replace(item, halo=0), "areas")

    def with_areas(self, image: np.ndarray, item: Item) -> np.ndarray:
        """Put the areas of an item that hold no noise back into a result (all samples, y, x) of its size."""
        areas = self.areas_of(item)
        if areas is not None:
            original = self.raw(replace(item, halo=0))
            image = np.where(areas, original.astype(np.float32), image)
        return image

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
        return np.asarray(self.read(*self.mask, item)[: len(self.colours)] != 0)

    @property
    def lines(self) -> tuple[float, float]:
        """Give the standard deviation of the offsets of rows, and of columns; 0 where they have none."""
        rows, columns = (
            float(np.sqrt(np.mean([np.var(own[n]) for own in self._lines.values()] or [0]))) for n in (0, 1)
        )
        return rows, columns

    @property
    def _own(self) -> list[int]:
        """The samples that a plane has."""
        return [next(sample for sample, own in self.samples_of.items() if own == n) for n in range(self.samples)]

    def _suspects(self, item: Item, what: str) -> np.ndarray | None:
        """Give the pixels of an item, with its halo, that are suspected; None if there are none in its plane."""
        packed = self._suspected.get((item.index, what))
        if packed is None:
            return None
        whole = np.unpackbits(packed, axis=1, count=self.size[1]).astype(bool)
        return np.asarray(whole[item.read_region(self.size)])

    def _offsets(self, item: Item) -> np.ndarray:
        """Give the offsets of the lines of an item, with its halo, broadcast to (samples, y, x)."""
        found = self._lines.get(item.index)
        if found is None:
            return np.zeros((1, 1, 1))
        region = item.read_region(self.size)
        rows, columns = (own[:, part] for own, part in zip(found, region, strict=True))
        return np.asarray((rows[:, :, None] + columns[:, None])[self._own])

    def _level(self, item: Item, raw: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Look for lines with offsets of their own; give the plane without them."""
        rows = np.stack([line_offsets(sample, known) for sample in raw])
        columns = np.stack([line_offsets(sample.T, known.T) for sample in raw])
        if not (rows.any() or columns.any()):
            return raw
        self._lines[item.index] = rows, columns
        return np.asarray(raw - rows[:, :, None] - columns[:, None])

    def _suspect(self, item: Item, raw: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Look for what was not measured among the known pixels of a plane; give what is left of them."""
        counts = {"areas": self.areas, "outliers": self.outliers}
        for what in self.suspects:
            if what == "lines":
                continue
            if what == "areas":
                found = blank_areas(raw, known)
            else:
                found = np.logical_or.reduce([outliers(sample, known) for sample in raw])
            if found.any():
                counts[what][item.index] = int(np.count_nonzero(found))
                self._suspected[item.index, what] = np.packbits(found, axis=1)
                known = known & ~found
        return known

    def _read_mask(self, mask: Any) -> tuple[Any, str]:
        array = _as_array(mask)
        axes = self.axes_of("mask", array)
        if not isinstance(array, np.ndarray) and array.nbytes <= self.keep:
            array = np.asarray(array)  # a mask of one plane would be computed for every plane
        return array, axes

    def _check_values(self, allow_nonfinite: bool) -> tuple[str, str]:
        """Look at every plane once: finite, not constant, something to fill in and something to learn from."""
        largest, masked, pixels = 0.0, 0, 0
        extremes: dict[tuple[int, ...], np.ndarray] = {}
        alike = np.ones(len(self.colours), bool)
        digests = [_new_digest(self.array)] + ([] if self.mask is None else [hashlib.sha256()])
        for item in self.items:
            whole = self.read(self.array, self.axes, item)
            if self._keeps:
                self._kept[item.index] = whole
            raw, mask = whole[: len(self.colours)], self._masked(item)
            digests[0].update(np.ascontiguousarray(whole).data)
            if self.mask is not None:
                marked = np.broadcast_to(mask, raw.shape)  # what is to be filled in, however the mask says it
                digests[1].update(np.ascontiguousarray(marked).data)
            largest = max(largest, self._largest(whole, mask))
            finite, mask = np.isfinite(raw).all(0), np.broadcast_to(mask.any(0), self.size)
            if not allow_nonfinite and not (finite | mask).all():
                raise self._refuse_nonfinite(item, finite, mask)
            known = finite & ~mask
            self.gaps[item.index] = not known.all()
            if self.suspects:
                raw = np.where(known, raw, raw.dtype.type(0))  # what is unknown may be no number
            known = self._suspect(item, raw, known)
            if "lines" in self.suspects:
                raw = self._level(item, raw, known)
            seen = raw[:, known]
            if seen.size:
                extremes[item.index] = np.stack([seen.min(1), seen.max(1)], 1).astype(np.float64)
                self.floors[item.index] = noise_floor(raw, known) if self.suspects else 0.0
                alike &= [bool(np.array_equal(sample, raw[0], equal_nan=raw.dtype.kind == "f")) for sample in raw]
            masked, pixels = masked + int(mask.sum()), pixels + mask.size
        self._settle_samples(extremes, alike)
        self.ranges = {index: (own[:, 0].min(), own[:, 1].max()) for index, own in extremes.items()}
        low = min((low for low, _ in self.ranges.values()), default=np.inf)
        high = max((high for _, high in self.ranges.values()), default=-np.inf)
        self._check_range(low, high, largest, masked, pixels)
        self.range = low, high
        found = [f"sha256:{digest.hexdigest()}" for digest in digests]
        return found[0], found[1] if len(found) > 1 else ""

    def _settle_samples(self, extremes: dict[tuple[int, ...], np.ndarray], alike: np.ndarray) -> None:
        """Leave out samples that are the same everywhere, and take one of several that are alike."""
        if not extremes or len(self.colours) == 1 or "areas" not in self.suspects:
            return
        low, high = (reduce(which, (one[:, n] for one in extremes.values())) for n, which in enumerate(_ENDS))
        varied = [sample for sample in self.colours if high[sample] > low[sample]]
        if alike.all():
            self.samples_of = dict.fromkeys(self.colours, 0)
        elif varied and len(varied) < len(self.colours):
            self.samples_of = {sample: n for n, sample in enumerate(varied)}
        for index, one in extremes.items():
            extremes[index] = one[self._own]

    def _largest(self, whole: np.ndarray, mask: np.ndarray) -> float:
        """Give the largest size of what is known of a plane, alpha included; 0 where it cannot be beyond float32."""
        if whole.dtype.kind != "f" or whole.dtype.itemsize <= 4:
            return 0.0
        known = np.isfinite(whole)
        known[: len(self.colours)] &= ~mask
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


def digest_of(array: Any) -> str:
    """Tell an array by shape, type and values, whatever its layout in memory; a lazy one is read part by part."""
    digest = _new_digest(array)
    whole = array if array.ndim > 1 else np.atleast_2d(array)
    few = max(PART * len(whole) // max(whole.nbytes, 1), 1)
    for n in range(0, len(whole), few):
        digest.update(np.ascontiguousarray(whole[n : n + few]).data)
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
