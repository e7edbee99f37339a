"""A run or a prior in a file, to be gone on with later: tensors, numbers and text in plain containers.

It is written by `torch.save` and read with `weights_only`, so that nothing but those is ever loaded; what was loaded is
checked whole before it is used.
"""

from __future__ import annotations

import zipfile
from math import isfinite
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import torch
from pydantic import AfterValidator, FailFast, Field, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from napari_dip.errors import InputError
from napari_dip.files.bounded import MOST_VALUES, open_regular
from napari_dip.files.replace import Unit, replacing
from napari_dip.prior.fitting.state_check import FloatTensor, Number
from napari_dip.run import record as records
from napari_dip.run.record import Count, Counts, PlaneRecord, Record, Word
from napari_dip.settings import MOST_NEIGHBOURS, MOST_THREADS

FORMATS = {"run": "napari-dip run", "prior": "napari-dip prior"}
"""What a file may hold, and how it says so."""
LARGEST = {"run": 1 << 36, "prior": 1 << 29}
"""Bytes of a file. A network has 2 MB; a run holds its result, and averages of a plane."""
MOST_PLAIN = 1 << 25
"""Bytes of all that is no tensor."""
MOST_PARTS, PART = 1 << 16, 1 << 8
"""Tensors of a file, and bytes that the list of its contents has for each at the most."""
END, END_SIZE = b"PK\x05\x06", 22
"""How the end of a zip file begins, and its size (APPNOTE 4.3.16)."""


def _ready_for_json(found: dict[str, Any]) -> dict[str, Any]:
    """Take what is ready for JSON, and of so many values; lists may lie in each other many times over."""
    left: list[Any] = [found]
    for _ in range(MOST_VALUES):
        if not left:
            return found
        one = left.pop()
        if isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list | tuple):
            left += one
        elif not (one is None or isinstance(one, str | int) or (isinstance(one, float) and isfinite(one))):
            raise ValueError("it is not ready for JSON")
    raise ValueError(f"it has more than {MOST_VALUES:,} values")


Plain = Annotated[dict[str, Any], Field(max_length=100), AfterValidator(_ready_for_json)]


class FitRecord(TypedDict):
    """What a prior says of its fit, as far as it is used."""

    iterations: Count


class ChannelFile(TypedDict):
    """What was fitted to a channel."""

    networks: Annotated[list[dict[str, FloatTensor]], Field(min_length=1, max_length=8)]
    reach: Annotated[int, Field(ge=0, le=MOST_NEIGHBOURS)]
    noise: Annotated[FiniteFloat, Field(gt=0)]


class PriorFile(TypedDict):
    """What the file of a prior holds."""

    version: Literal[1]
    task: Word
    settings: Plain
    samples: Annotated[int, Field(ge=1, le=64)]
    channels: Annotated[list[ChannelFile | None], Field(min_length=1, max_length=256), FailFast()]
    record: Plain


class StateFile(TypedDict):
    """Where a run stands, in its file."""

    max_seconds: Number
    planes: Annotated[list[PlaneRecord], FailFast()]
    void: Counts
    next: Count
    threads: Annotated[int, Field(ge=0, le=MOST_THREADS)]
    asked: bool
    cut: bool
    over: bool
    written: Counts
    image: FloatTensor
    uncertainty: FloatTensor | None
    fitted: Annotated[dict[int, ChannelFile], Field(max_length=256)]
    numbers: Annotated[list[Count], Field(min_length=1, max_length=1 << 20)] | None
    at_work: bool
    fit: dict[str, Any] | None


_prior, _fit_record, _state = TypeAdapter(PriorFile), TypeAdapter(FitRecord), TypeAdapter(StateFile)


def write(path: Path, record: Record, state: dict[str, Any]) -> None:
    """Write a run; the file is complete, or not there at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    write_plain(path, "run", {"record": records.write(record).decode(), "state": state})


def read(path: Path) -> tuple[Record, StateFile]:
    """Read a run.

    Raises
    ------
    InputError
        If it cannot be read, or holds anything else.
    """
    found = read_plain(path, "run")
    if not isinstance(found.get("record"), str):
        raise damaged(path, "run")
    record = records.read(found["record"])
    try:
        return record, _state.validate_python(found.get("state"))
    except ValidationError as error:
        raise damaged(path, "run") from error


def check_prior(found: dict[str, Any]) -> PriorFile:
    """Check the file of a prior.

    Raises
    ------
    ValueError
        If it is not as `PriorFile` has it.
    """
    prior = _prior.validate_python(found)
    _fit_record.validate_python(prior["record"])
    return prior


def damaged(path: Path, kind: str) -> InputError:
    """Give the error of a file whose content cannot be."""
    return InputError(f"The {kind} in {str(path)!r} is damaged and cannot be used.")


def write_plain(path: Path, kind: str, content: dict[str, Any], unit: Unit | None = None) -> None:
    """Write one of `FORMATS`: tensors, numbers and text in plain containers; at once, or together with a unit.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with (unit.replacing if unit else replacing)(path) as file:
        own: Any = _Writer(file)
        try:
            torch.save({"format": FORMATS[kind], **content}, own)
        except RuntimeError:  # torch says of a full disk where in its own source it was noticed
            raise own.error or OSError("torch cannot write it") from None


class _Writer:
    """A file that is written to, and remembers what the system said when it refused."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def read_plain(path: Path, kind: str) -> dict[str, Any]:
    """Read one of `FORMATS`.

    Raises
    ------
    InputError
        If it cannot be read, or holds anything else.
    """
    with open_regular(path) as file:
        try:
            _check_size(file, kind)
            found = torch.load(file, map_location="cpu", weights_only=True)
        except OSError as error:
            raise InputError(f"The file {str(path)!r} cannot be read: {error.strerror or error}.") from None
        except MemoryError:
            raise
        except Exception:  # what else a damaged or foreign file makes of it is many a thing
            found = None
    if not isinstance(found, dict) or found.get("format") != FORMATS[kind]:
        raise InputError(f"The file {str(path)!r} holds no {kind} that napari-dip has saved.")
    return found


def _check_size(file: IO[bytes], kind: str) -> None:
    """See that a zip file unfolds to no more than its own size, and has no more than so many parts; a ValueError."""
    size = file.seek(0, 2)
    file.seek(max(size - END_SIZE, 0))
    end = file.read()
    listed = int.from_bytes(end[12:16], "little")
    large = listed == 2**32 - 1 and size >= 2**32  # the numbers of such a file stand elsewhere
    if size > LARGEST[kind] or not end.startswith(END) or not (large or listed <= MOST_PARTS * PART):
        raise ValueError("it is no file of ours")
    with zipfile.ZipFile(file) as found:
        parts = found.infolist()
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    plain = sum(part.file_size for part in parts if "/data/" not in part.filename)
    if packed or plain > MOST_PLAIN or sum(part.file_size for part in parts) > size:
        raise ValueError("it unfolds to more than its size")
    file.seek(0)
