"""What is read from a file: a regular file alone, of no more bytes and no more values than its kind may have."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import IO, Any

from napari_dip.errors import InputError, reason

LARGEST = {
    "record": 1 << 26,  # that of ten thousand planes has some 40 million bytes
    "specification": 1 << 20,  # some ten thousand files with settings of their own
    "list": 1 << 24,
    "journal": 1 << 20,
    "seal": 1 << 24,
    "token": 1 << 10,
    "block": 1 << 26,
    "metadata": 1 << 26,  # a plate of 1,536 wells has some hundred thousand bytes
}
"""Bytes of a file, by its kind."""
MOST_VALUES = 3 << 20
"""Values in a JSON file; a record of ten thousand planes has some 2.5 million."""
MOST_NAMES = 1 << 19
"""Named values among them, which take ten times as much memory; that record has some 300,000."""


def check_readable(path: Path, *, folder: bool = False) -> None:
    """Refuse what cannot be read to its end: a pipe would wait for ever, and a device has no end.

    Parameters
    ----------
    path : Path
    folder : bool
        Whether a folder is as good as a file.

    Raises
    ------
    InputError
        If there is no file, it is of another kind, or there is no permission to read it.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"There is no file {str(path)!r}.") from None
    except (OSError, ValueError) as error:  # a name may be too long, or hold a NUL
        raise InputError(f"The file {str(path)!r} cannot be read: {reason(error)}.") from None
    if stat.S_ISDIR(mode) and not folder:
        raise InputError(f"{str(path)!r} is a folder; give a file.")
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise InputError(f"{str(path)!r} is a device, a pipe or a socket; give a regular file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"The file {str(path)!r} cannot be read: Permission denied.")


def check_name(path: Path) -> None:
    """Refuse a name that no file can have, whether there is one or not.

    Raises
    ------
    InputError
        If it is too long, holds a NUL, leads to itself, or through a folder that may not be looked into.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise InputError(f"The name {str(path)!r} cannot be that of a file: {reason(error)}.") from None


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file to be read; nothing else is waited for.

    Raises
    ------
    InputError
        As `check_readable` does.
    """
    check_readable(path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        return open(os.open(path, flags), "rb")
    except OSError as error:
        raise InputError(f"The file {str(path)!r} cannot be read: {reason(error)}.") from None


def read_bytes(path: Path, kind: str) -> bytes:
    """Read a file of a kind.

    Parameters
    ----------
    path : Path
    kind : str
        One of `LARGEST`.

    Raises
    ------
    InputError
        As `check_readable` does, and if the file is larger than any of its kind.
    """
    most = LARGEST[kind]
    with open_regular(path) as file:
        try:
            found = file.read(most + 1)
        except OSError as error:
            raise InputError(f"The file {str(path)!r} cannot be read: {reason(error)}.") from None
    if len(found) > most:
        raise InputError(
            f"The file {str(path)!r} is larger than any {kind} of napari-dip, which has {most >> 10:,} kB at most."
        )
    return found


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of a bounded number of values.

    Raises
    ------
    ValueError
        If it is no JSON, has too many values, or is nested too deeply.
    """
    content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > MOST_VALUES or content.count(b":") > MOST_NAMES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values, or {MOST_NAMES:,} that have a name")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_json(content: Any, *, indent: int | None = None) -> bytes:
    r"""Give JSON as it is written to a file: letters as they are, and what is no letter (in a file name) as an escape.

    >>> write_json({"file": "\xe4\udcff"})
    b'{"file": "\xc3\xa4\\udcff"}'
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")
