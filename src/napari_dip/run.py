"""A run as an object: it walks the work items, can be stopped, looked at, gone on with, saved, and keeps its fit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import napari_dip.prior  # noqa: F401 (sets how torch's threads wait, which they read when torch is imported)

# isort: split
import numpy as np
import torch

from napari_dip import checkpoint, record
from napari_dip.errors import InputError
from napari_dip.image.planes import restore_order
from napari_dip.image.sink import ArraySink
from napari_dip.image.source import Plane
from napari_dip.image.work import Item
from napari_dip.item_fit import ItemFit
from napari_dip.prior.fit import Diverged, has_fast_bfloat16
from napari_dip.prior.surroundings import is_forked, surroundings
from napari_dip.record import PlaneRecord
from napari_dip.request import Request
from napari_dip.restoration import Progress, Restoration

PIXELS_PER_THREAD = 40_000
"""256 x 256 pixels are done sooner by one thread than by two."""


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
    script : sequence of PlaneRecord, optional
        Repeat these planes: each ends after the iterations that it had, and the run after the last of them.

    Examples
    --------
    >>> run = dip.restore_steps("denoise", image)  # doctest: +SKIP
    >>> for progress in run:  # doctest: +SKIP
    ...     if good_enough(progress.preview()):
    ...         run.stop()
    >>> run.result.image  # doctest: +SKIP
    """

    def __init__(self, request: Request, *, out: Any = None, script: Sequence[PlaneRecord] | None = None):
        source, factor = request.source, request.factor
        self.request, self.script = request, script
        self.started = datetime.now(UTC)
        self.threads = 0
        self.planes: list[PlaneRecord] = []
        self._sink = ArraySink(source.shape(factor), source.axes, factor, out)
        self._doubt = ArraySink(source.shape(factor), source.axes, factor) if request.settings.uncertainty else None
        self._asked = self._over = self._given_out = False
        self._next = 0
        self._at: ItemFit | None = None
        self._last: ItemFit | None = None

    def __iter__(self) -> Run:
        return self

    def __next__(self) -> Progress:
        """Do an iteration.

        Raises
        ------
        Diverged
            If the only plane there is fails before it has an image.
        """
        self._settle_threads()
        with surroundings(self.threads, self.request.device):
            while not self._over:
                at = self._at or self._begin()
                if at is None:
                    self._over = True
                elif (progress := self._advance(at)) is not None:
                    return progress
        raise StopIteration

    @property
    def result(self) -> Restoration:
        """The restored image with its record; a run that is not over goes on to its end first."""
        for _ in self:
            pass
        self._given_out = True
        return self._restoration(self._sink, self._doubt, self.planes)

    def stop(self) -> None:
        """End after the iteration at work, and keep the result."""
        self._asked = True

    def close(self) -> None:
        """Drop the run and what it computes with; planes that were done are kept."""
        self._over, self._at, self._last = True, None, None

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
        at = self._at or self._last
        if at is None:
            raise InputError("There is nothing to go on with: the run has not begun, was closed, or failed.")
        if self._at is None:
            self.planes = [plane for plane in self.planes if plane["plane"] != at.item.number]
            if self._given_out:
                self._sink, self._given_out = self._sink.copy(), False
                self._doubt = None if self._doubt is None else self._doubt.copy()
        self._at, self._over, self._asked = at, False, False
        at.extend(iterations)

    def snapshot(self) -> Restoration:
        """Give what `stop` would give now, without ending; its record repeats it."""
        sink, doubt = self._sink.copy(), None if self._doubt is None else self._doubt.copy()
        planes = list(self.planes)
        if self._at is not None and self._at.fit.iteration:
            with surroundings(self.threads, self.request.device):
                self._write(self._at, sink, doubt)
            planes.append(self._at.note("asked"))
        return self._restoration(sink, doubt, planes, asked=not self._over)

    def preview(self) -> np.ndarray:
        """Give the plane at work as it is now, float32 in the caller's units; near to what it will be in the result.

        Raises
        ------
        InputError
            If no plane is at work.
        """
        if self._at is None:
            raise InputError("There is nothing to look at: no plane is at work.")
        with surroundings(self.threads, self.request.device):
            image = self._at.image()
        return restore_order(image, self.request.source.axes)

    def save(self, path: str | Path) -> None:
        """Write all that is needed to go on later, to the same bytes: `napari_dip.load_run` reads it.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        planes, at = self.planes, self._at or self._last
        about = self._restoration(self._sink, None, planes).record
        state = {
            "max_seconds": self.request.settings.max_seconds,
            "next": self._next,
            "threads": self.threads,
            "over": self._over,
            "asked": self._asked,
            "planes": planes,
            "image": torch.from_numpy(np.array(self._sink.array)),
            "uncertainty": None if self._doubt is None else torch.from_numpy(np.array(self._doubt.array)),
            "item": None if at is None else at.item.number,
            "at_work": self._at is not None,
            "fit": None if at is None else at.fit.state(),
        }
        checkpoint.write(Path(path), about, state)

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that `save` has written; the run has to be of the same image and settings."""
        for name in ("next", "over", "asked"):
            setattr(self, f"_{name}", state[name])
        self.threads, self.planes = state["threads"], state["planes"]
        self._sink.array[...] = state["image"].numpy()
        if self._doubt is not None:
            self._doubt.array[...] = state["uncertainty"].numpy()
        if state["fit"] is None:
            return
        with surroundings(self.threads, self.request.device):
            item = self.request.source.items[state["item"]]
            at = ItemFit(self.request, item, self.request.source.plane(item))
            at.fit.load_state(state["fit"])
        self._at, self._last = (at, None) if state["at_work"] else (None, at)

    def _settle_threads(self) -> None:
        """Settle the threads at the first step: more than suit the size of a plane would mostly wait for each other."""
        if not self.threads:
            settings, (height, width) = self.request.settings, self.request.source.size
            most = 1 if is_forked() else torch.get_num_threads()
            suited = max(1, min(most, height * width * self.request.factor**2 // PIXELS_PER_THREAD))
            self.threads = settings.threads or (most if settings.preset == "paper" else suited)
        if self.threads > 1 and is_forked():
            raise InputError(
                f"This process was forked after torch had been loaded, where {self.threads} threads would wait for ever; "
                'start it with multiprocessing.get_context("spawn"), or take one thread.'
            )

    def _begin(self) -> ItemFit | None:
        """Take up the next plane that has anything to do; None if there is none, or the run is to end."""
        source, done = self.request.source, len(self.planes)
        while self._next < len(source.items):
            item = source.items[self._next]
            plane = source.plane(item)
            if self._has_work(plane):
                if self._asked or (self.script is not None and done >= len(self.script)):
                    return None
                script = None if self.script is None else self.script[done]
                self._at = ItemFit(self.request, item, plane, seconds=self._seconds_for(item), script=script)
                self._next += 1
                return self._at
            self._next += 1
            self._put_unchanged(item, plane)
        return None

    def _has_work(self, plane: Plane) -> bool:
        """Whether there is anything to do: constant planes, and those without a gap to fill, stay as they are."""
        return not plane.is_constant and (self.request.task.writes == "everything" or not plane.observed.all())

    def _seconds_for(self, item: Item) -> float | None:
        """Share what is left of the time among the planes that are left."""
        most = self.request.settings.max_seconds
        return max(most - self._seconds, 0) / (len(self.request.source.items) - item.number) if most else None

    def _advance(self, at: ItemFit) -> Progress | None:
        """Do an iteration of the plane at work; None once it has come to its end."""
        at.fit.limits.asked = self._asked
        try:
            now = next(at.fit)
        except Diverged:
            self._at = None
            if len(self.request.source.items) == 1:
                self.close()
                raise
            self.planes.append(at.failed())  # the others are not lost
            return None
        except StopIteration:
            self._write(at, self._sink, self._doubt)
            self.planes.append(at.note(at.fit.stopped_by or "asked"))
            self._at, self._last = None, at
            return None
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
            seconds=self._seconds + now.seconds,
            done=(at.item.number + min(now.iteration / now.iterations, 1)) / items,
            preview=self.preview,
            stop=self.stop,
        )

    @property
    def _seconds(self) -> float:
        """Computing time of the planes that are done."""
        return sum(plane["seconds"] for plane in self.planes)

    def _write(self, at: ItemFit, sink: ArraySink, doubt: ArraySink | None) -> None:
        """Write what the fit of a plane comes to."""
        image, deviation = at.finish()
        sink.put(at.item, image)
        if doubt is not None and deviation is not None:
            doubt.put(at.item, self._with_alpha(deviation))

    def _put_unchanged(self, item: Item, plane: Plane) -> None:
        """Write a plane in which there is nothing to do; what is masked in a constant one takes its value."""
        whole, factor = self.request.enlarged(plane.original), self.request.factor
        if plane.observed.any():
            missing = plane.missing.repeat(factor, 1).repeat(factor, 2)
            np.copyto(whole[: len(missing)], np.float32(plane.scaling.low), where=missing)
        self._sink.put(item, whole)
        if self._doubt is not None:
            self._doubt.put(item, self._with_alpha(np.zeros_like(whole[: self.request.source.samples])))

    def _with_alpha(self, deviation: np.ndarray) -> np.ndarray:
        """Add the uncertainty of alpha, which is not known."""
        whole = np.full((self.request.source.sizes.get("S", 1), *deviation.shape[1:]), np.nan, np.float32)
        whole[: len(deviation)] = deviation
        return whole

    def _restoration(
        self, sink: ArraySink, doubt: ArraySink | None, planes: list[PlaneRecord], *, asked: bool = False
    ) -> Restoration:
        begun = self._next if self._at is None or self._at.fit.iteration else self._at.item.number
        found = record.compose(
            self.request,
            planes,
            threads=self.threads,
            begun=begun,
            asked=asked or self._asked,
            started=self.started,
            bfloat16=has_fast_bfloat16(self.request.device) and self.request.settings.preset != "paper",
        )
        return Restoration(sink.array, self.request.source.axes, found, None if doubt is None else doubt.array)
