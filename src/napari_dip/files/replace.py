"""Files that are there whole or not at all, all of a run together, and the check beforehand that they can be.

All are first written beside their places, as parts. Then a journal says which part belongs where: from its being there
on, they are there. They take their places one after the other, and the journal goes. Whatever ends a process, the next
one that writes to the folder finishes what a journal tells of, and clears all other parts of ended processes.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

from napari_dip.errors import InputError, reason
from napari_dip.files import journal
from napari_dip.files.bounded import check_name
from napari_dip.files.locks import PREFIX, held_back, key_of, lock_name, locked, real, reserved
from napari_dip.files.zarr_store import is_store

LEFT = re.compile(re.escape(PREFIX) + r"([0-9a-f]{12})(?:-[0-9a-f]{12})?\.(part|old|journal|lock)")
"""Names of what an ended process may leave, with the key of its unit."""


def check_output(path: Path, inputs: Sequence[Path], *, force: bool) -> None:
    """See that a file can be written there, before any work is done for it.

    Raises
    ------
    InputError
        If it exists (unless `force`), is one of the inputs, is a folder (and no Zarr, which counts as a file), or its
        folder is missing or read-only.
    """
    for name in (path, *inputs):
        check_name(name)
    if path.is_dir() and not is_store(path):
        raise InputError(f"{str(path)!r} is a folder; give a file name to write to.")
    for other in inputs:
        if _same(path, other) or _within(path, other) or _within(other, path):
            raise InputError(f"The file {str(path)!r} would be written over while it is needed; choose another name.")
    if path.exists() and not force:
        raise InputError(f"The file {str(path)!r} exists; give --force to replace it.")
    folder = real(path).parent
    if path.exists() and not _may_be_replaced(real(path)):
        raise InputError(
            f"The file {str(path)!r} belongs to somebody else, and nobody else may replace it in its folder; choose "
            "another name."
        )
    if not folder.is_dir():
        raise InputError(f"There is no folder {str(folder)!r} to write {path.name!r} to; make it first.")
    try:
        with held_back():
            probe = folder / f"{PREFIX}{key_of(path)}-{token_hex(6)}.part"
            probe.open("xb").close()
            probe.unlink(missing_ok=True)  # another run may have cleared it
    except OSError as error:
        raise InputError(f"The folder {str(folder)!r} cannot be written to: {reason(error)}.") from None


def check_outputs(paths: Iterable[Path], inputs: Iterable[Path], *, force: bool) -> None:
    """See that all files can be written, and that none is another one, or is still needed; as `check_output` does."""
    taken = list(inputs)
    for path in paths:
        check_output(path, taken, force=force)
        taken.append(path)


class Unit:
    """Files that take their places together: all of the new ones, or none of them. `together` makes one."""

    def __init__(self, key: str, home: Path):
        self._key, self._home = key, home
        self._parts: dict[Path, Path] = {}
        self._final = False

    @contextmanager
    def replacing(self, path: Path) -> Iterator[IO[bytes]]:
        """Write a file beside its place.

        Raises
        ------
        InputError
            If the system refuses, because the disk is full for example.
        """
        with self.part(path) as part:
            target = real(path)
            with part.open("xb+") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.is_file():
                part.chmod(target.stat().st_mode & 0o777)

    @contextmanager
    def replacing_folder(self, path: Path) -> Iterator[Path]:
        """Write a folder beside its place; it is to be made there.

        Raises
        ------
        InputError
            If the system refuses, because the disk is full for example.
        """
        with self.part(path) as part, self.completing(path, part):
            yield part

    @contextmanager
    def completing(self, path: Path, part: Path) -> Iterator[None]:
        """Write the last of a folder beside its place, and have all of it kept by the system.

        Raises
        ------
        InputError
            If the system refuses.
        """
        with _told(path):
            yield
            for name in [part, *part.rglob("*")]:
                journal.to_disk(name)

    @contextmanager
    def part(self, path: Path) -> Iterator[Path]:
        """Give the name of a part, to be made as a file or a folder.

        Raises
        ------
        InputError
            If the system refuses.
        """
        part = self._name(real(path).parent)
        self._parts[real(path)] = part
        with _told(path):
            yield part

    def commit(self, then: Callable[[], Any] | None = None) -> None:
        """Put all files in their places.

        Parameters
        ----------
        then : callable, optional
            Is called once they are there, before any signal gets through.

        Raises
        ------
        InputError
            If the system refuses.
        """
        with held_back():
            if self._parts:
                self._put()
            if then is not None:
                then()

    def _put(self) -> None:
        target, part = next(iter(self._parts.items()))
        if len(self._parts) == 1 and part.is_file() and not target.is_dir():
            with _told(target):
                part.replace(target)  # needs no journal
            self._final = True
            return
        note = self._home / journal.name(self._key)
        with _told(note):
            journal.write(note, self._name, self._parts)
        self._final = True
        with _told(target):
            journal.finish(note)

    def _name(self, folder: Path) -> Path:
        return folder / f"{PREFIX}{self._key}-{token_hex(6)}.part"

    def drop(self) -> None:
        """Remove what has not come to its place."""
        if not self._final:
            with held_back():
                for folder in {self._home, *(part.parent for part in self._parts.values())}:
                    _remove(folder.glob(f"{PREFIX}{self._key}-*"))
                    _remove([folder / journal.name(self._key)])


@contextmanager
def together(paths: Sequence[Path]) -> Iterator[Unit]:
    """Have names for oneself, for a unit of files that is to be put there by its `commit`, and clear what was left.

    Raises
    ------
    InputError
        If another run has one of the names, or the folders cannot be written to.
    """
    places = [real(path) for path in paths]
    key, folders = key_of(places[0]), {place.parent for place in places}
    own = {folder / lock_name(key) for folder in folders}
    unit = Unit(key, places[0].parent)
    for place in places:  # what locks would make a folder
        if not place.parent.is_dir():
            raise InputError(f"The file {str(place)!r} cannot be written: there is no folder {str(place.parent)!r}.")
    with reserved([*own, *(place.with_name(lock_name(key_of(place))) for place in places)]):
        for folder in folders:
            clear(folder, key)
        try:
            yield unit
        finally:
            unit.drop()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside its place; put it there once it is complete, and remove it if anything goes wrong.

    Raises
    ------
    InputError
        If the system refuses, because the disk is full for example.
    """
    with together([path]) as unit:
        with unit.replacing(path) as file:
            yield file
        unit.commit()


def clear(folder: Path, own: str = "") -> None:
    """Finish or clear what ended processes have left in a folder; what cannot be is left as it is.

    Parameters
    ----------
    folder : Path
    own : str
        Key of a unit whose locks the caller has.
    """
    with suppress(OSError):
        for key in sorted({found[1] for name in os.listdir(folder) if (found := LEFT.fullmatch(name))}):
            if key == own:
                _clear(folder, key)
                continue
            with suppress(OSError), locked([folder / lock_name(key)]) as free:
                if free:
                    _clear(folder, key)


def _clear(folder: Path, key: str) -> None:
    """Finish or clear what was left of a unit."""
    with held_back():
        note = folder / journal.name(key)
        if note.exists() and not journal.settle(note):
            return
        _remove(folder.glob(f"{PREFIX}{key}-*"))


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say which file it was that the system refused."""
    try:
        yield
    except OSError as error:
        # numpy knows no more than that
        why = reason(error) if error.errno else "not all of it could be; the disk may be full"
        raise InputError(f"The file {str(path)!r} cannot be written: {why}.") from error


def _may_be_replaced(place: Path) -> bool:
    """Whether the folder of a file lets us put another in its place: a sticky one only lets its owner, or its own."""
    if not hasattr(os, "geteuid") or not place.parent.stat().st_mode & stat.S_ISVTX:
        return True
    return os.geteuid() in (0, place.stat().st_uid, place.parent.stat().st_uid)


def _within(one: Path, other: Path) -> bool:
    """Whether a name lies in another that is a Zarr."""
    return is_store(other) and real(one).is_relative_to(real(other))


def _same(one: Path, other: Path) -> bool:
    """Whether two names stand for one file, be it there or not."""
    if real(one) == real(other):
        return True
    return one.exists() and other.exists() and one.samefile(other)
