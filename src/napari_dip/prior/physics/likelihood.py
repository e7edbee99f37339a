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

LEAST_VARIANCE = 1e-6
"""Least variance of noise, in squared units of [0, 1]: that of rounding to 8 bits is as small, (1 / 255) ** 2 / 12. It
keeps 1 / variance finite."""
MOST_FALL = 10
"""Below the offset the line of the variance falls on, to this part of the read variance: it must not go through zero,
nor make pixels of the dark look exact."""
LEAST_COUNT = 1e-2
"""Least number of photons that is expected: keeps its logarithm finite."""
LEAST_SPREAD_OF_COUNTS = 1e-9
"""Least variance of a predicted number of photons; keeps a division finite, and is far beyond `MOST_SHAPE`."""
FAR_OUT = 100
"""Standard deviations beyond which the inverse Mills ratio is its own asymptote: nearer than single precision could be
where squares of the distance are subtracted."""
MOST_SHAPE = 1e4
"""Largest shape of the gamma distribution: nearer to a plain Poisson distribution, single precision fails."""


@dataclass(frozen=True)
class NoiseVariance:
    """How the variance of the noise depends on brightness.

    It is `read + gain * x + multiplicative * x ** 2` with `x = signal - offset`, in squared units of the scaled image.

    Attributes
    ----------
    read : float
        Read noise; the variance without light.
    gain : float
        Photon noise: the value of one photon (Foi et al., IEEE Trans. Image Process. 17, 2008, eq. 3).
    multiplicative : float
        Noise in proportion to the signal, as of coherent light (speckle) or of uneven pixels.
    offset : float
        The value without light, or the darkest that was looked at.
    """

    read: float
    gain: float = 0.0
    multiplicative: float = 0.0
    offset: float = 0.0

    def at(self, signal: Tensor) -> Tensor:
        """Variance of the noise where the true image is `signal`; it falls on below `offset`, but never to zero."""
        light = signal.detach() - self.offset
        variance = self.read + self.gain * light + self.multiplicative * light.clamp_min(0) ** 2
        return variance.clamp_min(max(LEAST_VARIANCE, self.read / MOST_FALL))


class Likelihood(Protocol):
    """A model of the noise."""

    @property
    def noise(self) -> NoiseVariance:
        """How strong the noise is."""
        ...

    def noise_variance(self, signal: Tensor) -> Tensor:
        """Variance of the noise where the true image is `signal`, in the units in which the loss counts errors."""
        ...

    def __call__(self, mean: Tensor, variance: Tensor, values: Tensor) -> Tensor:
        """Negative log-likelihood of each measured value under a prediction and its own variance, up to a constant."""
        ...

    def unclipped(self, mean: Tensor, total: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of what would have been measured without saturation; the value itself and 0 elsewhere."""
        ...


@dataclass(frozen=True)
class LeastSquares:
    """Squared error, the loss of the published method: as strong a noise everywhere, no matter how strong.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky: Deep Image Prior. CVPR 2018, eq. 2.
    """

    @property
    def noise(self) -> NoiseVariance:
        """One: squared error counts in its own units."""
        return NoiseVariance(1.0)

    def noise_variance(self, signal: Tensor) -> Tensor:
        """Give ones of the shape of `signal`."""
        return torch.ones_like(signal)

    def __call__(self, mean: Tensor, variance: Tensor, values: Tensor) -> Tensor:
        """Squared error; the prediction's own variance does not count."""
        return (mean - values) ** 2

    def unclipped(self, mean: Tensor, total: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Give the measured values: nothing is known of saturation."""
        return values, torch.zeros_like(values)


@dataclass(frozen=True)
class Gaussian:
    """Gaussian noise; what lies beyond `low` or `high` was measured as these.

    A saturated value only says that the light was at least as bright. Taken at its face it draws the image towards the
    middle: at sigma 50 of 255 a sky of 210 is measured as 204 on average.

    Attributes
    ----------
    noise : NoiseVariance
    low, high : float
        Where the measurement saturates; infinite where it does not.

    References
    ----------
    Foi: Clipped noisy images. Signal Processing 89, 2009. Tobin: Estimation of relationships for limited dependent
    variables. Econometrica 26, 1958 (the likelihood of a censored value).
    """

    noise: NoiseVariance
    low: float = -math.inf
    high: float = math.inf

    def noise_variance(self, signal: Tensor) -> Tensor:
        """Variance of the noise where the true image is `signal`."""
        return self.noise.at(signal)

    def __call__(self, mean: Tensor, variance: Tensor, values: Tensor) -> Tensor:
        """Half of squared error over total variance plus log total variance; minus log probability where saturated."""
        total = variance + self.noise_variance(mean)
        loss = 0.5 * ((mean - values) ** 2 / total + total.log())
        for beyond, sign, edge in self._edges(values):
            loss = torch.where(beyond, -_log_ndtr(sign * (mean - edge) / total.sqrt()), loss)
        return loss

    def unclipped(self, mean: Tensor, total: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the normal distribution N(mean, total) beyond the edge, where a value is saturated."""
        value, spread = values, torch.zeros_like(values)
        deviation = total.sqrt()
        for beyond, sign, edge in self._edges(values):
            distance = sign * (edge - mean) / deviation
            # the inverse Mills ratio, stable far out on both sides
            ratio = torch.exp(-0.5 * distance**2 - 0.5 * math.log(2 * math.pi) - _log_ndtr(-distance))
            ratio = torch.where(distance > FAR_OUT, distance + 1 / distance, ratio)
            value = torch.where(beyond, mean + sign * deviation * ratio, value)
            spread = torch.where(beyond, (total * (1 + distance * ratio - ratio**2)).clamp_min(0), spread)
        return value, spread

    def _edges(self, values: Tensor) -> list[tuple[Tensor, int, float]]:
        """Where a value lies at an edge, on which side of it the truth may be, and the edge."""
        edges: list[tuple[Tensor, int, float]] = []
        if math.isfinite(self.high):
            edges.append((values >= self.high, 1, self.high))
        if math.isfinite(self.low):
            edges.append((values <= self.low, -1, self.low))
        return edges


@dataclass(frozen=True)
class Poisson:
    """Photon counts, with read noise taken for a few more of them.

    The value above the offset, over the gain, is a count. Read noise shifts the counts by `read / gain ** 2`, so
    that mean and variance of the Poisson distribution are right with it, too. The prediction's own error makes the rate
    uncertain: with a gamma distribution of the predicted mean and variance, counts follow the negative binomial one.

    References
    ----------
    Makitalo, Foi: Optimal inversion of the generalized Anscombe transformation. IEEE Trans. Image Process. 22, 2013
    (read noise as a shift of the counts). Gelman et al.: Bayesian Data Analysis, 2013, section 2.6 (gamma and Poisson).
    """

    noise: NoiseVariance

    def noise_variance(self, signal: Tensor) -> Tensor:
        """Variance of the noise where the true image is `signal`."""
        return self.noise.at(signal)

    def __call__(self, mean: Tensor, variance: Tensor, values: Tensor) -> Tensor:
        """Negative log-likelihood of the negative binomial distribution, without the factorial of the count."""
        gain = max(self.noise.gain, LEAST_VARIANCE)
        shift = self.noise.read / gain - self.noise.offset
        count = (values + shift).clamp_min(0) / gain
        expected = ((mean + shift) / gain).clamp_min(LEAST_COUNT)
        shape = (expected**2 / (variance / gain**2).clamp_min(LEAST_SPREAD_OF_COUNTS)).clamp_max(MOST_SHAPE)
        rate = torch.log1p(expected / shape)
        terms = torch.lgamma(shape) - torch.lgamma(count + shape) + (shape + count) * rate
        return terms - count * (expected.log() - shape.log())

    def unclipped(self, mean: Tensor, total: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Give the measured values: counts are not taken to saturate."""
        return values, torch.zeros_like(values)


def _log_ndtr(x: Tensor) -> Tensor:
    """Logarithm of the normal distribution function; Apple's GPUs lack it."""
    values: Tensor = torch.special.log_ndtr(x.cpu() if x.device.type == "mps" else x)
    return values.to(x.device)
