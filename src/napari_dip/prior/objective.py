"""What one iteration does: the ways to fit a network to a single image.

`LatentPrior` is the published one: the network makes the image from fixed noise. `MaskedPrediction` shows the network
the image itself with some pixels hidden, and lets it predict those; it needs far fewer iterations and hardly overfits.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional as F

from napari_dip.prior.likelihood import Likelihood, corrected_noise
from napari_dip.prior.measurement import Measurement
from napari_dip.prior.network import Prior


@dataclass(frozen=True)
class Data:
    """What is known of an image.

    Attributes
    ----------
    measured : Tensor
        (1, channels, [z,] y, x), near [0, 1]; finite also where nothing was measured.
    visible : Tensor
        (1, 1, [z,] y, x), 1 where a pixel was measured and 0 where not.
    """

    measured: Tensor
    visible: Tensor


class Objective(abc.ABC):
    """One way to fit: a network, the loss of one iteration, and the estimate so far."""

    network: nn.Module
    data: Data
    turn = 0
    """Which of several networks has its turn."""

    @abc.abstractmethod
    def loss(self) -> tuple[Tensor, Tensor]:
        """Run the network once; give the loss to descend, and the mean squared error on the pixels it was asked for."""

    @abc.abstractmethod
    def collect(self) -> None:
        """Take the last output of the network into the estimate."""

    @abc.abstractmethod
    def estimate(self) -> Tensor:
        """Give the restored image so far, (1, channels, [z,] y, x)."""


class LatentPrior(Objective):
    """The deep image prior: minimise |measurement(network(z)) - measured|^2 over the weights, for a fixed random z.

    Each iteration adds fresh noise to z, which regularises; the estimate is an exponential average of the outputs.

    Parameters
    ----------
    latent_channels : int
        Channels of z, drawn uniformly from [0, 0.1].
    latent_noise : float
        Standard deviation of the noise added to z.
    latent_step : int
        The latent and its noise are drawn for every so many pixels, and interpolated linearly between them. With a
        short way from latent to image, the grain of a finer latent would show in the image.
    size : tuple of int
        Size of the image to make; larger than the measured one in super-resolution.
    average : float
        Weight of the past in the average of the outputs.
    warm_up : int
        With 0 that weight holds from the start; otherwise it rises to it as i / (i + warm_up), so that the first
        outputs are soon forgotten.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky: Deep Image Prior. CVPR 2018, eq. 2.
    """

    def __init__(
        self,
        network: Prior,
        data: Data,
        measurement: Measurement,
        generator: torch.Generator,
        *,
        latent_channels: int,
        latent_noise: float,
        latent_step: int = 1,
        size: tuple[int, ...],
        average: float = 0.99,
        warm_up: int = 0,
    ):
        self.network, self.data, self.measurement = network, data, measurement
        self.generator, self.latent_noise = generator, latent_noise
        self.average, self.warm_up, self._iteration = average, warm_up, 0
        self.size = size
        coarse = (math.ceil(n / latent_step) for n in size)
        self.latent = torch.empty(1, latent_channels, *coarse).uniform_(0, 0.1, generator=generator)
        self._output: Tensor | None = None
        self._mean: Tensor | None = None

    def loss(self) -> tuple[Tensor, Tensor]:
        """Mean squared error of the visible pixels."""
        latent = self.latent
        if self.latent_noise:
            latent = latent + self.latent_noise * torch.empty(latent.shape).normal_(generator=self.generator)
        latent = latent.to(self.data.measured.device)
        if latent.shape[2:] != self.size:
            latent = F.interpolate(latent, size=self.size, mode="bilinear" if len(self.size) == 2 else "trilinear")
        output = self.network(latent).float()
        self._output = output.detach()
        squared = (self.measurement(output) - self.data.measured) ** 2
        error = _mean_where(squared, self.data.visible)
        return error, error.detach()

    def collect(self) -> None:
        """Average the outputs."""
        assert self._output is not None
        if self._mean is None:
            self._mean = self._output.clone()
        self._iteration += 1
        keep = min(self.average, self._iteration / (self._iteration + self.warm_up))
        self._mean.lerp_(self._output, 1 - keep)

    def estimate(self) -> Tensor:
        """Give the averaged output."""
        assert self._mean is not None
        return self._mean


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
        scored = asked * self.data.visible
        loss = _mean_where(self.likelihood(mean, variance, measured), scored)
        return loss, _mean_where((mean.detach() - measured) ** 2, scored)

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Draw the pixels to be predicted, and all that are hidden for it: these, and as far as their noise reaches."""
        shape, reach = self.data.visible.shape, 2 * self.radius + 1
        density = 1 - (1 - self.hidden) ** (1 / reach**self.dims)
        asked = (torch.rand(shape, generator=self.generator) < density).float().to(self.data.visible.device)
        if self.like_missing:
            asked = torch.maximum(asked, self._moved_mask())
        if not self.radius:
            return asked, asked
        pool = F.max_pool2d if self.dims == 2 else F.max_pool3d
        return asked, pool(asked, reach, 1, self.radius)

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

    def estimate(self) -> Tensor:
        """Give the posterior mean of prediction and measurement."""
        mean, measured, visible = self._mean, self.data.measured, self.data.visible
        if self.correct_fill:
            return mean
        noise = corrected_noise(self.likelihood, mean, measured, visible).mean(1, keepdim=True)
        gain = visible * (1 - noise / self._total).clamp_min(0)
        return mean + gain * (measured - mean)


class Ensemble(Objective):
    """Several fits that take turns, one an iteration; the estimate is their mean.

    Each learns a part of the noise, but each another part, so their mean is better than any of them. One network that
    works as long as all of them together would only learn more of it.

    Parameters
    ----------
    members : sequence of Objective
        Of the same data, each with a network of its own.

    References
    ----------
    Ulyanov et al.: Deep Image Prior. CVPR 2018 (denoising: the mean of two runs is better than one).
    """

    def __init__(self, members: Sequence[Objective]):
        self.members, self.data = members, members[0].data
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

    def estimate(self) -> Tensor:
        """Give the mean of the members that had their turn."""
        started = self.members[: max(self._steps, 1)]
        return torch.stack([member.estimate() for member in started]).mean(0)


def _mean_where(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over channels and over the pixels of weight 1."""
    return (values.mean(1, keepdim=True) * weight).sum() / weight.sum().clamp_min(1)


def local_contrast(data: Data, scale: float = 8.0) -> tuple[Tensor, Tensor]:
    """Give the local mean of each channel, and the local standard deviation of all, over some `scale` pixels around.

    Only visible pixels count. A pixel has less than 1 % of the weight in its own surroundings.

    Returns
    -------
    mean : Tensor
        (1, channels, [z,] y, x).
    deviation : Tensor
        (1, 1, [z,] y, x), never zero.
    """

    def blur(x: Tensor) -> Tensor:
        axes = tuple(range(2, x.ndim))
        blurred = gaussian_filter(x.cpu().numpy(), scale, mode="reflect", axes=axes)
        return torch.from_numpy(blurred).to(x.device)

    weight = blur(data.visible)
    near = (weight > 1e-3).float()  # the middle of a wide gap has no surroundings: it takes those of its rim
    weight = weight.clamp_min(1e-3)
    mean = fill(blur(data.measured * data.visible) / weight, near)
    squared = ((data.measured - mean) ** 2 * data.visible).mean(1, keepdim=True)
    return mean, fill((blur(squared) / weight).sqrt(), near).clamp_min(1e-4)


def fill(image: Tensor, seen: Tensor) -> Tensor:
    """Replace the pixels that are not seen by a mean of those around them that are.

    The nearest ones count: where a 3 x 3 window holds none, coarser and coarser versions of the image are asked.
    """
    dims = image.ndim - 2
    side = torch.tensor([1.0, 2.0, 1.0], device=image.device)
    window = side
    for _ in range(dims - 1):
        window = window[..., None] * side
    conv = F.conv2d if dims == 2 else F.conv3d

    def blur(x: Tensor) -> Tensor:
        kernel = (window / window.sum()).expand(x.shape[1], 1, *window.shape)
        return conv(x, kernel, padding=1, groups=x.shape[1])

    pool = F.avg_pool2d if dims == 2 else F.avg_pool3d
    value, weight = image * seen, seen
    near, near_weight = blur(value), blur(weight)
    mean = near / near_weight.clamp_min(1e-6)
    missing = (near_weight < 0.02) & (seen == 0)
    if missing.any() and min(image.shape[2:]) > 1:
        coarse_weight = pool(weight, 2, ceil_mode=True)
        coarse = pool(value, 2, ceil_mode=True) / coarse_weight.clamp_min(1e-6)
        coarse = fill(coarse, (coarse_weight > 0).float())
        mode = "bilinear" if dims == 2 else "trilinear"
        wide = F.interpolate(coarse, size=image.shape[2:], mode=mode)
        mean = torch.where(missing, wide, mean)
    return torch.where(seen > 0, image, mean)


def relax(image: Tensor, seen: Tensor, steps: int = 10) -> Tensor:
    """Bend the pixels that are not seen towards the smoothest surface through those that are.

    A few damped steps down the bending energy of a thin plate, whose minimum is biharmonic inpainting (Damelin, Hoang,
    IEEE Trans. Image Process. 27, 2018); small gaps need no more.
    """
    free, speed = 1 - seen, torch.zeros_like(image)
    # the largest eigenvalue of the squared Laplacian is (4 * dims) ** 2; steps of twice its inverse would be unstable
    size = 1.6 / (4 * (image.ndim - 2)) ** 2
    for _ in range(steps):
        speed = 0.5 * speed - size * _laplacian(_laplacian(image)) * free
        image = image + speed
    return image


def _laplacian(x: Tensor) -> Tensor:
    """Sum of the neighbours along each axis, less as many times the pixel itself; borders are repeated."""
    total = -2 * (x.ndim - 2) * x
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, n - 1, 1)
        total = (
            total
            + torch.cat([first, x.narrow(axis, 0, n - 1)], axis)
            + torch.cat([x.narrow(axis, 1, n - 1), last], axis)
        )
    return total
