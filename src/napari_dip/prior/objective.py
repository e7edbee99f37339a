"""What one iteration does, and the published way to fit a network to a single image: from fixed noise."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_dip.prior.forward_model import Measurement
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


@dataclass(frozen=True)
class Result:
    """A restored image, and the variance of its error where it is known; both (1, channels, [z,] y, x)."""

    image: Tensor
    variance: Tensor | None


class Objective(abc.ABC):
    """One way to fit: a network, the loss of one iteration, and the estimate so far."""

    network: nn.Module
    data: Data
    networks = 1
    """How many there are."""
    turn = 0
    """Which of them learns next."""

    @abc.abstractmethod
    def loss(self) -> tuple[Tensor, Tensor]:
        """Run the network once; give the loss to descend, and the mean squared error on the pixels it was asked for."""

    @abc.abstractmethod
    def collect(self) -> None:
        """Take the last output of the network into the estimate."""

    @abc.abstractmethod
    def estimate(self) -> Tensor:
        """Give the restored image so far, (1, channels, [z,] y, x)."""

    def preview(self) -> Tensor:
        """Give an image to look at: near to what `finish` would give, in little time."""
        return self.estimate()

    def held_out(self) -> float | None:
        """Give the error of pixels that are predicted but never learned from; None if there are none."""
        return None

    def finish(self, *, with_variance: bool = False) -> Result:
        """Give the restored image, with all that can still be done for it once the network is fitted."""
        return Result(self.estimate(), None)


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
        error = mean_where(squared, self.data.visible)
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


def mean_where(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over channels and over the pixels of weight 1."""
    return (values.mean(1, keepdim=True) * weight).sum() / weight.sum().clamp_min(1)
