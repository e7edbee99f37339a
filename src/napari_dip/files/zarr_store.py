"""Folders in the format Zarr, read with nothing believed: no path leads out of them, and no code comes with them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, prod
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError, reason
from napari_dip.files.claims import check_chunk, check_claim

if TYPE_CHECKING:
    import numpy as np

LARGEST = 1 << 26
"""Bytes of metadata; a plate of 1,536 wells has some hundred thousand."""
KEPT = 2**27
"""Bytes of planes in shared chunks that are kept, since they are asked for one after the other."""
MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
"""Files that make a folder a Zarr, the newer format first."""
PACKED = {"blosc", "zlib", "gzip", "zstd", "lz4", "lzma", "bz2"}
CODECS = PACKED | {"bytes", "transpose", "sharding_indexed", "shuffle", "delta", "bitround", "fixedscaleoffset"}
CODECS |= {"quantize", "packbits", "crc32c", "crc32", "adler32"}
"""Ways of packing that only ever give numbers. Others are not loaded, and pickles are among those."""
TYPES = {"bool", "float16", "float32", "float64"} | {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}


@dataclass(frozen=True)
class Group:
    """A group of a store.

    Attributes
    ----------
    root : Path
        Folder of the store.
    below : str
        Path of the group in it; empty for the store itself.
    format : int
        Of Zarr: 2 or 3.
    attributes : dict
        What is said of it.
    """

    root: Path
    below: str
    format: int
    attributes: dict[str, Any]

    def path(self, name: Any) -> str:
        """Give the path in the store of what lies in this group."""
        if not isinstance(name, str):
            raise ValueError(f"its metadata names a path {name!r}, which is no text")
        return f"{self.below}/{name}" if self.below else name


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


def is_store(folder: Path) -> bool:
    """Whether a folder is a Zarr."""
    return folder.suffix.lower() == ".zarr" and any((folder / mark).is_file() for mark in MARKS)


def read_group(root: Path, below: str = "") -> Group | None:
    """Read what is said of a group; None if there is none.

    Raises
    ------
    ValueError
        If its metadata is damaged, or it lies outside of the store.
    """
    folder = inside(root, below)
    if (folder / "zarr.json").is_file():
        found = _read_json(folder / "zarr.json", root)
        return Group(root, below, 3, _dict(found.get("attributes", {}))) if found.get("node_type") == "group" else None
    if (folder / ".zattrs").is_file():
        return Group(root, below, 2, _read_json(folder / ".zattrs", root))
    return Group(root, below, 2, {}) if (folder / ".zgroup").is_file() else None


def inside(root: Path, below: str) -> Path:
    """Give a folder of a store.

    Raises
    ------
    ValueError
        If it lies elsewhere, by its name or by a link.
    """
    parts = PurePosixPath(below).parts
    folder = root.joinpath(*parts)
    is_odd = below.startswith("/") or ".." in parts or any(c in below for c in "\\:\0")
    if is_odd or not folder.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"its metadata points to {below!r}, outside of its folder")
    return folder


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
    for codec in _codecs(found, number):
        if codec.removeprefix("numcodecs.") not in CODECS:
            raise ValueError(f"its array {below!r} is packed by {codec!r}, which is not read")
    files, size = _survey(inside(root, below), root)
    check_claim(root, shape, itemsize, size)
    check_chunk(root, chunk, itemsize)
    expected = prod(ceil(n / m) for n, m in zip(shape, chunk, strict=True))
    if expected and not files:
        raise ValueError(f"its array {below!r} has no values: none of its {expected} chunks is there")
    store = zarr.storage.LocalStore(root, read_only=True)
    array = zarr.open_array(store=store, path=below, mode="r", zarr_format=3 if number == 3 else 2)
    return StoredArray(array, root), max(expected - files, 0)


def _array_metadata(root: Path, below: str) -> tuple[dict[str, Any], int]:
    """Read the metadata of an array, and the number of its format."""
    folder = inside(root, below)
    for name, number in (("zarr.json", 3), (".zarray", 2)):
        if below and (folder / name).is_file():
            found = _read_json(folder / name, root)
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
    grid = _dict(found.get("chunk_grid"))
    return _dict(grid.get("configuration")).get("chunk_shape") if grid.get("name") == "regular" else None


def _codecs(found: dict[str, Any], number: int) -> Iterator[str]:
    """Name all ways in which an array is packed; those of shards lie in theirs."""
    if number == 2:
        for one in [*(found.get("filters") or []), *([found["compressor"]] if found.get("compressor") else [])]:
            yield str(_dict(one).get("id"))
        return
    yield from _named(found.get("codecs"))
    yield from (f"storage transformer {name}" for name in _named(found.get("storage_transformers") or []))


def _named(codecs: Any) -> Iterator[str]:
    for one in codecs if isinstance(codecs, list) else [None]:
        if isinstance(one, str):
            yield one
            continue
        said = _dict(one)
        yield str(said.get("name"))
        settings = said.get("configuration") or {}
        for inner in ("codecs", "index_codecs"):
            yield from _named(settings.get(inner) or []) if isinstance(settings, dict) else ()


def _survey(folder: Path, root: Path) -> tuple[int, int]:
    """Count the files with values in a folder, and their bytes; a link that leads out of the store is refused."""
    files, size, home = 0, 0, root.resolve()
    for entry in _entries(folder):
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(home):
            raise ValueError(f"it holds a link {entry.name!r} that leads outside of its folder")
        if entry.is_file() and entry.name not in MARKS and not entry.name.startswith("."):
            files, size = files + 1, size + entry.stat().st_size
    return files, size


def _entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    """Give all that lies in a folder and in its folders; links to folders are given, and not followed."""
    left = [str(folder)]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                yield entry


def _shape(found: Any) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(type(n) is int and 0 <= n < 2**63 for n in found):
        raise ValueError(f"its metadata names a shape {str(found)[:50]!r}, which is none")
    return tuple(found)


def _read_json(path: Path, root: Path) -> dict[str, Any]:
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"its {path.name} is a link that leads outside of its folder")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"its {path.name} has more than {LARGEST >> 20} MB")
    try:
        return _dict(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its {path.relative_to(root)} is damaged ({reason(error)})") from None


def _dict(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"its metadata holds {str(found)[:50]!r} where a mapping is due")
    return found
