"""A reading of the noise that destroys structure if it is wrong is judged by its result, and another one follows.

Noise that reaches into neighbouring pixels is removed by a prediction that sees none of these. What such a prediction
leaves behind is noise, everywhere alike in pixels of one brightness, or structure that only neighbours tell of, which
has places. Differences of pixels say this before a fit, but the residual is free of all that the network knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv
from torch import Tensor

from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.fitting.fit_chain import FitChain
from napari_dip.prior.fitting.stopping import Limits
from napari_dip.prior.noise.flat_blocks import gamma_shape, windows_of
from napari_dip.prior.physics.observation import Observation


@dataclass(frozen=True)
class ResidualTest:
    """When a residual is taken for structure.

    Attributes
    ----------
    side : int
        Of a window, in pixels.
    least : int
        Windows without which nothing is said.
    flattest : float
        Quantile of the windows that is compared with the median.
    spread : float
        Logarithm of the factor between the two, beside that of stationary noise, from which on the residual is
        structure: -0.1 to 0.35 of noise that reaches into neighbours, 0.3 to 5 of images without noise.
    """

    side: int = 16
    least: int = 24
    flattest: float = 0.05
    spread: float = 0.5

    def is_structure(self, prediction: Tensor, observation: Observation) -> bool:
        """Whether what a prediction leaves behind depends on place.

        Parameters
        ----------
        prediction : (1, channels, y, x) Tensor
            Made without the pixel itself and what its noise reaches.
        observation : Observation
            Of the same size.
        """
        noise = observation.noise.likelihood.noise_variance(prediction)
        residual = ((observation.values - prediction) / noise.sqrt())[0].cpu().double().numpy()
        seen = observation.observed[0, 0].cpu().numpy() > 0
        whole = windows_of(seen, self.side).all((1, 2))
        if np.count_nonzero(whole) < self.least:
            return False
        power = np.concatenate([(windows_of(one, self.side)[whole] ** 2).mean((1, 2)) for one in residual])
        shape = gamma_shape(_autocorrelation(residual * seen, seen, self.side), self.side)
        low, middle = (np.quantile(power, part) / gammaincinv(shape, part) for part in (self.flattest, 0.5))
        return bool(middle > low * np.exp(self.spread))


RESIDUAL_TEST = ResidualTest()


class SecondReading(FitChain):
    """A chain: a fit of one reading of the noise, and where its residual is structure, a fit of another one.

    Parameters
    ----------
    first : Fit
        Of the reading that is judged.
    then : callable
        Makes the fit of the other reading.
    limits : Limits
        Of both together.
    rejected : bool or None
        What was found of the first reading before; None: it is judged.
    test : ResidualTest
    """

    def __init__(
        self,
        first: Fit,
        then: Callable[[], Fit],
        limits: Limits,
        *,
        rejected: bool | None = None,
        test: ResidualTest = RESIDUAL_TEST,
    ):
        super().__init__(first, limits)
        self.rejected, self.test, self._then = rejected, test, then

    def next_fit(self) -> Fit | None:
        """Give the fit of the other reading; None where the first one holds."""
        if self.rejected is None:
            averaged = self.first.averaged()
            self.rejected = bool(averaged) and self.test.is_structure(averaged[0].image, averaged[0].observation)
        return self._then() if self.rejected else None

    def remade_fit(self) -> Fit:
        """Give the fit of the other reading, which had begun."""
        self.rejected = True
        return self._then()

    def extend(self, iterations: int) -> None:
        """Let it go on for so many iterations, with the reading that was kept."""
        super().extend(iterations)
        if self.fit is None and self.stopped_by is not None:
            self.rejected = False
            self.first.extend(iterations)


def _autocorrelation(residual: np.ndarray, seen: np.ndarray, side: int) -> np.ndarray:
    """Autocorrelation of (channels, y, x) that are 0 where not `seen`, for shifts below `side` to all sides."""
    pads = ((0, side), (0, side))
    power = sum(np.abs(np.fft.rfft2(np.pad(one, pads))) ** 2 for one in residual)
    count = np.fft.irfft2(np.abs(np.fft.rfft2(np.pad(seen.astype(np.float64), pads))) ** 2)
    alike = np.fft.irfft2(power) / np.maximum(count, 1)
    lags = np.arange(-side + 1, side)
    return np.asarray(alike[np.ix_(lags, lags)] / max(alike[0, 0], TINY))


TINY = 1e-30
"""Keeps a quotient finite."""
