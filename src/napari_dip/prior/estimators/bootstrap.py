"""Uncertainties are scaled until they hold what they promise, by measurements that are drawn from the result itself.

The variance that a last step derives does not know how much overlapping patches err together. So the result is taken
for the truth: a measurement of it is drawn with the noise that was found, and restored. How far that is from the
result, in units of the uncertainty, is known in each pixel. Its 90 % quantile has to be that of the normal
distribution, in pixels of each brightness and each uncertainty.

References
----------
Efron, Tibshirani: An Introduction to the Bootstrap. 1993, section 6.5 (parametric bootstrap). Lei et al.:
Distribution-free predictive inference for regression. J. Am. Stat. Assoc. 113, 2018 (split conformal).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

NORMAL_QUANTILE = 1.645
"""Standard deviations within which 90 % of a normal distribution lie."""


@dataclass(frozen=True)
class Calibration:
    """How the variance of a result is scaled.

    Attributes
    ----------
    spreads, levels : int
        Classes of the uncertainty, and of the brightness within each of these.
    fewest : int
        Pixels of a class at the least; with fewer there are fewer classes.
    least, most : float
        Factor of the standard deviation at the least and at the most.
    """

    spreads: int = 6
    levels: int = 3
    fewest: int = 200
    least: float = 0.3
    most: float = 3.0

    def scaled(
        self,
        variance: Tensor,
        image: Tensor,
        noise: Tensor,
        correlation: Tensor | None,
        restore: Callable[[Tensor], Tensor],
        seen: Tensor,
    ) -> Tensor:
        """Scale a variance.

        Parameters
        ----------
        variance, image, noise : (1, channels, [z,] y, x) Tensor
            Of the result, the result, and the variance of the noise.
        correlation : Tensor or None
            Autocorrelation of the noise, (2 * reach + 1, 2 * reach + 1); None: white.
        restore : callable
            Restores a measurement.
        seen : (1, 1, [z,] y, x) bool Tensor
            Pixels that were measured.
        """
        drawn = image + noise.sqrt() * unit_noise(image, correlation)
        off = (restore(drawn) - image).abs() / variance.sqrt()
        at = seen.expand_as(off)
        total = int(at.sum())
        if total < self.fewest:
            return variance
        factor = torch.ones_like(variance)
        for part in self._classes(variance, at, self.spreads):
            for group in self._classes(image, part, self.levels):
                found = _quantile(off[group], 0.9) / NORMAL_QUANTILE
                factor[group] = min(max(found, self.least), self.most)
        return variance * factor**2

    def _classes(self, values: Tensor, among: Tensor, most: int) -> list[Tensor]:
        """Divide pixels into classes of as many, by their values."""
        some = values[among]
        count = max(min(most, some.numel() // self.fewest), 1)
        if count == 1:
            return [among]
        edges = torch.stack([torch.as_tensor(_quantile(some, n / count)) for n in range(1, count)]).to(values)
        which = torch.bucketize(values.contiguous(), edges)
        return [part for n in range(count) if (part := among & (which == n)).any()]


CALIBRATION = Calibration()


def unit_noise(like: Tensor, correlation: Tensor | None) -> Tensor:
    """Draw noise of variance 1 with an autocorrelation, the same in each call."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(like.shape, generator=generator)
    if correlation is not None:
        reach, size = correlation.shape[-1] // 2, noise.shape[-2:]
        table = torch.zeros(size)
        lags = torch.arange(-reach, reach + 1)
        table[(lags % size[0])[:, None], (lags % size[1])[None]] = correlation.cpu().float()
        power = torch.fft.rfft2(table).real.clamp_min(0)
        noise = torch.fft.irfft2(torch.fft.rfft2(noise) * power.sqrt(), s=size)
        noise = noise / noise.std()
    return noise.to(like)


def _quantile(values: Tensor, part: float) -> float:
    """Give a quantile of any number of values."""
    return float(values.flatten().kthvalue(max(round(part * values.numel()), 1)).values)
