"""File in, file out. Prints nothing, draws nothing and takes no signals: that is for the face that calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_dip.errors import InputError
from napari_dip.files import formats as files
from napari_dip.image.arrays import digest_of
from napari_dip.image.axes import guess_axes
from napari_dip.run import record as records
from napari_dip.run.estimate import Plan, estimate_run
from napari_dip.run.summary import plan
from napari_dip.settings import Settings, read_settings
from napari_dip.tasks import Task, task_named

if TYPE_CHECKING:
    from napari_dip.files.metadata import Picture
    from napari_dip.run.request import Request
    from napari_dip.run.restoration import Progress, Restoration
    from napari_dip.run.run import Run

    Watch = Callable[[Progress], bool | None]

# restore (torch) is imported once all files are checked, so that a refusal does not wait for it


@dataclass(frozen=True)
class FileResult:
    """A restored image, and the files that hold it.

    Attributes
    ----------
    restoration : Restoration
    image : Path
    uncertainty, record : Path or None
        None where it was not asked for.
    prior : Path or None
        None also where the run ended before everything was fitted that belongs to it.
    notes : tuple of str
        Sentences about what was left out in reading the image, or in writing it.
    """

    restoration: Restoration
    image: Path
    uncertainty: Path | None
    record: Path | None
    prior: Path | None = None
    notes: tuple[str, ...] = ()


def restore_file(
    task: str,
    source: str | Path,
    target: str | Path,
    *,
    axes: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    record: str | Path | None = None,
    force: bool = False,
    settings: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
    announce: Callable[[str], Any] | None = None,
    prior: str | Path | None = None,
    update: int = 0,
    save_prior: str | Path | None = None,
    settled: Callable[[], Any] | None = None,
    dtype: Literal["float32", "same"] = "float32",
    series: int | None = None,
) -> FileResult:
    """Restore an image file, and write the result to another.

    What can be checked is checked before any work. All files that are written take their places together, once they are
    complete; if it is broken off, those that were there before stay. What an ended process left there is cleared.

    Parameters
    ----------
    task : str
        Name of a row of `TASKS`.
    source, target : path
        Image to restore, and file to write, in one of `files.formats.FORMATS`, by their suffixes.
    axes : str, optional
        One letter of T Z C Y X S for each dimension; left out, what the file says.
    inputs : dict, optional
        What the task takes beside the image, by name: the path of a mask or an image, or a number.
    record : path, optional
        Also write what is needed to repeat the run, as JSON.
    force : bool
        Replace files that exist.
    settings : dict, optional
        Fields of `Settings`, by name. With `uncertainty`, a second image is written beside the target.
    watch : callable, optional
        Is handed the `Progress` of each step. Once it returns True, the run ends and its result is written: planes that
        are fitted together are all restored first, unless some of them are already, or it returns True again.
        If it raises, the run is dropped and nothing is written.
    announce : callable, optional
        Is handed a line that says what will be restored, once all is checked.
    prior : path, optional
        File of a fitted prior to begin with, instead of fitting anew.
    update : int
        Iterations that bring it up to date first.
    save_prior : path, optional
        Also write what was fitted, as a prior for other images.
    settled : callable, optional
        Is called once all files are in their places, before any signal gets through.
    dtype : str
        "float32", or "same" for the type of the source, rounded and clipped, if that is uint8 or uint16.
    series : int, optional
        Which of several images in the file, from 1; left out, the first of the largest.

    Returns
    -------
    FileResult

    Raises
    ------
    InputError
        If task, files, axes, inputs or settings cannot be used, the result cannot be written, or another run is at it.

    Examples
    --------
    >>> restore_file("inpaint", "cells.tif", "whole.tif", inputs={"mask": "dust.png"})  # doctest: +SKIP
    """
    row, source = task_named(task), Path(source)
    chosen, given = read_settings(dict(settings or {})), row.defaults | dict(inputs or {})
    row.check(chosen, given)
    needed = {"input": source} | {one.name: Path(given[one.name]) for one in row.inputs if one.kind != "number"}
    made = _name_outputs(Path(target), record, with_uncertainty=chosen.uncertainty)
    if prior is not None or save_prior is not None:
        row.check_keeps(chosen.preset)
    if prior is not None:
        needed["prior"] = Path(prior)
    elif update:
        raise InputError("There is no prior to bring up to date; give its file, or leave the update out.")
    if save_prior is not None:
        made["saved prior"] = Path(save_prior)
    files.check_outputs(made.values(), needed.values(), force=force)
    with files.together(list(made.values())) as unit:
        files.check_outputs(made.values(), needed.values(), force=force)  # another run may have written them in between
        picture = _read_source(source, series, same := dtype == "same")
        picture = replace(picture, notes=(*picture.notes, *_outdated(made)))
        return _restored(
            row,
            unit,
            made,
            needed,
            picture,
            chosen,
            axes,
            given,
            settings or {},
            watch,
            announce,
            update,
            settled,
            same,
        )


def _restored(
    row: Task,
    unit: files.Unit,
    made: Mapping[str, Path],
    needed: Mapping[str, Path],
    picture: Picture,
    chosen: Settings,
    axes: str | None,
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
    watch: Watch | None,
    announce: Callable[[str], Any] | None,
    update: int,
    settled: Callable[[], Any] | None,
    same: bool,
) -> FileResult:
    """Read, restore and write, with names that no other run has."""
    files.check_fits(made["output"], picture, axes := axes.upper() if axes else picture.axes)
    values = {
        one.name: given[one.name] if one.kind == "number" else files.read_input(one.kind, Path(given[one.name]))
        for one in row.inputs
    }
    given = {**values, **settings, **z_step_of(chosen, row, picture, axes)}
    from napari_dip.run.run import Run

    request = _requested(row, picture.array, axes, given, needed.get("prior"), update, made)
    shape, source = request.source.shape(request.factor), request.source
    picture = replace(picture, notes=(*picture.notes, *files.losses(made["output"], shape, source.axes, picture)))
    begun = _begun(request, picture, made, unit, same)
    out, deviation = (begun[role].array if role in begun else None for role in ("output", "uncertainty"))
    run = Run(request, out=out, deviation=deviation)
    if announce is not None:
        image = run.request.source
        size = image.array.shape
        wanted, start = run.request.settings, run.request.start
        iterations = wanted.max_iterations if start is None else start.iterations
        limits = Plan(
            iterations,
            wanted.max_seconds,
            wanted.uncertainty,
            run.request.on_crops,
            start is not None,
            circular=wanted.values == "circular",
        )
        takes = estimate_run(row, image.array, image.axes, run.request.factor, wanted, plan=limits)
        announce(f"{plan(image.axes, size, run.request.factor)}; takes {takes.words()}")
    run.walk(watch)
    result = _write(run, picture, made, needed, begun, unit, same)
    unit.commit(settled)
    for one in begun.values():
        one.committed()
    return result


def _outdated(made: Mapping[str, Path]) -> tuple[str, ...]:
    """Tell of the uncertainty of a result that is replaced, which would be taken for that of the new one."""
    beside = files.companion(made["output"], "uncertainty")
    if "uncertainty" in made or not (made["output"].exists() and beside.exists()):
        return ()
    return (f"The file {str(beside)!r} is of an earlier result, and is left as it is.",)


def _read_source(path: Path, series: int | None, same: bool) -> Picture:
    """Read the image to restore, and note what is to become of its type."""
    picture = replace(files.read_image(path, series), series=series)
    return replace(picture, notes=(*picture.notes, _type_note(picture))) if same else picture


def _type_note(picture: Picture) -> str:
    """Say what becomes of the values of a result that is to have the type of its source."""
    name = picture.array.dtype.newbyteorder("=").name
    if files.can_be_same(picture):
        return f"The result is rounded and clipped to {name}, the type of the image."
    return f"The image holds {name}, so the result is written as float32; only uint8 and uint16 can be kept."


def z_step_of(settings: Settings, task: Task, picture: Picture, axes: str | None) -> dict[str, float]:
    """Give what the file says of the distance between planes, where it matters and is not given."""
    step = picture.metadata.z_step
    if settings.z_step is not None or step is None:
        return {}
    axes = axes or guess_axes(picture.array.shape, picture.array.dtype)
    return {"z_step": step} if task.uses("z_step", settings.preset, axes=axes) else {}


def _requested(
    task: Task,
    image: Any,
    axes: str | None,
    given: dict[str, Any],
    prior: Path | None,
    update: int,
    made: Mapping[str, Path],
) -> Request:
    """Check what is asked for, with a prior if one is given; weights that are to be written are fitted on crops."""
    from napari_dip.run.fitted_prior import load_prior
    from napari_dip.run.preparation import checked

    kept = "saved prior" in made
    if prior is None:
        in_memory = files.format_of(made["output"]).begin is None
        return replace(checked(task.name, image, axes, given, keeps_result=in_memory), on_crops=kept)
    return load_prior(prior).request(image, axes, update, given, on_crops=kept)


def _begun(
    request: Request, picture: Picture, made: Mapping[str, Path], unit: files.Unit, same: bool
) -> dict[str, files.Begun]:
    """Begin the files that can be written region by region, by their roles; others are kept in memory until the end."""
    in_type = same and files.can_be_same(picture)
    roles = [role for role in ("output", "uncertainty") if role in made and not (role == "output" and in_type)]
    shape, axes = request.source.shape(request.factor), request.source.axes
    return {
        role: files.Begun(made[role], shape, axes, picture, request.factor, unit)
        for role in roles
        if files.format_of(made[role]).begin is not None
    }


def _name_outputs(target: Path, record: str | Path | None, *, with_uncertainty: bool) -> dict[str, Path]:
    """Give the files to write by the parts they play; a name that stands for no format is refused."""
    files.format_of(target)
    made = {"output": target}
    if with_uncertainty:
        made["uncertainty"] = files.companion(target, "uncertainty")
    if record is not None:
        made["record"] = Path(record)
    return made


def _write(
    run: Run,
    picture: Picture,
    made: Mapping[str, Path],
    needed: Mapping[str, Path],
    begun: Mapping[str, files.Begun],
    unit: files.Unit,
    same: bool,
) -> FileResult:
    """Write image and uncertainty, then prior and record, with the files that were read and written."""
    restoration, factor, whole = run.result, run.request.factor, True
    for role, array in (("output", restoration.image), ("uncertainty", restoration.uncertainty)):
        if role in begun:
            whole &= begun[role].finish()
        elif role in made and array is not None:
            in_type = same and role == "output"
            whole &= files.write_image(made[role], array, restoration.axes, picture, factor, unit, same=in_type)
    if not whole:
        picture = replace(picture, notes=(*picture.notes, files.PLAINLY))
    if "saved prior" in made and not _save_prior(run, made["saved prior"], unit):
        made = {role: file for role, file in made.items() if role != "saved prior"}
    if "record" in made:
        record, named = restoration.record.copy(), {**needed, **made}
        record["files"] = {role: str(file) for role, file in named.items() if role != "record"}
        arrays = {"image": restoration.image, "uncertainty": restoration.uncertainty}
        record["result"] = {name: digest_of(array) for name, array in arrays.items() if array is not None}
        if picture.series is not None:
            record["series"] = picture.series
        if same:
            record["same_type"] = True
        if picture.notes:
            record["notes"] = list(picture.notes)
        record["command"] = f"napari-dip {record['versions']['napari-dip']}"
        with unit.replacing(made["record"]) as file:
            file.write(records.write(record))
    beside = made.get("uncertainty"), made.get("record"), made.get("saved prior")
    return FileResult(restoration, made["output"], *beside, notes=picture.notes)


def _save_prior(run: Run, path: Path, unit: files.Unit) -> bool:
    """Write what a run has fitted; False if it did not come to all of it."""
    from napari_dip.run.fitted_prior import FittedPrior

    prior = FittedPrior.of(run)
    if prior is not None:
        prior.save(path, unit=unit)
    return prior is not None
