"""The variance of the noise as a curve over brightness, fitted to the flattest blocks of an image."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from napari_dip.prior.noise.config import Estimation, Naming, VarianceCurve
from napari_dip.prior.noise.flat_blocks import FlatBlocks
from napari_dip.prior.noise.saturation import unclip
from napari_dip.prior.physics.likelihood import NoiseVariance
from napari_dip.prior.physics.noise_model import KnownNoise

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
        bins = bins_of(brightness, curve)
        level = np.array([np.median(brightness[i]) for i in bins])  # a bead in one of its blocks is no matter
        spread = np.array([np.quantile(variance[i], blocks.flattest) for i in bins]) / blocks.bias + LEAST_SPREAD
        level, spread = unclip(level, spread, low, high, how.unclipping)
    return _fitted(level, spread, known or KnownNoise(), curve)


def bins_of(brightness: np.ndarray, curve: VarianceCurve) -> list[np.ndarray]:
    """Sort blocks by brightness into the points of a curve; gives the indices of each."""
    points = max(1, min(curve.most_points, brightness.size // curve.blocks_per_point))
    return np.array_split(np.argsort(brightness), points)


TERMS = ("read", "gain", "multiplicative")
SOUGHT: dict[str, tuple[tuple[str, ...], ...]] = {
    "auto": (TERMS[:1], TERMS[1:2], TERMS[:2], (TERMS[0], TERMS[2]), TERMS[1:], TERMS),
    "gaussian": (TERMS[:1],),
    "poisson": (TERMS[1:2],),
    "poisson-gaussian": (TERMS[:2],),
}
"""Terms of the variance that each kind of noise may have."""


def _fitted(level: np.ndarray, spread: np.ndarray, known: KnownNoise, curve: VarianceCurve) -> NoiseVariance:
    """Fit what is not known of the terms of a variance, by relative errors; none of them is negative.

    A term that the points do not need is left out: the terms with the least information criterion of Schwarz (Annals of
    Statistics 6, 1978) are taken.
    """
    offset = float(level.min()) if known.offset is None else known.offset
    light = (level - offset).clip(0)
    terms = {"read": np.ones_like(light), "gain": light, "multiplicative": light**2}
    given = {"read": None if known.sigma is None else known.sigma**2, "gain": known.gain}
    size = np.maximum(spread, curve.least_weight * np.median(spread))
    best, fitted = np.inf, {"read": 0.0}
    for wanted in SOUGHT[known.kind]:
        found = {name: value for name, value in given.items() if value is not None and name in wanted}
        rest = (spread - sum(value * terms[name] for name, value in found.items())).clip(0)
        sought = [name for name in wanted if name not in found]
        error = float(((rest / size) ** 2).sum())
        if sought:
            values, norm = nnls(np.stack([terms[name] for name in sought], 1) / size[:, None], rest / size)
            found |= dict(zip(sought, map(float, values), strict=True))
            error = norm**2
        criterion = len(level) * np.log(error / len(level) + curve.accuracy**2) + len(sought) * np.log(len(level))
        if criterion < best:
            best, fitted = criterion, found
    return NoiseVariance(**{"read": 0.0, **fitted}, offset=offset)


def name_of(noise: NoiseVariance, brightness: float, naming: Naming) -> str:
    """Name noise by what most of its variance comes from at the mean brightness."""
    light = max(brightness - noise.offset, 0)
    photons, multiplicative = noise.gain * light, noise.multiplicative * light**2
    total = noise.read + photons + multiplicative + NOTHING
    if multiplicative > naming.multiplicative * total:
        return "multiplicative"
    share = (photons + multiplicative) / total
    return "gaussian" if share < naming.few else "poisson" if share > naming.most else "poisson-gaussian"
