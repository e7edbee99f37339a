"""The seal of an item: what was asked, what was read and what was written, put there once all of it is on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from napari_dip.files.bounded import open_regular, parse_json, read_bytes, write_json
from napari_dip.files.formats import replacing
from napari_dip.files.inside import inside
from napari_dip.jobs.job import Job
from napari_dip.run import record as records
from napari_dip.settings import read_settings
from napari_dip.tasks import task_named

SCHEMA = 1
DONE, BEGUN, RECORD, PRIOR = "done", "begun", "json", "prior"
CHUNK = 2**20


class FileState(TypedDict):
    """What tells a file; see `state`."""

    size: int
    mtime_ns: int
    sha256: NotRequired[str]


class Seal(TypedDict):
    """What the file of a seal holds."""

    schema: int
    asked: dict[str, Any]
    inputs: dict[str, FileState]
    outputs: dict[str, FileState]
    batch: str
    notes: list[str]


_adapter = TypeAdapter(Seal)


def digest(path: Path) -> str:
    """Give the SHA-256 of a file, read piece by piece; of a folder, that of all names and files in it."""
    found = hashlib.sha256()
    for one in _files(path):
        if one != path:
            found.update(f"{one.relative_to(path).as_posix()}\0{one.stat().st_size}\0".encode(errors="surrogateescape"))
        with open_regular(one) as file:
            while part := file.read(CHUNK):
                found.update(part)
    return found.hexdigest()


def look(path: Path) -> dict[str, int]:
    """Give what is seen of a file, or of all in a folder, at a glance: the size, and when it was changed last (ns)."""
    files = [one.stat() for one in _files(path)]
    folders = [one.stat() for one in (path, *path.rglob("*")) if one.is_dir()]  # what goes, or has another name now
    changed = max(one.st_mtime_ns for one in [*files, *folders])
    return {"size": sum(one.st_size for one in files), "mtime_ns": changed}


def state(path: Path) -> dict[str, Any]:
    """Give what tells a file: its size, when it was changed (ns), and its digest."""
    return {**look(path), "sha256": digest(path)}


def reads(job: Job) -> list[Path]:
    """Give the files that an item needs."""
    row = task_named(job.item.task)
    named = (job.item.inputs.get(one.name) for one in row.inputs if one.kind != "number")
    return [job.item.source, *(Path(one) for one in named if one is not None)]


def asked(job: Job) -> dict[str, Any]:
    """Give all that the bytes of a result depend on beside its files; how many threads a worker has is left out."""
    item, versions = job.item, records.versions()
    settings = read_settings(item.settings).model_dump(mode="json", exclude={"threads"})
    numbers = {one.name: item.inputs.get(one.name, one.default) for one in task_named(item.task).inputs}
    chosen: dict[str, Any] = {} if item.series is None else {"series": item.series}
    chosen |= {"blocks": True} if job.blocks else {}
    return chosen | {
        "task": item.task,
        "axes": item.axes.upper() if item.axes else None,
        "inputs": {name: str(value) for name, value in numbers.items()},
        "settings": settings,
        "prior": job.prior_digest,
        "versions": {name: versions[name] for name in ("napari-dip", "torch")},
    }


def write(
    job: Job,
    before: dict[str, Any],
    made: Iterable[Path],
    notes: Iterable[str],
    tell: Callable[[Path], dict[str, Any]] = state,
) -> None:
    """Seal an item that is done; `tell` gives what tells a file."""
    outputs = {str(path.relative_to(job.out)): tell(path) for path in made}
    content = {"schema": SCHEMA, "asked": asked(job), "inputs": before, "outputs": outputs}
    content |= {"batch": job.token, "notes": list(notes)}
    with replacing(job.beside(DONE)) as file:
        file.write(write_json(content, indent=1))


def notes_of(job: Job) -> tuple[str, ...] | None:
    """Give the notes of an item that this very batch has sealed, by a worker that died before it could say so."""
    try:
        found = _read(job)
        return tuple(found["notes"]) if found["batch"] == job.token else None
    except ValueError:
        return None


def holds(job: Job, *, thorough: bool) -> bool:
    """Whether an item is done as it is asked for now.

    Parameters
    ----------
    job : Job
    thorough : bool
        Whether files that were touched are read to see if they are the same still; without, they count as changed.
    """
    try:
        found = _read(job)
        if found["schema"] != SCHEMA or found["asked"] != asked(job):
            return False
        if set(found["inputs"]) != {str(path) for path in reads(job)}:
            return False
        files = [(Path(name), was) for name, was in found["inputs"].items()]
        files += [(inside(job.out, name), was) for name, was in found["outputs"].items()]
        return all(_same(path, was, thorough=thorough) for path, was in files)
    except (OSError, ValueError):
        return False  # no seal, or none that can be read: it is done again


def _read(job: Job) -> Seal:
    """Read the seal of an item; a ValueError if there is none."""
    return _adapter.validate_python(parse_json(read_bytes(job.beside(DONE), "seal")))


def _same(path: Path, was: FileState, *, thorough: bool) -> bool:
    seen = look(path)
    if seen["size"] != was["size"]:
        return False
    return bool(seen["mtime_ns"] == was["mtime_ns"] or (thorough and digest(path) == was.get("sha256")))


def _files(path: Path) -> list[Path]:
    """Give a file, or all files in a folder, by their names."""
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
