"""A simple filter beside the network: where held-out pixels are told better by it, it has its part in the prediction.

A network knows by heart what noise few pixels have, and strong noise it learns before it learns a smooth image. A mean
of neighbours knows nothing by heart.

References
----------
Batson, Royer: Noise2Self. ICML 2019 (a filter that leaves out the pixel itself is judged by that pixel).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.objectives.stack import as_planes, as_volume
from napari_dip.prior.physics.observation import Observation

LEAST_WEIGHT = 1e-6
"""Least weight that a mean is divided by."""
NOTHING = 1e-12
"""Error that can still be divided by."""


@dataclass(frozen=True)
class Looked:
    """A prediction, and what it is judged by.

    Attributes
    ----------
    prediction : (1, channels, [planes,] y, x) Tensor
    observation : Observation
        Of the same size, or with more planes than were predicted; with held-out pixels.
    planes : sequence of int, optional
        Which ones were predicted; left out, all.
    local_mean : Tensor, optional
        Of the values of the observation; left out, it is found.
    """

    prediction: Tensor
    observation: Observation
    planes: Sequence[int] | None = None
    local_mean: Tensor | None = None

    @property
    def base(self) -> Tensor:
        """The local mean."""
        return self.observation.local[0] if self.local_mean is None else self.local_mean

    @property
    def noise(self) -> Tensor:
        """Variance of the noise of what was predicted, at the local mean."""
        return self.cut(self.observation.noise.likelihood.noise_variance(self.base))

    @property
    def unit(self) -> Tensor:
        """What squared errors are counted in: noise, so that dim parts count as much as others, but not for all."""
        noise = self.noise
        return noise.clamp_min(float(noise.mean()))

    def cut(self, image: Tensor) -> Tensor:
        """Take what was predicted out of an image of the size of the observation."""
        return image if self.planes is None else image[:, :, list(self.planes)]


@dataclass(frozen=True)
class Mixture:
    """A Gaussian filter, and its part.

    Attributes
    ----------
    width, depth : float
        Standard deviation of the filter along y and x, in pixels, and across planes, in planes; 0: in its plane alone.
    part : float
        Of the filter in what is mixed, 0 to 1.
    left : float
        Part of the variance of the prediction's error that is left.
    """

    width: float
    depth: float
    part: float
    left: float = 1.0

    def mixed(self, looked: Looked, reach: int = 0) -> Tensor:
        """Mix a prediction with what the filter makes of the measurement, which sees so many planes on each side."""
        filtered = next(hidden_gaussians(looked, self.width, [self.depth], reach))
        return torch.lerp(looked.prediction, looked.cut(filtered), self.part)


@dataclass(frozen=True)
class SimpleOpinion:
    """How a hidden Gaussian filter is weighed against the predictions of networks.

    Attributes
    ----------
    widths, depths : tuple of float
        Standard deviations of the filters, along y and x in pixels, and across planes.
    clear : float
        Standard errors that its part has to be above nothing, as held-out pixels tell it.
    worth : float
        Part of the variance of the error that may be left at the most. What a filter blurs, the last step cannot
        sharpen: with 0.8 and 0.9 left its result was 0.2 dB worse, with 0.6 and less better as a rule.
    least : int
        Held-out pixels, with fewer nothing is judged.
    """

    widths: Sequence[float] = (0.75, 1.0, 1.5, 2.25, 3.5, 5.0)
    depths: Sequence[float] = (0.0, 0.6, 1.0, 2.0)
    clear: float = 2.5
    worth: float = 0.7
    least: int = 8

    def of_plane(self, prediction: Tensor, observation: Observation) -> Mixture | None:
        """Find the best mixture for a plane, as `judged` does; None for volumes, which are judged part by part."""
        return self.judged([Looked(prediction, observation)]) if observation.dims == 2 else None

    def judged(self, looked: Sequence[Looked], reach: int = 0) -> Mixture | None:
        """Find the best filter, and its part by what it and the predictions tell of held-out pixels.

        Parameters
        ----------
        looked : sequence of Looked
            Parts of an image, or of several.
        reach : int
            Planes on each side that a filter sees, where there are any.

        Returns
        -------
        Mixture or None
            None where a filter tells nothing that the predictions do not.
        """
        held_out = [one.cut(one.observation.held_out) for one in looked if one.observation.held_out is not None]
        if len(held_out) < len(looked) or looked[0].observation.noise.clipped:
            return None
        if sum(float(part.sum()) for part in held_out) < self.least:
            return None
        width, depth = self._best(looked, reach)
        apart, off, noise = self._apart(looked, Mixture(width, depth, 1.0), reach)
        power = float((apart**2).sum())
        part = min(float((apart * off).sum()) / power, 1.0) if power > 0 else 0.0
        # an error of each pixel by what is left there: neither noise nor prediction is the same everywhere
        error = float(((apart * (off - part * apart)) ** 2).sum()) ** 0.5 / power if power > 0 else 0.0
        if part <= self.clear * error:
            return None
        gained, before = float((off**2 - (off - part * apart) ** 2).sum()), float((off**2 - noise).sum())
        left = max(1 - gained / max(before, gained, NOTHING), 1 - part)
        return Mixture(width, depth, part, left) if left < self.worth else None

    def _best(self, looked: Sequence[Looked], reach: int) -> tuple[float, float]:
        """Give width and depth of the filter that tells most; each is judged by all measured pixels."""
        depths = self.depths if reach else self.depths[:1]
        errors = dict.fromkeys([(width, depth) for width in self.widths for depth in depths], 0.0)
        for one in looked:
            known, unit = one.observation, one.unit
            for width in self.widths:
                for depth, image in zip(depths, hidden_gaussians(one, width, depths, reach), strict=True):
                    off = one.cut((image - known.values) ** 2 * known.observed) / unit
                    errors[width, depth] += float(off.sum())
        return min(errors, key=lambda one: errors[one])

    def _apart(self, looked: Sequence[Looked], whole: Mixture, reach: int) -> tuple[Tensor, Tensor, Tensor]:
        """Give how far filter and measurement are from the prediction in held-out pixels, and the noise there."""
        found: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
        for one in looked:
            unit, held_out = one.unit, one.observation.held_out
            assert held_out is not None
            at = (one.cut(held_out) * torch.ones_like(unit)) > 0
            images = (x - one.prediction for x in (whole.mixed(one, reach), one.cut(one.observation.values)))
            for place, x in zip(found, (*(image / unit.sqrt() for image in images), one.noise / unit), strict=True):
                place.append(x[at].double())
        apart, off, noise = (torch.cat(parts) for parts in found)
        return apart, off, noise


SIMPLE_OPINION = SimpleOpinion()


def hidden_gaussians(
    looked: Looked, width: float, depths: Sequence[float] = (0.0,), reach: int = 0
) -> Iterator[Tensor]:
    """Give Gaussian means of what was measured around each pixel, out of reach of the pixel's own noise.

    Parameters
    ----------
    looked : Looked
    width : float
        Standard deviation along y and x, in pixels.
    depths : sequence of float
        Standard deviations across planes, for a mean each; 0: the pixel's own plane alone.
    reach : int
        Planes on each side that are seen.
    """
    values, observed, radii = looked.observation.values, looked.observation.observed, looked.observation.noise.radii
    flat = values.ndim == 4  # an image of two dimensions is one plane
    planes = [x if flat else as_planes(x) for x in (values * observed, observed)]
    whole = [_correlate(x, _bell(width, int(4 * width + 0.5), x)) for x in planes]
    hidden = [x - _own(y, width, radii) for x, y in zip(whole, planes, strict=True)]
    for depth in depths:
        sums = [_across(own, x, depth, reach) for own, x in zip(hidden, whole, strict=True)]
        mean, weight = (x if flat else as_volume(x) for x in sums)
        filtered = torch.where(weight > LEAST_WEIGHT, mean / weight.clamp_min(LEAST_WEIGHT), looked.base)
        circle = looked.observation.noise.circle
        yield filtered if circle is None else on_circle(filtered, *circle)


def on_circle(image: Tensor, middle: float, radius: float) -> Tensor:
    """Give vectors of sine and cosine (1, 2, [planes,] y, x) the length that they have on average.

    A mean of neighbours has the direction of an angle that goes on growing, but is too short.
    """
    vectors = image - middle
    length = vectors.square().sum(1, keepdim=True).sqrt().clamp_min(LEAST_WEIGHT)
    return middle + vectors * (radius / length)


def _own(planes: Tensor, width: float, radii: tuple[int, int]) -> Tensor:
    """Give what a pixel, and what its noise reaches, have in the sum around it."""
    if not any(radii):
        return planes
    return _correlate(planes, *(_bell(width, radius, planes) for radius in radii))


def _across(own: Tensor, whole: Tensor, depth: float, reach: int) -> Tensor:
    """Add the sums of the planes beside each."""
    total = own.clone()
    for shift in range(1, min(reach, len(own) - 1) + 1 if depth else 1):
        weight = torch.exp(torch.tensor(-(shift**2) / (2 * depth**2)))
        total[shift:] += weight * whole[:-shift]
        total[:-shift] += weight * whole[shift:]
    return total


def _bell(width: float, reach: int, like: Tensor) -> Tensor:
    x = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    return torch.exp(-(x**2) / (2 * width**2))


def _correlate(planes: Tensor, along_y: Tensor, along_x: Tensor | None = None) -> Tensor:
    """Sum each channel of (planes, channels, y, x) with the weights of two axes."""
    along_x = along_y if along_x is None else along_x
    flat = planes.reshape(prod(planes.shape[:2]), 1, *planes.shape[2:])
    for kernel, shape in ((along_y, (1, 1, -1, 1)), (along_x, (1, 1, 1, -1))):
        weights = kernel.view(shape)
        flat = F.conv2d(flat, weights, padding=(weights.shape[2] // 2, weights.shape[3] // 2))
    return flat.view(planes.shape)
