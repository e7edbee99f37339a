"""Fewer, larger pixels where there are hardly any photons: what a pixel lacks, a group of them has.

A pixel of a photon or less tells next to nothing of its neighbours, and its noise is far from Gaussian. The mean of a
group of pixels is an observation like any other, with less noise. Several grids, of two sizes and moved by half a
group, are fitted side by side, and their mean has no grid.

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

from napari_dip.prior.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.noise_estimation import NoiseModel
from napari_dip.prior.observation import Observation
from napari_dip.prior.posterior import Averaged, Estimate, LastStep


@dataclass(frozen=True)
class FewPhotons:
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
    """

    fewer: float = 0.8
    wanted: float = 0.9
    most: int = 6

    def side(self, observation: Observation) -> int:
        """Give the side of a group; 1 where there is light enough."""
        noise, known = observation.noise.likelihood.noise, observation.observed > 0
        if noise != NoiseVariance(0.0, gain=noise.gain) or noise.gain <= 0 or observation.dims != 2:
            return 1  # not of photons alone
        photons = float(observation.values.mean(1, keepdim=True)[known].mean()) / noise.gain
        if photons >= self.fewer or min(observation.values.shape[2:]) < 4 * (self.most + 1):
            return 1
        wanted = (self.wanted / max(photons, 1e-6)) ** 0.5
        return int(min(max(round(wanted), 2), self.most))

    def grids(self, observation: Observation) -> list[Grid]:
        """Give the grids on which an image is restored; none where there is light enough."""
        side = self.side(observation)
        return [] if side == 1 else [Grid(n, start) for n in (side, side + 1) for start in (0, n // 2)]


FEW_PHOTONS = FewPhotons()


@dataclass(frozen=True)
class Grid:
    """Groups of `side` x `side` pixels; the first begins `start` pixels before the image."""

    side: int
    start: int

    def pooled(self, observation: Observation) -> Observation:
        """Take the mean of what was measured of each group."""
        value, count = (self._means(x) for x in (observation.values * observation.observed, observation.observed))
        whole = NoiseModel(Gaussian(self._weaker(observation.noise.likelihood.noise)), 0, observation.noise.kind)
        return replace(
            observation,
            values=value / count.clamp_min(1e-6),
            observed=(count > 0).to(count),
            noise=whole,
            held_out=None,
        )

    def spread(self, image: Tensor, size: Sequence[int], mode: str) -> Tensor:
        """Give an image of groups at each pixel of an image (1, channels, *size)."""
        wide = F.interpolate(image, scale_factor=self.side, mode=mode)
        return wide[..., self.start : self.start + size[0], self.start : self.start + size[1]]

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

    def preview(self, averaged: Sequence[Averaged]) -> Tensor:
        """Give an image to look at."""
        return self._mean([self.step.preview([one]) for one in averaged], "bicubic")

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Give the restored image."""
        found = [self.step.finish([one], with_variance=with_variance) for one in averaged]
        variances = [one.variance for one in found if one.variance is not None]
        image = self._mean([one.image for one in found], "bicubic")
        # they are of the same photons, so their errors are alike
        return Estimate(image, self._mean(variances, "bilinear") if variances else None)

    def _mean(self, images: Sequence[Tensor], mode: str) -> Tensor:
        pairs = zip(images, self.grids, strict=False)  # not every network has had its turn
        return torch.stack([grid.spread(image, self.size, mode) for image, grid in pairs]).mean(0)
