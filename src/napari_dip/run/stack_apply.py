"""Fitted networks applied to regions of planes: read with a halo, predicted, finished, and spread from groups again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from napari_dip.image.planes import Region
from napari_dip.image.scaling import Scaling
from napari_dip.image.work import Block, Item, grown, within
from napari_dip.prior.estimators.coarse import Grid, merged, on_average
from napari_dip.prior.estimators.posterior import Averaged, Estimate, Refined
from napari_dip.prior.estimators.stack_opinion import StackOpinion
from napari_dip.prior.networks.network import Prior
from napari_dip.prior.noise.verification import Residual, residual
from napari_dip.prior.objectives.apply import HALO, predict_planes
from napari_dip.prior.objectives.crop_prediction import View
from napari_dip.prior.objectives.stack import as_volume
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation
from napari_dip.run.request import Request
from napari_dip.run.stack_pool import read_stack

MARGIN = 32
"""Pixels around a block that the last step may look at: its search radius and a patch, and a multiple of the coarsest
step of the network."""


@dataclass(frozen=True)
class StackApply:
    """Networks that were fitted to a group of planes, ready to be applied.

    Attributes
    ----------
    request : Request
    scaling : Scaling
    noise : NoiseModel
        Of the pixels of the grids.
    view : View
    last_step : Refined
    grids : sequence of Grid
        Of one side; the result is the mean over them. A block begins at multiples of it.
    networks : sequence of Prior
    opinion : StackOpinion
    """

    request: Request
    scaling: Scaling
    noise: NoiseModel
    view: View
    last_step: Refined
    grids: Sequence[Grid]
    networks: Sequence[Prior]
    opinion: StackOpinion

    def preview(self, row: Sequence[Item], plane: int, region: Region) -> Tensor:
        """Give a quick look at a region of a plane, (1, samples, 1, y, x)."""
        planes = range(plane, plane + 1)
        images = [self.last_step.preview(self._predicted(row, planes, region, grid)) for grid in self.grids]
        return on_average(self.grids, images, _size(region), "bicubic")

    def restored(self, block: Block, *, with_variance: bool) -> tuple[Estimate, Residual | None]:
        """Restore a block, (1, samples, planes, y, x), and look at what was taken off, on the first grid."""
        depth = self.last_step.groups.search_depth if self.view.reach else 0
        planes = around(block.planes, depth, len(block.row))
        region = grown(block.region, MARGIN * self.grids[0].side, self.request.source.size)
        found, seen = [], None
        for grid in self.grids:
            averaged = self._predicted(block.row, planes, region, grid)
            seen = seen or averaged[0].observation
            found.append(self.last_step.finish(averaged, with_variance=with_variance))
        assert seen is not None
        taken_off = residual(self.noise, found[0].image, seen.values, seen.observed)
        kept = slice(block.planes.start - planes.start, block.planes.stop - planes.start)
        where = (slice(None), slice(None), kept, *within(block.region, region))
        whole = merged(self.grids, found, _size(region))
        variance = None if whole.variance is None else whole.variance[where]
        return Estimate(whole.image[where], variance), taken_off

    def on(self, request: Request) -> StackApply:
        """Give the same for another image with that noise and those units; its range may reach further."""
        low, high = request.source.range
        return replace(self, request=request, scaling=self.scaling.reaching(low, high))

    @property
    def halo(self) -> tuple[int, int]:
        """How many planes, and how many pixels along Y and X, are looked at around a block."""
        planes = self.view.reach + (self.last_step.groups.search_depth if self.view.reach else 0)
        return planes, (MARGIN + HALO) * self.grids[0].side

    def in_planes(self, block: Block, estimate: Estimate) -> Iterator[tuple[Item, np.ndarray, np.ndarray | None]]:
        """Give what was made of a block plane by plane, in the units of the image, with its standard deviation."""
        for at, plane in enumerate(block.items):
            item = replace(plane, region=block.region)
            image, deviation = self.in_units(estimate.image[:, :, at], item), None
            if estimate.variance is not None:
                fitted = self._fitted(estimate.image[:, :, at])
                spread = estimate.variance[0, :, at].float().sqrt().cpu().numpy()
                spread = self.scaling.deviation(np.broadcast_to(spread, fitted[: len(spread)].shape))
                spread = np.hypot(spread, np.float32(self.request.source.line_error))
                deviation = self.request.source.values.deviation(fitted, spread)
            yield item, image, deviation

    def in_units(self, image: Tensor, item: Item) -> np.ndarray:
        """Give (1, samples, y, x) of [0, 1] in the caller's units; alpha, if any, comes last, as it was."""
        source = self.request.source
        values = source.in_units(self._fitted(image))
        if len(values) == source.sizes.get("S", 1):
            return source.with_areas(values, item)
        whole = source.raw(item).astype(np.float32)
        for colour, own in source.samples_of.items():
            whole[colour] = values[own]
        return source.with_areas(whole, item)

    def _fitted(self, image: Tensor) -> np.ndarray:
        """Give (1, samples, y, x) of [0, 1] on the scale that is fitted."""
        scaling = self.scaling
        return scaling.to_units(image[0].float().cpu().numpy().clip(scaling.bottom, scaling.top))

    def _predicted(self, row: Sequence[Item], planes: range, region: Region, grid: Grid) -> list[Averaged]:
        """Predict a region of some planes with each network, as an image of three dimensions."""
        read, source = around(planes, self.view.reach, len(row)), self.request.source
        wide = grown(region, HALO * grid.side, source.size)
        stack = grid.of_stack(
            read_stack(source, row, read, wide, self.scaling, self.request.settings, self.request.device)
        )
        wanted = range(planes.start - read.start, planes.stop - read.start)
        inside = (..., *grid.within(within(region, wide)))
        values, observed = (as_volume(x[wanted.start : wanted.stop])[inside] for x in (stack.values, stack.observed))
        observation = Observation(values, observed, noise=self.noise)
        averaged = []
        for network in self.networks:
            found = predict_planes(network, self.view, stack, wanted, self.noise.radii)
            mean, variance = (as_volume(x) for x in found)
            mean, variance = (x[inside] for x in self.opinion.mixed(mean, variance, stack, wanted, self.noise))
            total = variance + self.noise.likelihood.noise_variance(mean).mean(1, keepdim=True)
            averaged.append(Averaged(observation, mean, total, self.opinion.left, self.opinion.most))
        return averaged


def around(planes: range, more: int, length: int) -> range:
    """Add planes on both sides, as far as there are any."""
    return range(max(planes.start - more, 0), min(planes.stop + more, length))


def _size(region: Region) -> list[int]:
    return [part.stop - part.start for part in region]
