"""A group of planes from its values to its result: a network is fitted to crops of all, then applied block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dip.image.planes import Region
from napari_dip.image.work import Block, Group, Item, channel_of, grown, plan_blocks, within
from napari_dip.item_fit import Piece, found_noise, limits_of, note_of, note_of_failure
from napari_dip.prior.apply import HALO, predict_planes
from napari_dip.prior.crop_prediction import JUDGED, SETTLING
from napari_dip.prior.fit import Fit
from napari_dip.prior.likelihood import NoiseVariance
from napari_dip.prior.network import Prior
from napari_dip.prior.noise_estimation import variance_left
from napari_dip.prior.observation import Observation
from napari_dip.prior.posterior import Averaged, Estimate
from napari_dip.prior.presets import STACK
from napari_dip.prior.weights import ChannelWeights
from napari_dip.record import PlaneRecord
from napari_dip.request import Request
from napari_dip.stack_pool import LOOKED_AT, Part, Pool, context_of, reach_of, read_stack, sample

BLOCK = 2**21
"""Pixels of a block: 8 planes of 512 x 512, some 600 MB at work."""
SIDE, SIDE_ALONE = 512, 1024
"""Of a block, along Y and X: of planes that have neighbours, and of single ones."""
MARGIN = 32
"""Pixels around a block that the last step may look at: its search radius and a patch, and a multiple of the coarsest
step of the network."""
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
        self.view = self.preset.view(self.reach, context_of(source, settings))
        generator = torch.Generator().manual_seed(settings.seed)
        self._objectives = self.preset.objectives(self.pool.stacks, self.noise, self.view, generator)
        problem = self.preset.problem(self._objectives, generator)
        planned = settings.max_iterations or self.preset.planned
        limits = limits_of(planned if request.start is None else request.start.iterations, seconds, script)
        self.fit = Fit(problem, limits, judged=script is None, given=given.networks if given else ())
        pixels, side = (BLOCK // source.samples, SIDE) if self.reach else (1, SIDE_ALONE)
        self.blocks = plan_blocks(group, source.size, pixels, side)
        wanted = None if script is None else script.get("blocks")
        self.left = [block for block in self.blocks if wanted is None or block.number in wanted]
        self.done: list[Block] = []
        self.focus = group.items[len(group.items) // 2]
        self.applied_seconds = 0.0
        self.announced = False
        self._networks: list[Prior] | None = None
        self._variance_left: NoiseVariance | None = None

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
        at, size = row.index(self.focus), self.request.source.size
        y, x = (slice((n - min(n, PREVIEWED)) // 2, (n + min(n, PREVIEWED)) // 2) for n in size)
        averaged = self._predicted(self._settled(JUDGED), row, range(at, at + 1), (y, x), None)
        image = self.preset.last_step.preview(averaged)
        whole = np.array(self.request.source.raw(self.focus), np.float32)
        whole[:, y, x] = self._in_units(image[:, :, 0], replace(self.focus, region=(y, x)))
        return whole

    def apply_next(self) -> Iterator[Piece]:
        """Restore the next block, the one in focus first; give its parts plane by plane."""
        started = perf_counter()
        block = next((b for b in self.left if self.focus in b.items), self.left[0])
        estimate = self._restored(block)
        # new lists: a copy of this one, which a snapshot finishes, has them in common
        self.left, self.done = [b for b in self.left if b is not block], [*self.done, block]
        complete = {item.number for item in self._complete()}
        self.applied_seconds += perf_counter() - started
        for at, plane in enumerate(block.items):
            item = replace(plane, region=block.region)
            image = self._in_units(estimate.image[:, :, at], item)
            deviation = None
            if estimate.variance is not None:
                spread = estimate.variance[0, :, at].float().sqrt().cpu().numpy()
                deviation = self.scaling.deviation(np.broadcast_to(spread, image[: len(spread)].shape))
            yield Piece(item, image, deviation, complete=item.number in complete)

    def weights(self) -> ChannelWeights:
        """Give what was fitted, by itself."""
        networks = [{name: value.cpu().clone() for name, value in one.items()} for one in self.fit.weights()]
        return ChannelWeights(tuple(networks), self.reach, self.pool.relative_noise)

    def extend(self, iterations: int) -> None:
        """Let it go on for so many iterations, whatever rule and clock say; then all is restored anew."""
        self.fit.extend(iterations)
        self.left, self.done, self.announced = list(self.blocks), [], False
        self._networks = self._variance_left = None

    def note(self, stopped_by: str) -> PlaneRecord:
        """Say what was done."""
        note = note_of(self.fit, self.group.items[0], self.preset.name, stopped_by, self.seconds)
        note["planes"], note["neighbours"] = self.numbers, self.reach
        note["blocks"] = sorted(block.number for block in self.done)
        note["applying"] = round(self.applied_seconds, 3)
        return note | found_noise(self.noise, self.scaling)  # type: ignore[return-value]

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
            "seconds": self.applied_seconds,
            "focus": self.focus.number,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.fit.load_state(state["fit"])
        self.done = [self.blocks[number] for number in state["done"]]
        self.left = [block for block in self.left if block.number not in state["done"]]
        self.applied_seconds = state["seconds"]
        self.focus = next(item for item in self.group.items if item.number == state["focus"])

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

    def _settled(self, batches: int = SETTLING) -> list[Prior]:
        """Give the networks as they are now, ready to be applied."""
        weights = self.fit.weights()
        return [one.settled(w, batches) for one, w in zip(self._objectives[: len(weights)], weights, strict=True)]

    def _restored(self, block: Block) -> Estimate:
        """Restore a block, (1, samples, planes, y, x)."""
        if self._networks is None:
            networks = self._settled()
            self._variance_left = self._look_at_residuals(networks)
            self._networks = networks  # last: this may be interrupted
        depth = self.preset.last_step.groups.search_depth if self.reach else 0
        planes = _around(block.planes, depth, len(block.row))
        region = grown(block.region, MARGIN, self.request.source.size)
        averaged = self._predicted(self._networks, block.row, planes, region, self._variance_left)
        estimate = self.preset.last_step.finish(averaged, with_variance=self.request.settings.uncertainty)
        kept = slice(block.planes.start - planes.start, block.planes.stop - planes.start)
        where = (slice(None), slice(None), kept, *within(block.region, region))
        variance = None if estimate.variance is None else estimate.variance[where]
        return Estimate(estimate.image[where], variance)

    def _predicted(
        self, networks: Sequence[Prior], row: Sequence[Item], planes: range, region: Region, left: NoiseVariance | None
    ) -> list[Averaged]:
        """Predict a region of some planes with each network, as an image of three dimensions."""
        read, wide = _around(planes, self.reach, len(row)), grown(region, HALO, self.request.source.size)
        stack = read_stack(
            self.request.source, row, read, wide, self.scaling, self.request.settings, self.request.device
        )
        wanted, inside = range(planes.start - read.start, planes.stop - read.start), (..., *within(region, wide))
        values, observed = (_as_volume(x[wanted.start : wanted.stop])[inside] for x in (stack.values, stack.observed))
        observation = Observation(values, observed, noise=self.noise)
        averaged = []
        for network in networks:
            found = predict_planes(network, self.view, stack, wanted, self.noise.radii)
            mean, variance = (_as_volume(x)[inside] for x in found)
            total = variance + self.noise.likelihood.noise_variance(mean).mean(1, keepdim=True)
            averaged.append(Averaged(observation, mean, total, left))
        return averaged

    def _look_at_residuals(self, networks: Sequence[Prior]) -> NoiseVariance:
        """Find what the fit leaves behind, from a part of the pool that is bounded in size."""
        means, values, observed = [], [], []
        for stack, rows in sample(self._objectives[0].stacks, LOOKED_AT):
            means.append(predict_planes(networks[0], self.view, stack, rows, self.noise.radii)[0])
            values.append(stack.values[rows])
            observed.append(stack.observed[rows])
        known = torch.cat(means), torch.cat(values), torch.cat(observed)
        return variance_left(self.noise.likelihood, *known, self.preset.estimation)

    def _in_units(self, image: Tensor, item: Item) -> np.ndarray:
        """Give (1, samples, y, x) of [0, 1] in the caller's units; alpha, if any, comes last, as it was."""
        source = self.request.source
        values = self.scaling.to_units(image[0].float().cpu().numpy().clip(0, self.scaling.top))
        if source.samples == source.sizes.get("S", 1):
            return source.with_areas(values, item)
        whole = source.raw(item).astype(np.float32)
        for colour, own in source.samples_of.items():
            whole[colour] = values[own]
        return source.with_areas(whole, item)


def _as_volume(planes: Tensor) -> Tensor:
    """Turn (planes, channels, y, x) into (1, channels, planes, y, x)."""
    return planes.transpose(0, 1)[None]


def _around(planes: range, more: int, length: int) -> range:
    """Add planes on both sides, as far as there are any."""
    return range(max(planes.start - more, 0), min(planes.stop + more, length))
