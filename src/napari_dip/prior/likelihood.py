"""How far a prediction is from what was measured, for the kinds of noise that a camera makes.

The network predicts a mean and the variance of its own error; the likelihood of a measured value takes this variance
and that of the noise together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LEAST = 1e-6
"""Least variance of noise, in squared units of [0, 1]."""


@dataclass(frozen=True)
class Strength:
    """How the variance of the noise depends on brightness: `floor + gain * x + speckle * x ** 2`, `x = signal - dark`.

    Attributes
    ----------
    floor : float
        Read noise; the variance without light.
    gain : float
        Photon noise (Foi et al., IEEE Trans. Image Process. 17, 2008, eq. 3).
    speckle : float
        Noise in proportion to the signal, as of coherent light or of uneven pixels.
    dark : float
        The value without light, or the darkest that was looked at.
    """

    floor: float
    gain: float = 0.0
    speckle: float = 0.0
    dark: float = 0.0

    def variance(self, signal: Tensor) -> Tensor:
        """Variance of the noise where the true image is `signal`; it falls on below `dark`, but never to zero."""
        light = signal.detach() - self.dark
        variance = self.floor + self.gain * light + self.speckle * light.clamp_min(0) ** 2
        return variance.clamp_min(max(LEAST, self.floor / 10))


class Likelihood(Protocol):
    """A model of the noise."""

    @property
    def strength(self) -> Strength:
        """How strong the noise is."""
        ...

    def __call__(self, mean: Tensor, variance: Tensor, measured: Tensor) -> Tensor:
        """Negative log-likelihood of each measured value under a prediction and its own variance, up to a constant."""
        ...

    def unclipped(self, mean: Tensor, total: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of what would have been measured without saturation; the value itself and 0 elsewhere."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Gaussian noise; what lies beyond `low` or `high` was measured as these.

    A saturated value only says that the light was at least as bright. Taken at its face it draws the image towards the
    middle: at sigma 50 of 255 a sky of 210 is measured as 204 on average.

    Attributes
    ----------
    strength : Strength
    low, high : float
        Where the measurement saturates; infinite where it does not.

    References
    ----------
    Foi: Clipped noisy images. Signal Processing 89, 2009. Tobin: Estimation of relationships for limited dependent
    variables. Econometrica 26, 1958 (the likelihood of a censored value).
    """

    strength: Strength
    low: float = -math.inf
    high: float = math.inf

    def __call__(self, mean: Tensor, variance: Tensor, measured: Tensor) -> Tensor:
        """Half of squared error over total variance plus log total variance; minus log probability where saturated."""
        total = variance + self.strength.variance(mean)
        loss = 0.5 * ((mean - measured) ** 2 / total + total.log())
        for beyond, sign, edge in self._edges(measured):
            loss = torch.where(beyond, -_log_ndtr(sign * (mean - edge) / total.sqrt()), loss)
        return loss

    def unclipped(self, mean: Tensor, total: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the normal distribution N(mean, total) beyond the edge, where a value is saturated."""
        value, spread = measured, torch.zeros_like(measured)
        deviation = total.sqrt()
        for beyond, sign, edge in self._edges(measured):
            distance = sign * (edge - mean) / deviation
            # the inverse Mills ratio, stable far out on both sides
            ratio = torch.exp(-0.5 * distance**2 - 0.5 * math.log(2 * math.pi) - _log_ndtr(-distance))
            value = torch.where(beyond, mean + sign * deviation * ratio, value)
            spread = torch.where(beyond, (total * (1 + distance * ratio - ratio**2)).clamp_min(0), spread)
        return value, spread

    def _edges(self, measured: Tensor) -> list[tuple[Tensor, int, float]]:
        """Where a value lies at an edge, on which side of it the truth may be, and the edge."""
        edges: list[tuple[Tensor, int, float]] = []
        if math.isfinite(self.high):
            edges.append((measured >= self.high, 1, self.high))
        if math.isfinite(self.low):
            edges.append((measured <= self.low, -1, self.low))
        return edges


@dataclass(frozen=True)
class Poisson:
    """Photon counts, with read noise taken for a few more of them.

    The value above the dark level, over the gain, is a count. Read noise shifts the counts by `floor / gain ** 2`, so
    that mean and variance of the Poisson distribution are right with it, too. The prediction's own error makes the rate
    uncertain: with a gamma distribution of the predicted mean and variance, counts follow the negative binomial one.

    References
    ----------
    Makitalo, Foi: Optimal inversion of the generalized Anscombe transformation. IEEE Trans. Image Process. 22, 2013
    (read noise as a shift of the counts). Gelman et al.: Bayesian Data Analysis, 2013, section 2.6 (gamma and Poisson).
    """

    strength: Strength

    def __call__(self, mean: Tensor, variance: Tensor, measured: Tensor) -> Tensor:
        """Negative log-likelihood of the negative binomial distribution, without the factorial of the count."""
        gain = max(self.strength.gain, LEAST)
        shift = self.strength.floor / gain - self.strength.dark
        count = (measured + shift).clamp_min(0) / gain
        expected = ((mean + shift) / gain).clamp_min(1e-2)
        # not so near to a plain Poisson distribution that single precision fails
        shape = (expected**2 / (variance / gain**2).clamp_min(1e-9)).clamp_max(1e4)
        rate = torch.log1p(expected / shape)
        terms = torch.lgamma(shape) - torch.lgamma(count + shape) + (shape + count) * rate
        return terms - count * (expected.log() - shape.log())

    def unclipped(self, mean: Tensor, total: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """Give the measured values: counts are not taken to saturate."""
        return measured, torch.zeros_like(measured)


def _log_ndtr(x: Tensor) -> Tensor:
    """Logarithm of the normal distribution function; Apple's GPUs lack it."""
    values: Tensor = torch.special.log_ndtr(x.cpu() if x.device.type == "mps" else x)
    return values.to(x.device)
