"""What a worker does: one item, from its file to its seal. Whatever goes wrong is told, never raised."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari_dip.errors import InputError, InUse, in_words, reason
from napari_dip.files.bounded import check_readable, read_bytes
from napari_dip.files.formats import companion
from napari_dip.files.inside import inside
from napari_dip.jobs import seal
from napari_dip.jobs.items import WRITTEN
from napari_dip.jobs.job import Job, Outcome, in_records
from napari_dip.settings import OF_PRIOR

if TYPE_CHECKING:
    from napari_dip.run.restoration import Progress

    Watch = Callable[[Progress], Any]

TOKEN = "batch"
"""File in the folder of records that names the batch at work."""
PATIENCE = 120.0
"""Seconds to wait for another run that is at the same item: it may be at its last step, which cannot be broken off."""
LOOK = 1.0
"""Seconds between two looks at whether the batch is still wanted."""
_one = threading.Lock()  # torch has settings of the process, and memory is planned for one item at a time


class Told(Protocol):
    """What a report names: its source, and its target."""

    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def target(self) -> str: ...  # noqa: D102


class Dropped(Exception):
    """The batch was ended, or another has taken its place."""


def do(job: Job, watch: Watch | None = None) -> Outcome:
    """Restore an item, unless that is done already.

    Parameters
    ----------
    job : Job
    watch : callable, optional
        Is handed the progress of each step.

    Returns
    -------
    Outcome
    """
    return told(job, lambda: _do(job, watch))


def told(job: Told, act: Callable[[], tuple[str, ...] | None]) -> Outcome:
    """Do something for a job, alone in this process, and tell what came of it.

    Parameters
    ----------
    job : Job or what has its `label` and `target`
    act : callable
        Gives notes; None if it was done before.

    Returns
    -------
    Outcome
    """
    began = time.monotonic()
    try:
        import napari_dip.restore  # noqa: F401  what it takes to load torch is no part of the time of an item

        with _one:
            began = time.monotonic()
            notes = act()
        seconds = round(time.monotonic() - began, 3)
        return Outcome(job.label, job.target, "skipped" if notes is None else "done", "", seconds, notes or ())
    except Exception as error:  # nothing that one file does may end the others
        why = sentence(error, job.label)
        return Outcome(job.label, job.target, "failed", why, round(time.monotonic() - began, 3))


def sentence(error: Exception, source: str) -> str:
    """Say in a sentence what went wrong with a file."""
    if isinstance(error, Dropped):
        return "It was dropped, since the batch has ended."
    if isinstance(error, OSError):
        return f"{str(error.filename or source)!r}: {reason(error)}."
    return in_words(error)


def check_wanted(job: Job) -> None:
    """See that the batch is still at work, and of this version.

    Raises
    ------
    InputError
        If it was started with another version of napari-dip.
    Dropped
    """
    import napari_dip

    if napari_dip.__version__ != job.version:
        raise InputError(
            f"The worker has napari-dip {napari_dip.__version__}, and the batch was started with {job.version}; "
            "install the same."
        )
    if not is_wanted(job):
        raise Dropped


def is_wanted(job: Job) -> bool:
    """Whether the batch is still at work."""
    try:
        return read_bytes(in_records(job.out, TOKEN), "token") == job.token.encode()
    except InputError:
        return False


def _do(job: Job, watch: Watch | None) -> tuple[str, ...] | None:
    """Restore it, and give notes on how it was read; None if it was done before."""
    end = time.monotonic() + PATIENCE
    while True:
        check_wanted(job)
        if seal.holds(job, thorough=True):
            return seal.notes_of(job)
        try:
            return _alone(job, watch)
        except InUse:  # a worker of a batch that was ended drops the item once it hears of this one, or seals it
            if time.monotonic() > end:
                raise
            time.sleep(LOOK / 2)


def _alone(job: Job, watch: Watch | None) -> tuple[str, ...]:
    """Restore it, if nobody else is at it, and give notes on how it was read."""
    needed = seal.reads(job)
    for path in needed:
        check_readable(path, folder=True)
    ours = begin(job)
    in_use = False
    try:
        return _restore(job, needed, ours, watch)
    except InUse:
        in_use = True  # the mark is that of whoever is at it
        raise
    finally:
        if not in_use:
            unmark(job)


def _restore(job: Job, needed: list[Path], ours: bool, watch: Watch | None) -> tuple[str, ...]:
    """Restore an item, and seal it; give notes on how it was read."""
    from napari_dip.jobs.file import restore_file

    item = job.item
    before = {str(path): seal.state(path) for path in needed}
    settings = {"threads": 1, **item.settings}  # the bytes must not depend on how many workers there are
    if job.prior is not None:
        settings = {name: value for name, value in settings.items() if name not in OF_PRIOR}
    result = restore_file(
        item.task,
        item.source,
        item.target,
        axes=item.axes,
        inputs=item.inputs,
        record=job.beside(seal.RECORD),
        force=job.force or ours,
        settings=settings,
        watch=_watching(job, watch),
        prior=job.prior,
        series=item.series,
    )
    for path in needed:
        if seal.look(path)["mtime_ns"] != before[str(path)]["mtime_ns"]:
            raise InputError(f"The file {str(path)!r} was changed while it was restored; start the batch again.")
    made = [path for path in (result.image, result.uncertainty, result.record) if path is not None]
    seal.write(job, before, [Path(path) for path in made], result.notes)
    return result.notes


def begin(job: Job) -> bool:
    """Mark what is there from now on as ours; give whether what is there was made by a batch, and may be replaced."""
    check_places(job)
    marks = [job.beside(ending) for ending in (seal.BEGUN, seal.DONE)]
    ours = any(mark.exists() for mark in marks)
    if not ours and not job.force and job.item.target.exists():
        raise InputError(
            f"The file {str(job.item.target)!r} exists, and no batch has made it; give --force to replace it."
        )
    for path in (job.item.target, marks[0]):
        path.parent.mkdir(parents=True, exist_ok=True)
    marks[0].touch()
    return ours or not job.item.target.exists()


def check_places(job: Job) -> None:
    """See that all that is written for an item lies in the output folder.

    Raises
    ------
    InputError
        If a link leads outside.
    """
    target = job.item.target
    for ending in (seal.DONE, seal.BEGUN, seal.RECORD, seal.PRIOR):
        job.beside(ending)
    inside(job.out, str(target))
    if target.suffix.lower() in WRITTEN:
        inside(job.out, str(companion(target, "uncertainty")))


def unmark(job: Job) -> None:
    """Take back that an item is begun, once it is sealed, or nothing of it is there."""
    if job.beside(seal.DONE).exists() or not job.item.target.exists():
        job.beside(seal.BEGUN).unlink(missing_ok=True)


def _watching(job: Job, watch: Watch | None) -> Callable[[Progress], bool]:
    """Hand progress on, and drop the item once nobody wants it."""
    looked = time.monotonic()

    def seen(progress: Progress) -> bool:
        nonlocal looked
        if watch is not None:
            watch(progress)
        if time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            if not is_wanted(job):
                raise Dropped
        return False

    return seen
