"""A fit that removes the noise of an image before it fits anything else to it, where there surely is some.

A detail that is sought beyond what was measured is guided by noise as by anything else, so noise is enlarged with the
image. What a clean photograph has of fine texture looks like noise to its neighbours, but no network predicts it: the
error of held-out pixels, in units of the noise that was estimated, is far above 1 there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.estimators.enlarged_detail import ENLARGED_DETAIL, EnlargedDetail
from napari_dip.prior.estimators.posterior import Estimate
from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.fitting.fit_chain import FitChain
from napari_dip.prior.fitting.stopping import Limits
from napari_dip.prior.physics.observation import Observation


@dataclass(frozen=True)
class SureNoise:
    """When noise is removed first.

    Attributes
    ----------
    least : float
        Standard deviation that it has to have, in units of [0, 1]: with less, little is to be gained. An image of which
        next to nothing is seen counts with 0.01.
    most_error : float
        Error of held-out pixels up to which it is believed, in units of the noise: 0.9 to 2.6 with white noise of 3 %
        of the range and more, and 34 or more in clean photographs of 64 to 164 pixels' width. A small image has some 50
        of them, so it is known to a fifth.
    most_left : float
        Part of its variance that may be left, as uncertainty, once it is removed: 0.1 to 0.4 in cells and photographs
        with such noise, 0.6 where all is texture, of which more is lost than noise.
    part, fewest : int
        Of a number of iterations that is given, one in so many is for this; with fewer than that nothing is learned.
    """

    least: float = 0.02
    most_error: float = 5.0
    most_left: float = 0.5
    part: int = 4
    fewest: int = 20

    def suspects(self, observation: Observation) -> bool:
        """Whether there may be noise that is worth while: white, and strong enough."""
        noise = observation.noise
        if noise.kind == "compression" or any(noise.radii):
            return False
        strength = noise.likelihood.noise_variance(observation.local[0])
        return float(strength.mean()) >= self.least**2

    def believes(self, fit: Fit) -> bool:
        """Whether a network has seen that it is noise."""
        return fit.has_result and fit.held_out_error is not None and fit.held_out_error <= self.most_error

    def gains(self, found: Estimate, noise: Tensor) -> bool:
        """Whether most of the noise is gone, of this variance; with little of it, more of the image may be lost."""
        return found.variance is not None and float(found.variance.mean() / noise.mean()) <= self.most_left


class DenoisedFirst(FitChain):
    """A chain: the noise is removed, then the rest is done with what was found.

    One that is ended before that makes the image as large as it is to be, without its noise if that was found by then.

    Parameters
    ----------
    denoising : Fit
        Of the image as it was measured.
    then : callable
        Makes the other fit, of values without noise, or, for None, of those that were measured.
    limits : Limits
        Of both together.
    observation : Observation
        The image as it was measured, with its noise.
    size : (y, x)
        Of the image that is sought.
    sure : SureNoise
    detail : EnlargedDetail
        How sure one that is ended before is.

    Attributes
    ----------
    is_noisy : bool
        Whether noise was found, once that was decided.
    """

    def __init__(
        self,
        denoising: Fit,
        then: Callable[[Tensor | None], Fit],
        limits: Limits,
        *,
        observation: Observation,
        size: tuple[int, ...],
        sure: SureNoise,
        detail: EnlargedDetail = ENLARGED_DETAIL,
    ):
        super().__init__(denoising, limits)
        self.sure, self.detail = sure, detail
        self.is_noisy = False
        self._then, self._observation, self._size = then, observation, size
        self._left: Tensor | None = None

    def next_fit(self) -> Fit:
        """Give the fit of what is left once the noise is removed."""
        return self._then(self._denoised())

    def preview(self) -> Tensor:
        """Give an image to look at, near to what `finish` would give, in little time."""
        if self.fit:
            return self.fit.preview()
        return self._enlarged(self.first.preview() if self.sure.believes(self.first) else self._values)

    def finish(self, *, with_variance: bool = False) -> Estimate:
        """Give the image, with all that can still be done for it; the fit can go on afterwards."""
        if self.fit:
            found = self.fit.finish(with_variance=with_variance)
            return replace(found, variance=self._with_noise_left(found.variance))
        denoised = self._denoised()
        known = self._values if denoised is None else denoised
        image = self._enlarged(known)
        if not with_variance:
            return Estimate(image)
        factor = self._size[-1] // known.shape[-1]
        spread = self.detail.variance(known, self._observation.observed, factor)
        return Estimate(image, self._with_noise_left(spread.expand_as(image)))

    def _denoised(self) -> Tensor | None:
        """Give the image without its noise; None if there is none that is sure."""
        self.is_noisy = self.sure.believes(self.first)
        if not self.is_noisy:
            return None
        found, noise = self.first.finish(with_variance=True), self._observation.noise.likelihood
        self.is_noisy = self.sure.gains(found, noise.noise_variance(self._observation.local[0]))
        self._left = found.variance if self.is_noisy else None
        return found.image if self.is_noisy else None

    def _with_noise_left(self, spread: Tensor | None) -> Tensor | None:
        """Add what is not known of the image that was enlarged, once its noise is removed."""
        if spread is None or self._left is None:
            return spread
        return spread + F.interpolate(self._left, size=self._size, mode="bilinear")

    @property
    def _values(self) -> Tensor:
        """As they were measured."""
        return self._observation.values

    def _enlarged(self, image: Tensor) -> Tensor:
        return F.interpolate(image, size=self._size, mode="bicubic")
