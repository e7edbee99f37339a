"""The noise corrected by what a prediction leaves behind."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.noise.config import ESTIMATION, Estimation, Place
from napari_dip.prior.noise.evidence import excess_spread
from napari_dip.prior.noise.flat_blocks import block_means
from napari_dip.prior.noise.variance_curve import NOTHING, fit_variance_curve
from napari_dip.prior.physics.likelihood import Likelihood, NoiseVariance

NO_DOUBT = NoiseVariance(0.0)
"""What a prediction leaves behind says nothing against the noise as it was thought to be."""


def variance_left(
    likelihood: Likelihood,
    prediction: Tensor,
    values: Tensor,
    observed: Tensor,
    how: Estimation = ESTIMATION,
    radii: tuple[int, int] = (0, 0),
) -> NoiseVariance:
    """Find the variance of what a prediction leaves behind, over brightness.

    Correlated and heavy-tailed noise is stronger than its differences tell. What a prediction that never saw a pixel
    leaves of it is noise plus its own error, so the flattest blocks show the noise. Where all is texture, they show
    that, too: then they differ from place to place, and nothing is said.

    Parameters
    ----------
    likelihood : Likelihood
        Of the noise as it was thought to be.
    prediction, values : (n, channels, [z,] y, x) Tensor
    observed : (n, 1, [z,] y, x) Tensor
        1 where a pixel was measured.
    how : Estimation, optional
    radii : (int, int)
        How far the noise reaches along y and x.
    """
    counts = (observed > 0).expand_as(prediction).cpu().numpy().reshape(-1, *prediction.shape[-2:])
    estimated = likelihood.noise_variance(prediction)
    value, spread = likelihood.unclipped(prediction, estimated, values)
    images = (x.cpu().numpy().reshape(counts.shape) for x in (prediction, (value - prediction) ** 2 + spread))
    blocks = block_means(zip(*images, counts, strict=True), how.residuals)
    if blocks[0].size < how.curve.blocks_per_point:
        return NO_DOUBT  # too little is seen to doubt what was thought
    parts, shape = (how.correlated.low, how.residuals.flattest), how.residuals.side**2 / 2
    if not any(radii) and excess_spread(*blocks, shape, parts, how.curve) > how.correlated.residual_spread:
        return NO_DOUBT  # what is left depends on place, as structure does
    return fit_variance_curve(*blocks, how.residuals, how)


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
    left = left or variance_left(likelihood, prediction, values, observed, how, radii)
    estimated = likelihood.noise_variance(prediction)
    if most < 1:
        noise = most * estimated
        if left != NO_DOUBT:
            noise = torch.minimum(left.at(prediction), noise)
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
    strength = (ratio / how.bias).clamp_min(NOTHING).log()
    trend = _trend(strength)
    around = F.unfold(F.pad(strength - trend, (how.around,) * 4, value=torch.nan), 2 * how.around + 1)
    local = torch.nanquantile(around, how.flattest, dim=1).view_as(ratio) + trend
    apart = torch.nanquantile(local, 1 - how.few) - torch.nanquantile(local, how.few)
    everywhere = ((apart.exp() - how.texture) / (how.uneven - how.texture)).clamp(0, 1)
    # how strong it is altogether was found before: in the quietest places if it differs everywhere
    usual = torch.lerp(torch.nanquantile(local, how.usual), torch.nanquantile(local, how.quietest), everywhere)
    off = torch.nan_to_num(local - usual, nan=0.0).clamp(-log(how.most), log(how.most))
    # where most places differ, all of it is noise; of a few, what may be structure is left out
    sure = (off.abs() / log(how.least) - 1).clamp(0, 1).maximum(everywhere)
    wide = F.interpolate(off * sure, size=size, mode="bilinear")
    return wide.exp().reshape(observed.shape)


def _trend(strength: Tensor) -> Tensor:
    """Fit a parabola over place to (n, 1, y, x) values, some of them NaN, by least absolute deviations.

    Light falls off to the borders of an image; what lies around a place there is all on one side of it.
    """
    y, x = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in strength.shape[-2:])
    y, x = (place.flatten() for place in torch.meshgrid(y, x, indexing="ij"))
    terms = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], 1)
    trends = []
    for plane in strength.detach().cpu().double().flatten(1):
        seen = plane.isfinite()
        if int(seen.sum()) < BLOCKS_PER_TERM * terms.shape[1]:
            trends.append(torch.zeros_like(plane))
            continue
        a, b, weight = terms[seen], plane[seen], torch.ones_like(plane[seen])
        for _ in range(ROUNDS):
            found = torch.linalg.lstsq(a * weight[:, None], b * weight, driver="gelsd").solution
            weight = (b - a @ found).abs().clamp_min(LEAST_DEVIATION).rsqrt()
        trends.append((terms @ found).clamp(float(b.min()), float(b.max())))
    return torch.stack(trends).view_as(strength).to(strength)


BLOCKS_PER_TERM, ROUNDS, LEAST_DEVIATION = 4, 20, 0.02
"""Of the parabola: blocks that each of its terms needs, rounds of weighted least squares, and the deviation, as a
logarithm, below which blocks weigh the same."""
