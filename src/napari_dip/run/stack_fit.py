"""A group of planes from its values to its result: a network is fitted to crops of all, then applied block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from napari_dip.image.planes import Region
from napari_dip.image.work import Block, Group, Item, channel_of, plan_blocks
from napari_dip.prior.estimators.stack_opinion import StackOpinion
from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.fitting.state_check import check_stack
from napari_dip.prior.fitting.weights import ChannelWeights
from napari_dip.prior.noise.verification import Residual
from napari_dip.prior.objectives.crop_prediction import JUDGED, SETTLING
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.presets import STACK
from napari_dip.run.item_fit import Piece, found_noise, limits_of, note_of, note_of_failure, noted
from napari_dip.run.record import PlaneRecord
from napari_dip.run.request import Request
from napari_dip.run.stack_apply import StackApply
from napari_dip.run.stack_pool import LOOKED_AT, Part, Pool, context_of, reach_of, sample

BLOCK = 2**21
"""Pixels of a block: 8 planes of 512 x 512, some 600 MB at work."""
SIDE, SIDE_ALONE = 512, 1024
"""Of a block, along Y and X: of planes that have neighbours, and of single ones."""
LOOKED_AT_FIRST = 2**16
"""Pixels from which a preview finds what the fit leaves behind."""
PREVIEWED = 384
"""Side of the part of a plane that a preview restores, around its centre."""
APPLYING = 2.5
"""What it takes to restore a pixel, over what it takes to learn from one: for the time that is left."""


class StackFit:
    """A group with its fit; nothing is computed here but by `fit`, `image` and `apply_next`.

    Parameters
    ----------
    request : Request
    group : Group
        All planes have something to learn from.
    seconds : float, optional
        Computing time that the fit may take.
    script : PlaneRecord, optional
        End after the iterations that this one had, and apply what it applied.
    others : sequence of Part, optional
        Planes of other images that it is fitted to as well.

    Attributes
    ----------
    fit : Fit
    left : list of Block
        What is still to be restored.
    done : list of Block
    focus : Item
        The plane that is looked at.
    announced : bool
        Whether it was said that planes are restored now.
    """

    def __init__(
        self,
        request: Request,
        group: Group,
        *,
        seconds: float | None = None,
        script: PlaneRecord | None = None,
        others: Sequence[Part] = (),
    ):
        self.request, self.group = request, group
        settings, source, parts = request.settings, request.source, [(request.source, group), *others]
        given, self.preset = self._given(), STACK[settings.preset]
        if given is not None:
            self.preset = self.preset.begun_with(len(given.networks))
        self.reach = reach_of(settings, parts) if given is None else given.reach
        self.pool = Pool.of(parts, settings, request.device)
        if given is None and settings.neighbours is None and self.reach and self.pool.shares_noise:
            self.reach = 0
        self.scaling, self.noise = self.pool.scaling, self.pool.noise
        self.grids = self.preset.grouping.grids_of_stacks(self.pool.stacks, self.noise)
        stacks = [grid.of_stack(stack) for stack in self.pool.stacks for grid in self.grids]
        self.view = self.preset.view(self.reach, context_of(source, settings))
        generator = torch.Generator().manual_seed(settings.seed)
        self._objectives = self.preset.objectives(stacks, self._noise_of_groups, self.view, generator)
        problem = self.preset.problem(self._objectives, generator)
        planned = settings.max_iterations or self.preset.planned
        limits = limits_of(planned if request.start is None else request.start.iterations, seconds, script)
        self.fit = Fit(problem, limits, judged=script is None, given=given.networks if given else ())
        pixels, side = (BLOCK // source.samples, SIDE) if self.reach else (1, SIDE_ALONE)
        self.blocks = plan_blocks(group, source.size, pixels, side * self.grids[0].side)
        wanted = None if script is None else script.get("blocks")
        self.left = [block for block in self.blocks if wanted is None or block.number in wanted]
        self.done: list[Block] = []
        self.focus = group.items[len(group.items) // 2]
        self.residuals: list[Residual] = []  # of the blocks that are done
        self.applied_seconds = 0.0
        self.announced = False
        self._ready: StackApply | None = None  # once planes are restored

    @property
    def item(self) -> Item:
        """The plane that is looked at."""
        return self.focus

    @property
    def channel(self) -> int:
        """Which one the planes are of."""
        return channel_of(self.request.source.outer, self.group.items[0])

    @property
    def numbers(self) -> list[int]:
        """Of the planes."""
        return [item.number for item in self.group.items]

    @property
    def seconds(self) -> float:
        """Computing time so far."""
        return self.fit.seconds + self.applied_seconds

    @property
    def part(self) -> float:
        """Part of the work that is done, 0 to 1."""
        fit, crops = self.fit, self.preset.crops
        side = min(crops.side, *self.request.source.size)
        learned = float(crops.count * side**2)
        pixels = APPLYING * len(self.group.items) * self.request.source.size[0] * self.request.source.size[1]
        planned = fit.iteration if fit.stopped_by else max(self._planned(), fit.iteration)
        done = learned * fit.iteration + pixels * len(self.done) / len(self.blocks)
        return min(done / (learned * planned + pixels), 1.0)

    def regions(self) -> list[Region]:
        """Give the regions of the plane in focus that are restored."""
        return [block.region for block in self.done if self.focus in block.items]

    def look_at(self, item: Item) -> None:
        """Restore this plane first."""
        if item in self.group.items:
            self.focus = item

    def image(self) -> np.ndarray:
        """Give a look at the plane in focus (all samples, y, x) as float32: its middle as it would be restored now."""
        row = next(row for row in self.group.rows if self.focus in row)
        side = self.grids[0].side
        y, x = (_middle(n, PREVIEWED * side, side) for n in self.request.source.size)
        look = self._apply(JUDGED, LOOKED_AT_FIRST)
        image = look.preview(row, row.index(self.focus), (y, x))
        whole = np.array(self.request.source.raw(self.focus), np.float32)
        whole[:, y, x] = look.in_units(image[:, :, 0], replace(self.focus, region=(y, x)))
        return whole

    def apply_next(self) -> Iterator[Piece]:
        """Restore the next block, the one in focus first; give its parts plane by plane."""
        started = perf_counter()
        block = next((b for b in self.left if self.focus in b.items), self.left[0])
        if self._ready is None:
            self._ready = self.ready()
        estimate, residual = self._ready.restored(block, with_variance=self.request.settings.uncertainty)
        # new lists: a copy of this one, which a snapshot finishes, has them in common
        self.left, self.done = [b for b in self.left if b is not block], [*self.done, block]
        if residual is not None:
            self.residuals = [*self.residuals, residual]
        complete = {item.number for item in self._complete()}
        self.applied_seconds += perf_counter() - started
        for item, image, deviation in self._ready.in_planes(block, estimate):
            yield Piece(item, image, deviation, complete=item.number in complete)

    def ready(self) -> StackApply:
        """Make the networks as they are now ready to be applied."""
        return self._apply(SETTLING, LOOKED_AT)

    def weights(self) -> ChannelWeights:
        """Give what was fitted, by itself."""
        networks = [{name: value.cpu().clone() for name, value in one.items()} for one in self.fit.weights()]
        return ChannelWeights(tuple(networks), self.reach, self.pool.relative_noise)

    def extend(self, iterations: int) -> None:
        """Let it go on for so many iterations, whatever rule and clock say; then all is restored anew."""
        self.fit.extend(iterations)
        self.left, self.done, self.residuals, self.announced = list(self.blocks), [], [], False
        self._ready = None

    def note(self, stopped_by: str) -> PlaneRecord:
        """Say what was done."""
        note = note_of(self.fit, self.group.items[0], self.preset.name, stopped_by, self.seconds)
        note["planes"], note["neighbours"] = self.numbers, self.reach
        if self.grids[0].side > 1:
            note["together"] = self.grids[0].side
        if self._ready is not None and self._ready.opinion.mixture is not None:
            note["filtered"] = round(self._ready.opinion.mixture.part, 3)
        if self.residuals:
            note["residual"] = noted(Residual.usual(self.residuals))
        note["blocks"] = sorted(block.number for block in self.done)
        note["applying"] = round(self.applied_seconds, 3)
        return note | found_noise(self.noise, self.scaling, self.request.source.values)  # type: ignore[return-value]

    def failed(self) -> PlaneRecord:
        """Say that nothing came of it."""
        note = note_of_failure(self.group.items[0], self.seconds)
        note["planes"] = self.numbers
        return note

    def state(self) -> dict[str, Any]:
        """Give all that changes."""
        return {
            "fit": self.fit.state(),
            "done": [block.number for block in self.done],
            "residuals": [astuple(one) for one in self.residuals],
            "seconds": self.applied_seconds,
            "focus": self.focus.number,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        found = check_stack(state, len(self.blocks), self.numbers)
        self.fit.load_state(found["fit"])
        self.done = [self.blocks[number] for number in found["done"]]
        self.left = [block for block in self.left if block.number not in found["done"]]
        self.residuals = [Residual(*one) for one in found.get("residuals", ())]
        self.applied_seconds = found["seconds"]
        self.focus = next(item for item in self.group.items if item.number == found["focus"])

    def _given(self) -> ChannelWeights | None:
        """Give the weights that it begins with, if there are any."""
        return None if self.request.start is None else self.request.start.weights.channels[self.channel]

    def _planned(self) -> float:
        """Say how many iterations there will be at the most: as planned, or as the time allows."""
        fit, limits = self.fit, self.fit.limits
        if limits.stop_at is not None:
            return limits.stop_at
        if not limits.seconds or not fit.seconds:
            return limits.iterations
        return min(limits.iterations, fit.iteration * limits.seconds / fit.seconds)

    def _complete(self) -> list[Item]:
        """Give the planes of which nothing is left to restore."""
        done = {block.number for block in self.done}
        rest = [block for block in self.blocks if block.number not in done]
        left = {item.number for block in rest for item in block.items}
        return [item for item in self.group.items if item.number not in left]

    def _apply(self, batches: int, pixels: int) -> StackApply:
        """Settle the networks as they are now, and look at what they leave in so many pixels."""
        weights = self.fit.weights()
        networks = [one.settled(w, batches) for one, w in zip(self._objectives[: len(weights)], weights, strict=True)]
        noise, step = self._noise_of_groups, self.preset.last_step
        parts = sample(self._objectives[0].stacks, pixels)
        opinion = StackOpinion.of(networks[0], self.view, parts, noise, self.preset.estimation)
        return StackApply(self.request, self.scaling, noise, self.view, step, self.grids, networks, opinion)

    @property
    def _noise_of_groups(self) -> NoiseModel:
        """That of what a network is fitted to: groups of pixels, or single ones."""
        return self.grids[0].weaker(self.noise)


def _middle(length: int, part: int, step: int) -> slice:
    """Take the middle part of a length, from a multiple of the step on."""
    start = max(length - part, 0) // 2 // step * step
    return slice(start, start + min(part, length))
