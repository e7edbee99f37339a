"""Fewer, larger pixels where noise drowns all that is fine: what a pixel lacks, a group of them has.

A pixel of a photon or less tells next to nothing of its neighbours, and its noise is far from Gaussian. Noise as strong
as that of any other kind is learned by heart before the image is. The mean of a group of pixels is an observation like
any other, with less noise. Several grids, of two sizes and moved by half a group, are fitted side by side, and their
mean has no grid.

References
----------
Azzari, Foi: Variance stabilization for noisy+estimate combination in iterative Poisson denoising. IEEE Signal Process.
Lett. 23, 2016 (binning of low counts).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.estimators.posterior import Averaged, Estimate, LastStep
from napari_dip.prior.objectives.stack import Stack
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation, mean_where


@dataclass(frozen=True)
class Grouping:
    """When pixels are taken together, and how many.

    Attributes
    ----------
    fewer : float
        Photons of a pixel, on the mean over the image, below which they are.
    wanted : float
        Photons of a group that its side is chosen for. At peaks of 0.1 to 3 photons neither half nor twice as many are
        better by 0.2 dB.
    most : int
        Largest side of a group.
    fine, coarse : float
        Variance of what is as fine as two pixels, and as four, over that of the noise. With less than both of them, as
        far as can be told, groups of two and three stand beside the single pixels.
    """

    fewer: float = 0.8
    wanted: float = 0.9
    most: int = 6
    fine: float = 0.07
    coarse: float = 0.3

    def grids(self, observation: Observation) -> list[Grid]:
        """Give the grids on which an image is restored; none where it is as well restored pixel by pixel."""
        noise, size = observation.noise, observation.values.shape[2:]
        if observation.dims != 2 or noise.correlation_radius or noise.clipped or observation.guide is not None:
            return []  # groups of such pixels are no observations of this kind
        if side := self._of_few_photons(observation):
            return [Grid(n, start) for n in (side, side + 1) for start in (0, n // 2)]
        if min(size) < 4 * LEAST_SIDE:
            return []
        fine, coarse = detail(observation)
        chance = CHANCE / float(observation.observed.sum() * observation.values.shape[1]) ** 0.5
        if fine >= self.fine + chance or coarse >= self.coarse + 2 * chance:
            return []
        return [Grid(n, start) for n in (2, 3) for start in (0, n // 2)] + [Grid(1, 0)]

    def grids_of_stacks(self, stacks: Sequence[Stack], noise: NoiseModel) -> list[Grid]:
        """Give the grids, of one side, on which planes that are fitted together are restored; of side 1 as a rule.

        One network learns from all of them.
        """
        known = sum(float(stack.observed.sum()) for stack in stacks)
        mean = sum(float((stack.values.mean(1, keepdim=True) * stack.observed).sum()) for stack in stacks) / known
        size = min(min(stack.size) for stack in stacks)
        side = 0 if noise.correlation_radius or noise.clipped else self._side(mean, size, noise.likelihood.noise)
        return [Grid(side, start) for start in (0, side // 2)] if side else [Grid(1, 0)]

    def _of_few_photons(self, observation: Observation) -> int:
        """Give the side of groups of a photon or so; 0 where there is more light, or other noise."""
        known = observation.observed > 0
        mean = float(observation.values.mean(1, keepdim=True)[known].mean())
        return self._side(mean, min(observation.values.shape[2:]), observation.noise.likelihood.noise)

    def _side(self, mean: float, size: int, noise: NoiseVariance) -> int:
        if noise != NoiseVariance(0.0, gain=noise.gain) or noise.gain <= 0:
            return 0
        photons = mean / noise.gain
        if photons >= self.fewer or size < 4 * (self.most + 1):
            return 0
        return int(min(max(round((self.wanted / max(photons, 1e-6)) ** 0.5), 2), self.most))


LEAST_SIDE = 6
"""Groups of four along the shorter side of an image that are needed to see what is fine in it."""
CHANCE = 2.4
"""Standard error of what `detail` finds, times the square root of the number of pixels."""
GROUPING = Grouping()


def detail(observation: Observation) -> tuple[float, float]:
    """Find how much of an image is as fine as two pixels, and as four.

    Differences along one axis, in squares of 2 x 2, hold structure and noise; of the latter they have as much as the
    noise is thought to have, and as the differences along both axes, which hold little structure. The mean of these two
    is taken off. The same once more for squares of squares.

    Parameters
    ----------
    observation : Observation
        Values (1, channels, y, x).

    Returns
    -------
    fine, coarse : float
        Variance over that of the noise; below nothing by chance.
    """
    noise = observation.noise.likelihood.noise_variance(observation.local[0])
    image = (observation.values - observation.local[0]) / noise.sqrt() * observation.observed
    known, found = observation.observed, []
    for _ in range(2):
        # edges may lie between the squares, so others are looked at that are moved by half of one
        moved = (_excess(image[..., start:, start:], known[..., start:, start:]) for start in (0, 1))
        found.append(max(moved))
        image, known = _squares(image), -F.max_pool2d(-known, 2)
    return found[0], found[1]


def _squares(image: Tensor) -> Tensor:
    """Sum squares of 2 x 2 so that independent noise stays as it is."""
    return 2 * F.avg_pool2d(image, 2)


def _excess(image: Tensor, known: Tensor) -> float:
    """Mean square of differences in squares of 2 x 2, along one axis or half of that along both, less that of noise."""
    height, width = (n // 2 * 2 for n in image.shape[2:])
    a, b, c, d = (image[..., y:height:2, x:width:2] for y in (0, 1) for x in (0, 1))
    along, across = ((a + b - c - d) ** 2 + (a - b + c - d) ** 2) / 8, (a - b - c + d) ** 2 / 4
    whole = -F.max_pool2d(-known, 2)  # all four were measured
    one, both = float(mean_where(along, whole)), float(mean_where(across, whole))
    return max(one - (both + 1) / 2, (both - 1) / 2)


@dataclass(frozen=True)
class Grid:
    """Groups of `side` x `side` pixels; the first begins `start` pixels before the image. Side 1: single pixels."""

    side: int
    start: int

    def pooled(self, observation: Observation) -> Observation:
        """Take the mean of what was measured of each group."""
        values, observed = self._groups(observation.values, observation.observed)
        return replace(
            observation, values=values, observed=observed, noise=self.weaker(observation.noise), held_out=None
        )

    def of_stack(self, stack: Stack) -> Stack:
        """Take the mean of what was measured of each group, plane by plane."""
        if self.side == 1:
            return stack
        groups = Stack.of(*self._groups(stack.values, stack.observed))
        return groups if stack.context is None else replace(groups, context=self._means(stack.context))

    def weaker(self, noise: NoiseModel) -> NoiseModel:
        """Give the noise of a group; that of a single pixel is as it is."""
        if self.side == 1:
            return noise
        return NoiseModel(Gaussian(self._weaker(noise.likelihood.noise)), 0, noise.kind, told=noise.told)

    def within(self, region: tuple[slice, slice]) -> tuple[slice, slice]:
        """Say which groups a region is made of, in an image of which it begins at multiples of the side."""
        ends = (-(-(part.stop - part.start + self.start) // self.side) for part in region)
        starts = (part.start // self.side for part in region)
        y, x = (slice(start, start + length) for start, length in zip(starts, ends, strict=True))
        return y, x

    def spread(self, image: Tensor, size: Sequence[int], mode: str) -> Tensor:
        """Give an image of groups at each pixel of an image (1, channels, [planes,] *size)."""
        wide = image.flatten(1, -3)  # plane by plane
        if self.side > 1:
            wide = F.interpolate(wide, scale_factor=self.side, mode=mode)
        there = wide[..., self.start : self.start + size[0], self.start : self.start + size[1]]
        return there.reshape(*image.shape[:-2], *size)

    def _groups(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Give the mean of what was observed of each group, and where anything was."""
        value, count = (self._means(x) for x in (values * observed, observed))
        return value / count.clamp_min(1e-6), (count > 0).to(count)

    def _means(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        below, right = (-(n + self.start) % self.side for n in (height, width))
        return F.avg_pool2d(F.pad(image, (self.start, right, self.start, below)), self.side)

    def _weaker(self, noise: NoiseVariance) -> NoiseVariance:
        parts = {name: getattr(noise, name) / self.side**2 for name in ("read", "gain", "multiplicative")}
        return replace(noise, **parts)


@dataclass(frozen=True)
class OnGrids:
    """The last step on each grid by itself, and the mean of what comes of it, at each pixel.

    Attributes
    ----------
    step : LastStep
    grids : sequence of Grid
        Of each network.
    size : (y, x)
        Of the image.
    """

    step: LastStep
    grids: Sequence[Grid]
    size: Sequence[int] = field(default=())

    @property
    def side(self) -> int:
        """Side of the smallest groups."""
        return min(grid.side for grid in self.grids if grid.side > 1)

    def preview(self, averaged: Sequence[Averaged]) -> Tensor:
        """Give an image to look at."""
        return on_average(self.grids, [self.step.preview([one]) for one in averaged], self.size, "bicubic")

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Give the restored image."""
        found = [self.step.finish([one], with_variance=with_variance) for one in averaged]
        return merged(self.grids, found, self.size)


def merged(grids: Sequence[Grid], estimates: Sequence[Estimate], size: Sequence[int]) -> Estimate:
    """Give the mean of what was restored on each grid, at each pixel of an image (1, channels, [planes,] *size)."""
    variances = [one.variance for one in estimates if one.variance is not None]
    image = on_average(grids, [one.image for one in estimates], size, "bicubic")
    # they are of the same pixels, so their errors are alike
    variance = on_average(grids, variances, size, "bilinear") if variances else None
    return Estimate(image, variance, sum(one.filtered for one in estimates) / len(estimates))


def on_average(grids: Sequence[Grid], images: Sequence[Tensor], size: Sequence[int], mode: str) -> Tensor:
    """Give the mean of images of groups, each on its grid, at each pixel."""
    pairs = zip(images, grids, strict=False)  # not every network has had its turn
    return torch.stack([grid.spread(image, size, mode) for image, grid in pairs]).mean(0)
