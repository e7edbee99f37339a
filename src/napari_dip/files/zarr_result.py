"""An OME-Zarr in the making: its largest level is written region by region, then all that follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError, reason
from napari_dip.files import ngff
from napari_dip.files.journal import to_disk
from napari_dip.files.locks import held_back
from napari_dip.image.axes import guess_axes

if TYPE_CHECKING:
    import numpy as np

    from napari_dip.files.metadata import Picture

CHUNK = 512
"""Pixels of a chunk along Y and X: 1 MB of float32. Each plane has chunks of its own."""
ROWS = 2**26
"""Pixels of a plane that are read at a time, to be made smaller."""
SMALLEST = 256
"""Pixels of the smallest level that is still halved."""
OLD = ("0.1", "0.2", "0.3", "0.4")
"""Versions of which results are written in 0.4; of any other, in 0.5."""


class ZarrResult:
    """A result in a store, indexed as numpy's arrays are, by whole numbers and slices; NaN where nothing was written.

    Parameters
    ----------
    folder : Path
        To be made.
    shape : tuple of int
    axes : str
        One letter for each dimension, in any order. Samples of RGB are written as channels.
    source : Picture
        What the result is made from; its metadata hold for the result.
    dtype : dtype
    make : bool
        False to go on with one that was begun: in another process, perhaps. Several may write to it at once, as long as
        each writes other planes, or regions of one that begin and end at multiples of `CHUNK`.

    Attributes
    ----------
    path : Path
        Of what sentences are about: that of the folder, if nothing else is said.

    Raises
    ------
    InputError
        In writing, if the system refuses.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, ...],
        axes: str,
        source: Picture,
        dtype: Any = "float32",
        *,
        make: bool = True,
    ):
        import numpy as np
        import zarr

        self.shape, self.dtype, self.ndim, self.axes = tuple(map(int, shape)), np.dtype(dtype), len(shape), axes
        sizes = dict(zip(axes, self.shape, strict=True))
        self._gray = sizes.get("S", 0) == 1  # a single sample is no axis in the store
        self._names = ["C" if a == "S" and not self._gray else a for a in axes]
        self._order = [a for a in ngff.ORDER if a in self._names]
        stored = dict(zip(self._names, self.shape, strict=True))
        old = str(source.metadata.in_dialect("ome").kept.get("zarr", {}).get("version")) in OLD
        self.path = folder
        self._group: Any = None
        self._untouched = make
        if not make:
            self.moved(folder)
            return
        with held_back():
            self._group = zarr.create_group(zarr.storage.LocalStore(folder), zarr_format=2 if old else 3)
            self._array = self._level(0, tuple(stored[a] for a in self._order))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Of all values."""
        return prod(self.shape) * int(self.dtype.itemsize)

    def __setitem__(self, key: Any, values: Any) -> None:
        import numpy as np

        if key is Ellipsis and self._untouched and self.dtype.kind == "f" and np.ndim(values) == 0 and np.isnan(values):
            return  # all of it is
        self._untouched = False
        place, given, kept = self._place(key)
        values = np.asarray(values, self.dtype)
        if values.ndim:
            if "S" in given and self._gray:
                values = values.squeeze(given.index("S"))
                given.remove("S")
            values = values.transpose([given.index(a) for a in kept])
        try:
            with held_back():  # zarr writes in a thread of its own, which an interruption would not end
                self._array[place] = values
        except OSError as error:
            raise InputError(f"The file {str(self.path)!r} cannot be written: {reason(error)}.") from error

    def __getitem__(self, key: Any) -> np.ndarray:
        import numpy as np

        place, asked, kept = self._place(key)
        values = np.asarray(self._array[place])
        values = values.transpose([kept.index(a) for a in asked if a in kept])
        return np.expand_dims(values, asked.index("S")) if "S" in asked else values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[...].astype(dtype or self.dtype, copy=False)

    def finish(self, source: Picture) -> None:
        """Write smaller levels, and all that is said of the result.

        Parameters
        ----------
        source : Picture
            As it was when this was made.
        """
        self.make_levels()
        self.describe(source, [self.fill(index) for index in self._all_planes])

    @property
    def _all_planes(self) -> Iterator[tuple[int, ...]]:
        return product(*map(range, self._array.shape[:-2]))

    def make_levels(self) -> None:
        """Make smaller levels, with nothing in them."""
        shape = self._array.shape
        with held_back():
            for n, factor in enumerate(_factors(shape)[1:], 1):
                self._level(n, (*shape[:-2], *(m // factor for m in shape[-2:])))

    def fill(self, index: tuple[int, ...]) -> tuple[tuple[int, ...], float, float]:
        """Write the smaller levels of a plane, from rows as many as fit in memory at a time.

        Parameters
        ----------
        index : tuple of int
            Along the axes of the store but Y and X.

        Returns
        -------
        index, low, high
            The least and the largest value; inf and -inf if there is none.
        """
        import numpy as np

        levels = [self._group[str(n)] for n in range(1, len(_factors(self._array.shape)))]
        height, width = self._array.shape[-2:]
        step = 2 ** len(levels) * CHUNK
        rows = max(ROWS // width // step, 1) * step
        low, high = np.inf, -np.inf
        for top in range(0, height, rows):
            plane = np.asarray(self._array[(*index, slice(top, top + rows))])
            finite = plane[np.isfinite(plane)]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            with held_back():
                if not finite.size:
                    self._array[(*index, slice(top, top + rows))] = plane  # so that its chunks are there, too
                for n, level in enumerate(levels, 1):
                    plane = _halved(plane)
                    values = (np.rint(plane) if self.dtype.kind in "iu" else plane).astype(self.dtype)
                    level[(*index, slice(top >> n, (top >> n) + len(values)))] = values
        return index, low, high

    def describe(self, source: Picture, ends: Iterable[tuple[tuple[int, ...], float, float]]) -> None:
        """Write all that is said of the result, once its levels are filled.

        Parameters
        ----------
        source : Picture
        ends : iterable
            What `fill` gave for each plane.
        """
        import zarr

        shape, axes = self._array.shape, "".join(self._order)
        metadata, factors = source.metadata.in_dialect("ome"), _factors(shape)
        low, high = self._windows(ends)
        said: dict[str, Any] = {"multiscales": [ngff.multiscale(axes, factors, metadata, self._smaller(source))]}
        if (omero := ngff.channels(metadata, low, high)) is not None:
            said["omero"] = omero
        own = {ngff.OWN: {"samples": True}} if "S" in self.axes and not self._gray else {}
        if self._group.metadata.zarr_format == 2:
            said["multiscales"][0]["version"] = "0.4"
        else:
            said = {"ome": {"version": "0.5", **said}}
        with held_back():  # opened anew, since zarr holds on to what it could not write
            zarr.open_group(self._group.store, mode="r+").update_attributes({**said, **own})

    def planes(self, region: Mapping[str, tuple[int, int]]) -> list[tuple[int, ...]]:
        """Give the planes of a region, by the letters of its axes, as `fill` takes them."""
        outer = [range(*region[axis]) for axis in self._order[:-2]]
        return list(product(*outer))

    def keep(self, region: Mapping[str, tuple[int, int]], *, all_levels: bool = False) -> None:
        """Have the system keep a region of the largest level, or of all, through a loss of power."""
        for n, factor in enumerate(_factors(self._array.shape) if all_levels else (1,)):
            array, folder = self._group[str(n)], Path(self._group.store.root) / str(n)
            factors = (*(1 for _ in self._order[:-2]), factor, factor)
            spans = [
                range(region[axis][0] // by // chunk, -(-min(region[axis][1] // by or 1, size) // chunk))
                for axis, by, size, chunk in zip(self._order, factors, array.shape, array.chunks, strict=True)
            ]
            for place in product(*spans):
                to_disk(folder / array.metadata.encode_chunk_key(place))

    def moved(self, folder: Path) -> None:
        """Say where the store is from now on."""
        import zarr

        self._group = zarr.open_group(zarr.storage.LocalStore(folder), mode="r+")
        self._array = self._group["0"]

    def _place(self, key: Any) -> tuple[tuple[Any, ...], list[str], list[str]]:
        """Give a key of the store, and the axes that are left by it: as they are asked for, and in the store."""
        asked = [slice(None)] * self.ndim
        keys = () if key is Ellipsis else key if isinstance(key, tuple) else (key,)
        asked[: len(keys)] = keys
        by_name = dict(zip(self._names, asked, strict=True))
        left = [a for a, one in zip(self._names, asked, strict=True) if isinstance(one, slice)]
        return tuple(by_name[a] for a in self._order), left, [a for a in self._order if a in left]

    def _level(self, number: int, shape: tuple[int, ...]) -> Any:
        from zarr.codecs import BloscCodec, BloscShuffle

        if self._group.metadata.zarr_format == 2:
            from numcodecs import Blosc

            own: dict[str, Any] = {"compressors": Blosc("zstd", 5, Blosc.SHUFFLE), "filters": None}
            own["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
        else:
            packed = BloscCodec(cname="zstd", clevel=5, shuffle=BloscShuffle.shuffle, typesize=self.dtype.itemsize)
            own = {"compressors": packed, "dimension_names": [a.lower() for a in self._order]}
        return self._group.create_array(
            str(number),
            shape=shape,
            dtype=self.dtype,
            chunks=(1,) * (len(shape) - 2) + tuple(min(n, CHUNK) for n in shape[-2:]),
            fill_value=float("nan") if self.dtype.kind == "f" else 0,
            config={"write_empty_chunks": True},  # so that one that is not there was lost
            overwrite=True,
            **own,
        )

    def _windows(self, ends: Iterable[tuple[tuple[int, ...], float, float]]) -> tuple[list[float], list[float]]:
        """Give the least and largest value of each channel; 0 where there is none."""
        axis = self._order.index("C") if "C" in self._order else None
        own: dict[int, list[float]] = {n: [] for n in range(1 if axis is None else self._array.shape[axis])}
        for index, *pair in ends:
            own[0 if axis is None else index[axis]] += [value for value in pair if isfinite(value)]
        return [min(one, default=0.0) for one in own.values()], [max(one, default=0.0) for one in own.values()]

    def _smaller(self, source: Picture) -> int:
        """Give how much smaller pixels have become, by the numbers of rows."""
        before = source.axes or guess_axes(source.array.shape, source.array.dtype)
        return max(self.shape[self.axes.index("Y")] // int(source.array.shape[before.index("Y")]), 1)


def _factors(shape: tuple[int, ...]) -> list[int]:
    """Give how much smaller each level is."""
    factors = [1]
    while max(shape[-2:]) // factors[-1] > SMALLEST and min(shape[-2:]) // factors[-1] >= 2:
        factors.append(2 * factors[-1])
    return factors


def _halved(plane: np.ndarray) -> np.ndarray:
    """Give the means of 2 x 2 pixels; an odd last row or column is left out."""
    import numpy as np

    y, x = (n // 2 for n in plane.shape)
    blocks = plane[: 2 * y, : 2 * x].reshape(y, 2, x, 2)
    return np.asarray(blocks.mean((1, 3), dtype=np.float64))
