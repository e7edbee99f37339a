"""The caller's array as the prior sees it: read item by item and never changed, checked before any computation.

An item is (samples, y, x), float32, scaled to [0, 1]: one sample for gray, three for RGB, two for angles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.arrays import as_array, bad_values, check_dtype, computable, new_digest, read_part
from napari_dip.image.axes import check_axes, guess_axes, outer_axes
from napari_dip.image.cancellation import check_cancelled
from napari_dip.image.lines import slow_error
from napari_dip.image.offsets import Offsets
from napari_dip.image.planes import Region, take_plane
from napari_dip.image.rows import Rows, bounds_of
from napari_dip.image.scaling import LARGEST, Scaling
from napari_dip.image.scan import ENDS, MASKED, Look, PlaneScan, scan_plane, strips_of, unpacked
from napari_dip.image.value_map import LINEAR, ValueMap
from napari_dip.image.waves import Wave
from napari_dip.image.work import Item, plan_planes

KEPT = 2**29
"""Bytes of a lazy image that are kept from the check to the work, so that it is computed once. A larger one is computed
once more to be restored, and the part of it that a network is fitted to once more for that."""

LATELY, BYTES_LATELY = 16, 2**28
"""Regions of a lazy image that were read last and are kept: planes that lie beside those at work are needed again. Of
large ones, as many as have so many bytes."""


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
        stay as they are, "outliers", which are replaced, and "lines" with offsets of their own, and "waves" through
        all of a plane, which are taken off.

    Attributes
    ----------
    values : ValueMap
        What is fitted; `range`, `ranges` and `floors` are of that. Values as they are, but for `with_values`.
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
        self.array, self.keep, self.suspects = as_array(image), keep, suspects
        self.values: ValueMap = LINEAR
        self.allow_nonfinite = allow_nonfinite
        self.guessed, self.axes = axes is None, axes_of_image(self.array, axes)
        self.outer = outer_axes(self.axes)
        self.sizes = dict(zip(self.axes, map(int, self.array.shape), strict=True))
        self.size = self.sizes["Y"], self.sizes["X"]
        self.items = plan_planes([self.sizes[a] for a in self.outer], self.size)
        self.mask = None if mask is None else self._read_mask(mask)
        self._lately: dict[tuple[tuple[int, ...], str], np.ndarray] = {}
        self._kept: dict[tuple[int, ...], np.ndarray] = {}
        self._store: np.ndarray | None = None
        self._keeps = not isinstance(self.array, np.ndarray) and self.array.nbytes <= keep
        self.colours = range(min(self.sizes.get("S", 1), 3))
        self._forget()
        self.digest, self.mask_digest = self._scan(allow_nonfinite)

    def with_values(self, values: ValueMap, suspects: Sequence[str]) -> Source:
        """Give the same image with other values to be fitted; it is scanned once more.

        Parameters
        ----------
        values : ValueMap
        suspects : sequence of str
            What is looked for that was not measured, as far as it can be in such values.

        Raises
        ------
        InputError
            If nothing is left to be restored.
        """
        other = copy(self)
        other.values, other.suspects = values, [one for one in suspects if one in values.suspects]
        other._forget()
        other._scan(self.allow_nonfinite)
        return other

    def _forget(self) -> None:
        """Begin with nothing found."""
        self.samples_of = {sample: sample for sample in self.colours}
        self.range = 0.0, 0.0
        self.ranges: dict[tuple[int, ...], tuple[float, float]] = {}
        self.floors: dict[tuple[int, ...], float] = {}
        self.areas: dict[tuple[int, ...], int] = {}
        self.outliers: dict[tuple[int, ...], int] = {}
        self._offsets: dict[tuple[int, ...], Offsets] = {}
        self._suspected: dict[tuple[tuple[int, ...], str], np.ndarray] = {}
        self.gaps: dict[tuple[int, ...], bool] = {}

    @property
    def samples(self) -> int:
        """Samples to restore: 3 for RGB, with or without alpha, else 1; fewer where some say nothing of their own.

        Angles count twice, as sine and cosine.
        """
        return len(self._own) * self.values.channels

    def raw(self, item: Item) -> np.ndarray:
        """Read an item as (samples, y, x), in the caller's units and a native dtype; alpha, if any, comes last."""
        if item.index in self._kept or isinstance(self.array, np.ndarray):
            return computable(self._stored(item))
        key = item.index, repr(item.read_region(self.size))
        if key not in self._lately:
            check_cancelled()
            self._lately[key] = computable(self._stored(item))
            while len(self._lately) > LATELY or self._is_much(self._lately):
                del self._lately[next(iter(self._lately))]
        return self._lately[key]

    def plane(self, item: Item, scaling: Scaling | None = None) -> Plane:
        """Read an item as the prior sees it; in its own range, if no other is given."""
        original = self.raw(item)
        measured = original[self._own].astype(np.float64)
        raw = self.values.forward(measured) - self._added(item)
        mask = self._masked(item)
        missing = ~np.isfinite(measured) | (mask[self._own] if len(mask) > 1 else mask)
        observed = np.asarray(~missing.any(0) & np.isfinite(raw).all(0))
        for what in MASKED:
            suspected = self._suspects(item, what)
            if suspected is not None:
                observed &= ~suspected
        scaling = scaling or Scaling.of(raw[:, observed], self.floors.get(item.index, 0.0))
        values = np.where(observed, scaling.to_prior(np.where(observed, raw, scaling.low)), 0.0)
        return Plane(np.ascontiguousarray(values, dtype=np.float32), observed, missing, scaling, original)

    def in_units(self, fitted: np.ndarray) -> np.ndarray:
        """Give what is fitted in the units of the image, as float32."""
        return self.values.inverse(fitted)

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
        return read_part(take_plane(array, axes, own, item.read_region(self.size)))

    def _stored(self, item: Item) -> np.ndarray:
        """Read an item in the type in which it is stored."""
        if item.index in self._kept:
            return self._kept[item.index][(slice(None), *item.read_region(self.size))]
        return self.read(self.array, self.axes, item)

    @staticmethod
    def _is_much(lately: dict[Any, np.ndarray]) -> bool:
        return len(lately) > 1 and sum(part.nbytes for part in lately.values()) > BYTES_LATELY

    def _masked(self, item: Item) -> np.ndarray:
        """Read the mask of an item, (samples or 1, y, x); that of an alpha sample is no matter."""
        if self.mask is None:
            return np.zeros((1, 1, 1), bool)
        return np.asarray(self.read(*self.mask, item)[: len(self.colours)] != 0)

    @property
    def lines(self) -> tuple[float, float]:
        """Give the standard deviation of the offsets of rows, and of columns; 0 where they have none."""
        variances = np.array([[np.var(one.rows), np.var(one.columns)] for one in self._offsets.values()]).reshape(-1, 2)
        rows, columns = np.sqrt(variances.mean(0)) if len(variances) else (0.0, 0.0)
        return float(rows), float(columns)

    @property
    def line_error(self) -> float:
        """Give the standard deviation of what is left of the offsets of lines."""
        rows, columns = (slow_error(deviation) for deviation in self.lines)
        return float(np.hypot(rows, columns))

    @property
    def waves(self) -> list[Wave]:
        """Give the waves of the sample in which these are strongest; empty where there are none."""
        found = [list(own) for one in self._offsets.values() for own in one.waves if own]
        return max(found, key=lambda own: own[0].amplitude, default=[])

    @property
    def _own(self) -> list[int]:
        """The samples that a plane has."""
        count = len(set(self.samples_of.values()))
        return [next(sample for sample, own in self.samples_of.items() if own == n) for n in range(count)]

    def _suspects(self, item: Item, what: str) -> np.ndarray | None:
        """Give the pixels of an item, with its halo, that are suspected; None if there are none in its plane."""
        packed = self._suspected.get((item.index, what))
        if packed is None:
            return None
        return unpacked(packed, item.read_region(self.size), self.size[1])

    def _added(self, item: Item) -> np.ndarray:
        """Give what the instrument has added to an item, with its halo, broadcast to (samples, y, x)."""
        found = self._offsets.get(item.index)
        return np.zeros((1, 1, 1)) if found is None else found.at(item.read_region(self.size))[self._own]

    def _read_mask(self, mask: Any) -> tuple[Any, str]:
        array = as_array(mask)
        axes = self.axes_of("mask", array)
        if not isinstance(array, np.ndarray) and array.nbytes <= self.keep:
            array = read_part(array)  # a mask of one plane would be computed for every plane
        return array, axes

    def _scan(self, allow_nonfinite: bool) -> tuple[str, str]:
        """Look at every plane once: finite, not constant, something to fill in and something to learn from."""
        masked, pixels = 0, 0
        extremes: dict[tuple[int, ...], np.ndarray] = {}
        alike = np.ones(len(self.colours) * self.values.channels, bool)
        digests = [new_digest(self.array)] + ([] if self.mask is None else [hashlib.sha256()])
        self._largest = 0.0
        for item in self.items:
            check_cancelled()
            found = scan_plane(self._look(item, digests[0], allow_nonfinite), self.size, self.suspects)
            self._hash(item, digests)
            if not self._keeps:
                self._kept.pop(item.index, None)
            self._note(item, found)
            if found.extremes is not None:
                extremes[item.index] = found.extremes
                alike &= found.alike
            masked, pixels = masked + found.masked, pixels + self.size[0] * self.size[1]
        self._settle_samples(extremes, alike)
        self.ranges = {index: (own[:, 0].min(), own[:, 1].max()) for index, own in extremes.items()}
        low = min((low for low, _ in self.ranges.values()), default=np.inf)
        high = max((high for _, high in self.ranges.values()), default=-np.inf)
        self._check_range(low, high, self._largest, masked, pixels)
        self.range = low, high
        found_digests = [f"sha256:{digest.hexdigest()}" for digest in digests]
        return found_digests[0], found_digests[1] if len(found_digests) > 1 else ""

    def _look(self, item: Item, digest: Any, allow_nonfinite: bool) -> Callable[[Region], Look]:
        """Give what reads regions of a plane for its scan, and refuses values that cannot be used.

        The rows of a lazy plane are read once, as long as they are wanted from top to bottom.
        """
        is_lazy, alone = not isinstance(self.array, np.ndarray), self.sizes.get("S", 1) == 1
        whole: list[np.ndarray] = []

        def note(start: int, part: np.ndarray) -> None:
            if alone:
                digest.update(np.ascontiguousarray(part).data)
            if self._keeps or not alone:
                if not whole:
                    whole.append(self._room(item, part))
                whole[0][:, start : start + part.shape[1]] = part
                if start + part.shape[1] == self.size[0]:
                    self._kept[item.index] = whole[0]

        def read(rows: slice) -> np.ndarray:
            return self.read(self.array, self.axes, replace(item, region=(rows, slice(0, self.size[1]))))

        rows = Rows(read, bounds_of(self.array, self.axes, self.size) if is_lazy else [], note)

        def look(region: Region) -> Look:
            here = replace(item, region=region)
            in_order = is_lazy and region[1] == slice(0, self.size[1]) and region[0].start >= rows.start
            values = computable(rows.take(region[0]) if in_order else self._stored(here))
            return self._checked(here, values, allow_nonfinite)

        return look

    def _room(self, item: Item, part: np.ndarray) -> np.ndarray:
        """Give an array to keep a plane in, of which this is a part.

        All that are kept share one, so that its memory is given back as a whole.
        """
        if not self._keeps:
            return np.empty((len(part), *self.size), part.dtype)
        if self._store is None:
            self._store = np.empty((len(self.items), len(part), *self.size), part.dtype)
        return np.asarray(self._store[item.number])

    def _checked(self, item: Item, whole: np.ndarray, allow_nonfinite: bool) -> Look:
        """Tell what is known of a region (samples, y, x), and refuse what cannot be."""
        raw, mask = whole[: len(self.colours)], self._masked(item)
        self._largest = max(self._largest, self._largest_of(whole, mask))
        finite, mask = np.isfinite(raw).all(0), np.broadcast_to(mask.any(0), raw.shape[1:])
        if not allow_nonfinite and not (finite | mask).all():
            raise self._refuse_nonfinite(item, finite, mask)
        if self.values is LINEAR:
            return Look(raw, finite & ~mask, mask)
        fitted = self.values.forward(raw)
        return Look(fitted, np.isfinite(fitted).all(0) & ~mask, mask)

    def _hash(self, item: Item, digests: Sequence[Any]) -> None:
        """Add a plane to the digest of the image, unless that was done in reading it, and to that of the mask."""
        samples = self.sizes.get("S", 1)
        if isinstance(self.array, np.ndarray) or samples > 1:
            for part in self._strips(item, samples, self._stored):
                digests[0].update(np.ascontiguousarray(part).data)
        if self.mask is not None:  # what is to be filled in, however the mask says it
            for part in self._strips(item, len(self.colours), self._masked):
                digests[1].update(np.ascontiguousarray(part).data)

    def _strips(self, item: Item, samples: int, read: Callable[[Item], np.ndarray]) -> Iterator[np.ndarray]:
        """Give a plane sample by sample and strip by strip; what there is but once is the same for all samples."""
        for sample in range(samples):
            for strip in strips_of(self.size):
                part = read(replace(item, region=(strip, slice(0, self.size[1]))))
                yield np.broadcast_to(part, (samples, *part.shape[1:]))[sample]

    def _note(self, item: Item, found: PlaneScan) -> None:
        """Take down what a scan has found."""
        self.gaps[item.index] = found.has_gaps
        self.floors[item.index] = found.floor
        if found.offsets is not None:
            self._offsets[item.index] = found.offsets
        for what, counts in (("areas", self.areas), ("outliers", self.outliers)):
            if what in found.counts:
                counts[item.index] = found.counts[what]
                self._suspected[item.index, what] = found.suspected[what]

    def _settle_samples(self, extremes: dict[tuple[int, ...], np.ndarray], alike: np.ndarray) -> None:
        """Leave out samples that are the same everywhere, and take one of several that are alike."""
        if not extremes or len(self.colours) == 1 or "areas" not in self.suspects:
            return
        low, high = (reduce(which, (one[:, n] for one in extremes.values())) for n, which in enumerate(ENDS))
        varied = [sample for sample in self.colours if high[sample] > low[sample]]
        if alike.all():
            self.samples_of = dict.fromkeys(self.colours, 0)
        elif varied and len(varied) < len(self.colours):
            self.samples_of = {sample: n for n, sample in enumerate(varied)}
        for index, one in extremes.items():
            extremes[index] = one[self._own]

    def _largest_of(self, whole: np.ndarray, mask: np.ndarray) -> float:
        """Give the largest size of what is known of a plane, alpha included; 0 where it cannot be beyond float32."""
        if whole.dtype.kind != "f" or whole.dtype.itemsize <= 4:
            return 0.0
        known = np.isfinite(whole)
        known[: len(self.colours)] &= ~mask
        return max(-float(whole.min(where=known, initial=0)), float(whole.max(where=known, initial=0)))

    def _refuse_nonfinite(self, item: Item, finite: np.ndarray, mask: np.ndarray) -> InputError:
        y, x = (int(i) + part.start for i, part in zip(np.argwhere(~(finite | mask))[0], item.region, strict=True))
        place = ", ".join(
            f"{a.lower()}={i}" for a, i in [*zip(self.outer, item.index, strict=True), ("Y", y), ("X", x)]
        )
        return InputError(
            f"The image holds {(~finite).sum()} pixels that are {bad_values(self.array)}, the first at {place}; "
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


def axes_of_image(array: Any, axes: str | None) -> str:
    """Give the axes of an image as capital letters, guessed where they are left out.

    Raises
    ------
    InputError
        If they do not fit it, or it holds no real numbers.
    """
    check_dtype(array.dtype)
    if not isinstance(axes, str | None):
        raise InputError(f"The axes {axes!r} are not allowed; give them as text, such as 'YX'.")
    found = guess_axes(array.shape, array.dtype) if axes is None else axes.upper()
    check_axes(found, array.shape)
    return found
