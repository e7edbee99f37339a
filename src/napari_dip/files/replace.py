"""Files that are there whole or not at all, and the check beforehand that they can be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO

from napari_dip.errors import InputError, reason


def check_output(path: Path, inputs: Iterable[Path], *, force: bool) -> None:
    """See that a file can be written there, before any work is done for it.

    Raises
    ------
    InputError
        If it exists (unless `force`), is one of the inputs, is a folder, or its folder is missing or read-only.
    """
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; give a file name to write to.")
    for other in inputs:
        if _same(path, other):
            raise InputError(f"The file {str(path)!r} would be written over while it is needed; choose another name.")
    if path.exists() and not force:
        raise InputError(f"The file {str(path)!r} exists; give --force to replace it.")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise InputError(f"There is no folder {str(folder)!r} to write {path.name!r} to; make it first.")
    try:
        probe = _beside(path)
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        raise InputError(f"The folder {str(folder)!r} cannot be written to: {reason(error)}.") from None


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside its place; put it there once it is complete, and remove it if anything goes wrong.

    Raises
    ------
    InputError
        If the system refuses, because the disk is full for example.
    """
    target, part = Path(os.path.realpath(path)), _beside(path)
    try:
        with part.open("xb+") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            part.chmod(target.stat().st_mode & 0o777)
        part.replace(target)
    except OSError as error:
        raise InputError(f"The file {str(path)!r} cannot be written: {reason(error)}.") from error
    finally:
        part.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """Give a new, short name in the folder of a file; that of its target, if it is a link."""
    return Path(os.path.realpath(path)).with_name(f".napari-dip-{token_hex(6)}.part")


def _same(one: Path, other: Path) -> bool:
    """Whether two names stand for one file, be it there or not."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    return one.exists() and other.exists() and one.samefile(other)
