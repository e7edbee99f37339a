"""How strong the noise of an image is, estimated from that image alone.

What is flat in an image shows its noise. Two views of it: differences of neighbouring pixels, before anything is
known, and later what a prediction leaves behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite, log

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.compression import JPEG, BlockSteps, compression_error
from napari_dip.prior.flat_blocks import (
    DIFFERENCES,
    RESIDUALS,
    FlatBlocks,
    block_means,
    differences,
    differences_along,
    finest_differences,
    kurtosis,
)
from napari_dip.prior.likelihood import Gaussian, Likelihood, NoiseVariance
from napari_dip.prior.linear_prediction import LINEAR, LinearPredictor
from napari_dip.prior.saturation import PILE_UP, UNCLIPPING, PileUp, Unclipping, saturation, unclip

LEAST_SPREAD = 1e-7
"""Added to every variance that was found, in squared units of [0, 1]: less than rounding to 8 bits adds, and enough to
divide by."""
NOTHING = 1e-12
"""Added to a total variance, so that parts of it can be told where there is none."""


@dataclass(frozen=True)
class KnownNoise:
    """What is known of the noise beforehand, in units of the scaled image.

    Attributes
    ----------
    kind : str
        "auto", "gaussian", "poisson", "poisson-gaussian" or "compression".
    sigma : float or None
        Standard deviation of what does not depend on brightness.
    gain : float or None
        Value of one photon.
    offset : float or None
        Value of a pixel without light; unknown, the variance is a line over brightness that may start anywhere.
    top : float
        Largest value that was measured: there, or at 0, the instrument may have saturated.
    """

    kind: str = "auto"
    sigma: float | None = None
    gain: float | None = None
    offset: float | None = None
    top: float = 1.0


@dataclass(frozen=True)
class NoiseModel:
    """The noise of an image.

    Attributes
    ----------
    likelihood : Likelihood
    correlation_radius : int
        How many pixels the noise of one pixel reaches into its neighbours: 0 for white noise.
    kind : str
        "gaussian", "poisson", "poisson-gaussian", "multiplicative" or "compression".
    along : (int, int), optional
        How far it reaches along y and x, where that differs.
    told : bool
        Whether its strength was given, and is believed whatever a prediction leaves.
    """

    likelihood: Likelihood
    correlation_radius: int
    kind: str
    along: tuple[int, int] | None = None
    told: bool = False

    @property
    def radii(self) -> tuple[int, int]:
        """How far it reaches along y and x."""
        return self.along or (self.correlation_radius, self.correlation_radius)

    @property
    def clipped(self) -> bool:
        """Whether values were cut off: the mean of some of these is no such value."""
        edges = (getattr(self.likelihood, "low", -inf), getattr(self.likelihood, "high", inf))
        return any(map(isfinite, edges))


@dataclass(frozen=True)
class VarianceCurve:
    """How a curve of variance over brightness is fitted to the flattest blocks.

    Attributes
    ----------
    most_points : int
        Points of the curve at the most; three terms are fitted, so five for each. Measured: benchmarks/constants.py.
    blocks_per_point : int
        Blocks that a point takes; the flattest fifth of fewer is a block or two. With fewer in all there is one point.
        Measured: benchmarks/constants.py.
    unseen : float
        Variance of an image of which nothing is seen, in squared units of [0, 1]: it is taken to be good, with noise of
        1 % of its range.
    least_weight : float
        Errors are relative to the variance of a point, but to no less than this part of their median: blocks without
        any noise must not count for all. Measured: benchmarks/constants.py.
    """

    most_points: int = 16
    blocks_per_point: int = 16
    unseen: float = 1e-4
    least_weight: float = 0.02


@dataclass(frozen=True)
class Naming:
    """Which part of the variance, at the mean brightness, gives noise its name; nothing else depends on it.

    Attributes
    ----------
    multiplicative : float
        More than this part in proportion to the squared signal: most of it.
    few, most : float
        Less than `few` that grows with brightness is "gaussian", more than `most` is "poisson", both a tenth from the
        end: less could not be told from an error of the fit.
    """

    multiplicative: float = 0.5
    few: float = 0.1
    most: float = 0.9


@dataclass(frozen=True)
class Place:
    """How noise that depends on place is found.

    Attributes
    ----------
    side : int
        Of a block, in pixels.
    around : int
        Blocks to each side that are looked at with it.
    flattest, bias : float
        The quantile of their mean squares that counts, and where that lies for white noise of variance 1.
    usual : float
        The quantile of all places that is the usual one: that of the flattest blocks, which all noise is found by.
    counted : float
        Pairs of neighbours for a pixel, of two, that a block has to have at the least.
    least, most : float
        Less than so many times as much is not told from chance, nor from structure, and only the square of that is
        believed in full; more than `most` is not believed.
    """

    side: int = 16
    around: int = 1
    flattest: float = 0.5
    bias: float = 1.0
    usual: float = 0.3
    counted: float = 0.5
    least: float = 1.5
    most: float = 100.0


@dataclass(frozen=True)
class Smear:
    """How noise that is correlated along one axis is told.

    Attributes
    ----------
    most : int
        Farthest reach in pixels that is looked for.
    white : float
        Along the other axis differences over one step have at least this part of the variance of those over three.
    apart : float
        Along it they have no more than this part of the variance that they have along the other.
    enlarged : float
        Differences over one step have less than this part of the variance of those beyond the reach, along both axes,
        where an image was enlarged.
    grows : float
        Factor between one step and the next below which differences grow no more.
    """

    most: int = 8
    white: float = 0.7
    apart: float = 0.5
    enlarged: float = 0.03
    grows: float = 1.12


CURVE, NAMING, SMEAR, PLACE = VarianceCurve(), Naming(), Smear(), Place()


@dataclass(frozen=True)
class Estimation:
    """How noise is estimated.

    Attributes
    ----------
    differences, residuals : FlatBlocks
        Where it is seen, before anything is known and once there is a prediction.
    curve : VarianceCurve
    pile_up : PileUp
    unclipping : Unclipping
    compression : BlockSteps
    naming : Naming
    place : Place
    linear : LinearPredictor
    smear : Smear
    most_radius : int
        Largest correlation radius that is looked for. Beyond, the smooth image itself shows in the differences.
    usual : float
        Part of the blocks that are flatter than the usual ones.
    few_counts : int
        Most values that an image of single photons has.
    counting : float
        Within this factor the variance of photon counts is their mean; that of structure comes to it.
    gaussian : float
        Kurtosis of the differences, on the mean over steps up to the reach, up to which they may be correlated noise:
        3.1 in wide-field images, 3.5 to 3.9 in felts of threads.
    finest : int
        Order of the differences by which white noise is found where there is fine structure everywhere.
    white_ratio : float
        Noise counts as white if the variance of its differences over one step is at least this part of that over the
        next; the two are alike for white noise. Measured: benchmarks/constants.py.
    unlit : float
        Values that pile up at the low edge are cut off, rather than photon counts of zero, where the read variance
        without light is more than this part of the usual one, or than that of a photon. Measured:
        benchmarks/constants.py.
    most_correction : float
        How many times the estimated variance a correction by residuals may reach; texture that the prediction lacks
        shows in them, too. Measured: benchmarks/constants.py.
    least_left, least_left_if_correlated : float
        Part of the estimated variance that a linear prediction has to leave, or it is no noise: 0.9 to 1.4 of white
        noise, 1.2 of correlated noise (which it may know something of, if it reaches further than was seen), 0.001 to
        0.35 of checkerboards and lattices.
    """

    differences: FlatBlocks = DIFFERENCES
    residuals: FlatBlocks = RESIDUALS
    curve: VarianceCurve = CURVE
    pile_up: PileUp = PILE_UP
    unclipping: Unclipping = UNCLIPPING
    compression: BlockSteps = JPEG
    naming: Naming = NAMING
    place: Place = PLACE
    linear: LinearPredictor = LINEAR
    smear: Smear = SMEAR
    most_radius: int = 2
    usual: float = 0.5
    few_counts: int = 64
    counting: float = 1.5
    gaussian: float = 3.35
    finest: int = 8
    white_ratio: float = 0.5
    unlit: float = 0.1
    most_correction: float = 2.5
    least_left: float = 0.6
    least_left_if_correlated: float = 0.25


ESTIMATION = Estimation()


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
    noise = _variance_curve(*blocks, how.residuals, how, known=replace(known, kind=kind))
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
    free = _variance_curve(*blocks[radius], how.differences, how, -np.inf, high)
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
    noise = _variance_curve(*seen, how.differences, how, low, high, known)
    kind = known.kind if known.kind != "auto" else _name(noise, float(brightness), how.naming)
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


def correlation_along(planes: np.ndarray, observed: np.ndarray, how: Estimation = ESTIMATION) -> tuple[int, int] | None:
    """Find how far noise reaches along y and x, where it is white along one of them and far from that along the other.

    The same for images that were enlarged, whose noise has next to nothing left from pixel to pixel. Fine structure has
    both axes alike and some white noise in it; the smear of a slow amplifier and the pixels of before do not.

    Parameters
    ----------
    planes : (n, y, x) array
    observed : (n, y, x) bool array
        Pixels that were measured.
    how : Estimation, optional

    Returns
    -------
    (int, int) or None
        None where nothing of that kind is seen.
    """
    smear, levels = how.smear, []
    for axis in (0, 1):
        found = [
            differences_along(planes, observed, step, axis, how.differences)[1] for step in range(1, smear.most + 2)
        ]
        if any(variance.size < how.curve.blocks_per_point for variance in found):
            return None
        levels.append([float(np.quantile(variance, how.differences.flattest)) for variance in found])
    radii = [_reach(level, smear) for level in levels]
    if all(
        r > how.most_radius and level[0] < smear.enlarged * level[r] for r, level in zip(radii, levels, strict=True)
    ):
        return radii[0], radii[1]
    white, other = (0, 1) if levels[0][0] > levels[1][0] else (1, 0)
    known_white = levels[white][0] >= smear.white * levels[white][2]
    if not known_white or not radii[other] or levels[other][0] > smear.apart * levels[white][0]:
        return None
    return (0, radii[other]) if white == 0 else (radii[other], 0)


def _reach(level: list[float], smear: Smear) -> int:
    """Say after how many steps differences grow no more; 0 where they always do, or never did."""
    for radius in range(1, len(level)):
        if level[radius] < smear.grows * level[radius - 1]:
            return radius - 1
    return 0


def noise_in_common(planes: np.ndarray, observed: np.ndarray, how: Estimation = ESTIMATION) -> float | None:
    """Correlation of the noise of planes that lie beside each other, seen in their flattest blocks.

    Planes that were interpolated, or averaged over time, have noise in common: one gives away what is hidden of the
    other. Of independent noise the difference of two planes has twice the variance of one.

    Parameters
    ----------
    planes : (n, y, x) array
        In their order.
    observed : (n, y, x) bool array
        Pixels that were measured.
    how : Estimation, optional

    Returns
    -------
    float or None
        0 for independent noise, 1 for the same; None where too little is seen.
    """
    apart, both = planes[1:] - planes[:-1], observed[1:] & observed[:-1]
    found = []
    for values, known in ((apart, both), (planes, observed)):
        variance = differences(values, known, 1 + how.most_radius, how.differences)[1]
        if variance.size < how.curve.blocks_per_point:
            return None
        found.append(float(np.quantile(variance, how.differences.flattest)))
    return 1 - found[0] / (2 * found[1]) if found[1] > 0 else None


def variance_left(
    likelihood: Likelihood, prediction: Tensor, values: Tensor, observed: Tensor, how: Estimation = ESTIMATION
) -> NoiseVariance:
    """Find the variance of what a prediction leaves behind, over brightness.

    Correlated and heavy-tailed noise is stronger than its differences tell. What a prediction that never saw a pixel
    leaves of it is noise plus its own error, so the flattest blocks show the noise. Where all is texture, they show
    that, too, hence the bound of `corrected_noise`.

    Parameters
    ----------
    likelihood : Likelihood
        Of the noise as it was thought to be.
    prediction, values : (n, channels, [z,] y, x) Tensor
    observed : (n, 1, [z,] y, x) Tensor
        1 where a pixel was measured.
    how : Estimation, optional
    """
    counts = (observed > 0).expand_as(prediction).cpu().numpy().reshape(-1, *prediction.shape[-2:])
    estimated = likelihood.noise_variance(prediction)
    value, spread = likelihood.unclipped(prediction, estimated, values)
    images = (x.cpu().numpy().reshape(counts.shape) for x in (prediction, (value - prediction) ** 2 + spread))
    blocks = block_means(zip(*images, counts, strict=True), how.residuals)
    if blocks[0].size < how.curve.blocks_per_point:
        return NoiseVariance(0.0)  # too little is seen to doubt what was thought
    return _variance_curve(*blocks, how.residuals, how)


def corrected_noise(
    likelihood: Likelihood,
    prediction: Tensor,
    values: Tensor,
    observed: Tensor,
    how: Estimation = ESTIMATION,
    left: NoiseVariance | None = None,
    radii: tuple[int, int] = (0, 0),
    most: float = 1.0,
) -> Tensor:
    """Noise variance of each pixel, corrected where a prediction leaves more behind than was thought, or less.

    Parameters
    ----------
    likelihood, prediction, values, observed, how
        As in `variance_left`.
    left : NoiseVariance, optional
        What that gives, where it is known from elsewhere.
    radii : (int, int)
        How far the noise reaches along y and x.
    most : float
        Part of the estimated variance that it can have at the most; below 1 that estimate is wrong, and what is left is
        believed instead.

    Returns
    -------
    Tensor
        Of the shape of `prediction`: between the estimated variance and `how.most_correction` times that, or below
        `most` times that, and where it depends on place, whatever that comes to.
    """
    left = left or variance_left(likelihood, prediction, values, observed, how)
    estimated = likelihood.noise_variance(prediction)
    if most < 1:
        noise = torch.minimum(left.at(prediction), most * estimated)
    else:
        noise = left.at(prediction).clamp(estimated, how.most_correction * estimated)
    value, _ = likelihood.unclipped(prediction, noise, values)
    return noise * by_place((value - prediction) / noise.sqrt(), observed, how.place, (radii[0] + 1, radii[1] + 1))


def by_place(residual: Tensor, observed: Tensor, how: Place, steps: tuple[int, int] = (1, 1)) -> Tensor:
    """Find how many times its usual variance the noise has at each place, as with several amplifiers or uneven light.

    Fine structure that a prediction lacks looks like noise, but its neighbours are alike: differences of neighbouring
    residuals show less of it than of white noise, and the flattest blocks around show least.

    Parameters
    ----------
    residual : (n, channels, [z,] y, x) Tensor
        Over the standard deviation of the noise as it is thought to be.
    observed : (n, 1, [z,] y, x) Tensor
        1 where a pixel was measured.
    how : Place
    steps : (int, int)
        Distance in pixels along y and x from which on the noise is independent.

    Returns
    -------
    Tensor
        (n, 1, [z,] y, x); 1 where the noise is what it is thought to be, within `how.least`.
    """
    size = residual.shape[-2:]
    if min(size) < 2 * how.side:
        return torch.ones_like(observed)
    r, known = residual.movedim(1, -3).reshape(-1, residual.shape[1], *size), observed.reshape(-1, 1, *size)
    pairs, squares = torch.zeros_like(known), torch.zeros_like(known)
    for axis, step in zip((-2, -1), steps, strict=True):
        n = size[axis] - step
        a, b = (x.narrow(axis, 0, n) for x in (r, known)), (x.narrow(axis, step, n) for x in (r, known))
        (r0, k0), (r1, k1) = a, b
        both = k0 * k1
        pairs.narrow(axis, 0, n).add_(both)
        squares.narrow(axis, 0, n).add_(both * ((r0 - r1) ** 2).mean(1, keepdim=True) / 2)
    count, total = (F.avg_pool2d(x, how.side, ceil_mode=True, count_include_pad=False) for x in (pairs, squares))
    ratio = torch.where(count > how.counted, total / count.clamp_min(how.counted), torch.nan)
    around = F.unfold(F.pad(ratio, (how.around,) * 4, value=torch.nan), 2 * how.around + 1)
    local = torch.nanquantile(around, how.flattest, dim=1).view_as(ratio) / how.bias
    usual = torch.nanquantile(local, how.usual)  # how strong it is altogether was found before
    local = torch.nan_to_num(local / usual.clamp_min(NOTHING), nan=1.0)
    off = local.clamp(1 / how.most, how.most).log()
    sure = (off.abs() / log(how.least) - 1).clamp(0, 1)
    wide = F.interpolate(off * sure, size=size, mode="bilinear")
    return wide.exp().reshape(observed.shape)


def _variance_curve(
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


def _name(noise: NoiseVariance, brightness: float, naming: Naming) -> str:
    """Name noise by what most of its variance comes from at the mean brightness."""
    light = max(brightness - noise.offset, 0)
    photons, multiplicative = noise.gain * light, noise.multiplicative * light**2
    total = noise.read + photons + multiplicative + NOTHING
    if multiplicative > naming.multiplicative * total:
        return "multiplicative"
    share = (photons + multiplicative) / total
    return "gaussian" if share < naming.few else "poisson" if share > naming.most else "poisson-gaussian"
