"""What a worker does: one item, from its file to its seal. Whatever goes wrong is told, never raised."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError, InUse, in_words, reason
from napari_dip.many import seal
from napari_dip.many.job import RECORDS, Job, Outcome

if TYPE_CHECKING:
    from napari_dip.restoration import Progress

    Watch = Callable[[Progress], Any]

TOKEN = "batch"
"""File in the folder of records that names the batch at work."""
OF_PRIOR = ("preset", "neighbours", "channels", "max_iterations")
"""Settings that are those of the fit where a prior is given."""
PATIENCE = 120.0
"""Seconds to wait for another run that is at the same item: it may be at its last step, which cannot be broken off."""
LOOK = 1.0
"""Seconds between two looks at whether the batch is still wanted."""
_one = threading.Lock()  # torch has settings of the process, and memory is planned for one item at a time


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
    began, source, target = time.monotonic(), job.item.label, str(job.item.target)
    try:
        import napari_dip.restore  # noqa: F401  what it takes to load torch is no part of the time of an item

        with _one:
            began = time.monotonic()
            notes = _do(job, watch)
        seconds = round(time.monotonic() - began, 3)
        return Outcome(source, target, "skipped" if notes is None else "done", "", seconds, notes or ())
    except Dropped:
        why = "It was dropped, since the batch has ended."
    except OSError as error:
        why = f"{str(error.filename or source)!r}: {reason(error)}."
    except Exception as error:  # nothing that one file does may end the others
        why = in_words(error)
    return Outcome(source, target, "failed", why, round(time.monotonic() - began, 3))


def is_wanted(job: Job) -> bool:
    """Whether the batch is still at work."""
    try:
        return (job.out / RECORDS / TOKEN).read_text(encoding="utf-8") == job.token
    except OSError:
        return False


def _do(job: Job, watch: Watch | None) -> tuple[str, ...] | None:
    """Restore it, and give notes on how it was read; None if it was done before."""
    import napari_dip

    if napari_dip.__version__ != job.version:
        raise InputError(
            f"The worker has napari-dip {napari_dip.__version__}, and the batch was started with {job.version}; "
            "install the same."
        )
    end = time.monotonic() + PATIENCE
    while True:
        if not is_wanted(job):
            raise Dropped
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
    item, needed = job.item, seal.reads(job)
    missing = next((path for path in needed if not path.exists()), None)
    if missing is not None:
        raise InputError(f"There is no file {str(missing)!r}.")
    ours = _begin(job)
    in_use = False
    try:
        return _restore(job, needed, ours, watch)
    except InUse:
        in_use = True  # the mark is that of whoever is at it
        raise
    finally:
        if not in_use and (job.beside(seal.DONE).exists() or not item.target.exists()):
            job.beside(seal.BEGUN).unlink(missing_ok=True)


def _restore(job: Job, needed: list[Path], ours: bool, watch: Watch | None) -> tuple[str, ...]:
    """Restore an item, and seal it; give notes on how it was read."""
    from napari_dip.batch import restore_file

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


def _begin(job: Job) -> bool:
    """Mark what is there from now on as ours; give whether what is there was made by a batch, and may be replaced."""
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
