"""Non-local Bayes, guided by the network: patches that its estimate shows to be alike are denoised together.

What a network of few weights leaves out, such as fine texture, is still in the measurement. For each patch the estimate
tells which others are like it, and how they vary; with mean and covariance of that group every measured patch has a
posterior mean in closed form.

References
----------
Lebrun, Buades, Morel: A nonlocal Bayesian image denoising algorithm. SIAM J. Imaging Sci. 6, 2013, eq. 2.7 (the second
step; here the network takes the place of the first).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

OPPONENT = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
OPPONENT /= OPPONENT.norm(dim=1, keepdim=True)
"""Brightness and two differences of colour, orthonormal, so that white noise stays white."""
AT_ONCE = 1024
"""Groups of patches solved in one go; some 60 MB."""


@dataclass(frozen=True)
class Effort:
    """How much work is put into it.

    Attributes
    ----------
    count : int
        Patches in a group; with 64 there are more than a patch has values, so their covariance is of full rank.
    radius : int
        How far around a patch others are looked for, in pixels.
    step : int
        A group for each so many pixels along y and x.
    """

    count: int = 64
    radius: int = 12
    step: int = 3


ROUGH, NORMAL, FINE = Effort(count=32, radius=6, step=4), Effort(), Effort(step=2)
SIDE_OF_COLOUR, SIDE_OF_GRAY = 4, 6
"""Side of a patch in pixels: 48 and 36 values."""


def nonlocal_bayes(
    pilot: Tensor,
    measured: Tensor,
    noise: Tensor,
    correlation: Tensor | None = None,
    effort: Effort = NORMAL,
    *,
    trust: float = 0.0,
    with_variance: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Denoise groups of patches by their posterior mean.

    Parameters
    ----------
    pilot : (1, channels, y, x) Tensor
        An estimate of the image, near [0, 1].
    measured : (1, channels, y, x) Tensor
        The noisy image.
    noise : (1, channels, y, x) Tensor
        Variance of its noise.
    correlation : (2 * n + 1, 2 * n + 1) Tensor, optional
        Autocorrelation of the noise for shifts of up to n pixels along y and x; left out, the noise is white.
    effort : Effort
    trust : float
        Part of the mean of a group that is taken from the pilot; the rest is measured.
    with_variance : bool
        Whether the posterior variance is wanted, too.

    Returns
    -------
    image, variance : (1, channels, y, x) Tensor
        The variance is None where it was not asked for.
    """
    channels, height, width = pilot.shape[1:]
    side = min(SIDE_OF_COLOUR if channels > 1 else SIDE_OF_GRAY, height, width)
    mix = OPPONENT.to(pilot.device) if channels == 3 else torch.eye(channels, device=pilot.device)
    basic, noisy = (torch.einsum("ij,bjyx->biyx", mix, image) for image in (pilot, measured))
    spread = F.avg_pool2d(noise.mean(1, keepdim=True), side, 1)[0, 0]
    shape = _noise_shape(correlation, side, channels, pilot.device)
    inside = (torch.arange(side)[:, None] * width + torch.arange(side)).flatten().to(pilot.device)
    total, variance = (torch.zeros(channels, height * width, device=pilot.device) for _ in range(2))
    weight = torch.zeros(height * width, device=pilot.device)
    basic, noisy = basic[0].flatten(1), noisy[0].flatten(1)
    where_alike = _alike(basic[0].view(1, 1, height, width), side, effort)
    for where in torch.split(where_alike, AT_ONCE):
        pixels = where[..., None] + inside
        level = spread[where // width, where % width].mean(1)
        alike, values = (image[:, pixels].permute(1, 2, 0, 3).flatten(2) for image in (basic, noisy))
        found, uncertain = _posterior(alike, values, level[:, None, None] * shape, trust)
        at = pixels.flatten()
        weight.index_add_(0, at, torch.ones_like(at, dtype=weight.dtype))
        for channel in range(channels):
            of_channel = slice(channel * side**2, (channel + 1) * side**2)
            total[channel].index_add_(0, at, found[:, :, of_channel].flatten())
            if with_variance:
                one = uncertain[:, None, of_channel].expand(pixels.shape)
                variance[channel].index_add_(0, at, one.flatten())
    image = mix.T @ (total / weight)
    deviation = (mix.T**2) @ (variance / weight) if with_variance else None
    back = (1, channels, height, width)
    return image.view(back), None if deviation is None else deviation.view(back)


def _posterior(pilot: Tensor, measured: Tensor, noise: Tensor, trust: float) -> tuple[Tensor, Tensor]:
    """Posterior mean of each patch of some groups, (groups, patches, values), and variance of its (groups, values).

    `pilot` and `measured` are (groups, patches, values), `noise` is a covariance (groups, values, values).
    """
    count, values = pilot.shape[1:]
    # with many patches the measured mean is nearly free of noise, and of the faults of the pilot
    middle, mean = pilot.mean(1, keepdim=True), measured.mean(1, keepdim=True)
    pilot = pilot - middle
    covariance = pilot.transpose(1, 2) @ pilot / max(count - 1, 1)
    scale = covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    ridge = 3e-5 * scale * torch.eye(values, device=pilot.device)  # for single precision
    taken = torch.cholesky_solve(noise, torch.linalg.cholesky(covariance + noise + ridge))
    image = measured + trust * (middle - mean) - (measured - mean) @ taken
    # of the values: noise - noise (covariance + noise)^-1 noise; of the mean: noise / count
    own = noise.diagonal(dim1=1, dim2=2)
    return image, (own - (noise * taken.transpose(1, 2)).sum(2)).clamp_min(0) + own / count


def _noise_shape(correlation: Tensor | None, side: int, channels: int, device: torch.device) -> Tensor:
    """Correlation of the noise between the values of a patch; none between channels."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    if correlation is None:
        return torch.eye(channels * side**2, device=device)
    reach = correlation.shape[0] // 2
    dy, dx = (a.flatten()[:, None] - a.flatten() for a in (y, x))
    near = (dy.abs() <= reach) & (dx.abs() <= reach)
    one = correlation.cpu()[dy.clamp(-reach, reach) + reach, dx.clamp(-reach, reach) + reach] * near
    values, vectors = torch.linalg.eigh(one)  # cut off at its reach, it need not be positive definite
    one = vectors @ (values.clamp_min(1e-2)[:, None] * vectors.T)
    blocks: Tensor = torch.block_diag(*[one] * channels)  # type: ignore[no-untyped-call]
    return blocks.to(device)


def _alike(guide: Tensor, side: int, effort: Effort) -> Tensor:
    """Find for patches on a grid the nearest others around each: (groups, count) indices of their first pixels."""
    height, width = guide.shape[2:]
    radius = effort.radius
    rows, columns = (_grid(n - side, effort.step, guide.device) for n in (height, width))
    # at a corner a quarter of the surroundings is all there is
    count = min(effort.count, min(radius + 1, height - side + 1) * min(radius + 1, width - side + 1))
    steps = [(dy, dx) for dy in range(-radius, radius + 1) for dx in range(-radius, radius + 1)]
    shifts = torch.tensor([dy * width + dx for dy, dx in steps], device=guide.device)
    padded = F.pad(guide, (radius,) * 4, value=torch.inf)
    found = []
    for band in torch.split(rows, max(1, 16384 // len(columns))):
        top, bottom = int(band[0]), int(band[-1]) + side
        here = guide[:, :, top:bottom]
        distances = []
        for dy, dx in steps:
            there = padded[:, :, top + radius + dy : bottom + radius + dy, radius + dx : radius + dx + width]
            apart = F.avg_pool2d((here - there) ** 2, side, 1)[0, 0][band - top][:, columns].flatten()
            itself = dy == dx == 0
            distances.append(apart - 1 if itself else apart)  # a patch is of its own group, whatever else is the same
        nearest = torch.stack(distances, 1).topk(count, 1, largest=False, sorted=False).indices
        home = (band[:, None] * width + columns).flatten()
        found.append(home[:, None] + shifts[nearest])
    return torch.cat(found)


def _grid(last: int, step: int, device: torch.device) -> Tensor:
    """Give 0, step, ... and `last`, so that all is covered."""
    return torch.tensor(sorted({*range(0, last + 1, step), last}), device=device)


def autocorrelation(residual: Tensor, reach: int) -> Tensor:
    """Autocorrelation of (1, channels, y, x) residuals for shifts of up to `reach` pixels; positive definite."""
    size = residual.shape[2:]
    padded = F.pad(residual, (reach,) * 4)
    sums = [
        [(residual * padded[..., dy : dy + size[0], dx : dx + size[1]]).sum() for dx in range(2 * reach + 1)]
        for dy in range(2 * reach + 1)
    ]
    table = torch.stack([torch.stack(row) for row in sums])
    return table / table[reach, reach]
