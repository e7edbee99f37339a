"""What a packed chunk unfolds to, told before it is: a small file could fill any memory."""

from __future__ import annotations

import bz2
import lzma
import zlib
from pathlib import Path
from typing import Any

STEP = 2**20
"""Bytes that are unfolded at a time to count them, where a format does not say how many there are."""
ZSTD = b"\x28\xb5\x2f\xfd"
SKIPPED = b"\x2a\x4d\x18"
BLOCK = 2**17
"""The most that a block of Zstandard unfolds to (RFC 8878)."""


def check_unfolds(content: memoryview, codec: str, most: int) -> None:
    """See that a chunk does not unfold to more than it should.

    Parameters
    ----------
    content : memoryview of bytes
    codec : str
        By which it is packed.
    most : int
        Bytes.

    Raises
    ------
    ValueError
        If it does, or is damaged.
    """
    if codec == "blosc":
        size = int.from_bytes(content[4:8], "little")
    elif codec == "lz4":
        size = int.from_bytes(content[:4], "little")
    elif codec == "zstd":
        size = _zstd(content, most)
    else:
        size = _counted(content, codec, most)
    if size > most:
        raise ValueError(f"a chunk of it unfolds to more than {most >> 20} MB, which it should not")


def _zstd(content: memoryview, most: int) -> int:
    """Give what the frames unfold to at least nearly, from the headers of their blocks."""
    at, size, most = 0, 0, most + BLOCK
    while at + 4 <= len(content) and size <= most:
        magic = bytes(content[at : at + 4])
        if magic != ZSTD:
            if magic[1:] != SKIPPED or magic[0] >> 4 != 5:
                break  # what follows, such as a checksum, is none
            at += 8 + int.from_bytes(content[at + 4 : at + 8], "little")
            continue
        said = content[at + 4] if at + 4 < len(content) else 0
        is_single = said >> 5 & 1
        at += 5 + (1 - is_single) + (0, 1, 2, 4)[said & 3] + (is_single, 2, 4, 8)[said >> 6]
        last = False
        while not last and at + 3 <= len(content) and size <= most:
            header = int.from_bytes(content[at : at + 3], "little")
            last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
            size += BLOCK if kind == 2 else length
            at += 3 + (1 if kind == 1 else length)
        at += 4 * (said >> 2 & 1)
    return max(size - BLOCK, 0)  # the last block may hold next to nothing


def _counted(content: memoryview, codec: str, most: int) -> int:
    """Unfold it piece by piece, and keep none of it."""
    if codec in ("gzip", "zlib") and len(content) * 1032 <= most:  # the most that they can
        return 0
    size, left = 0, bytes(content)
    while left and size <= most:
        unfold: Any = {"bz2": bz2.BZ2Decompressor, "lzma": lzma.LZMADecompressor}.get(codec, _Deflate)()
        while not unfold.eof and size <= most:
            found = unfold.decompress(left, STEP)
            size, left = size + len(found), b""
            if not found and unfold.needs_input:
                return size  # it was cut off, which its reader will say
        left = unfold.unused_data
    return size


class _Deflate:
    """Unfolds as `bz2` and `lzma` do."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(47)  # with the header of gzip or of zlib
        self._left = b""

    def decompress(self, data: bytes, most: int) -> bytes:
        found = self._inner.decompress(self._left + data, most)
        self._left = self._inner.unconsumed_tail
        return found

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._left

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def careful_store(root: Path, codec: str | None, most: int) -> Any:
    """Make a store, to be read only, that looks at chunks before they are unfolded."""
    from zarr.storage import LocalStore

    class CarefulStore(LocalStore):  # type: ignore[misc]  # nothing is known of its type
        async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
            found = await super().get(key, prototype, byte_range)
            name = key.rsplit("/", 1)[-1]
            if codec is not None and found is not None and name != "zarr.json" and not name.startswith("."):
                check_unfolds(memoryview(found.as_numpy_array()).cast("B"), codec, most)
            return found

    return CarefulStore(root, read_only=True)
