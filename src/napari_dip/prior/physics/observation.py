"""What is known of an image: one frozen value that serves every objective."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.physics.fill import LOCAL_CONTRAST, LocalContrast, biharmonic, local_contrast
from napari_dip.prior.physics.forward_model import ForwardModel, Identity
from napari_dip.prior.physics.likelihood import LeastSquares
from napari_dip.prior.physics.noise_model import NoiseModel

UNKNOWN_NOISE = NoiseModel(LeastSquares(), 0, "")
"""Nothing is said of the noise: errors are squared and summed."""


@dataclass(frozen=True)
class Observation:
    """What is known of an image.

    Attributes
    ----------
    values : Tensor
        (1, channels, [z,] y, x), near [0, 1]; finite also where nothing was measured.
    observed : Tensor
        (1, 1, [z,] y, x), 1 where a pixel was measured and 0 where not.
    forward_model : ForwardModel
        What the instrument makes of the true image.
    noise : NoiseModel
        Likelihood of the values, and how far the noise is correlated.
    guide : Tensor, optional
        (1, any number, [z,] y, x) of the image: shown to the network beside its input.
    held_out : Tensor, optional
        (1, 1, [z,] y, x) of the measurement, 1 for pixels that are predicted but never learned from.
    local_window : LocalContrast
        Surroundings over which `local` is taken.
    """

    values: Tensor
    observed: Tensor
    forward_model: ForwardModel = field(default_factory=Identity)
    noise: NoiseModel = UNKNOWN_NOISE
    guide: Tensor | None = None
    held_out: Tensor | None = None
    local_window: LocalContrast = LOCAL_CONTRAST

    @property
    def dims(self) -> int:
        """Spatial dimensions, 2 or 3."""
        return self.values.ndim - 2

    @property
    def image_size(self) -> tuple[int, ...]:
        """([z,] y, x) of the image that is sought."""
        return self.forward_model.image_size(tuple(self.values.shape[2:]))

    @cached_property
    def local(self) -> tuple[Tensor, Tensor]:
        """Local mean (1, channels, ...) and contrast (1, 1, ...) of the values, from what was measured."""
        return local_contrast(self.values, self.observed, self.local_window)

    @cached_property
    def smooth(self) -> Tensor:
        """Smoothest surface through what was measured, (1, channels, ...)."""
        return biharmonic(self.values, self.observed)

    @cached_property
    def smooth_without_held_out(self) -> Tensor:
        """Smoothest surface through what was measured and is not held out, (1, channels, ...)."""
        return biharmonic(self.values, self.observed if self.held_out is None else self.observed * (1 - self.held_out))

    @cached_property
    def learned(self) -> Tensor:
        """Pixels that may be learned from: measured, not held out, and out of reach of the noise of those that are."""
        if self.held_out is None:
            return self.observed
        return self.observed * (1 - self.widened(self.held_out))

    def split(self, part: float, generator: torch.Generator) -> Observation:
        """Hold out a random part of the measured pixels."""
        return replace(self, held_out=self.observed * self.random(part, generator))

    def random(self, density: float, generator: torch.Generator) -> Tensor:
        """Draw pixels of the measurement, each with a probability."""
        drawn = torch.rand(self.observed.shape, generator=generator) < density
        return drawn.float().to(self.observed.device)

    def targets(self, hidden: float, generator: torch.Generator) -> Tensor:
        """Draw pixels so that this part is hidden, once all that the noise of these reaches is hidden with them."""
        reached = prod(self._windows)
        return self.random(1 - (1 - hidden) ** (1 / reached), generator)

    def widened(self, pixels: Tensor) -> Tensor:
        """Add all neighbours that the noise of some pixels reaches."""
        if not self.noise.correlation_radius:
            return pixels
        pool = F.max_pool2d if self.dims == 2 else F.max_pool3d
        return pool(pixels, self._windows, 1, tuple(side // 2 for side in self._windows))

    @property
    def _windows(self) -> tuple[int, ...]:
        """Sides of what the noise of a pixel reaches."""
        deep = [self.noise.correlation_radius] * (self.dims - 2)
        return tuple(2 * radius + 1 for radius in (*deep, *self.noise.radii))

    def held_out_error(self, image: Tensor) -> float | None:
        """Mean squared error of an image on the held-out pixels, in units of their noise; None if there are none."""
        if self.held_out is None or not self.held_out.any():
            return None
        noise = self.noise.likelihood.noise_variance(self.local[0])  # at the local mean, so that images can be compared
        return float(mean_where((self.forward_model(image) - self.values) ** 2 / noise, self.held_out))


def mean_where(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over channels and over the pixels of weight 1."""
    return (values.mean(1, keepdim=True) * weight).sum() / weight.sum().clamp_min(1)
