"""A run from file to file, repeated from its record: whether it comes to the same result, and the result again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError, printable
from napari_dip.files import formats as files
from napari_dip.files.bounded import read_bytes
from napari_dip.image.arrays import digest_of
from napari_dip.run import record as records
from napari_dip.tasks import Task, task_named

if TYPE_CHECKING:
    from napari_dip.run.record import Record
    from napari_dip.run.restoration import Progress, Restoration


@dataclass(frozen=True)
class Repeated:
    """What came of it.

    Attributes
    ----------
    restoration : Restoration
    same : bool or None
        Whether the result is that of the record, bit for bit; None if the record does not tell, or it was ended.
    notes : tuple of str
        What is different here, in whole sentences.
    """

    restoration: Restoration
    same: bool | None
    notes: tuple[str, ...]


def repeat_file(
    record: str | Path,
    source: str | Path | None = None,
    target: str | Path | None = None,
    *,
    inputs: Mapping[str, str | Path | None] | None = None,
    force: bool = False,
    watch: Callable[[Progress], bool | None] | None = None,
    settled: Callable[[], Any] | None = None,
) -> Repeated:
    """Repeat a run from its record; with a target, write the result, too.

    Parameters
    ----------
    record : path
    source : path, optional
        The image that was restored; left out, the file that the record names, from here or beside the record.
    target : path, optional
        File to write.
    inputs : dict, optional
        Files of what the task takes beside the image, and of a `prior`, by name, where they are not as in the record.
    force : bool
        Replace files that exist.
    watch, settled
        As in `batch.restore_file`.

    Raises
    ------
    InputError
        If the record, or a file that it needs, cannot be used, or is not the one of the run.
    """
    place = Path(record)
    found = read_record(place)
    row = task_named(found["task"])
    needed = _needed(found, row, place, {"input": source, **(inputs or {})})
    made = _made(found, target)
    files.check_outputs(made.values(), [*needed.values(), place], force=force)
    if not made:
        return _repeat(found, row, needed, made, None, watch, settled)
    with files.together(list(made.values())) as unit:
        files.check_outputs(
            made.values(), [*needed.values(), place], force=force
        )  # another run may have written them in between
        return _repeat(found, row, needed, made, unit, watch, settled)


def read_record(path: Path) -> Record:
    """Read the file of a record.

    Raises
    ------
    InputError
        If there is none, or it holds anything else.
    """
    return records.read(read_bytes(path, "record"))


def _needed(found: Record, row: Task, place: Path, given: Mapping[str, str | Path | None]) -> dict[str, Path]:
    """Find the files that the run began with."""
    roles = [
        "input",
        *(one.name for one in row.inputs if one.kind != "number"),
        *(["prior"] if "prior" in found else []),
    ]
    needed = {}
    for role in roles:
        named = given.get(role) or found.get("files", {}).get(role)
        if named is None:
            raise InputError(f"The record does not name the file of its {role}; give it with --{role}.")
        beside = place.parent / named
        needed[role] = (
            beside if given.get(role) is None and not Path(named).exists() and beside.exists() else Path(named)
        )
    return needed


def _made(found: Record, target: str | Path | None) -> dict[str, Path]:
    """Name the files to write."""
    if target is None:
        return {}
    files.format_of(Path(target))
    made = {"image": Path(target)}
    if found["settings"].get("uncertainty"):
        made["uncertainty"] = files.companion(Path(target), "uncertainty")
    return made


def _repeat(
    found: Record,
    row: Task,
    needed: Mapping[str, Path],
    made: Mapping[str, Path],
    unit: files.Unit | None,
    watch: Callable[[Progress], bool | None] | None,
    settled: Callable[[], Any] | None,
) -> Repeated:
    """Read, restore, compare and write."""
    picture = files.read_image(needed["input"], found.get("series"))
    if made:
        files.check_fits(made["image"], picture, found["axes"])
    inputs = {one.name: files.read_input(one.kind, needed[one.name]) for one in row.inputs if one.kind != "number"}
    from napari_dip.restore import replay_steps
    from napari_dip.run.fitted_prior import load_prior

    prior = load_prior(needed["prior"]) if "prior" in needed else None
    run = replay_steps(found, picture.array, prior=prior, **inputs)
    ended = run.walk(watch)
    result = run.result
    arrays = {"image": result.image, "uncertainty": result.uncertainty}
    for role, path in made.items():
        array = arrays[role]
        if array is not None:
            same = role == "image" and found.get("same_type", False)
            files.write_image(path, array, result.axes, picture, found["inputs"].get("factor", 1), unit, same=same)
    if unit is not None:
        unit.commit(settled)
    told = found.get("result")
    alike = None if told is None or ended else told == {k: digest_of(v) for k, v in arrays.items() if v is not None}
    return Repeated(result, alike, _differences(found))


def _differences(found: Record) -> tuple[str, ...]:
    """Say what computes here that did not there."""
    here, there = records.versions(), found["versions"]
    other = [
        f"{name} {printable(there.get(name, 'unknown'), most=40)} (here {here[name]})"
        for name in here
        if there.get(name) != here[name]
    ]
    return (f"The record is of {', '.join(other)}.",) if other else ()
