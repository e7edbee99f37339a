"""Masked prediction: the network sees the image itself with some pixels hidden, and predicts those.

It needs far fewer iterations than a network that makes the image from noise, and overfits late: what was predicted of
a pixel while it was hidden cannot have copied its noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_dip.prior.fill import fill, local_contrast, relax
from napari_dip.prior.likelihood import LEAST_VARIANCE, Likelihood
from napari_dip.prior.network import Prior
from napari_dip.prior.noise_estimation import corrected_noise
from napari_dip.prior.nonlocal_bayes import FINE, NORMAL, ROUGH, PatchGroups, autocorrelation, nonlocal_bayes
from napari_dip.prior.objective import Data, Objective, Result, mean_where


class MaskedPrediction(Objective):
    """Hide random pixels of the image from the network and let it predict them, with the variance of its error.

    The likelihood of the hidden pixels is the loss. What was predicted while a pixel was hidden cannot have copied its
    noise, so the average of those predictions hardly overfits. The measured value is worth something, too: both are
    combined as a posterior mean, weighted by the variances of prediction and noise.

    The network sees and predicts local contrast, the difference to a blurred image over the local standard deviation,
    so that a dim cell is as clear to it as a bright one, and one hot pixel does not push all others into a corner.

    Parameters
    ----------
    network : Prior
        Takes channels + 1 (the image with hidden pixels filled in, and the mask of what is seen); gives channels + 1
        (the mean and the variance of the prediction, both before scaling).
    hidden : float
        Part of the pixels that is hidden in each iteration.
    radius : int
        How far the noise of a pixel reaches into its neighbours, in pixels. They are hidden with it.
    like_missing : bool
        Whether a moved copy of the mask of missing pixels is hidden, too, so that the network learns to fill in gaps
        of that shape.
    reserved : float
        Part of the pixels that is predicted but never learned from, to see how well the others are predicted.
    correct_fill : bool
        Whether hidden pixels are first filled in smoothly, and the network predicts what is wrong with that. It starts
        from where classical inpainting ends, but passes noise on: for clean images. What was measured is then left out
        of the estimate.

    References
    ----------
    Krull, Buchholz, Jug: Noise2Void. CVPR 2019. Batson, Royer: Noise2Self. ICML 2019 (why hidden pixels suffice).
    Quan et al.: Self2Self with dropout. CVPR 2020 (many random masks of one image, averaged).
    Laine et al.: High-quality self-supervised deep image denoising. NeurIPS 2019, eq. 4 (posterior mean).
    """

    def __init__(
        self,
        network: Prior,
        data: Data,
        likelihood: Likelihood,
        generator: torch.Generator,
        *,
        hidden: float,
        radius: int = 0,
        like_missing: bool = False,
        correct_fill: bool = False,
        reserved: float = 0.0,
    ):
        self.network, self.data, self.likelihood = network, data, likelihood
        self.generator, self.hidden = generator, hidden
        self.radius, self.like_missing, self.correct_fill = radius, like_missing, correct_fill
        self.dims = data.measured.ndim - 2
        self.base, self.contrast = local_contrast(data)
        self._iteration = 0
        self._mean, self._total = torch.zeros_like(data.measured), torch.zeros_like(data.visible)
        self._weight = torch.full_like(data.visible, 1e-6)
        self._last: tuple[Tensor, Tensor, Tensor] | None = None
        self.reserved = self.data.visible * self._random(reserved)
        self._taught = self.data.visible * (1 - self._widened(self.reserved))

    def loss(self) -> tuple[Tensor, Tensor]:
        """Give the mean negative log-likelihood of the hidden pixels."""
        measured = self.data.measured
        asked, hidden = self._draw()
        seen = self.data.visible * (1 - hidden)
        filled, start, fineness = fill(measured, seen), self.base, 1.0
        if self.correct_fill:  # Muon's steps are all of one size: make them fine enough for what is left to correct
            filled = start = relax(filled, seen)
            fineness = 0.2
        raw = self.network(torch.cat([(filled - self.base) / self.contrast, 1 - seen], 1)).float()
        mean = start + fineness * self.contrast * raw[:, :-1]
        variance = 3 * self.contrast**2 * F.softplus(raw[:, -1:] - 4)
        self._last = mean.detach(), variance.detach(), asked
        scored = asked * self._taught
        loss = mean_where(self.likelihood(mean, variance, measured), scored)
        return loss, mean_where((mean.detach() - measured) ** 2, scored)

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Draw the pixels to be predicted, and all that are hidden for it: these, and as far as their noise reaches."""
        density = 1 - (1 - self.hidden) ** (1 / (2 * self.radius + 1) ** self.dims)
        asked = self._random(density)
        if self.like_missing:
            asked = torch.maximum(asked, self._moved_mask())
        return asked, self._widened(asked)

    def _random(self, density: float) -> Tensor:
        """Draw pixels."""
        shape = self.data.visible.shape
        return (torch.rand(shape, generator=self.generator) < density).float().to(self.data.visible.device)

    def _widened(self, pixels: Tensor) -> Tensor:
        """Add all neighbours that the noise of some pixels reaches."""
        if not self.radius:
            return pixels
        pool = F.max_pool2d if self.dims == 2 else F.max_pool3d
        return pool(pixels, 2 * self.radius + 1, 1, self.radius)

    def _moved_mask(self) -> Tensor:
        """Shift and mirror the mask of what is missing."""
        axes = tuple(range(2, 2 + self.dims))
        draw = torch.rand(2, self.dims, generator=self.generator)
        shifts = [int(part * n) for part, n in zip(draw[0].tolist(), self.data.visible.shape[2:], strict=True)]
        mirrored = [axis for axis, coin in zip(axes, draw[1].tolist(), strict=True) if coin < 0.5]
        return torch.roll(1 - self.data.visible, shifts, axes).flip(mirrored)

    def collect(self) -> None:
        """Average what was predicted of hidden pixels, and its variance; late predictions count most."""
        assert self._last is not None
        mean, variance, asked = self._last
        total = variance + self.likelihood.noise_variance(mean).mean(1, keepdim=True)
        asked = torch.maximum(asked, 1 - self.data.visible)  # what was never measured is always a prediction
        self._iteration += 1
        keep = min(0.985, self._iteration / (self._iteration + 9))
        weight = keep * self._weight + (1 - keep) * asked
        part = (1 - keep) * asked / weight.clamp_min(1e-6)
        part = torch.where(weight < 1e-5, 1.0, part)  # not asked for yet: take the last prediction for the time being
        self._mean.lerp_(mean, part.expand_as(mean))
        self._total.lerp_(total, part)
        self._weight = weight

    def held_out(self) -> float | None:
        """Mean squared error of what was predicted of the reserved pixels, in units of their noise."""
        if not self.reserved.any():
            return None
        noise = self.likelihood.noise_variance(self.base)  # of all iterations, so that they can be compared
        return float(mean_where((self._mean - self.data.measured) ** 2 / noise, self.reserved))

    def estimate(self) -> Tensor:
        """Give the posterior mean of prediction and measurement."""
        return self._mean if self.correct_fill else _posterior(self, self._mean, self._total)[0]

    def preview(self) -> Tensor:
        """Give the result as a quick refinement shows it."""
        return _finish(self, self._mean, self._total, ROUGH).image

    def finish(self, *, with_variance: bool = False) -> Result:
        """Give the posterior mean, refined by what patches have in common; of a gap, the prediction."""
        return _finish(self, self._mean, self._total, with_variance=with_variance)


class Ensemble(Objective):
    """Several fits that take turns, one an iteration; the estimate is their mean.

    Each learns a part of the noise, but each another part, so their mean is better than any of them. One network that
    works as long as all of them together would only learn more of it.

    Parameters
    ----------
    members : sequence of MaskedPrediction
        Of the same data, each with a network of its own.

    References
    ----------
    Ulyanov et al.: Deep Image Prior. CVPR 2018 (denoising: the mean of two runs is better than one).
    """

    def __init__(self, members: Sequence[MaskedPrediction]):
        self.members, self.data, self.networks = members, members[0].data, len(members)
        self.network = nn.ModuleList(member.network for member in members)
        self._steps = 0

    def loss(self) -> tuple[Tensor, Tensor]:
        """Give the loss of the member whose turn it is; the others' weights take no part in it."""
        return self.members[self.turn].loss()

    def collect(self) -> None:
        """Take the output of that member into its estimate."""
        self.members[self.turn].collect()
        self._steps += 1
        self.turn = self._steps % len(self.members)

    @property
    def _started(self) -> Sequence[MaskedPrediction]:
        return self.members[: max(self._steps, 1)]

    def estimate(self) -> Tensor:
        """Give the mean of the members that had their turn."""
        return torch.stack([member.estimate() for member in self._started]).mean(0)

    def held_out(self) -> float | None:
        """Give the mean over the members."""
        errors = [member.held_out() for member in self._started]
        return sum(e for e in errors if e is not None) / len(errors) if None not in errors else None

    def preview(self) -> Tensor:
        """Give the mean of the members as a quick refinement shows it."""
        return self._refined(ROUGH).image

    def finish(self, *, with_variance: bool = False) -> Result:
        """Refine the mean of the members."""
        return self._refined(FINE, with_variance=with_variance)

    def _refined(self, effort: PatchGroups, *, with_variance: bool = False) -> Result:
        means, totals = zip(*((member._mean, member._total) for member in self._started), strict=True)
        mean, total = torch.stack(means).mean(0), torch.stack(totals).mean(0)
        return _finish(self.members[0], mean, total, effort, pilot=self.estimate(), with_variance=with_variance)


def _posterior(fit: MaskedPrediction, mean: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Combine what was predicted of each pixel with its measured value.

    Returns
    -------
    image : Tensor
        The posterior mean.
    noise : Tensor
        Variance of the noise, corrected by what the prediction leaves behind.
    value : Tensor
        What was measured, or would have been without saturation.
    """
    measured, visible = fit.data.measured, fit.data.visible
    noise = corrected_noise(fit.likelihood, mean, measured, visible)
    own = noise.mean(1, keepdim=True)
    value, _ = fit.likelihood.unclipped(mean, torch.maximum(own, total), measured)
    gain = visible * (1 - own / total).clamp_min(0)
    return mean + gain * (value - mean), noise, value


def _finish(
    fit: MaskedPrediction,
    mean: Tensor,
    total: Tensor,
    effort: PatchGroups = NORMAL,
    *,
    pilot: Tensor | None = None,
    with_variance: bool = False,
) -> Result:
    """Refine an estimate by non-local Bayes, slice by slice; only the prediction itself fills gaps.

    The pilot is the posterior mean, if no better one is given.
    """
    if fit.correct_fill:
        # with the little noise that is reckoned with, since the network is too sure of itself where all is flat
        return Result(mean, total.expand_as(mean) if with_variance else None)
    posterior, noise, value = _posterior(fit, mean, total)
    estimate = posterior if pilot is None else pilot
    seen = fit.data.visible > 0
    value = torch.where(seen, value, estimate)
    images, variances = [], []
    for guide, measured, power in zip(*(_slices(_solvable(x)) for x in (estimate, value, noise)), strict=True):
        # where noise is correlated the mean of patches keeps some of it, so half of it is left to the network
        correlation = autocorrelation((measured - guide) / power.sqrt(), fit.radius + 1) if fit.radius else None
        trust = 0.5 if fit.radius else 0.0
        image, variance = nonlocal_bayes(
            guide, measured, power, correlation, effort, trust=trust, with_variance=with_variance
        )
        images.append(image)
        variances.append(variance)
    image = torch.where(seen, torch.stack(images, 2).view_as(mean).to(mean.device), estimate)
    if not with_variance:
        return Result(image, None)
    # two estimates of one truth differ by about as much as each of them is off
    apart = torch.stack(
        [F.avg_pool2d(x, 9, 1, 4, count_include_pad=False) for x in _slices((image - estimate) ** 2)], 2
    )
    spread = torch.stack([v for v in variances if v is not None], 2).to(mean.device) + apart
    return Result(image, torch.where(seen, spread.view_as(mean), (total - noise).clamp_min(LEAST_VARIANCE)))


def _slices(image: Tensor) -> Sequence[Tensor]:
    """Give the (1, channels, y, x) slices of an image of two or three dimensions."""
    return [image] if image.ndim == 4 else image.unbind(2)


def _solvable(image: Tensor) -> Tensor:
    """Bring an image to where many small systems of equations can be solved: Apple's GPUs lack that."""
    return image.cpu() if image.device.type == "mps" else image
