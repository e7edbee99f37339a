"""Folders in the format Zarr, read with nothing believed: no path and no link leads out of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from napari_dip.errors import reason
from napari_dip.files.bounded import parse_json, read_bytes
from napari_dip.files.inside import is_inside

MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
"""Files that make a folder a Zarr, the newer format first."""


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
        found = read_json(folder / "zarr.json", root)
        return (
            Group(root, below, 3, as_mapping(found.get("attributes", {})))
            if found.get("node_type") == "group"
            else None
        )
    if (folder / ".zattrs").is_file():
        return Group(root, below, 2, read_json(folder / ".zattrs", root))
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
    if is_odd or not is_inside(folder, root):
        raise ValueError(f"its metadata points to {below!r}, outside of its folder")
    return folder


def survey(folder: Path, root: Path) -> tuple[int, int, int]:
    """Count the files with values in a folder, their bytes, and those of the largest.

    Raises
    ------
    ValueError
        If there is a link that leads out of the store.
    """
    sizes = []
    for entry in _entries(folder):
        if entry.is_symlink() and not is_inside(Path(entry.path), root):
            raise ValueError(f"it holds a link {entry.name!r} that leads outside of its folder")
        if not entry.is_file() and not entry.is_dir():
            raise ValueError(f"it holds {entry.name!r}, which is no file")  # a pipe would wait for ever
        if entry.is_file() and entry.name not in MARKS and not entry.name.startswith("."):
            sizes.append(entry.stat().st_size)
    return len(sizes), sum(sizes), max(sizes, default=0)


def _entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    """Give all that lies in a folder and in its folders; links to folders are given, and not followed."""
    left = [str(folder)]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                yield entry


def read_json(path: Path, root: Path) -> dict[str, Any]:
    """Read metadata of a store.

    Raises
    ------
    ValueError
        If it is damaged, or lies elsewhere.
    """
    if not is_inside(path, root):
        raise ValueError(f"its {path.name} is a link that leads outside of its folder")
    content = read_bytes(path, "metadata")
    try:
        return as_mapping(parse_json(content))
    except ValueError as error:
        raise ValueError(f"its {path.relative_to(root)} is damaged ({reason(error)})") from None


def as_mapping(found: Any) -> dict[str, Any]:
    """Take a part of the metadata for what it should be; a ValueError if it is not."""
    if not isinstance(found, dict):
        raise ValueError(f"its metadata holds {str(found)[:50]!r} where a mapping is due")
    return found
