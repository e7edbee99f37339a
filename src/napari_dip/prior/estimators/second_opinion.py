"""A second opinion on gaps: pixels are held out, and what fills these in better fills in the gaps.

A network that learned from one image may know less of a gap than the smoothest surface across it, above all where few
pixels were measured. Measured pixels that it never learned from tell how much of each is best. They have to lie as the
missing ones do: single pixels where single ones are missing, moved copies of the gaps where these are wider. Where none
do, as between the pixels of a regular grid, nothing speaks for the network, and the surface stays.

References
----------
Wolpert: Stacked generalization. Neural Networks 5, 1992 (mixed by what was not learned from).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label
from scipy.stats import norm
from scipy.stats import t as student
from torch import Tensor

from napari_dip.prior.estimators.posterior import Averaged, Estimate
from napari_dip.prior.objectives.like_gaps import Surroundings
from napari_dip.prior.physics.likelihood import LEAST_VARIANCE

DEPTHS = (1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 10.0, 15.0, 22.0, 33.0, np.inf)
"""Limits of the classes of depth, in pixels: at 1 a neighbour was measured, at 1.5 one at a corner; then half as deep
again."""
LEAST_FREEDOM = 0.01
"""Least degrees of freedom: with a single clump nothing is sure, and its distribution has no quantiles."""
SURENESS = 0.75
"""Power of the inverse variance, as networks predict it, that a held-out pixel counts with. With 0 a few edges, where
errors are ten times as large, are all that counts, and the part is hardly known; 1 would be best if the variance was
right."""


@dataclass(frozen=True)
class PredictedOrSmooth:
    """What the networks predict in gaps, or the smoothest surface, or something between: as held-out pixels have it.

    The part of the networks is that of least squares, less for being uncertain; of each depth, as far as that can be
    told, and nothing where no held-out pixel lies like the missing ones.

    Attributes
    ----------
    least : int
        Held-out pixels without which nothing is told of a depth.
    sure : float
        Probability with which the part has to be above zero to count.
    apart : float
        Standard deviation of the parts of several depths.
    surroundings : Surroundings
    """

    least: int = 30
    sure: float = 0.975
    apart: float = 0.2
    surroundings: Surroundings = field(default_factory=Surroundings)

    def preview(self, averaged: Sequence[Averaged]) -> Tensor:
        """Give the result."""
        return self.finish(averaged).image

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Mix prediction and surface in the gaps; all else is as predicted."""
        observation = averaged[0].observation
        image = torch.stack([one.image for one in averaged]).mean(0)
        total = torch.stack([one.total for one in averaged]).mean(0)
        if observation.held_out is None:
            return Estimate(image, total.expand_as(image) if with_variance else None)
        judgement = self.judge(averaged)
        part, variance = (
            torch.from_numpy(x[None, None]).to(image.dtype).to(image.device)
            for x in (judgement.part, judgement.variance)
        )
        smooth, gap = observation.smooth, observation.observed == 0
        mixed = torch.where(gap, smooth + part * (image - smooth), image)
        return Estimate(mixed, torch.where(gap, variance, total).expand_as(image) if with_variance else None)

    def smooth(self, averaged: Sequence[Averaged]) -> float:
        """Give the part of the smoothest surface in the gaps, 0 to 1."""
        seen = averaged[0].observation.observed[0, 0].cpu().numpy() > 0
        if averaged[0].observation.held_out is None or seen.all():
            return 0.0
        return float(1 - self.judge(averaged).part[~seen].mean())

    def judge(self, averaged: Sequence[Averaged]) -> Judgement:
        """Compare both on the held-out pixels."""
        evidence = Evidence.of(averaged)
        seen, held_out = evidence.seen, evidence.held_out
        judgement = Judgement(np.zeros(seen.shape), np.ones(seen.shape))
        depth = np.searchsorted(DEPTHS, evidence.distance)
        held_depth = np.searchsorted(DEPTHS, evidence.held_distance)
        every = np.ones(len(held_depth), bool)
        enough = len(held_depth) >= self.least
        whole, _ = self._told(evidence, every) if enough else (0.0, 0.0)
        scale = evidence.scale(every, whole)
        for number in np.unique(depth[~seen]):
            missing, of_class = ~seen & (depth == number), held_depth == number
            deep = evidence.distance[missing].max()
            told = of_class.sum() >= self.least
            where = np.zeros_like(seen)
            where[held_out] = of_class if told else every
            best = 0.0
            if enough and self.surroundings.alike(where, seen & ~held_out, missing, seen, deep):
                best = self._near(whole, evidence, of_class) if told else whole
            judgement.part[missing] = best
            own = evidence.scale(of_class, best) if told else scale
            judgement.variance[missing] = (own * evidence.shape(best))[missing].clip(LEAST_VARIANCE)
        return judgement

    def _told(self, evidence: Evidence, held: np.ndarray) -> tuple[float, float]:
        """Give the part of the networks by some pixels, less for being uncertain, and its error.

        With few clumps that count, the error itself is uncertain, so that it is taken for larger as Student's
        distribution has it. The part is shrunk as by James and Stein (Estimation with quadratic loss. Proc. Fourth
        Berkeley Symp., 1961), to nothing where it is not surely above zero.
        """
        part, error = evidence.part(held)
        sure = float(student.ppf(self.sure, max(evidence.clumps_that_count(held) - 1, LEAST_FREEDOM)))
        if part <= sure * error:
            return 0.0, error * sure / float(norm.ppf(self.sure))
        return min(part * (1 - (sure * error / part) ** 2), 1.0), error * sure / float(norm.ppf(self.sure))

    def _near(self, whole: float, evidence: Evidence, held: np.ndarray) -> float:
        """Give the part of a depth, as far as it can be told from that of all."""
        part, error = self._told(evidence, held)
        trust = self.apart**2 / (self.apart**2 + error**2)
        return float(trust * part + (1 - trust) * whole)


@dataclass(frozen=True)
class Judgement:
    """The part of the networks, and the variance of what is filled in, of each pixel ([z,] y, x)."""

    part: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What held-out pixels tell; arrays of an image are ([z,] y, x), those of held-out pixels (channels, n) and (n,).

    Attributes
    ----------
    seen, held_out : bool arrays of the image
    distance, held_distance
        To the nearest measured pixel, in the image, and for each held-out pixel without those.
    change, wanted
        From the surface to the prediction and to the measured value, for each held-out pixel.
    weight : float array
        What a held-out pixel counts: the less, the less sure the networks are of it.
    clumps : int array
        Which of them lie together.
    spread, contrast
        Variance as the networks predict it, and that of the surroundings, in the image.
    """

    seen: np.ndarray
    held_out: np.ndarray
    distance: np.ndarray
    held_distance: np.ndarray
    change: np.ndarray
    wanted: np.ndarray
    weight: np.ndarray
    clumps: np.ndarray
    spread: np.ndarray
    contrast: np.ndarray

    @classmethod
    def of(cls, averaged: Sequence[Averaged]) -> Evidence:
        """Gather it."""
        observation = averaged[0].observation
        assert observation.held_out is not None

        def plain(x: Tensor) -> np.ndarray:
            array: np.ndarray = x[0].cpu().double().numpy()
            return array

        seen, held = (plain(x)[0] > 0 for x in (observation.observed, observation.held_out))
        predicted = plain(torch.stack([one.image for one in averaged]).mean(0))[:, held]
        smooth = plain(observation.smooth_without_held_out)[:, held]
        spread = plain(torch.stack([one.total for one in averaged]).mean(0))[0]
        far = distance_transform_edt(~(seen & ~held))
        return cls(
            seen=seen,
            held_out=held,
            distance=distance_transform_edt(~seen),
            held_distance=far[held],
            change=predicted - smooth,
            wanted=plain(observation.values)[:, held] - smooth,
            weight=spread[held] ** -SURENESS,
            clumps=label(held, np.ones([3] * held.ndim))[0][held],
            spread=spread,
            contrast=plain(observation.local[1])[0] ** 2 * np.where(held, far, distance_transform_edt(~seen)) ** 2,
        )

    def part(self, held: np.ndarray) -> tuple[float, float]:
        """Give the part of the prediction by least squares, and its error.

        The errors of neighbours are alike, so each clump of held-out pixels counts as one (Liang, Zeger: Longitudinal
        data analysis using generalized linear models. Biometrika 73, 1986).
        """
        change, wanted, weight = self.change[:, held], self.wanted[:, held], self.weight[held]
        power = (weight * change**2).sum()
        if not power:
            return 0.0, np.inf
        part = (weight * change * wanted).sum() / power
        lever = np.bincount(self.clumps[held], (weight * change * (wanted - part * change)).sum(0))
        return float(part), float(np.sqrt((lever**2).sum()) / power)

    def clumps_that_count(self, held: np.ndarray) -> float:
        """How many clumps of equal weight would tell as much."""
        power = np.bincount(self.clumps[held], self.weight[held] * (self.change[:, held] ** 2).sum(0))
        return float(power.sum() ** 2 / max((power**2).sum(), 1e-30))

    def shape(self, part: float) -> np.ndarray:
        """Give the variance of a mixture up to a factor: as networks predict it, and as contrast and depth have it."""
        return part * self.spread + (1 - part) * self.contrast

    def scale(self, held: np.ndarray, part: float) -> float:
        """Give the factor that makes the variance that of the errors, on the mean."""
        errors = ((self.wanted - part * self.change)[:, held] ** 2).mean() if held.any() else 1.0
        return float(errors / max(self.shape(part)[self.held_out][held].mean(), 1e-12)) if held.any() else 1.0
