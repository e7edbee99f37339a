"""A group of planes from its values to its result: a network is fitted to crops of all, then applied block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dip import record as records
from napari_dip.image.work import Block, Group, Item, Region, grown, plan_blocks, within
from napari_dip.item_fit import Piece, found_noise
from napari_dip.noise_settings import known_noise
from napari_dip.prior.apply import HALO, predict_planes
from napari_dip.prior.crop_prediction import JUDGED, SETTLING
from napari_dip.prior.fit import Fit
from napari_dip.prior.likelihood import NoiseVariance
from napari_dip.prior.network import Prior
from napari_dip.prior.noise_estimation import NoiseModel, variance_left
from napari_dip.prior.observation import Observation
from napari_dip.prior.posterior import Averaged, Estimate
from napari_dip.prior.presets import STACK
from napari_dip.prior.stack import Stack
from napari_dip.prior.stopping import Limits
from napari_dip.record import PlaneRecord
from napari_dip.request import Request

POOL = 2**23
"""Pixels that a network is fitted to at the most, spread over all there are: 32 planes of 512 x 512, 100 MB."""
SAMPLED = 8, 512
"""Planes and side of each part that is taken where there are more."""
BLOCK = 2**21
"""Pixels of a block: 8 planes of 512 x 512, some 600 MB at work."""
SIDE, SIDE_ALONE = 512, 1024
"""Of a block, along Y and X: of planes that have neighbours, and of single ones."""
MARGIN = 32
"""Pixels around a block that the last step may look at: its search radius and a patch, and a multiple of the coarsest
step of the network."""
LOOKED_AT = 2**19
"""Pixels from which the strength of the noise, and what a fit leaves of it, are found."""
PREVIEWED = 384
"""Side of the part of a plane that a preview restores, around its centre."""
REACH = 2
"""Planes on each side that are looked at: one more gains nothing, none loses 0.35 dB. Measured: benchmarks/scale.py."""
FAR = 8.0
"""Distance of planes, in pixels, from which on only the next plane on each side tells anything of one."""
APPLYING = 6.0
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
    weights : list of dict, optional
        Of networks that were fitted before.

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
    ):
        self.request, self.group = request, group
        settings, source = request.settings, request.source
        self.preset = STACK[settings.preset]
        self.scaling = source.scaling_of(group.items)
        self.reach = _reach(settings, max(map(len, group.rows)))
        pool = [self._stack(row, planes, region) for row, planes, region in _pool(group, source.size, source.samples)]
        noise = self._noise_of(pool)
        view = self.preset.view(self.reach)
        generator = torch.Generator().manual_seed(settings.seed)
        self._objectives = self.preset.objectives(pool, noise, view, generator)
        problem = self.preset.problem(self._objectives, generator)
        pixels = len(group.items) * source.size[0] * source.size[1]
        limits = Limits(settings.max_iterations or self.preset.planned(pixels), seconds=seconds)
        if script is not None:
            limits.stop_at, limits.stopped_by = script["iterations"], script["stopped_by"]
        self.noise, self.view = noise, view
        self.fit = Fit(problem, limits, judged=script is None)
        alone = max(map(len, group.rows)) == 1
        self.blocks = plan_blocks(group, source.size, BLOCK // source.samples, SIDE_ALONE if alone else SIDE)
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
        return [block.region for block in self.done if self.focus in block.row[block.planes.start : block.planes.stop]]

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
        whole = self.request.enlarged(self.request.source.raw(self.focus))
        whole[:, y, x] = self._in_units(image[:, :, 0], whole[:, y, x])
        return whole

    def apply_next(self) -> Iterator[Piece]:
        """Restore the next block, the one in focus first; give its parts plane by plane."""
        started = perf_counter()
        block = next((b for b in self.left if self.focus in b.row[b.planes.start : b.planes.stop]), self.left[0])
        estimate = self._restored(block)
        # new lists: a copy of this one, which a snapshot finishes, has them in common
        self.left, self.done = [b for b in self.left if b is not block], [*self.done, block]
        complete = {item.number for item in self._complete()}
        self.applied_seconds += perf_counter() - started
        for at, plane in enumerate(block.planes):
            item = replace(block.row[plane], region=block.region)
            original = self.request.source.raw(item)
            image = self._in_units(estimate.image[:, :, at], original)
            deviation = None
            if estimate.variance is not None:
                spread = estimate.variance[0, :, at].float().sqrt().cpu().numpy()
                deviation = self.scaling.deviation(np.broadcast_to(spread, image[: len(spread)].shape))
            yield Piece(item, image, deviation, complete=item.number in complete)

    def extend(self, iterations: int) -> None:
        """Let it go on for so many iterations, whatever rule and clock say; then all is restored anew."""
        limits = self.fit.limits
        limits.stop_at, limits.stopped_by = self.fit.iteration + iterations, "asked"
        limits.asked, limits.seconds, self.fit.judged = False, None, False
        self.left, self.done, self.announced = list(self.blocks), [], False
        self._networks = self._variance_left = None

    def note(self, stopped_by: str) -> PlaneRecord:
        """Say what was done."""
        fit = self.fit
        losses, every = records.thin(fit.losses)
        first = self.group.items[0]
        note: PlaneRecord = {
            "plane": first.number,
            "index": list(first.index),
            "planes": self.numbers,
            "blocks": [block.number for block in self.done],
            "neighbours": self.reach,
            "recipe": self.preset.name,
            "iterations_planned": fit.limits.iterations,
            "iterations": fit.iteration,
            "seconds": round(self.seconds, 3),
            "stopped_by": stopped_by,  # type: ignore[typeddict-item]
            "fallbacks": fit.fallbacks,
            "losses": losses,
            "losses_every": every,
        }
        note |= found_noise(self.noise, self.scaling)  # type: ignore[typeddict-item]
        if fit.problem.rule is not None and stopped_by == "held-out" and fit.judged:
            note["why"] = fit.problem.rule.why()
        return note

    def failed(self) -> PlaneRecord:
        """Say that nothing came of it."""
        first = self.group.items[0]
        return {
            "plane": first.number,
            "index": list(first.index),
            "planes": self.numbers,
            "iterations": 0,
            "seconds": round(self.seconds, 3),
            "stopped_by": "diverged",
        }

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
        left = {item.number for block in self.left for item in block.row[block.planes.start : block.planes.stop]}
        return [item for item in self.group.items if item.number not in left]

    def _settled(self, batches: int = SETTLING) -> list[Prior]:
        """Give the networks as they are now, ready to be applied."""
        weights = self.fit.weights()
        return [one.settled(w, batches) for one, w in zip(self._objectives[: len(weights)], weights, strict=True)]

    def _restored(self, block: Block) -> Estimate:
        """Restore a block, (1, samples, planes, y, x)."""
        if self._networks is None:
            self._networks = self._settled()
            self._variance_left = self._look_at_residuals(self._networks)
        depth = self.preset.last_step.groups.search_depth if len(block.row) > 1 else 0
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
        stack = self._stack(row, read, wide)
        wanted, inside = range(planes.start - read.start, planes.stop - read.start), (..., *within(region, wide))
        values, observed = (_as_volume(x[wanted.start : wanted.stop])[inside] for x in (stack.values, stack.observed))
        observation = Observation(values, observed, noise=self.noise)
        averaged = []
        for network in networks:
            found = predict_planes(network, self.view, stack, wanted, self.noise.correlation_radius)
            mean, variance = (_as_volume(x)[inside] for x in found)
            total = variance + self.noise.likelihood.noise_variance(mean).mean(1, keepdim=True)
            averaged.append(Averaged(observation, mean, total, left))
        return averaged

    def _stack(self, row: Sequence[Item], planes: range, region: Region) -> Stack:
        """Read a part of a row."""
        source = self.request.source
        found = [source.plane(replace(row[i], region=region), self.scaling) for i in planes]
        values = torch.from_numpy(np.stack([plane.values for plane in found])).to(self.request.device)
        observed = torch.from_numpy(np.stack([plane.observed[None] for plane in found]).astype(np.float32))
        return Stack.of(values, observed.to(self.request.device))

    def _noise_of(self, pool: Sequence[Stack]) -> NoiseModel:
        """Find the noise from a part of the pool that is bounded in size."""
        known = known_noise(self.request.settings, self.scaling.low, self.scaling.span)
        parts = _sample(pool, LOOKED_AT)
        values, observed = (
            torch.cat([getattr(part, name)[rows].expand_as(part.values[rows]).flatten(0, 1) for part, rows in parts])
            for name in ("values", "observed")
        )
        return self.preset.noise_model(values.cpu().numpy(), observed.cpu().numpy() > 0, known)

    def _look_at_residuals(self, networks: Sequence[Prior]) -> NoiseVariance:
        """Find what the fit leaves behind, from a part of the pool that is bounded in size."""
        means, values, observed = [], [], []
        for stack, rows in _sample(self._objectives[0].stacks, LOOKED_AT):
            means.append(predict_planes(networks[0], self.view, stack, rows, self.noise.correlation_radius)[0])
            values.append(stack.values[rows])
            observed.append(stack.observed[rows])
        known = torch.cat(means), torch.cat(values), torch.cat(observed)
        return variance_left(self.noise.likelihood, *known, self.preset.estimation)

    def _in_units(self, image: Tensor, original: np.ndarray) -> np.ndarray:
        """Give (1, samples, y, x) of [0, 1] in the caller's units, other samples as they were."""
        whole = self.request.enlarged(original)
        values = image[0].float().cpu().numpy().clip(0, 1)
        whole[: len(values)] = self.scaling.to_units(values)
        return whole


def _reach(settings: Any, longest: int) -> int:
    """Say how many planes on each side are looked at."""
    if longest == 1:
        return 0
    asked = getattr(settings, "neighbours", None)
    if asked is not None:
        return int(asked)
    step = getattr(settings, "z_step", None)
    return 1 if step is not None and step > FAR else REACH


def _pool(group: Group, size: tuple[int, int], samples: int) -> list[tuple[tuple[Item, ...], range, Region]]:
    """Say what is read to fit a network to: all planes, or parts that are spread over them."""
    whole = slice(0, size[0]), slice(0, size[1])
    most = POOL // samples
    if len(group.items) * size[0] * size[1] <= most:
        return [(row, range(len(row)), whole) for row in group.rows]
    depth, side = SAMPLED
    alone = max(map(len, group.rows)) == 1
    parts = [
        (row, planes, (slice(y.start, y.stop), slice(x.start, x.stop)))
        for row in group.rows
        for planes in _spread(len(row), depth)
        for y, x in product(*(_spread(n, side) for n in size))
    ]
    count = max(1, most // (side**2 * (1 if alone else depth)))
    step = max(1.0, len(parts) / count)
    return [parts[int(step * (n + 0.5))] for n in range(min(count, len(parts)))]


def _spread(length: int, part: int) -> list[range]:
    """Cover a length with parts of one size; they may overlap."""
    part = min(part, length)
    count = -(-length // part)
    starts = [(length - part) * n // max(count - 1, 1) for n in range(count)]
    return [range(start, start + part) for start in starts]


def _sample(stacks: Sequence[Stack], pixels: int) -> list[tuple[Stack, list[int]]]:
    """Take so many pixels at the most: planes spread over the largest stacks, or the middle of planes."""
    largest = max(stack.size for stack in stacks)
    stacks = [stack for stack in stacks if stack.size == largest]
    height, width = (min(n, int((pixels / 4) ** 0.5)) for n in largest)
    planes = [(n, plane) for n, stack in enumerate(stacks) for plane in range(len(stack))]
    count = min(len(planes), max(1, pixels // (height * width)))
    step = len(planes) / count
    chosen: dict[int, list[int]] = {}
    for n, plane in (planes[int(step * (i + 0.5))] for i in range(count)):
        chosen.setdefault(n, []).append(plane)
    top, left = (largest[0] - height) // 2, (largest[1] - width) // 2
    where = (..., slice(top, top + height), slice(left, left + width))
    return [(stacks[n].crop(where), rows) for n, rows in chosen.items()]


def _as_volume(planes: Tensor) -> Tensor:
    """Turn (planes, channels, y, x) into (1, channels, planes, y, x)."""
    return planes.transpose(0, 1)[None]


def _around(planes: range, more: int, length: int) -> range:
    """Add planes on both sides, as far as there are any."""
    return range(max(planes.start - more, 0), min(planes.stop + more, length))
