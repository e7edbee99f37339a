"""How strong the noise of an image is, estimated from that image alone.

What is flat in an image shows its noise. Two views of it: differences of neighbouring pixels, before anything is
known, and later what a prediction leaves behind.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from napari_dip.prior.compression import compression_error
from napari_dip.prior.flat_blocks import block_means, differences, differences_along, finest_differences, kurtosis
from napari_dip.prior.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.noise.config import ESTIMATION, Estimation
from napari_dip.prior.noise.correlation import correlation_along
from napari_dip.prior.noise.model import KnownNoise, NoiseModel
from napari_dip.prior.noise.variance_curve import fit_variance_curve, name_of
from napari_dip.prior.saturation import saturation


def estimate_noise(
    planes: np.ndarray, observed: np.ndarray, known: KnownNoise | None = None, how: Estimation = ESTIMATION
) -> NoiseModel:
    """Estimate from the flattest blocks of an image how strong its noise is, and how far it is correlated.

    Second differences over a step of 1, 2, 3 pixels give the same variance if the noise of neighbouring pixels is
    independent, and ever larger ones as far as it is not.

    Parameters
    ----------
    planes : (n, y, x) array
        Channels or slices, values near [0, 1].
    observed : (n or 1, y, x) bool array
        Pixels that were measured.
    known : KnownNoise, optional
        What need not be found.
    how : Estimation, optional
    """
    known = known or KnownNoise()
    observed = np.broadcast_to(observed, planes.shape)
    found = _by_differences(planes, observed, known, how)
    return found if found.told else _bounded(found, planes, observed, known, how)


def _bounded(
    found: NoiseModel, planes: np.ndarray, observed: np.ndarray, known: KnownNoise, how: Estimation
) -> NoiseModel:
    """Replace noise that is stronger than what a linear prediction leaves: it was a pattern, which can be predicted."""
    predicted = how.linear.residuals(planes, observed, found.radii)
    if predicted is None:
        return found
    left, where = predicted
    thought = float(found.likelihood.noise_variance(torch.from_numpy(planes[where])).double().mean())
    bound = how.least_left if not found.correlation_radius else how.least_left_if_correlated
    if (left[where] ** 2).mean() > bound * thought or not _is_pattern(planes, observed, how):
        return found
    kind = known.kind if known.kind != "auto" else "gaussian"
    blocks = block_means(zip(planes, left**2, where, strict=True), how.residuals)
    noise = fit_variance_curve(*blocks, how.residuals, how, known=replace(known, kind=kind))
    return NoiseModel(Gaussian(noise), 0, kind)


def _by_differences(planes: np.ndarray, observed: np.ndarray, known: KnownNoise, how: Estimation) -> NoiseModel:
    """Find noise by differences of neighbours, as `estimate_noise` says."""
    error, certain = compression_error(planes, how.compression)
    if known.kind == "compression" or (known.kind == "auto" and certain):
        return NoiseModel(Gaussian(NoiseVariance((how.compression.white_factor * error) ** 2)), 0, "compression")
    if known.kind == "auto" and (photon := _single_photons(planes, observed, how)):
        return NoiseModel(Gaussian(NoiseVariance(0.0, gain=photon)), 0, "poisson")
    blocks = [differences(planes, observed, step, how.differences) for step in range(1, how.most_radius + 2)]
    # compression smooths the flattest blocks most; noise is correlated in the usual ones, too
    levels = [
        [np.quantile(variance, part) if variance.size else np.inf for _, variance in blocks]
        for part in (how.differences.flattest, how.usual)
    ]
    radius = 0
    while radius < how.most_radius and all(
        level[radius] < how.white_ratio * level[radius + 1] < np.inf for level in levels
    ):
        radius += 1
    low, high = saturation(planes, observed, known.top, how.pile_up)
    brightness = planes[observed].mean()
    # photon counts pile up at zero by themselves; only read noise as strong as a photon is cut off there
    free = fit_variance_curve(*blocks[radius], how.differences, how, -np.inf, high)
    if np.isfinite(low):
        unlit = free.read - free.gain * free.offset
        usual = float(free.at(torch.tensor(brightness)))
        low = low if unlit > max(free.gain**2, how.unlit * usual) else -np.inf
    seen, along = blocks[radius], correlation_along(planes, observed, how)
    if along is not None:
        axis = 0 if along[0] <= along[1] else 1
        seen, radius = differences_along(planes, observed, along[axis] + 1, axis, how.differences), max(along)
    elif radius and _is_structure(planes, observed, radius, how):
        # fine structure, not correlated noise: so much of the noise is sure that is white
        seen, radius = finest_differences(planes, observed, how.finest, how.differences), 0
        known = replace(known, kind="gaussian") if known.kind == "auto" else known
    noise = fit_variance_curve(*seen, how.differences, how, low, high, known)
    kind = known.kind if known.kind != "auto" else name_of(noise, float(brightness), how.naming)
    told = known.sigma is not None or known.gain is not None
    return NoiseModel(Gaussian(noise, low, high), radius, kind, along, told)


def _single_photons(planes: np.ndarray, observed: np.ndarray, how: Estimation) -> float:
    """Give the value of a photon where most pixels have none and the others a few; 0 if they are something else.

    Hardly a block of such an image varies, so the flattest ones say nothing.
    """
    values = planes[observed]
    steps = np.unique(values)
    if len(steps) < 2 or len(steps) > how.few_counts or np.count_nonzero(values == 0) < 0.5 * values.size:
        return 0.0
    photon, mean = float(steps[1]), float(values.mean())
    off = np.abs(steps / photon - np.rint(steps / photon)).max()
    variance = differences(planes, observed, 1, how.differences)[1]
    if off > 1e-3 or not variance.size:
        return 0.0
    return photon if 1 / how.counting < variance.mean() / (photon * mean) < how.counting else 0.0


def _is_pattern(planes: np.ndarray, observed: np.ndarray, how: Estimation) -> bool:
    """Whether differences are far from Gaussian: correlated noise can be predicted, too, if it reaches far."""
    found = (kurtosis(planes, observed, step, how.residuals) for step in range(1, how.most_radius + 2))
    return max(abs(one - 3) for one in found) > how.gaussian - 3


def _is_structure(planes: np.ndarray, observed: np.ndarray, radius: int, how: Estimation) -> bool:
    """Whether what looks like correlated noise is none: however correlated, noise of many sources is Gaussian."""
    found = [kurtosis(planes, observed, step, how.residuals) for step in range(1, radius + 2)]
    return sum(found) / len(found) > how.gaussian
