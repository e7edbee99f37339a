"""A restoration off the GUI thread: start, pause, stop and keep, cancel. Its outcomes are values, never exceptions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

import numpy as np
from napari.qt.threading import create_worker
from qtpy.QtCore import Qt, QTimer

from napari_dip.errors import InputError, in_words
from napari_dip.image.cancellation import PreparationCancelled, cancel_if
from napari_dip.memory import release_memory
from napari_dip.viewer.form.priors import begun
from napari_dip.viewer.layers.first_pictures import EARLY, shown_for
from napari_dip.viewer.layers.layers import displayable, place_of, without_colours
from napari_dip.viewer.layers.placing import mask_on_image
from napari_dip.viewer.messages import (
    Cancelled,
    Control,
    Done,
    Failed,
    Job,
    Outcome,
    Painted,
    Picture,
    Report,
    Stopped,
    Undecided,
)

if TYPE_CHECKING:
    from napari_dip.restore import Progress, Run

REPORT_EVERY = 0.1
PREVIEW_SHARE = 0.2
"""Most of the time that previews may take: to be computed, and to be drawn."""
AT_ONCE = 2**24
"""Pixels in the pictures of planes that have ended, sent at once: what is more comes with the next."""
FIRST_PREVIEW = 5
"""Iterations before the first one: the network has learned nothing earlier ..."""
PATIENCE = 2.0
"""... but after so many seconds there is to be something to see."""
BUSY = "Another restoration is running; wait until it ends, or stop it first."
ENDING = "The restoration that was cancelled is still ending; try again in a moment."
GRACE = 800
"""Milliseconds after which a run that was cancelled is no longer waited for: while torch is loaded it cannot end."""

ENGINE = ("napari_dip.restore", "torch._dynamo")
"""Modules that the first run loads; the latter 800 of torch, with the first optimiser that is made."""

log = logging.getLogger("napari_dip")

_current: Control | None = None
_loading: threading.Thread | None = None


def busy() -> bool:
    """Whether a restoration runs in this process."""
    return _current is not None and not _current.over.is_set()


def cancel_and_wait(seconds: float) -> bool:
    """Cancel the run in this process, whoever started it, and wait so long at most; says whether none is left."""
    if _current is None:
        return True
    _current.ask("cancel")
    return _current.over.wait(seconds)


def load_engine() -> None:
    """Load what a first run needs, torch above all, in a thread of its own and once for all docks.

    A process that ends does not wait for the thread; a run that starts meanwhile does.
    """
    global _loading
    if _loading is None:
        _loading = threading.Thread(target=_load, name="napari-dip loads torch", daemon=True)
        _loading.start()


def _load() -> None:
    with suppress(Exception):  # the first run reports what is wrong with an installation
        for name in ENGINE:
            import_module(name)


def make_run(*args: Any, **kwargs: Any) -> Run:
    """Do what `napari_dip.restore_steps` does, and load torch only then."""
    from napari_dip.restore import restore_steps

    return restore_steps(*args, **kwargs)


class Runner:
    """One place's runs: starts them, steers them, and hears of them in the GUI thread.

    Parameters
    ----------
    on_report, on_end : bound methods
        Called with a `Report` and an `Outcome`; held weakly, so that a run keeps no widget alive.
    restore_steps : callable
        Makes a run, as `napari_dip.restore_steps` does. Called in the worker's thread.
    """

    def __init__(
        self,
        on_report: Callable[[Report], None],
        on_end: Callable[[Outcome], None],
        restore_steps: Callable[..., Run] = make_run,
    ):
        self._on_report, self._on_end = WeakMethod(on_report), WeakMethod(on_end)
        self._restore_steps = restore_steps
        self.control: Control | None = None

    def start(self, job: Job) -> Control:
        """Start a run.

        Raises
        ------
        InputError
            If one runs already, here or elsewhere in this process.
        """
        global _current
        if busy():
            raise InputError(ENDING if _current is not None and _current.wish == "cancel" else BUSY)
        control = self.control = _current = Control()
        jobs = [job]  # taken out at the start: napari holds on to the function long after its run, but not to the image
        restore_steps = self._restore_steps

        def steps() -> Generator[Report | None, None, Outcome]:
            return (yield from _guarded(jobs.pop(), control, restore_steps))

        steps.__qualname__ = f"{job.title} (napari-dip)"  # what napari's close dialog shows
        worker = create_worker(steps)
        me = ref(self)  # a worker lives on after its run

        def tell(do: Callable[[Runner, Control, Any], None], what: Any) -> None:
            runner = me()
            if runner is not None:
                do(runner, control, what)

        # with the run they come from: the last signal of one may arrive when the next has started
        worker.yielded.connect(lambda report: tell(Runner._yielded, report))
        worker.returned.connect(lambda outcome: tell(Runner._returned, outcome))
        # napari's close dialog ends a worker without an outcome
        worker.finished.connect(lambda: tell(Runner._returned, Cancelled()))
        # where it is emitted, since a viewer that closes hears of nothing any more
        worker.finished.connect(control.over.set, Qt.ConnectionType.DirectConnection)
        worker.start()
        return control

    def pause(self) -> None:
        """Hold after this iteration."""
        if self.control:
            self.control.ask("pause")

    def resume(self) -> None:
        """Go on."""
        if self.control:
            self.control.ask("go")

    def stop(self, *, now: bool = False) -> None:
        """End the fit after this iteration and keep the result; `now` leaves out what is not restored yet."""
        if self.control:
            self.control.ask("keep" if now else "stop")

    def cancel(self) -> None:
        """End after this iteration and drop the result; it may come to its end later, with nobody waiting for it."""
        if self.control:
            self.control.ask("cancel")
            me, control = ref(self), self.control
            QTimer.singleShot(
                GRACE, lambda: None if (runner := me()) is None else runner._returned(control, Cancelled())
            )

    def forget(self, *_: Any) -> None:
        """Cancel, and hear no more of it: who wanted to know is gone."""
        self.cancel()
        self.control = None

    def _yielded(self, control: Control, report: Report | None) -> None:
        told, began = self._on_report(), perf_counter()
        if report is None or control is not self.control or control.wish == "cancel" or not told:
            return
        told(report)
        if report.pictures:
            QTimer.singleShot(0, lambda: _drawn(control, began))  # comes after the paint events

    def _returned(self, control: Control, outcome: Outcome) -> None:
        if control is not self.control:
            return
        self.control = None
        told = self._on_end()
        if told:
            told(Cancelled() if control.wish == "cancel" else outcome)


def _drawn(control: Control, began: float) -> None:
    """Note how long the pictures of a report took to be drawn."""
    control.drawing = perf_counter() - began
    control.shown = True


def _guarded(job: Job, control: Control, restore_steps: Callable[..., Run]) -> Generator[Report | None, None, Outcome]:
    """Turn whatever goes wrong into an outcome: the thread workers of napari swallow some exceptions."""
    try:
        return (yield from _run(job, control, restore_steps))
    except Exception as error:
        if not isinstance(error, InputError):
            log.exception("The restoration failed.")
        return Failed(in_words(error))
    finally:
        release_memory()
        control.over.set()


def _run(job: Job, control: Control, restore_steps: Callable[..., Run]) -> Generator[Report | None, None, Outcome]:
    try:
        with cancel_if(lambda: control.wish == "cancel"):
            run, out = _begun(job, restore_steps)
    except PreparationCancelled:
        return Cancelled()
    clock = _Clock(job, control, out)
    turned: tuple[tuple[int, ...], int] = (), -1
    run.interrupted = control.news.is_set
    steps = iter(run)
    while (now := _step(steps, control)) is not None:
        if job.is_part and (radius := run.undecided_radius):
            run.close()
            return Undecided(radius)
        control.news.clear()
        clock.note(now)
        wanted = control.looked_at, now.fit  # each fit has to be told: it knows only of its own planes
        turns = now.together > 1 and turned != wanted
        if turns:
            run.look_at(control.looked_at)
            turned = wanted
        # a pause lets the report of its last iteration out, and goes on yielding so that napari can end it
        if clock.wants_report(now) or control.paused:
            yield clock.report(now, turns=turns)
        while control.paused:
            control.wake.clear()
            if control.paused and not control.wake.wait(REPORT_EVERY):
                yield None
        if control.wish == "cancel":
            if job.run is None:  # one that goes on can go on again
                run.close()
            return Cancelled()
        if control.wish != "go":
            run.stop(now=control.wish == "keep")
    if control.wish == "cancel":
        run.close()
        return Cancelled()
    result = run.result
    # a run that goes on ends after the iterations that were asked for, which is no stop
    kind = Stopped if result.record["stopped_by"] == "asked" and control.wish != "go" else Done
    spread = None if result.uncertainty is None else without_colours(result.uncertainty, rgb=job.rgb)
    return kind(displayable(result.image, job.image.dtype, rgb=job.rgb), result.record, spread, run)


def _step(steps: Iterator[Progress], control: Control) -> Progress | None:
    """Do an iteration; None once there is nothing more to do, or the run was cancelled while it read its image."""
    try:
        with cancel_if(lambda: control.wish == "cancel"):
            return next(steps, None)
    except PreparationCancelled:
        return None


def _begun(job: Job, restore_steps: Callable[..., Run]) -> tuple[Run, np.ndarray | None]:
    """Begin a run, or go on with one; give the array that planes that have ended are read from, too."""
    if job.run is not None:
        job.run.extend(job.more)
        return job.run, None  # what it writes to from now on is its own: the result of before stays as it is
    run = begun(job, {name: _read(value) for name, value in job.inputs.items()}, restore_steps)
    return run, run.output


def _read(value: Any) -> Any:
    """Give an input as the engine takes it."""
    if not isinstance(value, Painted):
        return value
    mask = mask_on_image(value)
    if value.part is None:
        return mask
    if value.whole[-mask.ndim :] != mask.shape:
        raise InputError("A part can be tried only with a mask that was made on the image; restore the whole.")
    mask = np.broadcast_to(mask, value.whole)[value.part]
    if not mask.any():
        raise InputError("Nothing of the mask lies in view; move it there, or restore the whole.")
    return mask


class _Clock:
    """When to report and when to send pictures along."""

    def __init__(self, job: Job, control: Control, out: np.ndarray | None):
        self.job, self.control, self.out = job, control, out
        self.losses: list[tuple[int, int, float]] = []
        self.held_out: list[tuple[int, int, float]] = []
        self.before: Progress | None = None
        self.ended: list[tuple[int, ...]] = []
        """Planes whose end was not shown yet."""
        self.complete: set[tuple[int, ...]] = set()
        self.reported = self.previewed = -np.inf
        self.pause = job.picture_every

    def note(self, now: Progress) -> None:
        """Take down an iteration."""
        before, self.before = self.before, now
        if now.stage == "fit":
            self.losses.append((now.fit, now.iteration, now.loss))
            seen = None if before is None or before.fit != now.fit else before.held_out_error
            if now.held_out_error is not None and now.held_out_error != seen:
                self.held_out.append((now.fit, now.iteration, now.held_out_error))
        finished = list(now.finished)
        if before is not None and before.fit != now.fit and before.together == 1:
            finished.append(before.index)  # the end of a plane by itself is no step
        self.ended += (index for index in finished if index not in self.complete)
        self.complete.update(finished)

    def wants_report(self, now: Progress) -> bool:
        """Whether it is time for a report."""
        steps = now.finished or (now.stage == "apply" and not now.restored)  # these are few, and may take long
        return bool(steps) or now.done >= 1 or perf_counter() - self.reported >= REPORT_EVERY

    def report(self, now: Progress, *, turns: bool = False) -> Report:
        """Say where the run stands; while it turns to another plane, a picture would be of neither."""
        self.reported = perf_counter()
        losses, self.losses = self.losses, []
        held_out, self.held_out = self.held_out, []
        return Report(
            plane=now.plane,
            planes=now.planes,
            iteration=now.iteration,
            iterations=now.iterations,
            seconds=now.seconds,
            done=now.done,
            loss=now.loss,
            stage=now.stage,
            fit=now.fit,
            fits=now.fits,
            together=now.together,
            restored=now.restored,
            losses=losses,
            held_out=held_out,
            pictures=[] if turns else self._pictures(now),
        )

    def _pictures(self, now: Progress) -> list[Picture]:
        """Make pictures if it is time, somebody looks, and those before were shown."""
        started = perf_counter()
        early = now.fit == 0 and now.stage == "fit" and now.iteration < FIRST_PREVIEW and now.seconds < PATIENCE
        # the result itself is next if the run is about to end
        ending = now.done >= 1 or self.control.wish not in (("go", "stop") if now.stage == "apply" else ("go",))
        if early or ending or not (self.control.watched and self.control.shown):
            return []
        planes = self._next_done()  # these cost next to nothing, and a preview does
        pause = max(self.pause, self.control.drawing / PREVIEW_SHARE)
        previews = now.index not in self.complete and started - self.previewed >= pause
        if previews:
            planes.append((now.index, self._previewed(now)))
        dtype, rgb = self.job.image.dtype, self.job.rgb
        pictures = [Picture(index, displayable(plane, dtype, rgb=rgb)) for index, plane in planes]
        if not pictures:
            return []
        if previews:
            self.previewed = perf_counter()
            self.pause = max(self.job.picture_every, (self.previewed - started) / PREVIEW_SHARE)
        self.control.shown = False
        return pictures

    def _previewed(self, now: Progress) -> np.ndarray:
        """Look at the plane at work; enlarged by interpolation, as long as its network has learned nothing."""
        job, plane = self.job, now.preview()
        if job.factor == 1 or now.iteration > EARLY * now.iterations:
            return plane
        return shown_for(plane, job.image, job.axes or "", now.index, job.factor)

    def _next_done(self) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """Copy planes that have ended, the one that is looked at first, and no more than can be shown in a moment."""
        out, axes = self.out, self.job.axes or ""
        if out is None:
            return []
        self.ended.sort(key=lambda index: index != self.control.looked_at)
        planes: list[tuple[tuple[int, ...], np.ndarray]] = []
        while self.ended and sum(plane.size for _, plane in planes) < AT_ONCE:
            index = self.ended.pop(0)
            planes.append((index, np.array(out[place_of(axes, index)])))
        return planes
