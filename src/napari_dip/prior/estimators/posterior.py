"""What is made of averaged predictions once a network is fitted: posterior mean, last step, and how sure it is.

It serves every objective. A prediction and the measured value of a pixel are combined by their variances; then patches
that are alike share what they have measured (`nonlocal_bayes`).

References
----------
Laine et al.: High-quality self-supervised deep image denoising. NeurIPS 2019, eq. 4 (posterior mean).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.estimators.bootstrap import CALIBRATION, Calibration
from napari_dip.prior.estimators.nonlocal_bayes import NORMAL, ROUGH, PatchGroups, autocorrelation, nonlocal_bayes
from napari_dip.prior.estimators.simple_opinion import SIMPLE_OPINION, Looked, SimpleOpinion
from napari_dip.prior.noise.config import ESTIMATION, Estimation
from napari_dip.prior.noise.corrected import NO_DOUBT, corrected_noise
from napari_dip.prior.noise.verification import VERIFICATION
from napari_dip.prior.physics.likelihood import LEAST_VARIANCE, NoiseVariance
from napari_dip.prior.physics.observation import Observation


@dataclass(frozen=True)
class Estimate:
    """A restored image.

    Attributes
    ----------
    image : Tensor
        (1, channels, [z,] y, x).
    variance : Tensor or None
        Of its error, of the same shape, where that is known.
    filtered : float
        Part of a simple filter in what it was made of, 0 to 1.
    """

    image: Tensor
    variance: Tensor | None = None
    filtered: float = 0.0


@dataclass(frozen=True)
class Averaged:
    """What predictions come to on average.

    Attributes
    ----------
    observation : Observation
    image : Tensor
        (1, channels, [z,] y, x).
    total : Tensor
        (1, 1, [z,] y, x): variance of the prediction and of the noise together.
    left : NoiseVariance or None
        What predictions leave behind, where that is known beforehand, as of a part of an image; None: it is looked at.
    most : float or None
        Part of its variance that the noise can have at the most, where that is known beforehand; None: it is looked at.
    """

    observation: Observation
    image: Tensor
    total: Tensor
    left: NoiseVariance | None = None
    most: float | None = None


class LastStep(Protocol):
    """Makes an image of what one or several networks predict."""

    def preview(self, averaged: Sequence[Averaged]) -> Tensor:
        """Give an image to look at: near to what `finish` would give, in little time."""
        ...

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Give the restored image."""
        ...


class AsPredicted:
    """The prediction stands for itself: where there is nothing to combine it with, as in gaps and in enlarged detail.

    Its variance holds the noise, too: with the little noise that is reckoned with in clean images it is not too sure of
    itself where all is flat.
    """

    def preview(self, averaged: Sequence[Averaged]) -> Tensor:
        """Give the mean of the predictions."""
        return _mean_of([one.image for one in averaged])

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Give the mean of the predictions."""
        image, total = self.preview(averaged), _mean_of([one.total for one in averaged])
        return Estimate(image, total.expand_as(image) if with_variance else None)


@dataclass(frozen=True)
class Refined:
    """The posterior mean of each pixel, refined by non-local Bayes; a gap takes the prediction alone.

    The measured values are those of the image's own pixels, so the forward model has to be the identity.

    Attributes
    ----------
    groups, preview_groups : PatchGroups
        Of the result, and of a preview.
    trust_if_correlated : float
        Where noise is correlated the mean of a group of patches keeps some of it, so this part of that mean is left to
        the network. Measured: benchmarks/constants.py.
    apart_over : int
        Side of the window, in pixels, over which the difference of network and patches is averaged: two estimates of
        one truth differ by about as much as each of them is off. Measured: benchmarks/constants.py.
    estimation : Estimation
        How the noise that a prediction leaves behind is looked at.
    opinion : SimpleOpinion or None
        How a simple filter is weighed against the prediction; None: not at all.
    calibration : Calibration or None
        How the variance is scaled to what repeated measurements scatter; None: not at all.
    """

    groups: PatchGroups = NORMAL
    preview_groups: PatchGroups = ROUGH
    trust_if_correlated: float = 0.5
    apart_over: int = 9
    estimation: Estimation = ESTIMATION
    opinion: SimpleOpinion | None = SIMPLE_OPINION
    calibration: Calibration | None = CALIBRATION

    def preview(self, averaged: Sequence[Averaged]) -> Tensor:
        """Give the result as a quick refinement shows it."""
        return self._refined(averaged, self.preview_groups, with_variance=False).image

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Give the posterior mean of all networks together, refined."""
        return self._refined(averaged, self.groups, with_variance=with_variance)

    def _refined(self, averaged: Sequence[Averaged], groups: PatchGroups, *, with_variance: bool) -> Estimate:
        observation = averaged[0].observation
        averaged, filtered = self._with_filter(averaged)
        mean, total = _mean_of([one.image for one in averaged]), _mean_of([one.total for one in averaged])
        posterior = posterior_mean(replace(averaged[0], image=mean, total=total), self.estimation)
        estimate = posterior.image
        if len(averaged) > 1:  # each network has a posterior mean of its own; their mean is the better pilot
            estimate = torch.stack([posterior_mean(one, self.estimation).image for one in averaged]).mean(0)
        seen = observation.observed > 0
        value = torch.where(seen, posterior.value, estimate)
        radius = observation.noise.correlation_radius
        pilot, measured, power = (_solvable(x) for x in (estimate, value, posterior.noise))
        correlation = autocorrelation((measured - pilot) / power.sqrt(), radius + 1) if radius else None
        trust = self.trust_if_correlated if radius else 0.0
        refined, variance = nonlocal_bayes(
            pilot, measured, power, correlation, groups, trust=trust, with_variance=with_variance
        )
        image = torch.where(seen, refined.to(mean.device), estimate)
        if variance is None:
            return Estimate(image, filtered=filtered)
        window = (self.apart_over, 1, self.apart_over // 2)
        off = ((image - estimate) ** 2).flatten(1, -3)  # slice by slice
        apart = F.avg_pool2d(off, *window, count_include_pad=False).view_as(mean)
        spread = variance.to(mean.device) + apart
        if self.calibration is not None and observation.dims == 2:  # of a volume each block would have its own
            # the prediction is further from the truth than from the result, which is made of it
            nearer = ((mean - image) ** 2).mean()
            further = torch.lerp(image, mean, float((1 + variance.mean() / nearer.clamp_min(LEAST_VARIANCE)) ** 0.5))

            def repeat(drawn: Tensor) -> Tensor:
                """Restore a measurement of this result, with a prediction that is as far off as the network's."""
                again = torch.where(seen, further + posterior.gain * (drawn - further), estimate)
                pilot, measured = (_solvable(x) for x in (again, torch.where(seen, drawn, again)))
                return nonlocal_bayes(pilot, measured, power, correlation, groups, trust=trust)[0].to(mean.device)

            spread = self.calibration.scaled(spread, image, posterior.noise, correlation, repeat, seen)
        in_gaps = (total - posterior.noise).clamp_min(LEAST_VARIANCE)
        return Estimate(image, torch.where(seen, spread, in_gaps), filtered)

    def _with_filter(self, averaged: Sequence[Averaged]) -> tuple[Sequence[Averaged], float]:
        """Give a simple filter its part in each prediction, and the mean of these parts."""
        if self.opinion is None:
            return averaged, 0.0
        found, parts = [], []
        for one in averaged:
            mixture = self.opinion.of_plane(one.image, one.observation)
            parts.append(0.0 if mixture is None else mixture.part)
            if mixture is None:
                found.append(one)
                continue
            image = mixture.mixed(Looked(one.image, one.observation))
            noise = one.observation.noise.likelihood.noise_variance(one.image).mean(1, keepdim=True)
            found.append(replace(one, image=image, total=torch.lerp(noise, one.total.maximum(noise), mixture.left)))
        return found, sum(parts) / len(parts)


@dataclass(frozen=True)
class Posterior:
    """What is known of each pixel; all (1, channels, [z,] y, x).

    Attributes
    ----------
    image : Tensor
        The posterior mean.
    noise : Tensor
        Variance of the noise, corrected by what the prediction leaves behind.
    value : Tensor
        What was measured, or would have been without saturation.
    gain : Tensor
        Part of it in the posterior mean; the rest is the prediction.
    """

    image: Tensor
    noise: Tensor
    value: Tensor
    gain: Tensor


def posterior_mean(averaged: Averaged, estimation: Estimation = ESTIMATION) -> Posterior:
    """Combine what was predicted of each pixel with its measured value, by their variances."""
    observation, mean, total = averaged.observation, averaged.image, averaged.total
    likelihood, values, observed = observation.noise.likelihood, observation.values, observation.observed
    most = averaged.most
    if most is None:
        most = VERIFICATION.most_noise(observation.noise, mean, values, observation.held_out)
    if observation.noise.told:
        noise = likelihood.noise_variance(mean)
    else:
        radii = observation.noise.radii
        left = NO_DOUBT if observation.noise.free_of_structure else averaged.left
        noise = corrected_noise(likelihood, mean, values, observed, estimation, left, radii, most)
    total = total * min(most, 1.0)  # it holds the noise as it was thought to be
    own = noise.mean(1, keepdim=True)
    value, _ = likelihood.unclipped(mean, torch.maximum(own, total), values)
    gain = observed * (1 - own / total).clamp_min(0)
    return Posterior(mean + gain * (value - mean), noise, value, gain)


def _mean_of(images: Sequence[Tensor]) -> Tensor:
    return images[0] if len(images) == 1 else torch.stack(list(images)).mean(0)


def _solvable(image: Tensor) -> Tensor:
    """Bring an image to where many small systems of equations can be solved: Apple's GPUs lack that."""
    return image.cpu() if image.device.type == "mps" else image
