"""A simple filter beside the network: where held-out pixels are told better by it, it has its part in the prediction.

A network knows by heart what noise few pixels have, and strong noise it learns before it learns a smooth image. A mean
of neighbours knows nothing by heart.

References
----------
Batson, Royer: Noise2Self. ICML 2019 (a filter that leaves out the pixel itself is judged by that pixel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.observation import Observation, mean_where

LEAST_WEIGHT = 1e-6
"""Least weight that a mean is divided by."""


@dataclass(frozen=True)
class SimpleOpinion:
    """How a hidden Gaussian filter is weighed against the predictions of networks.

    Attributes
    ----------
    widths : tuple of float
        Standard deviations of the filters, in pixels.
    clear : float
        Standard errors that its part has to be above nothing, as held-out pixels tell it.
    least : int
        Held-out pixels, with fewer nothing is judged.
    """

    widths: Sequence[float] = (0.75, 1.0, 1.5, 2.25, 3.5, 5.0)
    clear: float = 2.5
    least: int = 8

    def mixed(self, prediction: Tensor, observation: Observation) -> tuple[Tensor, float]:
        """Mix a prediction with the best filter by what both tell of held-out pixels.

        Parameters
        ----------
        prediction : (1, channels, y, x) Tensor
        observation : Observation
            Of the same size, with held-out pixels.

        Returns
        -------
        image : Tensor
        part : float
            Of the filter in it, 0 to 1.
        """
        held_out = observation.held_out
        if held_out is None or observation.dims != 2 or held_out.sum() < self.least or observation.noise.clipped:
            return prediction, 0.0
        noise = observation.noise.likelihood.noise_variance(observation.local[0])
        filtered = self.filtered(observation, noise)
        # in units of the noise, so that dim parts count as much as bright ones
        at = (held_out * torch.ones_like(noise)) > 0
        apart, off = (((x - prediction) / noise.sqrt())[at].double() for x in (filtered, observation.values))
        power = float((apart**2).sum())
        part = min(float((apart * off).sum()) / power, 1.0) if power > 0 else 0.0
        # an error of each pixel by what is left there: neither noise nor prediction is the same everywhere
        error = float(((apart * (off - part * apart)) ** 2).sum()) ** 0.5 / power if power > 0 else 0.0
        if part <= self.clear * error:
            return prediction, 0.0
        return torch.lerp(prediction, filtered, part), part

    def filtered(self, observation: Observation, noise: Tensor) -> Tensor:
        """Give what the best of the filters makes of a pixel's neighbours; each is judged by all measured pixels."""
        found = [hidden_gaussian(observation, width) for width in self.widths]
        errors = [float(mean_where((one - observation.values) ** 2 / noise, observation.observed)) for one in found]
        return found[errors.index(min(errors))]


SIMPLE_OPINION = SimpleOpinion()


def hidden_gaussian(observation: Observation, width: float) -> Tensor:
    """Give the Gaussian mean of what was measured around each pixel, out of reach of the pixel's own noise.

    Parameters
    ----------
    observation : Observation
        Values (1, channels, y, x).
    width : float
        Standard deviation in pixels.
    """
    values, observed = observation.values, observation.observed
    reach = [max(int(4 * width + 0.5), 1) + radius for radius in observation.noise.radii]
    y, x = (torch.arange(-r, r + 1, device=values.device, dtype=values.dtype) for r in reach)
    kernel = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * width**2))
    own_y, own_x = observation.noise.radii
    kernel[reach[0] - own_y : reach[0] + own_y + 1, reach[1] - own_x : reach[1] + own_x + 1] = 0
    mean, weight = (_correlate(image, kernel) for image in (values * observed, observed))
    return torch.where(weight > LEAST_WEIGHT, mean / weight.clamp_min(LEAST_WEIGHT), observation.local[0])


def _correlate(image: Tensor, kernel: Tensor) -> Tensor:
    channels, padding = image.shape[1], tuple(side // 2 for side in kernel.shape)
    return F.conv2d(image, kernel.expand(channels, 1, *kernel.shape), padding=padding, groups=channels)
