"""A restoration off the GUI thread: start, pause, stop and keep, cancel. Its outcomes are values, never exceptions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

import numpy as np
from napari.qt.threading import create_worker

from napari_dip.errors import InputError, in_words
from napari_dip.viewer.layers import displayable, read_mask, without_colours

if TYPE_CHECKING:
    from napari_dip.restore import Progress

REPORT_EVERY = 0.1
PREVIEW_EVERY = 0.25
PREVIEW_SHARE = 0.2
"""Most of the time that previews may take."""
FIRST_PREVIEW = 5
"""Iterations before the first one: the network has learned nothing earlier ..."""
PATIENCE = 2.0
"""... but after so many seconds there is to be something to see."""
BUSY = "Another restoration is running; wait until it ends, or stop it first."

log = logging.getLogger("napari_dip")


@dataclass(frozen=True)
class Job:
    """What to restore, read from layers and forms before the run starts, so that the run looks at neither.

    Attributes
    ----------
    task : str
        As in `napari_dip.restore_steps`.
    title : str
        What the viewer says is running.
    image, axes, factor, settings
        As in `napari_dip.restore_steps`.
    labels : array, optional
        The data of the mask layer.
    label : int
        The label to fill in; 0 for all.
    """

    task: str
    title: str
    image: Any
    axes: str | None
    settings: dict[str, Any]
    factor: int | None = None
    labels: Any = None
    label: int = 0


@dataclass(frozen=True)
class Report:
    """How a run goes: where it stands, the errors since the report before, and the image if it is time for one."""

    plane: int
    planes: int
    iteration: int
    iterations: int
    seconds: float
    done: float
    loss: float
    losses: list[tuple[int, int, float]]
    preview: np.ndarray | None


@dataclass(frozen=True)
class Done:
    """The run came to its end."""

    image: np.ndarray
    record: dict[str, Any]
    uncertainty: np.ndarray | None = None


@dataclass(frozen=True)
class Stopped(Done):
    """The run was stopped by hand; what it had is kept."""


@dataclass(frozen=True)
class Cancelled:
    """The run was dropped."""


@dataclass(frozen=True)
class Failed:
    """The run failed; says why in one sentence."""

    reason: str


Outcome = Done | Stopped | Cancelled | Failed


@dataclass
class Control:
    """What the GUI thread asks of a run. The worker reads it between two iterations."""

    paused: bool = False
    stopping: bool = False
    cancelled: bool = False
    watched: bool = True
    shown: bool = True
    """Whether the preview before was taken: previews never pile up."""
    wake: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


_current: Control | None = None


def busy() -> bool:
    """Whether a restoration runs in this process."""
    return _current is not None and not _current.over.is_set()


class Runner:
    """One place's runs: starts them, steers them, and hears of them in the GUI thread.

    Parameters
    ----------
    on_report, on_end : bound methods
        Called with a `Report` and an `Outcome`; held weakly, so that a run keeps no widget alive.
    """

    def __init__(self, on_report: Callable[[Report], None], on_end: Callable[[Outcome], None]):
        self._on_report, self._on_end = WeakMethod(on_report), WeakMethod(on_end)
        self.control: Control | None = None

    def start(self, job: Job) -> None:
        """Start a run.

        Raises
        ------
        InputError
            If one runs already, here or elsewhere in this process.
        """
        global _current
        if busy():
            raise InputError(BUSY)
        control = self.control = _current = Control()
        jobs = [job]  # taken out at the start: napari holds on to the function long after its run, but not to the image

        def steps() -> Generator[Report | None, None, Outcome]:
            return (yield from _guarded(jobs.pop(), control))

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
        worker.finished.connect(control.over.set)
        worker.start()

    def pause(self) -> None:
        """Hold after this iteration."""
        if self.control:
            self.control.paused = True

    def resume(self) -> None:
        """Go on."""
        if self.control:
            self.control.paused = False
            self.control.wake.set()

    def stop(self) -> None:
        """End after this iteration and keep the result."""
        if self.control:
            self.control.stopping = True
            self.control.wake.set()

    def cancel(self) -> None:
        """End after this iteration and drop the result."""
        if self.control:
            self.control.cancelled = True
            self.control.wake.set()

    def forget(self, *_: Any) -> None:
        """Cancel, and hear no more of it: who wanted to know is gone."""
        self.cancel()
        self.control = None

    def _yielded(self, control: Control, report: Report | None) -> None:
        told = self._on_report()
        if report is not None and control is self.control and not control.cancelled and told:
            told(report)
            control.shown = True

    def _returned(self, control: Control, outcome: Outcome) -> None:
        if control is not self.control:
            return
        self.control = None
        told = self._on_end()
        if told:
            told(Cancelled() if control.cancelled else outcome)


def _guarded(job: Job, control: Control) -> Generator[Report | None, None, Outcome]:
    """Turn whatever goes wrong into an outcome: the thread workers of napari swallow some exceptions."""
    try:
        return (yield from _run(job, control))
    except Exception as error:
        if not isinstance(error, InputError):
            log.exception("The restoration failed.")
        return Failed(in_words(error))
    finally:
        control.over.set()


def _run(job: Job, control: Control) -> Generator[Report | None, None, Outcome]:
    from napari_dip import restore  # loads torch

    extra: dict[str, Any] = {} if job.factor is None else {"factor": job.factor}
    if job.labels is not None:
        extra["mask"] = read_mask(job.labels, job.label)
    steps = restore.restore_steps(job.task, job.image, axes=job.axes, **extra, **job.settings)
    clock = _Clock(control)

    rgb = "S" in (job.axes or "")

    def shown(image: np.ndarray) -> np.ndarray:
        return displayable(image, job.image.dtype, rgb=rgb)

    while True:
        try:
            now = next(steps)
        except StopIteration as end:
            kind, result = Stopped if control.stopping else Done, end.value
            spread = None if result.uncertainty is None else without_colours(result.uncertainty, rgb=rgb)
            return kind(shown(result.image), result.record, spread)
        clock.note(now.plane, now.iteration, now.loss)
        # a pause lets the report of its last iteration out, and goes on yielding so that napari can end it
        if clock.wants_report() or control.paused or now.done >= 1:
            yield Report(
                plane=now.plane,
                planes=now.planes,
                iteration=now.iteration,
                iterations=now.iterations,
                seconds=now.seconds,
                done=now.done,
                loss=now.loss,
                losses=clock.take_losses(),
                preview=clock.preview(now, shown),
            )
        while control.paused and not control.stopping and not control.cancelled:
            control.wake.clear()
            if control.paused and not control.wake.wait(REPORT_EVERY):
                yield None
        if control.cancelled:
            steps.close()
            return Cancelled()
        if control.stopping:
            now.stop()


class _Clock:
    """When to report and when to send a picture along."""

    def __init__(self, control: Control):
        self.control = control
        self.losses: list[tuple[int, int, float]] = []
        self.reported = self.previewed = -np.inf
        self.pause = PREVIEW_EVERY

    def note(self, plane: int, iteration: int, loss: float) -> None:
        self.losses.append((plane, iteration, loss))

    def wants_report(self) -> bool:
        return perf_counter() - self.reported >= REPORT_EVERY

    def take_losses(self) -> list[tuple[int, int, float]]:
        self.reported = perf_counter()
        losses, self.losses = self.losses, []
        return losses

    def preview(self, now: Progress, shown: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
        """Make a picture if it is time, somebody looks, and the one before was shown."""
        started = perf_counter()
        early = now.plane == 0 and now.iteration < FIRST_PREVIEW and now.seconds < PATIENCE
        # the result itself is next if the run is about to end
        if early or self.control.stopping or now.done >= 1 or started - self.previewed < self.pause:
            return None
        if not (self.control.watched and self.control.shown):
            return None
        image = shown(now.preview())
        self.previewed = perf_counter()
        self.pause = max(PREVIEW_EVERY, (self.previewed - started) / PREVIEW_SHARE)
        self.control.shown = False
        return image
