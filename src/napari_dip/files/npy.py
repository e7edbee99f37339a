"""NPY files: an array, and nothing else."""

from __future__ import annotations

from math import prod
from numbers import Integral
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_dip.errors import InputError
from napari_dip.files.format import Format
from napari_dip.files.metadata import Picture

if TYPE_CHECKING:
    import numpy as np

IN_MEMORY = 2**28
"""Bytes up to which values are read at once."""


class ValuesInFile:
    """An array in an NPY file, read by region, as it is needed.

    It is not mapped: a mapped file that is cut off meanwhile ends the process without a word.

    Parameters
    ----------
    path : Path
    offset : int
        Of the first value, in bytes.
    shape : tuple of int
    dtype : numpy dtype
    """

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]):
        self._path, self._offset = path, offset
        self.shape, self.dtype, self.ndim, self.size = shape, dtype, len(shape), prod(shape)
        self.nbytes = self.size * dtype.itemsize

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read a region: as many planes of the first axis as it has a part in.

        Raises
        ------
        InputError
            If the file ends before.
        """
        import numpy as np

        first, *others = key if isinstance(key, tuple) else (key,)
        if isinstance(first, slice):
            span = range(self.shape[0])[first]
            rows = self._rows(min(span), max(span) + 1) if len(span) else self._rows(0, 0)
            return rows[(slice(None, None, span.step), *others)]
        if isinstance(first, Integral):
            row = range(self.shape[0])[int(first)]
            return np.asarray(self._rows(row, row + 1)[(0, *others)])
        return np.asarray(self._rows(0, self.shape[0])[key])

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all."""
        import numpy as np

        return np.asarray(self._rows(0, self.shape[0]), dtype)

    def _rows(self, low: int, high: int) -> np.ndarray:
        import numpy as np

        shape = (high - low, *self.shape[1:])
        start = self._offset + low * prod(self.shape[1:]) * self.dtype.itemsize
        found = np.fromfile(self._path, self.dtype, prod(shape), offset=start)
        if found.size != prod(shape):
            raise InputError(f"The file {str(self._path)!r} was cut off while it was read; put it there again.")
        return found.reshape(shape)


def read(path: Path) -> Picture:
    """Read an array; a large one is read by region, as it is used.

    Raises
    ------
    ValueError
        If the file is no NPY file, or holds Python objects, which only a pickle can.
    """
    import numpy as np

    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)  # np.load takes what is no NPY file for a pickle, and says so
        head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = head(file)
        offset = file.tell()
    size = prod(shape) * dtype.itemsize
    if not dtype.hasobject and path.stat().st_size < offset + size:
        raise ValueError(f"it ends after {path.stat().st_size} bytes, and its array has {offset + size}")
    if by_columns or dtype.hasobject or size <= IN_MEMORY or not shape:
        return Picture(np.load(path, allow_pickle=False))
    return Picture(ValuesInFile(path, offset, shape, dtype))  # type: ignore[arg-type]


def write(file: IO[bytes], image: np.ndarray, axes: str, source: Picture) -> None:
    """Write the values of an image; the file has no place for its axes and metadata."""
    import numpy as np

    np.save(file, image, allow_pickle=False)


NPY = Format(
    name="NPY",
    suffixes=(".npy",),
    about="NPY holds float32 in the units of the image, and nothing else.",
    read=read,
    write=write,
)
