"""Names that one run has for itself, and moments in which no signal gets through."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from napari_dip.errors import InputError, InUse, reason
from napari_dip.interrupts import ENDING

PREFIX = ".napari-dip-"
"""How the names of all files begin that are there for the time of a run alone."""


def real(path: str | Path) -> Path:
    """Give the place that a name stands for: that of its target, if it is a link."""
    return Path(os.path.realpath(path))


def key_of(path: Path) -> str:
    """Tell a file from all others in its folder, in letters that every file system takes."""
    return sha256(real(path).name.casefold().encode(errors="surrogateescape")).hexdigest()[:12]


def lock_name(key: str) -> str:
    """Name the file by which a run has a name for itself."""
    return f"{PREFIX}{key}.lock"


@contextmanager
def locked(paths: Iterable[Path]) -> Iterator[bool]:
    """Have lock files for oneself; gives whether that is so. They are free once a process has ended, however it did.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    from filelock import FileLock, Timeout

    with ExitStack() as held:
        free = True
        with held_back():
            for path in sorted(set(paths)):
                if path.is_symlink():  # none of ours is one, and where it leads is not to be written to
                    path.unlink()
                lock = FileLock(path, timeout=0, thread_local=False)
                try:
                    lock.acquire()
                except Timeout:
                    free = False
                    break
                held.callback(_free, lock.release, path)
        if not free:
            held.close()
        yield free


def _free(release: Callable[[], Any], path: Path) -> None:
    with held_back():
        with suppress(OSError):  # Windows removes it itself, once it is free
            path.unlink()
        release()


@contextmanager
def reserved(paths: Iterable[Path]) -> Iterator[None]:
    """Have lock files for oneself, or refuse.

    Raises
    ------
    InputError
        If another run has one of them, or they cannot be written.
    """
    places = list(paths)
    with ExitStack() as held:
        try:
            free = held.enter_context(locked(places))
        except OSError as error:
            raise InputError(f"The folder {str(places[0].parent)!r} cannot be written to: {reason(error)}.") from None
        if not free:
            raise InUse("Another run is writing this file, or its record; wait for its end, or choose other names.")
        yield


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals that ask for the end wait for a moment; the main thread alone can, and need, do that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    try:
        for number in ENDING:
            # one that is ignored stays so; None is a handler that Python does not know, and could not give back
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.getsignal(number)
                signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
