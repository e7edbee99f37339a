"""A prior that is fitted to views of a large image, applied to it brick by brick: no more is ever in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.bricks import VIEWS, Box, Layout, key_of
from napari_dip.image.work import Block, Group, blocks_of
from napari_dip.prior.noise.verification import Residual
from napari_dip.prior.surroundings import surroundings
from napari_dip.run.fits import groups_at_work
from napari_dip.run.fitted_prior import FittedPrior, fit
from napari_dip.run.request import Request
from napari_dip.run.stack_apply import StackApply
from napari_dip.run.stack_fit import BLOCK, SIDE, SIDE_ALONE, StackFit

BINNED = 4
"""Pixels along Y and X over whose mean the contrast of a view is found, so that noise counts for little."""


def choose_views(array: Any, layout: Layout) -> list[Box]:
    """Choose the views in which most is to be seen, of places all over an image.

    Raises
    ------
    InputError
        If the image is the same everywhere there.
    """
    places = layout.candidates()
    seen = [_contrast(np.asarray(array[key_of(place, layout.axes)]), layout.axes) for place in places]
    best = sorted(range(len(places)), key=lambda n: -seen[n])[:VIEWS]
    if not seen[best[0]]:
        raise InputError("The image is constant wherever it was looked at; there is nothing to restore.")
    return [places[n] for n in sorted(best) if seen[n]]


def fit_to_views(task: str, array: Any, layout: Layout, views: Sequence[Box], settings: dict[str, Any]) -> FittedPrior:
    """Fit a prior to views of an image; settings as `fit` takes them."""
    return fit(task, [np.asarray(array[key_of(view, layout.axes)]) for view in views], axes=layout.axes, **settings)


@dataclass(frozen=True)
class Restored:
    """A brick as it is written.

    Attributes
    ----------
    image : float32 array
        In the order of the axes of the image.
    uncertainty : float32 array or None
    found : dict
        Numbers of pixels that were not measured: "areas" and "outliers".
    residual : Residual or None
        What was taken off, beside the noise that was thought of.
    """

    image: np.ndarray
    uncertainty: np.ndarray | None
    found: dict[str, int]
    residual: Residual | None


class Bricks:
    """A fitted prior, with the range and the noise of the views, ready to be applied to any brick of an image.

    Range and noise are those of the views everywhere: found anew in each brick, they would differ from one to the next,
    and borders would be seen.

    Parameters
    ----------
    array : array-like
        Read region by region.
    layout : Layout
        Of the array.
    views : sequence of Box
    prior : FittedPrior
    settings : dict
        Fields of `Settings`, by name.
    """

    def __init__(self, array: Any, layout: Layout, views: Sequence[Box], prior: FittedPrior, settings: dict[str, Any]):
        self.array, self.layout, self.prior, self.settings = array, layout, prior, settings
        requests = [self._request(np.asarray(array[key_of(view, layout.axes)])) for view in views]
        self.device, self.threads = requests[0].device, requests[0].settings.threads or 1
        groups = [groups_at_work(request.source, request.task) for request in requests]
        self.ready: dict[int, StackApply] = {}
        with surroundings(self.threads, self.device):
            for channel in sorted(set().union(*groups)):
                own = [
                    (request, group[channel])
                    for request, group in zip(requests, groups, strict=True)
                    if channel in group
                ]
                (request, group), others = own[0], [(one.source, group) for one, group in own[1:]]
                if prior.weights.channels[channel] is not None:
                    self.ready[channel] = StackFit(request, group, others=others).ready()

    def restore(self, brick: Box) -> Restored:
        """Restore a brick.

        Raises
        ------
        InputError
            If there is something in it that cannot be restored.
        """
        channel, axes = brick.get("C", (0, 1))[0], self.layout.axes
        apply = self.ready.get(channel)
        wide = brick if apply is None else self.layout.around(brick, *apply.halo)
        values = np.asarray(self.array[key_of(wide, axes)])
        inner = {axis: (brick[axis][0] - wide[axis][0], brick[axis][1] - wide[axis][0]) for axis in axes}
        image = np.array(values[key_of(inner, axes)], np.float32)
        uncertainty = None
        if self.settings.get("uncertainty"):
            uncertainty = np.where(np.isfinite(image), 0, np.nan).astype(np.float32)
        if self._is_constant(values):
            return Restored(image, uncertainty, {}, None)
        request = self._request(values)
        if apply is None:
            raise InputError(
                f"Channel {channel} is constant in all views that the prior was fitted to, and is not so everywhere; "
                "restore it without blocks, or give a prior."
            )
        here = apply.on(request)
        found = [
            self._restore(here, block, inner, image, uncertainty)
            for group in groups_at_work(request.source, request.task).values()
            for block in self._blocks(group, inner, apply)
        ]
        source, seen = request.source, [residual for residual in found if residual is not None]
        counts = {"areas": sum(source.areas.values()), "outliers": sum(source.outliers.values())}
        return Restored(image, uncertainty, counts, Residual.usual(seen) if seen else None)

    def _restore(
        self, apply: StackApply, block: Block, inner: Box, image: np.ndarray, uncertainty: np.ndarray | None
    ) -> Residual | None:
        """Restore a block of a brick, and put it there."""
        source, axes = apply.request.source, self.layout.axes
        with surroundings(self.threads, self.device):
            estimate, residual = apply.restored(block, with_variance=uncertainty is not None)
            for item, plane, deviation in apply.in_planes(block, estimate):
                place = dict(zip(source.outer, item.index, strict=True)) | dict(zip("YX", item.region, strict=True))
                here = tuple(
                    slice(at.start - inner[a][0], at.stop - inner[a][0]) if isinstance(at, slice) else at - inner[a][0]
                    for a, at in ((a, place[a]) for a in axes)
                )
                image[here] = _turned(plane[0], axes)
                if uncertainty is not None and deviation is not None:
                    uncertainty[here] = _turned(deviation[0], axes)
        return residual

    def _blocks(self, group: Group, inner: Box, apply: StackApply) -> list[Block]:
        """Cut a brick, without what was read around it, into what is restored in one go."""
        outer, along = [axis for axis in self.layout.axes if axis not in "YX"], self.layout.along
        region = slice(*inner["Y"]), slice(*inner["X"])
        pixels, side = (BLOCK, SIDE) if apply.view.reach else (1, SIDE_ALONE)
        found = []
        for row in group.rows:
            start, end = inner[along] if along else (0, 1)
            at = [n for n, item in enumerate(row) if not along or start <= item.index[outer.index(along)] < end]
            if at:
                planes = range(at[0], at[-1] + 1)
                found += blocks_of(row, planes, region, pixels, side * apply.grids[0].side)
        return found

    def _is_constant(self, values: np.ndarray) -> bool:
        """Whether there is nothing to restore; what is no number is refused elsewhere, if it is not to be filled in."""
        finite = np.isfinite(values)
        if not finite.all() and self._setting("nonfinite") != "inpaint":
            return False
        known = values[finite]
        return not known.size or bool(known.min() == known.max())

    def _setting(self, name: str) -> Any:
        """Give a setting: as it is asked for here, or as it was in the fit."""
        return self.settings.get(name, getattr(self.prior.settings, name))

    def _request(self, values: np.ndarray) -> Request:
        """Check values of the image."""
        return self.prior.unchecked(values, self.layout.axes, self.settings)


def usual(residuals: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give what is usual of the residuals of bricks; both ready for JSON."""
    return asdict(Residual.usual([Residual(**one) for one in residuals]))


def _contrast(values: np.ndarray, axes: str) -> float:
    """Say how much is to be seen: the largest range of means over some pixels that a channel has, beside all others."""
    y, x = axes.index("Y"), axes.index("X")
    planes = np.moveaxis(values, (y, x), (-2, -1)).astype(np.float64)
    height, width = (n // BINNED * BINNED or n for n in planes.shape[-2:])
    by = BINNED if min(height, width) >= BINNED else 1
    planes = planes[..., :height, :width]
    blocks = planes.reshape(*planes.shape[:-2], height // by, by, width // by, by).mean((-3, -1))
    known = blocks[np.isfinite(blocks)]
    if not known.size:
        return 0.0
    low, high = np.percentile(known, [1, 99])
    return float(high - low) or float(np.ptp(known)) * 1e-3


def _turned(plane: np.ndarray, axes: str) -> np.ndarray:
    """Give a plane (y, x) in the order of the axes of the image."""
    return plane if axes.index("Y") < axes.index("X") else plane.T
