"""Arrays in a Zarr, read by region, once it is sure that they are numbers, and no more than they may be."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError, reason
from napari_dip.files.claims import check_chunk, check_claim
from napari_dip.files.zarr_chunks import careful_store
from napari_dip.files.zarr_store import as_mapping, inside, read_json, survey

if TYPE_CHECKING:
    import numpy as np

MORE = 8
"""Times the bytes of its values that a chunk may unfold to: filters may hold them in another type."""
SPARE = 2**20
"""Bytes that it may have beyond that."""
KEPT = 2**27
"""Bytes of planes in shared chunks that are kept, since they are asked for one after the other."""
PACKED = {"blosc", "zlib", "gzip", "zstd", "lz4", "lzma", "bz2"}
CODECS = PACKED | {"bytes", "transpose", "sharding_indexed", "shuffle", "delta", "bitround", "fixedscaleoffset"}
CODECS |= {"quantize", "packbits", "crc32c", "crc32", "adler32"}
"""Ways of packing that only ever give numbers. Others are not loaded, and pickles are among those."""
TYPES = {"bool", "float16", "float32", "float64"} | {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}


class StoredArray:
    """An array in a store, read by region, as it is needed. Looks like numpy's as far as images need that.

    Parameters
    ----------
    array : zarr.Array
    path : Path
        Of the store, for sentences.
    """

    def __init__(self, array: Any, path: Path):
        self._array, self._path = array, path
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.chunks: tuple[int, ...] = tuple(array.chunks)
        self.dtype: np.dtype[Any] = array.dtype
        self.ndim = len(self.shape)
        self.size = prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize
        self._lately: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read a region.

        Raises
        ------
        InputError
            If it is damaged.
        """
        try:
            whole, inner = self._whole_chunks(key)
            return self._read(key) if whole is None else self._slab(whole)[inner]
        except (InputError, MemoryError):
            raise
        except Exception as error:  # damaged chunks raise anything
            raise InputError(f"The file {str(self._path)!r} cannot be read as OME-Zarr: {reason(error)}.") from error

    def _read(self, key: Any) -> np.ndarray:
        import numpy as np

        return np.asarray(self._array[key])

    def _whole_chunks(self, key: Any) -> tuple[list[slice] | None, tuple[Any, ...]]:
        """Give the region of all planes that share their chunks with the one asked for, and where in it that lies.

        None, if no plane is asked for, planes share no chunks, or the region is too large to be kept.
        """
        if (
            not isinstance(key, tuple)
            or len(key) > self.ndim
            or not all(isinstance(one, slice | Integral) for one in key)
        ):
            return None, ()
        key += (slice(None),) * (self.ndim - len(key))
        region, inner, shares, size = [], list(key), False, self.dtype.itemsize
        for axis, (one, n, chunk) in enumerate(zip(key, self.shape, self._array.chunks, strict=True)):
            if isinstance(one, slice):
                region.append(slice(*one.indices(n)))
                inner[axis] = slice(None)
            else:
                first = one - one % chunk if 0 <= one < n else -1
                if first < 0:
                    return None, ()
                region.append(slice(int(first), int(min(first + chunk, n)), 1))
                inner[axis], shares = one - first, shares or chunk > 1
            size *= len(range(n)[region[-1]])
        return (region if shares and size <= KEPT else None), tuple(inner)

    def _slab(self, region: list[slice]) -> np.ndarray:
        """Read a region, or give it as it was read last: two are kept."""
        key = repr(region)
        if key not in self._lately:
            found = self._read(tuple(region))
            found.setflags(write=False)
            self._lately = {**dict(list(self._lately.items())[-1:]), key: found}
            return found
        return self._lately[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[...] if dtype is None else self[...].astype(dtype)


def array_shape(root: Path, below: str) -> tuple[int, ...]:
    """Read the shape of an array, and nothing else."""
    return _shape(_array_metadata(root, below)[0].get("shape"))


def open_array(root: Path, below: str) -> tuple[StoredArray, int]:
    """Open an array of a store.

    Returns
    -------
    array : StoredArray
    missing : int
        How many of its chunks are not there; they hold its fill value.

    Raises
    ------
    InputError
        If it claims far more than it can hold.
    ValueError
        If its metadata is damaged, it points outside of the store, or it is packed in a way that is not read.
    """
    import zarr

    found, number = _array_metadata(root, below)
    shape, chunk = _shape(found.get("shape")), _shape(_chunk(found, number))
    if len(chunk) != len(shape) or not all(chunk):
        raise ValueError(f"its array {below!r} has the shape {shape} and chunks of {chunk}")
    itemsize = _checked_type(found, number)
    codecs = [codec.removeprefix("numcodecs.") for codec in _codecs(found, number)]
    for codec in codecs:
        if codec not in CODECS:
            raise ValueError(f"its array {below!r} is packed by {codec!r}, which is not read")
    packed = [codec for codec in codecs if codec in PACKED]
    if len(packed) > 1:
        raise ValueError(f"its array {below!r} is packed several times ({', '.join(packed)}), which is not read")
    files, size, largest = survey(inside(root, below), root)
    check_claim(root, shape, itemsize, size)
    check_chunk(root, chunk, itemsize)
    most = MORE * prod(chunk) * itemsize + SPARE
    if largest > most:
        raise ValueError(f"a chunk of it has {largest} bytes, more than its values could take")
    expected = prod(ceil(n / m) for n, m in zip(shape, chunk, strict=True))
    if expected and not files:
        raise ValueError(f"its array {below!r} has no values: none of its {expected} chunks is there")
    store = careful_store(root, packed[0] if packed else None, most)
    array = zarr.open_array(store=store, path=below, mode="r", zarr_format=3 if number == 3 else 2)
    return StoredArray(array, root), max(expected - files, 0)


def _array_metadata(root: Path, below: str) -> tuple[dict[str, Any], int]:
    """Read the metadata of an array, and the number of its format."""
    folder = inside(root, below)
    for name, number in (("zarr.json", 3), (".zarray", 2)):
        if below and (folder / name).is_file():
            found = read_json(folder / name, root)
            if number == 2 or found.get("node_type") == "array":
                return found, number
    raise ValueError(f"it has no array {below!r}")


def _checked_type(found: dict[str, Any], number: int) -> int:
    """See that values are real numbers; give the bytes of one."""
    import numpy as np

    said = found.get("data_type" if number == 3 else "dtype")
    try:
        dtype = np.dtype(said) if isinstance(said, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.newbyteorder("=").name not in TYPES:
        raise ValueError(f"its values are of the type {said!r}, and no real numbers")
    return dtype.itemsize


def _chunk(found: dict[str, Any], number: int) -> Any:
    """Give the shape of a file with values: a chunk, or a shard of several."""
    if number == 2:
        return found.get("chunks")
    grid = as_mapping(found.get("chunk_grid"))
    return as_mapping(grid.get("configuration")).get("chunk_shape") if grid.get("name") == "regular" else None


def _codecs(found: dict[str, Any], number: int) -> Iterator[str]:
    """Name all ways in which an array is packed; those of shards lie in theirs."""
    if number == 2:
        for one in [*(found.get("filters") or []), *([found["compressor"]] if found.get("compressor") else [])]:
            yield str(as_mapping(one).get("id"))
        return
    yield from _named(found.get("codecs"))
    yield from (f"storage transformer {name}" for name in _named(found.get("storage_transformers") or []))


def _named(codecs: Any) -> Iterator[str]:
    for one in codecs if isinstance(codecs, list) else [None]:
        if isinstance(one, str):
            yield one
            continue
        said = as_mapping(one)
        yield str(said.get("name"))
        settings = said.get("configuration") or {}
        for inner in ("codecs", "index_codecs"):
            yield from _named(settings.get(inner) or []) if isinstance(settings, dict) else ()


def _shape(found: Any) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(type(n) is int and 0 <= n < 2**63 for n in found):
        raise ValueError(f"its metadata names a shape {str(found)[:50]!r}, which is none")
    return tuple(found)
