"""How sure enlarged detail is, which no pixel tells by itself: an image is much like itself at another scale.

What was measured is shrunk by two and enlarged again by interpolation. How far off that is, beside the contrast around,
is known there, and is taken for how far off the enlarged image may be beside its own contrast. Interpolation is the
lesser method, so drawings and letters, at which a prior is much better, are thought less sure than they are.

References
----------
Glasner, Bagon, Irani: Super-resolution from a single image. ICCV 2009 (recurrence across scales).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.estimators.posterior import AsPredicted, Averaged, Estimate
from napari_dip.prior.physics.fill import LocalContrast, fill, local_contrast
from napari_dip.prior.physics.forward_model import Downsample
from napari_dip.prior.physics.likelihood import LEAST_VARIANCE

SHRUNK = 2
"""How many times the measurement is shrunk to learn from it; by more, less of an image is left to learn from."""


@dataclass(frozen=True)
class EnlargedDetail:
    """How the variance of enlarged detail is told.

    Attributes
    ----------
    window : float
        Standard deviation of the surroundings that contrast is taken in, over the factor of an enlargement.
    fewest : int
        Pixels along y and x that are left once it is shrunk; of fewer, the contrast itself is what is not known.
    """

    window: float = 0.5
    fewest: int = 8

    def variance(self, values: Tensor, observed: Tensor, factor: int) -> Tensor:
        """Give the variance of the error of each pixel of an enlarged image.

        Parameters
        ----------
        values, observed : (1, channels, y, x) and (1, 1, y, x) Tensor
            What is enlarged, and where that was measured.
        factor : int

        Returns
        -------
        (1, 1, factor * y, factor * x) Tensor
        """
        device = values.device  # not every device can shrink smoothly
        values, observed = (x.float().cpu() for x in (values, observed))
        values = fill(values * observed, observed)
        part, floor = self._learned(values, observed)
        size = [factor * n for n in values.shape[2:]]
        return (part * self._around(values, size, factor) + floor).clamp_min(LEAST_VARIANCE).to(device)

    def _around(self, values: Tensor, size: Sequence[int], factor: int) -> Tensor:
        """Give the local variance of an image that is enlarged by interpolation."""
        image = F.interpolate(values, size=size, mode="bicubic")
        return local_contrast(image, torch.ones_like(image[:, :1]), LocalContrast(self.window * factor))[1] ** 2

    def _learned(self, values: Tensor, observed: Tensor) -> tuple[float, float]:
        """Give what part of the local variance is not known of a shrunk image, and what is not known anywhere."""
        size = [n // SHRUNK for n in values.shape[2:]]
        if min(size) < self.fewest or not observed.any():
            return 1.0, 0.0
        values, observed = (x[..., : SHRUNK * size[0], : SHRUNK * size[1]] for x in (values, observed))
        small = F.interpolate(values, size=size, mode="bicubic", antialias=True)
        again = F.interpolate(small, size=values.shape[2:], mode="bicubic")
        off, around = ((again - values) ** 2).mean(1, keepdim=True), self._around(small, values.shape[2:], SHRUNK)
        seen = observed > 0
        known = torch.stack([around[seen], torch.ones_like(around[seen])], 1).double().numpy()
        (part, floor), _ = nnls(known, off[seen].double().numpy())
        return float(part), float(floor)


ENLARGED_DETAIL = EnlargedDetail()


@dataclass(frozen=True)
class Enlarged(AsPredicted):
    """The prediction stands for itself, and how sure it is, is told by the image one scale down.

    Attributes
    ----------
    detail : EnlargedDetail
    """

    detail: EnlargedDetail = ENLARGED_DETAIL

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Give the mean of the predictions."""
        estimate, seen = super().finish(averaged), averaged[0].observation
        assert isinstance(seen.forward_model, Downsample)
        if not with_variance:
            return estimate
        spread = self.detail.variance(seen.values, seen.observed, seen.forward_model.factor)
        return replace(estimate, variance=spread.expand_as(estimate.image))
