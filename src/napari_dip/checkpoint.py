"""A run or a prior in a file, to be gone on with later: tensors, numbers and text in plain containers.

It is written by `torch.save` and read with `weights_only`, so that nothing but those is ever loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_dip import record as records
from napari_dip.errors import InputError
from napari_dip.files.replace import Unit, replacing
from napari_dip.record import Record

FORMATS = {"run": "napari-dip run", "prior": "napari-dip prior"}
"""What a file may hold, and how it says so."""


def write(path: Path, record: Record, state: dict[str, Any]) -> None:
    """Write a run; the file is complete, or not there at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    write_plain(path, "run", {"record": records.write(record).decode(), "state": state})


def read(path: Path) -> tuple[Record, dict[str, Any]]:
    """Read a run.

    Raises
    ------
    InputError
        If it cannot be read, or holds anything else.
    """
    found = read_plain(path, "run")
    return records.read(found["record"]), found["state"]


def write_plain(path: Path, kind: str, content: dict[str, Any], unit: Unit | None = None) -> None:
    """Write one of `FORMATS`: tensors, numbers and text in plain containers; at once, or together with a unit.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with (unit.replacing if unit else replacing)(path) as file:
        torch.save({"format": FORMATS[kind], **content}, file)


def read_plain(path: Path, kind: str) -> dict[str, Any]:
    """Read one of `FORMATS`.

    Raises
    ------
    InputError
        If it cannot be read, or holds anything else.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"The file {str(path)!r} cannot be read: {error.strerror or error}.") from None
    except Exception:  # what else a damaged or foreign file makes of it is many a thing
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMATS[kind]:
        raise InputError(f"The file {str(path)!r} holds no {kind} that napari-dip has saved.")
    return found
