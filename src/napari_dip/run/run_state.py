"""All of a run that changes, in one place: what it has done, where it stands, and what was asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch

from napari_dip.image.planes import Region, take_plane
from napari_dip.image.sink import Sink, sink_for
from napari_dip.image.source import Plane
from napari_dip.image.work import Item
from napari_dip.prior.fitting.weights import ChannelWeights, Weights
from napari_dip.prior.weight_check import check_weights
from napari_dip.run.checkpoint import StateFile
from napari_dip.run.fits import fit_of, has_work, plan
from napari_dip.run.item_fit import ItemFit, Piece
from napari_dip.run.record import PlaneRecord, numbers
from napari_dip.run.request import Request
from napari_dip.run.stack_fit import StackFit


@dataclass
class RunState:
    """Where a run stands.

    Attributes
    ----------
    request : Request
    image, uncertainty : Sink
        What was restored so far, NaN elsewhere; the uncertainty is None where it was not asked for.
    planes : list of PlaneRecord
        What was done.
    written : set of int
        Numbers of the items that are in the result.
    void : list of int
        Numbers of those that are not, since nothing was measured in them.
    next : int
        The part of the plan that is looked at next: a plane, or a group of them.
    threads : int
        That are used; 0 until that is settled.
    asked, cut : bool
        Whether it was asked to stop, and even to leave out planes that are fitted but not restored yet.
    over, given_out : bool
        Whether it has come to its end, and its result was handed to somebody.
    fitted : dict
        What was fitted on crops, by channel: it can be kept as a prior.
    at, last : ItemFit, StackFit or None
        The item at work, and, if there is none, the one that was at work last.
    """

    request: Request
    image: Sink
    uncertainty: Sink | None
    planes: list[PlaneRecord] = field(default_factory=list)
    written: set[int] = field(default_factory=set)
    void: list[int] = field(default_factory=list)
    next: int = 0
    threads: int = 0
    asked: bool = False
    cut: bool = False
    over: bool = False
    given_out: bool = False
    fitted: dict[int, ChannelWeights] = field(default_factory=dict)
    at: ItemFit | StackFit | None = None
    last: ItemFit | StackFit | None = None

    @classmethod
    def of(cls, request: Request, out: Any = None, deviation: Any = None) -> RunState:
        """Begin; the image is written to `out`, if that is given, and its uncertainty to `deviation`."""
        place = request.source.shape(request.factor), request.source.axes, request.factor
        uncertainty = sink_for(deviation, *place) if request.settings.uncertainty else None
        return cls(request, sink_for(out, *place), uncertainty)

    @property
    def seconds(self) -> float:
        """Computing time of the items that are done."""
        return sum(plane["seconds"] for plane in self.planes)

    @property
    def learning(self) -> float:
        """That without the time in which stacks were restored with what was learned."""
        return self.seconds - sum(plane.get("applying", 0.0) for plane in self.planes)

    def copy(self) -> RunState:
        """Give a state whose arrays and lists are its own."""
        other = copy(self)
        other.image, other.planes, other.written = self.image.copy(), list(self.planes), set(self.written)
        other.void, other.fitted = list(self.void), dict(self.fitted)
        other.uncertainty = None if self.uncertainty is None else self.uncertainty.copy()
        return other

    def apply_next(self, at: ItemFit | StackFit) -> list[Piece]:
        """Write the next part of what a fit comes to; give what was written."""
        pieces = []
        for piece in at.apply_next():
            self._put(piece.item, piece.image, piece.deviation, complete=piece.complete)
            pieces.append(piece)
        return pieces

    def finish(self, at: ItemFit | StackFit, stopped_by: str) -> None:
        """Write all that is left of what a fit comes to, and note it."""
        while at.left:
            self.apply_next(at)
        self.planes.append(at.note(stopped_by))

    def forget(self, at: ItemFit | StackFit) -> None:
        """Take back what a fit came to: it is restored anew, and none of it is to be mixed with what comes then."""
        self.planes = [plane for plane in self.planes if plane["plane"] != at.numbers[0]]
        self.written.difference_update(at.numbers)
        sinks = [self.image] if self.uncertainty is None else [self.image, self.uncertainty]
        for number in at.numbers:
            item = self.request.source.items[number]
            for sink in sinks:
                sink.clear(item)

    def cover(self, image: np.ndarray, item: Item, regions: Sequence[Region]) -> None:
        """Put what is restored of a plane, in some regions, into an image of it (samples, y, x)."""
        for region in regions:
            image[:, region[0], region[1]] = take_plane(self.image.array, self.request.source.axes, item.index, region)

    def skip_item(self, item: Item, plane: Plane) -> None:
        """Write an item in which there is nothing to do; what is masked in a constant one takes its value.

        One in which nothing was measured has nothing to be restored from. It stays NaN, but for single samples that
        inpainting keeps.
        """
        whole, factor = self.request.enlarged(plane.original), self.request.factor
        missing = plane.missing.repeat(factor, 1).repeat(factor, 2)
        deviation = np.zeros(missing.shape, np.float32)
        if plane.observed.any():
            source = self.request.source
            low = source.in_units(np.full((source.samples, 1, 1), plane.scaling.low, np.float32))
            for sample, own in source.samples_of.items():
                np.copyto(whole[sample], low[own], where=missing[own])
            self._put(item, whole, deviation)
            return
        self.void.append(item.number)
        if self.request.task.writes == "gaps":
            whole[: len(missing)][missing] = deviation[missing] = np.nan
            self._put(item, whole, deviation)
            self.written.discard(item.number)

    def _put(self, item: Item, image: np.ndarray, deviation: np.ndarray | None, *, complete: bool = True) -> None:
        self.image.put(item, image)
        if complete:
            self.written.add(item.number)
        if self.uncertainty is not None and deviation is not None:
            whole = np.full_like(image, np.nan)  # that of alpha is not known
            source = self.request.source
            for sample in source.colours:  # a sample that is the same everywhere has no noise
                whole[sample] = deviation[source.samples_of[sample]] if sample in source.samples_of else 0
            areas = source.areas_of(item)
            if areas is not None:
                whole[:, areas] = 0
            self.uncertainty.put(item, whole)

    def _put_back(self, sink: Sink, array: np.ndarray) -> None:
        """Write the parts that are done as an array has them."""
        axes, factor = self.request.source.axes, self.request.factor
        for item in self.request.source.items:
            y, x = (slice(part.start * factor, part.stop * factor) for part in item.region)
            sink.put(item, take_plane(array, axes, item.index, (y, x)))

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as tensors, numbers and text in plain containers."""
        at = self.at or self.last
        return {
            "max_seconds": self.request.settings.max_seconds,
            **{name: getattr(self, name) for name in _PLAIN},
            "written": sorted(self.written),
            "image": torch.from_numpy(np.array(self.image.array)),
            "uncertainty": None if self.uncertainty is None else torch.from_numpy(np.array(self.uncertainty.array)),
            "fitted": {channel: found.to_dict() for channel, found in self.fitted.items()},
            "numbers": None if at is None else at.numbers,
            "at_work": self.at is not None,
            "fit": None if at is None else at.state(),
        }

    def load(self, state: StateFile) -> None:
        """Go on from what `to_dict` gave; the request has to be the same.

        Raises
        ------
        ValueError
            If it is none of such a run.
        """
        self._check(state)
        for name in _PLAIN:
            setattr(self, name, state[name])  # type: ignore[literal-required]
        self.written = set(state["written"])
        self.fitted = {channel: ChannelWeights.of(found) for channel, found in state["fitted"].items()}
        for name in ("image", "uncertainty"):
            array = state[name]  # type: ignore[literal-required]
            if array is not None:
                self._put_back(getattr(self, name), array.numpy())
        if state["fit"] is not None and state["numbers"] is not None:
            at = fit_of(self.request, state["numbers"])
            at.load_state(state["fit"])
            self.at, self.last = (at, None) if state["at_work"] else (None, at)

    def _check(self, state: StateFile) -> None:
        """See that a state is of a run of this request; what of it belongs to a fit is checked there."""
        request, items, groups = self.request, self.request.source.items, plan(self.request)
        for name in ("image", "uncertainty"):
            own, found = getattr(self, name), state[name]
            if (None if own is None else tuple(own.array.shape)) != (None if found is None else tuple(found.shape)):
                raise ValueError(f"the {name} is that of another run")
        named = chain(state["written"], state["void"], *(numbers(plane) for plane in state["planes"]))
        if max(named, default=0) >= len(items) or state["next"] > len(groups):
            raise ValueError("it has planes that the image has not")
        wanted = state["numbers"]
        if (wanted is None) != (state["fit"] is None) or (state["at_work"] and wanted is None):
            raise ValueError("a part of the state is missing")
        fitted = [{item.number for item in group if has_work(request.source, item, request.task)} for group in groups]
        if wanted is not None and set(wanted) not in fitted[: state["next"]]:
            raise ValueError("it is at work on planes that are not fitted together")
        channels = request.source.sizes.get("C", 1)
        if not set(state["fitted"]) <= set(range(channels)):
            raise ValueError("it has channels that the image has not")
        of = tuple(ChannelWeights.of(state["fitted"][n]) if n in state["fitted"] else None for n in range(channels))
        if state["fitted"]:
            together = request.settings.channels == "together"
            check_weights(Weights(of, request.source.samples), request.settings.preset, together=together)


_PLAIN: Sequence[str] = ("planes", "void", "next", "threads", "asked", "cut", "over")
