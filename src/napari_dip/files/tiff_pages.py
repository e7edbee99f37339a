"""The pages of a TIFF file, walked before anything of them is read: a damaged file leads from page to page for ever."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import IO

from napari_dip.files.bounded import check_readable, open_regular
from napari_dip.files.inside import inside

MOST_UNKNOWN = 200
"""Tags of no known type in a file; each is looked at, and told of."""
MOST_MISSING = 1000
"""Strips or tiles that a file may lack, whatever its size."""
TYPES = {*range(1, 14), 16, 17, 18}
"""Numbers of the types of values (TIFF 6.0; 16 to 18 of BigTIFF)."""
LAYOUTS = {42: ("H", "I", 12, 4), 43: ("Q", "Q", 20, 8)}
"""By the version in the head: of a number of tags, of an offset, the bytes of a tag, where the first offset is."""
FILE_NAME = re.compile(r"\bFileName\s*=\s*[\"']([^\"'<>]{1,1000})[\"']")


def check_pages(path: Path) -> None:
    """See that pages lie beside each other, and that most of their tags are such.

    Raises
    ------
    InputError
        If the file is none that can be read.
    ValueError
        If they do not.
    """
    with open_regular(path) as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) == 16 else 0
        if version in LAYOUTS:
            _walk(file, head, f"{order}", version)


def _walk(file: IO[bytes], head: bytes, order: str, version: int) -> None:
    counted, offset, size, first = LAYOUTS[version]
    number_of, next_of = struct.Struct(order + counted), struct.Struct(order + offset)
    length, used, unknown = file.seek(0, 2), 0, 0
    seen: set[int] = set()
    at = next_of.unpack_from(head, first)[0]
    while 0 < at < length:
        if at in seen:
            raise ValueError("its pages lead back to an earlier one")
        seen.add(at)
        file.seek(at)
        start = file.read(number_of.size)
        if len(start) < number_of.size:
            return
        number = number_of.unpack(start)[0]
        tags = file.read(min(number * size, length))
        used += number_of.size + len(tags) + next_of.size
        if used > length + next_of.size:
            raise ValueError("its pages lie in each other")
        unknown += sum(kind not in TYPES for kind in _kinds(tags, order, size))
        if unknown > MOST_UNKNOWN:
            raise ValueError("most of what it says of its pages is no tag")
        end = file.read(next_of.size)
        if len(end) < next_of.size:
            return
        at = next_of.unpack(end)[0]


def _kinds(tags: bytes, order: str, size: int) -> list[int]:
    """Give the types of some tags."""
    layout = struct.Struct(f"{order}2xH{size - 4}x")
    return [kind for (kind,) in layout.iter_unpack(tags[: len(tags) // size * size])]


def check_parts(parts: Sequence[int], listed: int) -> None:
    """See that an image has about as many strips or tiles as the file lists; each that is missing takes its time.

    Raises
    ------
    ValueError
        If most of them are not there.
    """
    if prod(parts) > 2 * listed + MOST_MISSING:
        raise ValueError(f"it lists {listed} strips or tiles, and an image of its size has {prod(parts)}")


def check_other_files(path: Path, said: str | None) -> None:
    """See that files that the metadata of OME names lie beside it, and are such.

    Raises
    ------
    InputError
        If they are not.
    """
    for name in set(FILE_NAME.findall(said or "")):
        if os.path.exists(path.parent / name):  # what is not there is not opened
            check_readable(inside(path.parent, name))
