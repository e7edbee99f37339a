"""The variance of the noise as a curve over brightness, fitted to the flattest blocks of an image."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from napari_dip.prior.flat_blocks import FlatBlocks
from napari_dip.prior.likelihood import NoiseVariance
from napari_dip.prior.noise.config import Estimation, Naming, VarianceCurve
from napari_dip.prior.noise.model import KnownNoise
from napari_dip.prior.saturation import unclip

LEAST_SPREAD = 1e-7
"""Added to every variance that was found, in squared units of [0, 1]: less than rounding to 8 bits adds, and enough to
divide by."""
NOTHING = 1e-12
"""Added to a total variance, so that parts of it can be told where there is none."""


def fit_variance_curve(
    brightness: np.ndarray,
    variance: np.ndarray,
    blocks: FlatBlocks,
    how: Estimation,
    low: float = -np.inf,
    high: float = np.inf,
    known: KnownNoise | None = None,
) -> NoiseVariance:
    """Fit a curve to the variance of the flattest blocks at each brightness; values are cut off at `low` and `high`."""
    curve = how.curve
    if not variance.size:
        level, spread = np.array([0.5]), np.array([curve.unseen])
    else:
        points = max(1, min(curve.most_points, variance.size // curve.blocks_per_point))
        bins = np.array_split(np.argsort(brightness), points)
        level = np.array([np.median(brightness[i]) for i in bins])  # a bead in one of its blocks is no matter
        spread = np.array([np.quantile(variance[i], blocks.flattest) for i in bins]) / blocks.bias + LEAST_SPREAD
        level, spread = unclip(level, spread, low, high, how.unclipping)
    return _fitted(level, spread, known or KnownNoise(), curve)


def _fitted(level: np.ndarray, spread: np.ndarray, known: KnownNoise, curve: VarianceCurve) -> NoiseVariance:
    """Fit what is not known of the parts of a variance, by relative errors; none of them is negative."""
    offset = float(level.min()) if known.offset is None else known.offset
    light = (level - offset).clip(0)
    terms = {"read": np.ones_like(light), "gain": light, "multiplicative": light**2}
    wanted = {
        "auto": ("read", "gain", "multiplicative"),
        "gaussian": ("read",),
        "poisson": ("gain",),
        "poisson-gaussian": ("read", "gain"),
    }[known.kind]
    told = {"read": None if known.sigma is None else known.sigma**2, "gain": known.gain}
    found = {name: value for name, value in told.items() if value is not None and name in wanted}
    left = spread - sum(value * terms[name] for name, value in found.items())
    sought = [name for name in wanted if name not in found]
    if sought:
        size = np.maximum(spread, curve.least_weight * np.median(spread))
        rows = np.stack([terms[name] for name in sought], 1) / size[:, None]
        found |= dict(zip(sought, map(float, nnls(rows, (left / size).clip(0))[0]), strict=True))
    return NoiseVariance(**{"read": 0.0, **found}, offset=offset)


def name_of(noise: NoiseVariance, brightness: float, naming: Naming) -> str:
    """Name noise by what most of its variance comes from at the mean brightness."""
    light = max(brightness - noise.offset, 0)
    photons, multiplicative = noise.gain * light, noise.multiplicative * light**2
    total = noise.read + photons + multiplicative + NOTHING
    if multiplicative > naming.multiplicative * total:
        return "multiplicative"
    share = (photons + multiplicative) / total
    return "gaussian" if share < naming.few else "poisson" if share > naming.most else "poisson-gaussian"
