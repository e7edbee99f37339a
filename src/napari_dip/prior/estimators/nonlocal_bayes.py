"""Non-local Bayes, guided by the network: patches that its estimate shows to be alike are denoised together.

What a network of few weights leaves out, such as fine texture, is still in the measurement. For each patch the estimate
tells which others are like it, and how they vary; with mean and covariance of that group every measured patch has a
posterior mean in closed form. In a volume the others are looked for in the planes beside it, too, and a patch is a
little deep. A patch has many estimates, from all groups that it is in; the surer they are, the more they count.

The image is worked on in tiles, which know nothing of each other: each gives sums for its part of the image, and these
are added in a fixed order. So memory does not grow with the image, and the result does not depend on how many threads
there are.

References
----------
Lebrun, Buades, Morel: A nonlocal Bayesian image denoising algorithm. SIAM J. Imaging Sci. 6, 2013, eq. 2.7 (the second
step; here the network takes the place of the first).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import isqrt, prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.estimators.patches import alike, around, cut, grid, in_parts, lay
from napari_dip.prior.in_order import in_order

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
        How far around patches others are looked for, in pixels along y and x. Measured: benchmarks/constants.py.
    search_depth, search_radius_in_volume : int
        The same for volumes: planes to either side, and pixels along y and x.
    stride : int
        A group for each so many pixels along y and x. Measured: benchmarks/constants.py.
    stride_of_planes : int
        A group for each so many planes of a volume.
    side_of_colour, side_of_gray : int
        Side of a patch in pixels, for images of several channels and of one: 48 and 36 values, fewer than a group has
        patches. Measured: benchmarks/constants.py.
    side_in_volume, depth_in_volume : int
        Side and depth of a patch in a volume of one channel: 50 values, again fewer than a group has patches. A depth
        of 3 is a little better where much is shared, and takes twice the time. Volumes of several channels have patches
        of one plane.
    shared : int
        So many groups along y and x have their patches looked for in one window. With more, windows are larger than
        they need to be; with fewer, there is more to cut out.
    ridge : float
        Added to the diagonal of a covariance, over its mean diagonal: single precision has an error of 6e-8, and sums
        over some hundred values one of 1e-5. Measured: benchmarks/constants.py.
    eigenvalue_floor : float
        Least eigenvalue of the correlation of noise. A correlation that was estimated and is cut off at its reach need
        not be positive definite; noise weaker than this part of white noise is not told from that error.
        Measured: benchmarks/constants.py.
    at_once : int
        Groups of a tile, which are solved in one go; 256 take some 30 MB for each thread. Memory
        alone depends on it.
    """

    group_size: int = 64
    search_radius: int = 10
    search_depth: int = 2
    search_radius_in_volume: int = 6
    stride: int = 4
    stride_of_planes: int = 2
    side_of_colour: int = 4
    side_of_gray: int = 6
    side_in_volume: int = 5
    depth_in_volume: int = 2
    shared: int = 4
    ridge: float = 3e-5
    eigenvalue_floor: float = 1e-2
    at_once: int = 256

    def patch(self, channels: int, extent: Sequence[int]) -> tuple[int, int, int]:
        """Give the size (z, y, x) of patches in an image of `extent`."""
        planes, height, width = extent
        side, depth = self.side_of_colour if channels > 1 else self.side_of_gray, 1
        if channels == 1 and planes > 1:
            side, depth = self.side_in_volume, min(self.depth_in_volume, planes)
        side = min(side, height, width)
        return depth, side, side

    def reach(self, extent: Sequence[int]) -> tuple[int, int, int]:
        """Give how far (z, y, x) others are looked for in an image of `extent`."""
        radius = self.search_radius if extent[0] == 1 else self.search_radius_in_volume
        return self.search_depth, radius, radius


ROUGH, NORMAL, FINE = (
    PatchGroups(
        group_size=32, search_radius=6, search_radius_in_volume=4, search_depth=1, stride=5, stride_of_planes=2
    ),
    PatchGroups(),
    PatchGroups(stride=3, search_radius_in_volume=4, depth_in_volume=3),
)
"""For a look while a fit runs, for the result of one network, and for that of several, which is worth more work."""


Tile = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Where along z, y and x the patches lie that groups are found for."""


class Given(NamedTuple):
    """An estimate of the image, what was measured, and the variance of its noise: each (channels, z, y, x)."""

    pilot: Tensor
    measured: Tensor
    noise: Tensor


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

    On a CPU as many threads work as torch may use (`torch.get_num_threads`); the result is the same to the last bit
    whatever their number.

    Parameters
    ----------
    pilot : (1, channels, [z,] y, x) Tensor
        An estimate of the image, near [0, 1].
    measured : (1, channels, [z,] y, x) Tensor
        The noisy image.
    noise : (1, channels, [z,] y, x) Tensor
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
    image, variance : (1, channels, [z,] y, x) Tensor
        The variance is None where it was not asked for. Pixels that no patch covers, as there may be where the stride
        is larger than a patch, are those of the pilot, and their variance is that of the noise.
    """
    volumes = [image.unsqueeze(2) if image.ndim == 4 else image for image in (pilot, measured, noise)]
    given = Given(*(volume[0] for volume in volumes))
    channels, *extent = given.pilot.shape
    size = groups.patch(channels, extent)
    shape = _noise_shape(correlation, size, channels, groups.eigenvalue_floor).to(pilot.device)
    restored = partial(_restored, given, shape=shape, groups=groups, trust=trust, with_variance=with_variance)
    sums = torch.zeros(1 + channels * (1 + with_variance), *extent, device=pilot.device)
    for part, found in in_order(restored, _tiles(extent, size, groups), pilot.device):
        sums[part] += found
    weight, totals = sums[0], sums[1:].view(-1, channels, *extent)
    image, *variance = (
        torch.where(weight > 0, total.div_(weight), otherwise).view_as(pilot)
        for total, otherwise in zip(totals, (given.pilot, given.noise), strict=False)
    )
    return image, variance[0] if variance else None


def _tiles(extent: Sequence[int], size: Sequence[int], groups: PatchGroups) -> Iterator[Tile]:
    strides = groups.stride_of_planes, groups.stride, groups.stride
    places = [grid(n - length, stride) for n, length, stride in zip(extent, size, strides, strict=True)]
    side = max(1, isqrt(groups.at_once) // groups.shared) * groups.shared
    lengths = 1, side, side
    yield from product(*(in_parts(along, length) for along, length in zip(places, lengths, strict=True)))


@torch.no_grad()
def _restored(
    given: Given,
    tile: Tile,
    *,
    shape: Tensor,
    groups: PatchGroups,
    trust: float,
    with_variance: bool,
) -> tuple[tuple[slice, ...], Tensor]:
    """Restore groups for the patches of a tile.

    Parameters
    ----------
    given : Given
    tile : Tile
    shape : (values, values) Tensor
        Correlation of the noise in a patch.

    Returns
    -------
    part : tuple of slice
        Where the sums belong in all of the image.
    sums : (1 + channels [+ channels], z, y, x) Tensor
        Of weights, weighted estimates, and their variances.
    """
    channels, *extent = given.pilot.shape
    size, reach = groups.patch(channels, extent), groups.reach(extent)
    lasts = [n - length for n, length in zip(extent, size, strict=True)]
    ends = [around(*each) for each in zip(tile, reach, lasts, strict=True)]
    plane, rows, columns = ([p - a for p in places] for places, (a, _) in zip(tile, ends, strict=True))
    part = slice(None), *(slice(a, b + length) for (a, b), length in zip(ends, size, strict=True))
    device = given.pilot.device
    mix = OPPONENT.to(device) if channels == 3 else torch.eye(channels, device=device)
    guide, values = (cut(_mixed(mix, image[part]), size) for image in (given.pilot, given.measured))
    spread = F.avg_pool3d(given.noise[part].mean(0, keepdim=True), size, 1).flatten()
    where = _alike(guide[..., : guide.shape[3] // channels], (plane, rows, columns), reach, groups)
    level = spread[where].mean(1)[:, None]
    pilots, noisy = (x.flatten(0, 2).index_select(0, where.flatten()).view(*where.shape, -1) for x in (guide, values))
    found, uncertain = _posterior(pilots, noisy, level[..., None] * shape, trust, groups.ridge)
    # the surer a group is, the more it counts
    tiny = torch.finfo(level.dtype).tiny
    weight = (level + tiny) / (uncertain.mean(1, keepdim=True) + tiny)
    places = guide.shape[:3]
    weights = _summed(weight[..., None].expand(*where.shape, 1), where, places).expand(*places, prod(size))
    sums = [lay(weights, size), _mixed(mix.T, lay(_summed(found.mul_(weight[..., None]), where, places), size))]
    if with_variance:
        variances = (weight * uncertain)[:, None].expand(found.shape)
        sums.append(_mixed(mix.T**2, lay(_summed(variances, where, places), size)))
    return part, torch.cat(sums)


def _mixed(mix: Tensor, image: Tensor) -> Tensor:
    """Mix the channels of (channels, z, y, x)."""
    return torch.einsum("ij,jzyx->izyx", mix, image)


def _alike(guide: Tensor, tile: Tile, reach: Sequence[int], groups: PatchGroups) -> Tensor:
    """Find the nearest others of all patches (z, y, x, values) of a tile: (groups, count) indices."""
    # at a corner a part of the surroundings is all there is
    around_corner = (min(radius + 1, n) for radius, n in zip(reach, guide.shape, strict=False))
    count = min(groups.group_size, prod(around_corner))
    (plane, *_), rows, columns = tile
    near = product(in_parts(rows, groups.shared), in_parts(columns, groups.shared))
    return torch.cat([alike(guide, plane, *places, reach[1], count) for places in near])


def _summed(patches: Tensor, where: Tensor, places: Sequence[int]) -> Tensor:
    """Sum patches (groups, patches, values) in their places: (z, y, x, values)."""
    sums = patches.new_zeros(prod(places), patches.shape[2])
    return sums.index_add_(0, where.flatten(), patches.flatten(0, 1)).view(*places, -1)


def _posterior(pilot: Tensor, measured: Tensor, noise: Tensor, trust: float, ridge: float) -> tuple[Tensor, Tensor]:
    """Posterior mean of each patch of some groups, (groups, patches, values), and variance of its (groups, values).

    `pilot` and `measured` are (groups, patches, values), and are changed; `noise` is a covariance (groups, values,
    values).
    """
    count, values = pilot.shape[1:]
    # with many patches the measured mean is nearly free of noise, and of the faults of the pilot
    middle, mean = pilot.mean(1, keepdim=True), measured.mean(1, keepdim=True)
    pilot -= middle
    measured -= mean
    covariance = pilot.transpose(1, 2) @ pilot / max(count - 1, 1)
    scale = covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    added = ridge * scale * torch.eye(values, device=pilot.device)
    # the inverse is half the work of a solution for so many right sides
    taken = torch.cholesky_inverse(torch.linalg.cholesky(covariance + noise + added)) @ noise
    image = torch.baddbmm(measured, measured, taken, alpha=-1).add_(mean + trust * (middle - mean))
    # of the values: noise - noise (covariance + noise)^-1 noise; of the mean: noise / count
    own = noise.diagonal(dim1=1, dim2=2)
    return image, (own - (noise * taken.transpose(1, 2)).sum(2)).clamp_min(0) + own / count


def _noise_shape(correlation: Tensor | None, size: Sequence[int], channels: int, eigenvalue_floor: float) -> Tensor:
    """Correlation of the noise between the values of a patch; none between channels and between planes."""
    depth, side, _ = size
    if correlation is None:
        return torch.eye(channels * prod(size))
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    reach = correlation.shape[0] // 2
    dy, dx = (a.flatten()[:, None] - a.flatten() for a in (y, x))
    near = (dy.abs() <= reach) & (dx.abs() <= reach)
    one = correlation.cpu()[dy.clamp(-reach, reach) + reach, dx.clamp(-reach, reach) + reach] * near
    values, vectors = torch.linalg.eigh(one)  # cut off at its reach, it need not be positive definite
    one = vectors @ (values.clamp_min(eigenvalue_floor)[:, None] * vectors.T)
    blocks: Tensor = torch.block_diag(*[one] * channels * depth)  # type: ignore[no-untyped-call]
    return blocks


def autocorrelation(residual: Tensor, reach: int) -> Tensor:
    """Autocorrelation of (1, channels, [z,] y, x) residuals for shifts along y and x by up to `reach` pixels.

    The table (2 * reach + 1, 2 * reach + 1) is positive definite. Residuals that are all zero count as white.
    """
    size = residual.shape[-2:]
    padded = F.pad(residual, (reach,) * 4)
    sums = [
        [(residual * padded[..., dy : dy + size[0], dx : dx + size[1]]).sum() for dx in range(2 * reach + 1)]
        for dy in range(2 * reach + 1)
    ]
    table = torch.stack([torch.stack(row) for row in sums])
    if table[reach, reach] > 0:
        return table / table[reach, reach]
    table[reach, reach] = 1
    return table
