"""A fitted network applied to planes, tile by tile: every pixel is hidden once, and predicted from all others.

What a tile gives does not depend on where the tiles lie: they begin at multiples of the coarsest step of the network,
are read with a halo, hide the same pixels, and are normalised by what was remembered of the fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.in_order import in_order
from napari_dip.prior.networks.network import Prior
from napari_dip.prior.objectives.crop_prediction import View
from napari_dip.prior.objectives.stack import Stack

Region = tuple[slice, slice]
"""Along y and x."""
SIDE = 512
"""Of a tile, in pixels: some 250 MB are at work in it."""
HALO = 64
"""Pixels around a tile that are read, too: twice the coarsest step of the network. `benchmarks/scale.py --seams` shows
what borders of tiles come to."""
PASSES = 4
"""Over the planes, if noise is white; each hides a part of the pixels."""
PATTERN = 96
"""Pixels after which the pattern of hidden pixels repeats: a multiple of all lattices of `_targets`."""


def predict_planes(
    network: Prior, view: View, stack: Stack, planes: Sequence[int], radii: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Predict all pixels of some planes of a stack.

    Parameters
    ----------
    network : Prior
        Fitted, in evaluation mode.
    view : View
    stack : Stack
    planes : sequence of int
    radii : (int, int)
        How far the noise reaches along y and x.

    Returns
    -------
    mean, variance : Tensor
        (planes, channels, y, x) and (planes, 1, y, x).
    """
    mean = stack.values.new_zeros(len(planes), *stack.values.shape[1:])
    variance = stack.values.new_zeros(len(planes), 1, *stack.size)
    patterns = _targets(radii)
    jobs = [(row, tile, inside) for row in range(len(planes)) for tile, inside in _tiles(stack.size)]

    def predicted(job: tuple[int, Region, Region]) -> tuple[Tensor, Tensor]:
        return _predict_tile(network, view, stack, planes[job[0]], job[1], patterns, radii)

    for (row, tile, inside), (m, v) in zip(jobs, in_order(predicted, jobs, mean.device), strict=True):
        y, x = (slice(t.start + i.start, t.start + i.stop) for t, i in zip(tile, inside, strict=True))
        mean[row, :, y, x], variance[row, :, y, x] = m[0][:, *inside], v[0][:, *inside]
    return mean, variance


@torch.no_grad()
def _predict_tile(
    network: Prior, view: View, stack: Stack, plane: int, tile: Region, patterns: Tensor, radii: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Predict the pixels of one tile with its halo, each while it is hidden."""
    size = tile[0].stop - tile[0].start, tile[1].stop - tile[1].start
    mean = stack.values.new_zeros(1, stack.values.shape[1], *size)
    variance = stack.values.new_zeros(1, 1, *size)
    place = (stack, plane, tile[0].start, tile[1].start)
    rows, columns = (torch.arange(t.start, t.stop) % n for t, n in zip(tile, patterns.shape, strict=True))
    which = patterns[rows][:, columns].to(mean.device)
    for part in range(int(patterns.max()) + 1):
        target = (which == part)[None, None].float()
        hidden = F.max_pool2d(target, [2 * r + 1 for r in radii], 1, radii) if any(radii) else target
        m, v = view.predict(network, [place], size, hidden)
        mean += m * target
        variance += v * target
    return mean, variance


def _tiles(size: tuple[int, int]) -> Iterator[tuple[Region, Region]]:
    """Give what is read of each tile, and what of that is kept."""
    for y in range(0, size[0], SIDE):
        for x in range(0, size[1], SIDE):
            read, inside = [], []
            for start, n in ((y, size[0]), (x, size[1])):
                stop = min(start + SIDE, n)
                first, last = max(start - HALO, 0), min(stop + HALO, n)
                read.append(slice(first, last))
                inside.append(slice(start - first, stop - first))
            yield (read[0], read[1]), (inside[0], inside[1])


def _targets(radii: tuple[int, int]) -> Tensor:
    """Say for each pixel of a pattern in which pass it is hidden, (PATTERN, PATTERN) or less.

    In white noise at random, as in the fit. Where the noise of a target reaches its neighbours, the targets of a pass
    lie on a lattice wide enough for something to be seen between them.
    """
    generator = torch.Generator().manual_seed(0)
    if not any(radii):
        return torch.randint(0, PASSES, (PATTERN, PATTERN), generator=generator)
    steps = [2 * radius + 2 for radius in radii]
    order = torch.randperm(prod(steps), generator=generator).view(*steps)
    return order.repeat(*(PATTERN // step for step in steps))
