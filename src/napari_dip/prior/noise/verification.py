"""The noise model is verified by what a fit has left: a pixel that was never seen cannot be told better than its noise.

What is measured of a held-out pixel is its true value and its noise. So the mean square of what a prediction leaves
there is the variance of the noise and the error of the prediction together, and never less than that of the noise.
Where it is, the noise was thought to be stronger than it is: fine structure in all blocks, as of a checkerboard, looks
like noise to differences of neighbours, but it can be predicted.

References
----------
Batson, Royer: Noise2Self. ICML 2019, proposition 1 (what a prediction of unseen pixels leaves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from napari_dip.prior.physics.noise_model import NoiseModel


@dataclass(frozen=True)
class Verification:
    """When noise is doubted.

    Attributes
    ----------
    sure : float
        Standard errors by which less has to be left than noise would leave.
    clear : float
        Part of the variance that was thought of, above which it is believed all the same: estimates of it are no better
        than that.
    least : int
        Held-out values below which nothing is said.
    """

    sure: float = 2.5
    clear: float = 0.85
    least: int = 50

    def most_noise(self, noise: NoiseModel, prediction: Tensor, values: Tensor, held_out: Tensor | None) -> float:
        """Find what part of its variance the noise can have at the most.

        Parameters
        ----------
        noise : NoiseModel
            As it was thought to be.
        prediction, values : (1, channels, [z,] y, x) Tensor
        held_out : (1, 1, [z,] y, x) Tensor or None
            1 for pixels that the prediction was made without.

        Returns
        -------
        float
            1 where there is no reason to doubt it: noise that is correlated is told by neighbours, and noise that was
            given is believed.
        """
        if noise.told or noise.correlation_radius or held_out is None:
            return 1.0
        at = held_out.expand_as(values) > 0
        if int(at.sum()) < self.least:
            return 1.0
        variance = noise.likelihood.noise_variance(prediction)
        value, spread = noise.likelihood.unclipped(prediction, variance, values)
        left = (((value - prediction) ** 2 + spread) / variance)[at].double()
        most = float(left.mean() + self.sure * left.std() / left.numel() ** 0.5)
        return most if most < self.clear else 1.0


VERIFICATION = Verification()


@dataclass(frozen=True)
class Residual:
    """What a restoration has taken off, in standard deviations of the noise as it was thought to be.

    Attributes
    ----------
    variance : float
        A little less than 1 where it is noise: a part of the noise stays in the image.
    by_brightness : tuple of float
        The same of the darkest, middle and brightest third of the pixels.
    correlation : float
        Of pixels that lie one further apart than the noise reaches, along y or x, whichever is more. Next to nothing
        for noise; structure that was taken off is more.
    """

    variance: float
    by_brightness: tuple[float, ...]
    correlation: float

    @classmethod
    def usual(cls, parts: Sequence[Residual]) -> Residual:
        """Give what is usual of some parts of an image: the medians."""
        by_brightness = tuple(median(third) for third in zip(*(one.by_brightness for one in parts), strict=True))
        variance, correlation = (median(getattr(one, name) for one in parts) for name in ("variance", "correlation"))
        return cls(variance, by_brightness, correlation)


NEXT_TO_NOTHING = 1e-9
"""Variance of a residual that can still be divided by."""
LEAST_PIXELS = 300
"""With fewer, nothing is said of a residual."""
FAR_OFF = 5.0
"""Standard deviations that a pixel counts for at the most: a single one must not speak for all."""


def residual(noise: NoiseModel, image: Tensor, values: Tensor, observed: Tensor) -> Residual | None:
    """Look at what was taken off.

    Parameters
    ----------
    noise : NoiseModel
    image, values : (1, channels, [z,] y, x) Tensor
        Restored, and as they were measured.
    observed : (1, 1, [z,] y, x) Tensor
        1 where a pixel was measured.

    Returns
    -------
    Residual or None
        None of few pixels. Values that were cut off do not count.
    """
    likelihood = noise.likelihood
    low, high = (getattr(likelihood, name, sign * torch.inf) for name, sign in (("low", -1), ("high", 1)))
    weight = observed * ((values > low) & (values < high)).to(observed)
    if float(weight.sum()) < LEAST_PIXELS:
        return None
    left = ((values - image) / likelihood.noise_variance(image).sqrt()).clamp(-FAR_OFF, FAR_OFF)
    seen = _some(image[weight.expand_as(image) > 0])
    thirds = torch.quantile(seen, torch.tensor([1 / 3, 2 / 3], device=image.device))
    third = (image[..., None] > thirds).sum(-1)
    parts = tuple(_mean(left**2, weight * (third == n)) for n in range(3))
    beyond = zip(noise.radii, (-2, -1), strict=True)
    alike = max(_alike(left, weight, radius + 1, axis) for radius, axis in beyond)
    return Residual(_mean(left**2, weight), parts, alike)


def _alike(left: Tensor, weight: Tensor, step: int, axis: int) -> float:
    """Give the correlation of pixels a step apart."""
    n = left.shape[axis] - step
    if n < 1:
        return 0.0
    one, other, w, v = (x.narrow(axis, at, n) for x in (left, weight) for at in (0, step))
    return _mean(one * other, w * v) / max(_mean(left**2, weight), NEXT_TO_NOTHING)


def _mean(x: Tensor, weight: Tensor) -> float:
    weight = weight.expand_as(x)
    return float((x * weight).sum() / weight.sum().clamp_min(1))


def _some(x: Tensor, most: int = 2**20) -> Tensor:
    """Give no more values than a quantile can be found of."""
    return x.flatten()[:: -(-x.numel() // most)].float()
