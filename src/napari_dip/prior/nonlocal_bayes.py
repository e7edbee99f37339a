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


@dataclass(frozen=True)
class PatchGroups:
    """How groups of patches that are alike are found and solved.

    Attributes
    ----------
    group_size : int
        Patches in a group; with 64 there are more than a patch has values, so their covariance is of full rank.
        Measured: benchmarks/constants.py.
    search_radius : int
        How far around a patch others are looked for, in pixels. Measured: benchmarks/constants.py.
    stride : int
        A group for each so many pixels along y and x. Measured: benchmarks/constants.py.
    side_of_colour, side_of_gray : int
        Side of a patch in pixels, for images of several channels and of one: 48 and 36 values, fewer than a group has
        patches. Measured: benchmarks/constants.py.
    ridge : float
        Added to the diagonal of a covariance, over its mean diagonal: single precision has an error of 6e-8, and sums
        over some hundred values one of 1e-5. Measured: benchmarks/constants.py.
    eigenvalue_floor : float
        Least eigenvalue of the correlation of noise. A correlation that was estimated and is cut off at its reach need
        not be positive definite; noise weaker than this part of white noise is not told from that error.
        Measured: benchmarks/constants.py.
    at_once : int
        Groups solved in one go; 1024 take some 60 MB. Memory alone depends on it.
    distances_at_once : int
        Patches whose neighbours are sorted in one go; 16384 take 40 MB with a search radius of 12. Memory alone depends
        on it.
    """

    group_size: int = 64
    search_radius: int = 12
    stride: int = 3
    side_of_colour: int = 4
    side_of_gray: int = 6
    ridge: float = 3e-5
    eigenvalue_floor: float = 1e-2
    at_once: int = 1024
    distances_at_once: int = 16384
    search_depth: int = 0


ROUGH, NORMAL, FINE = PatchGroups(group_size=32, search_radius=6, stride=4), PatchGroups(), PatchGroups(stride=2)
"""For a look while a fit runs, for the result of one network, and for that of several, which is worth more work."""


def nonlocal_bayes(
    pilot: Tensor,
    measured: Tensor,
    noise: Tensor,
    correlation: Tensor | None = None,
    groups: PatchGroups = NORMAL,
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
    groups : PatchGroups, optional
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
    side = min(groups.side_of_colour if channels > 1 else groups.side_of_gray, height, width)
    mix = OPPONENT.to(pilot.device) if channels == 3 else torch.eye(channels, device=pilot.device)
    basic, noisy = (torch.einsum("ij,bjyx->biyx", mix, image) for image in (pilot, measured))
    spread = F.avg_pool2d(noise.mean(1, keepdim=True), side, 1)[0, 0]
    shape = _noise_shape(correlation, side, channels, groups.eigenvalue_floor).to(pilot.device)
    inside = (torch.arange(side)[:, None] * width + torch.arange(side)).flatten().to(pilot.device)
    total, variance = (torch.zeros(channels, height * width, device=pilot.device) for _ in range(2))
    weight = torch.zeros(height * width, device=pilot.device)
    basic, noisy = basic[0].flatten(1), noisy[0].flatten(1)
    where_alike = _alike(basic[0].view(1, 1, height, width), side, groups)
    for where in torch.split(where_alike, groups.at_once):
        pixels = where[..., None] + inside
        level = spread[where // width, where % width].mean(1)
        alike, values = (image[:, pixels].permute(1, 2, 0, 3).flatten(2) for image in (basic, noisy))
        found, uncertain = _posterior(alike, values, level[:, None, None] * shape, trust, groups.ridge)
        weight.index_add_(0, pixels.flatten(), torch.ones_like(pixels.flatten(), dtype=weight.dtype))
        _add(total, pixels, found, side)
        if with_variance:
            _add(variance, pixels, uncertain[:, None].expand(found.shape), side)
    image = mix.T @ (total / weight)
    deviation = (mix.T**2) @ (variance / weight) if with_variance else None
    back = (1, channels, height, width)
    return image.view(back), None if deviation is None else deviation.view(back)


def _add(total: Tensor, pixels: Tensor, patches: Tensor, side: int) -> None:
    """Add patches (groups, patches, values) to their pixels (groups, patches, side ** 2) of (channels, all)."""
    for channel, sums in enumerate(total):
        values = patches[:, :, channel * side**2 : (channel + 1) * side**2]
        sums.index_add_(0, pixels.flatten(), values.flatten())


def _posterior(pilot: Tensor, measured: Tensor, noise: Tensor, trust: float, ridge: float) -> tuple[Tensor, Tensor]:
    """Posterior mean of each patch of some groups, (groups, patches, values), and variance of its (groups, values).

    `pilot` and `measured` are (groups, patches, values), `noise` is a covariance (groups, values, values).
    """
    count, values = pilot.shape[1:]
    # with many patches the measured mean is nearly free of noise, and of the faults of the pilot
    middle, mean = pilot.mean(1, keepdim=True), measured.mean(1, keepdim=True)
    pilot = pilot - middle
    covariance = pilot.transpose(1, 2) @ pilot / max(count - 1, 1)
    scale = covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    added = ridge * scale * torch.eye(values, device=pilot.device)
    taken = torch.cholesky_solve(noise, torch.linalg.cholesky(covariance + noise + added))
    image = measured + trust * (middle - mean) - (measured - mean) @ taken
    # of the values: noise - noise (covariance + noise)^-1 noise; of the mean: noise / count
    own = noise.diagonal(dim1=1, dim2=2)
    return image, (own - (noise * taken.transpose(1, 2)).sum(2)).clamp_min(0) + own / count


def _noise_shape(correlation: Tensor | None, side: int, channels: int, eigenvalue_floor: float) -> Tensor:
    """Correlation of the noise between the values of a patch; none between channels."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    if correlation is None:
        return torch.eye(channels * side**2)
    reach = correlation.shape[0] // 2
    dy, dx = (a.flatten()[:, None] - a.flatten() for a in (y, x))
    near = (dy.abs() <= reach) & (dx.abs() <= reach)
    one = correlation.cpu()[dy.clamp(-reach, reach) + reach, dx.clamp(-reach, reach) + reach] * near
    values, vectors = torch.linalg.eigh(one)  # cut off at its reach, it need not be positive definite
    one = vectors @ (values.clamp_min(eigenvalue_floor)[:, None] * vectors.T)
    blocks: Tensor = torch.block_diag(*[one] * channels)  # type: ignore[no-untyped-call]
    return blocks


def _alike(guide: Tensor, side: int, groups: PatchGroups) -> Tensor:
    """Find for patches on a grid the nearest others around each: (groups, count) indices of their first pixels."""
    height, width = guide.shape[2:]
    radius = groups.search_radius
    rows, columns = (_grid(n - side, groups.stride, guide.device) for n in (height, width))
    # at a corner a quarter of the surroundings is all there is
    count = min(groups.group_size, min(radius + 1, height - side + 1) * min(radius + 1, width - side + 1))
    steps = [(dy, dx) for dy in range(-radius, radius + 1) for dx in range(-radius, radius + 1)]
    shifts = torch.tensor([dy * width + dx for dy, dx in steps], device=guide.device)
    padded = F.pad(guide, (radius,) * 4, value=torch.inf)
    found = []
    for band in torch.split(rows, max(1, groups.distances_at_once // len(columns))):
        top, bottom = int(band[0]), int(band[-1]) + side
        here = guide[:, :, top:bottom]
        distances = []
        for dy, dx in steps:
            there = padded[:, :, top + radius + dy : bottom + radius + dy, radius + dx : radius + dx + width]
            apart = F.avg_pool2d((here - there) ** 2, side, 1)[0, 0][band - top][:, columns].flatten()
            itself = dy == dx == 0
            distances.append(apart - 1 if itself else apart)  # of its own group, whatever else is the same
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
