"""What is to take its place: a list of parts and names in a small file, which is there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_dip.files.bounded import parse_json, read_bytes
from napari_dip.files.inside import is_plain
from napari_dip.files.locks import PREFIX, lock_name, locked, real


def name(key: str) -> str:
    """Name the journal of a unit."""
    return f"{PREFIX}{key}.journal"


def write(note: Path, new_name: Callable[[Path], Path], parts: Mapping[Path, Path]) -> None:
    """Write which part belongs where. In other folders than its own, a note says where it is, and is there before it.

    Parameters
    ----------
    note : Path
        The journal.
    new_name : callable
        Gives a new name in a folder for what is not complete.
    parts : mapping of Path to Path
        From the place of a file to its part.
    """
    for folder in {target.parent for target in parts} - {note.parent}:
        _write(folder / note.name, new_name(folder), {"journal": str(note)})
    files = [[_relative(target.parent, note.parent), part.name, target.name] for target, part in parts.items()]
    _write(note, new_name(note.parent), {"files": files})


def finish(note: Path) -> None:
    """Put parts in their places, as far as that is not done, and remove the journal."""
    files, folders = _files(note), set()
    for part, target in files:
        folders.add(target.parent)
        if not part.exists():
            continue
        if target.is_dir() or (part.is_dir() and target.exists()):  # a folder takes no other's place by itself
            target.rename(part.with_suffix(".old"))
        part.replace(target)
        shutil.rmtree(part.with_suffix(".old"), ignore_errors=True)
        part.with_suffix(".old").unlink(missing_ok=True)
    for folder in folders:
        _names_to_disk(folder)
    note.unlink()
    for folder in folders - {note.parent}:
        (folder / note.name).unlink(missing_ok=True)


def settle(note: Path) -> bool:
    """Finish what a journal tells of, or a note in another folder; False if all of it has to stay for now.

    The caller has the lock of the unit in that folder.
    """
    try:
        found = _read(note)
        if "journal" not in found:
            finish(note)
            return True
        other = Path(found["journal"])
        if other.name != note.name or not other.exists() or not _names_folder(other, note.parent):
            note.unlink()
            return True
        key = note.name.removeprefix(PREFIX).removesuffix(".journal")
        with locked([other.with_name(lock_name(key))]) as free:
            if free:
                finish(other)
            return free
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _files(note: Path) -> list[tuple[Path, Path]]:
    """Read parts and their places; what is not from this program could put a file anywhere, so it is not taken.

    Another folder than that of the journal has to agree, by a note in it that names the journal.
    """
    part_of_this = re.compile(re.escape(note.name.removesuffix(".journal")) + r"-[0-9a-f]{12}\.part")
    found = []
    for name, part, target in _read(note)["files"]:
        folder = note.parent if name == "." else Path(name)
        agrees = name == "." or (folder.is_absolute() and _names_journal(folder / note.name, note))
        if not (agrees and is_plain(part) and part_of_this.fullmatch(part) and is_plain(target)):
            raise ValueError(f"{str(note)!r} is no journal of napari-dip")
        found.append((folder / part, folder / target))
    return found


def _names_journal(other: Path, note: Path) -> bool:
    """Whether a note in another folder is one of a journal."""
    return real(str(_read(other).get("journal"))) == real(note)


def _names_folder(note: Path, folder: Path) -> bool:
    """Whether a journal has files in a folder."""
    return any(real(str(name)) == real(folder) for name, _, _ in _read(note)["files"])


def _read(note: Path) -> dict[str, Any]:
    found = parse_json(read_bytes(note, "journal"))
    if not isinstance(found, dict):
        raise ValueError(f"{str(note)!r} is no journal of napari-dip")
    return found


def _write(note: Path, part: Path, content: dict[str, Any]) -> None:
    with part.open("xb") as file:
        file.write(json.dumps(content).encode())
        file.flush()
        os.fsync(file.fileno())
    _names_to_disk(note.parent)  # the parts have to be there before it
    part.replace(note)
    _names_to_disk(note.parent)


def _relative(folder: Path, start: Path) -> str:
    """Say where a folder is; from the own one, so that it may be moved."""
    return "." if folder == start else str(folder)


def to_disk(path: Path) -> None:
    """Have the system keep a file, or the names in a folder, through a loss of power.

    Raises
    ------
    OSError
        If it cannot.
    """
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return  # not every system can
    at = os.open(path, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


def _names_to_disk(folder: Path) -> None:
    """Have the names in a folder kept, where the system can."""
    with suppress(OSError):
        to_disk(folder)
