"""A run as an object: it walks the work items, can be stopped, looked at, gone on with, saved, and keeps its fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import napari_dip.prior  # noqa: F401 (sets how torch's threads wait, which they read when torch is imported)

# isort: split
import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.planes import place, restore_order
from napari_dip.prior.fitting.fit import Diverged
from napari_dip.prior.fitting.fit import Progress as Step
from napari_dip.prior.in_order import Interrupted, interrupts
from napari_dip.prior.networks.optimisation import has_fast_bfloat16
from napari_dip.prior.surroundings import is_forked, most_threads, surroundings
from napari_dip.run import checkpoint, record
from napari_dip.run.fits import fit_of, has_work, is_shared, plan
from napari_dip.run.item_fit import ItemFit
from napari_dip.run.record import PlaneRecord
from napari_dip.run.request import Request
from napari_dip.run.restoration import Progress, Restoration
from napari_dip.run.run_state import RunState
from napari_dip.run.stack_fit import StackFit
from napari_dip.settings import MOST_ITERATIONS

PIXELS_PER_THREAD = 40_000
"""256 x 256 pixels are done sooner by one thread than by two."""

MOST_THREADS, ENOUGH_FOR_TWO = 8, 32
"""Where a network is fitted to crops, threads are worth it from crops of 32 x 32 pixels on, and up to some number."""


class Run:
    """One restoration: iterate it, then take the `result`.

    Nothing is computed but while the run is iterated, or asked for its result. It can be stopped at any time, from any
    thread; only one thread at a time may iterate it or look at it. What torch is set to in the caller's thread does not
    matter and is left as it was, at every step.

    Parameters
    ----------
    request : Request
    out : array, optional
        float32, of the shape of the result; where the image is written to.
    deviation : array, optional
        The same for its uncertainty, if the settings ask for that.
    script : sequence of PlaneRecord or None, optional
        Repeat these planes: each ends after the iterations that it had, and the run after the last of them. What has
        None in its place is done as planned.

    Attributes
    ----------
    interrupted : callable
        Asked now and then while a block of planes is restored, which may take long: True breaks it off, so that the
        next step comes at once. The block is begun anew after that.

    Examples
    --------
    >>> run = dip.restore_steps("denoise", image)  # doctest: +SKIP
    >>> for progress in run:  # doctest: +SKIP
    ...     if good_enough(progress.preview()):
    ...         run.stop()
    >>> run.result.image  # doctest: +SKIP
    """

    def __init__(
        self,
        request: Request,
        *,
        out: Any = None,
        deviation: Any = None,
        script: Sequence[PlaneRecord | None] | None = None,
    ):
        self.request, self.script = request, script
        self.started = datetime.now(UTC)
        self.plan = plan(request)
        self.interrupted: Callable[[], bool] = lambda: False
        self.state = RunState.of(request, out, deviation)

    def __iter__(self) -> Run:
        return self

    def __next__(self) -> Progress:
        """Do an iteration.

        Raises
        ------
        Diverged
            If every plane fails before it has an image.
        """
        self._settle_threads()
        with self._surroundings():
            while not self.state.over:
                at = self.state.at or self._begin()
                if at is None:
                    self._end()
                elif (progress := self._advance(at)) is not None:
                    return progress
        raise StopIteration

    @property
    def has_prior(self) -> bool:
        """Whether something was fitted that serves other images, for `FittedPrior.of`."""
        return bool(self.state.fitted)

    @property
    def undecided_radius(self) -> int:
        """How many pixels the noise of the planes at work may reach, where the setting `reach` decides; else 0."""
        at, settings = self.state.at or self.state.last, self.request.settings
        if at is None or not self.request.task.uses("reach", settings.preset, settings.noise):
            return 0
        return at.noise.undecided_radius

    @property
    def output(self) -> Any:
        """The array that the image is written to, NaN where nothing is restored yet."""
        return self.state.image.array

    @property
    def result(self) -> Restoration:
        """The restored image with its record; a run that is not over goes on to its end first."""
        for _ in self:
            pass
        self.state.given_out = True
        return self._restoration(self.state)

    def stop(self, *, now: bool = False) -> None:
        """End the fit after the iteration at work, and keep the result.

        Planes that are fitted together are still restored with what was fitted so far; those that the run did not come
        to stay NaN.

        Parameters
        ----------
        now : bool
            Leave out what is not restored yet, too.
        """
        self.state.asked = True
        self.state.cut = self.state.cut or now

    def walk(self, watch: Callable[[Progress], bool | None] | None = None) -> bool:
        """Go on to the end, and keep the result.

        Parameters
        ----------
        watch : callable, optional
            Is handed the progress of each step. Once it returns True, the run is stopped: planes that are fitted
            together are all restored first, unless some of them are already, or it returns True again.

        Returns
        -------
        bool
            Whether it was stopped so.
        """
        asked = False
        for progress in self:
            if watch is not None and watch(progress):
                self.stop(now=asked or (progress.together > 1 and progress.restored > 0))
                asked = True
        return asked

    def look_at(self, index: Sequence[int]) -> None:
        """Turn to a plane: previews show it, and it is restored first.

        Parameters
        ----------
        index : sequence of int
            Where it is along the outer axes (T, Z, C) of the image, in their order. A plane that is not at work, or
            none of the image, changes nothing.
        """
        at = self.state.at
        if at is not None:
            for item in self.request.source.items:
                if item.index == tuple(index):
                    at.look_at(item)

    def close(self) -> None:
        """Drop the run and what it computes with; planes that were done are kept."""
        self.state.over, self.state.at, self.state.last = True, None, None

    def extend(self, iterations: int) -> None:
        """Go on: the plane that was at work last gets more iterations, and the planes after it follow as planned.

        The rate of learning stays where the plan left it. A result that was given out before stays as it is.

        Parameters
        ----------
        iterations : int
            More than it has had so far; neither the rule nor a limit of time ends it before.

        Raises
        ------
        InputError
            If there is no fit to go on with, or `iterations` is not positive.
        """
        if iterations < 1:
            raise InputError(f"A run cannot be extended by {iterations} iterations; give 1 or more.")
        at = self.state.at or self.state.last
        if at is None:
            raise InputError("There is nothing to go on with: the run has not begun, was closed, or failed.")
        if at.fit.iteration + iterations > MOST_ITERATIONS:
            raise InputError(f"A run cannot be extended to more than {MOST_ITERATIONS} iterations; give fewer.")
        if self.state.given_out:
            self.state = replace(self.state.copy(), given_out=False)
        self.state.forget(at)
        self.state.at, self.state.over, self.state.asked, self.state.cut = at, False, False, False
        at.extend(iterations)

    def snapshot(self) -> Restoration:
        """Give what `stop` would give now, without ending; its record repeats it."""
        state = self.state.copy()
        if state.at is not None and state.at.fit.has_result:
            with self._surroundings():
                state.finish(copy(state.at), "asked")
        state.asked = state.asked or not state.over
        return self._restoration(state)

    def preview(self) -> np.ndarray:
        """Give the plane at work as it is now, float32 in the caller's units; near to what it will be in the result.

        Raises
        ------
        InputError
            If no plane is at work.
        """
        at = self.state.at or (
            self.state.last if isinstance(self.state.last, StackFit) and not self.state.over else None
        )
        if at is None:
            raise InputError("There is nothing to look at: no plane is at work.")
        if at.item.number in self.state.written:
            source = self.request.source
            return np.array(self.state.image.array[place(source.axes, at.item.index)])
        with self._surroundings():
            image = at.image()
        if isinstance(at, StackFit):
            self.state.cover(image, at.item, at.regions())
        return restore_order(image, self.request.source.axes)

    def save(self, path: str | Path) -> None:
        """Write all that is needed to go on later, to the same bytes: `napari_dip.load_run` reads it.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        checkpoint.write(Path(path), self._restoration(self.state).record, self.state.to_dict())

    def load_state(self, state: checkpoint.StateFile) -> None:
        """Go on from a state that `save` has written; the run has to be of the same image and settings."""
        with surroundings(state["threads"] or 1, self.request.device):
            self.state.load(state)

    def _surroundings(self) -> AbstractContextManager[None]:
        return surroundings(self.state.threads, self.request.device)

    def _settle_threads(self) -> None:
        """Settle the threads at the first step."""
        self.state.threads = self.state.threads or suited_threads(self.request)
        check_threads(self.state.threads)

    def _begin(self) -> ItemFit | StackFit | None:
        """Take up the next planes that have anything to do; None if there are none, or the run is to end."""
        state, done = self.state, len(self.state.planes)
        while state.next < len(self.plan):
            items = [item for item in self.plan[state.next] if has_work(self.request.source, item, self.request.task)]
            if items and self.script is not None and done >= len(self.script):
                state.asked = True  # as the run that is repeated was
            if items and state.asked:
                return None
            for item in self.plan[state.next]:
                if item not in items:
                    state.skip_item(item, self.request.source.plane(item))
            state.next += 1
            if items:
                script = None if self.script is None else self.script[done]
                numbers = [item.number for item in items]
                state.at = fit_of(self.request, numbers, seconds=self._seconds(), script=script)
                return state.at
        return None

    def _seconds(self) -> float | None:
        """Share what is left of the time to learn among the fits that are left."""
        most = self.request.settings.max_seconds
        left = len(self.plan) - self.state.next + 1
        return max(most - self.state.learning, 0) / left if most else None

    def _advance(self, at: ItemFit | StackFit) -> Progress | None:
        """Do an iteration of the planes at work, or restore a part of them once their fit has come to its end."""
        if at.fit.stopped_by is None:  # afterwards it has ended for a reason of its own
            at.fit.limits.asked = self.state.asked
        try:
            now = next(at.fit)
        except Diverged:
            self.state.at = None
            self.state.planes.append(at.failed())  # the others are not lost
            return None
        except StopIteration:
            return self._apply(at)
        return self._progress(at, now)

    def _apply(self, at: ItemFit | StackFit) -> Progress | None:
        """Restore the next part; None if no more than one plane was to be restored, or this is cut short."""
        if not at.announced:
            at.announced = True  # a block may take a while, so it is said before
            return self._progress(at, at.fit.progress, stage="apply")
        token = interrupts.set(self.interrupted)
        try:
            pieces = [] if self.state.cut and at.done else self.state.apply_next(at)
        except Interrupted:  # the block is begun anew, once it was heard what is wanted
            return self._progress(at, at.fit.progress, stage="apply")
        finally:
            interrupts.reset(token)
        if not (at.left and pieces):
            self.state.planes.append(at.note(at.fit.stopped_by or "asked"))
            self.state.at, self.state.last = None, at
            if isinstance(at, StackFit):  # to be saved as a prior, if that is wanted
                self.state.fitted[at.channel] = at.weights()
        if isinstance(at, ItemFit) or not pieces:
            return None
        finished = tuple(piece.item.index for piece in pieces if piece.complete)
        return self._progress(at, at.fit.progress, stage="apply", finished=finished)

    def _progress(
        self,
        at: ItemFit | StackFit,
        now: Step,
        stage: Literal["fit", "apply"] = "fit",
        finished: tuple[tuple[int, ...], ...] = (),
    ) -> Progress:
        before = sum(len(self.plan[n]) for n in range(self.state.next - 1))
        items = len(self.request.source.items)
        return Progress(
            plane=at.item.number,
            planes=items,
            index=at.item.index,
            iteration=now.iteration,
            iterations=now.iterations,
            loss=now.loss,
            error=now.error,
            held_out_error=now.held_out_error,
            seconds=self.state.seconds + (at.seconds if at is self.state.at else 0.0),
            done=min((before + at.part * len(self.plan[self.state.next - 1])) / items, 1.0),
            stage=stage,
            finished=finished,
            fit=self.state.next - 1,
            fits=len(self.plan),
            together=len(at.numbers),
            restored=len(self.state.written.intersection(at.numbers)),
            preview=self.preview,
            stop=self.stop,
        )

    def _end(self) -> None:
        self.state.over = True
        if self.state.planes and all(map(record.has_failed, self.state.planes)):
            self.close()
            raise Diverged("The optimisation diverged from its first steps on and has no result.")

    def _restoration(self, state: RunState) -> Restoration:
        found = record.compose(
            self.request,
            state.planes,
            threads=state.threads,
            written=state.written,
            void=state.void,
            asked=state.asked,
            started=self.started,
            bfloat16=has_fast_bfloat16(self.request.device) and self.request.settings.preset != "paper",
        )
        uncertainty = None if state.uncertainty is None else state.uncertainty.array
        return Restoration(state.image.array, self.request.source.axes, found, uncertainty)


def suited_threads(request: Request) -> int:
    """Give the threads that are asked for, or suit what is computed at once: more would mostly wait for each other."""
    settings, (height, width) = request.settings, request.source.size
    most = most_threads()
    suited = max(1, min(most, height * width * request.factor**2 // PIXELS_PER_THREAD))
    if any(is_shared(request, items) for items in plan(request)):
        suited = min(most, MOST_THREADS) if min(height, width) >= ENOUGH_FOR_TWO else 1
    return settings.threads or (most if settings.preset == "paper" else suited)


def check_threads(threads: int) -> None:
    """Refuse more than a process can have.

    Raises
    ------
    InputError
        If it was forked after torch had been loaded.
    """
    if threads > 1 and is_forked():
        raise InputError(
            f"This process was forked after torch had been loaded, where {threads} threads would wait for ever; "
            'start it with multiprocessing.get_context("spawn"), or take one thread.'
        )
