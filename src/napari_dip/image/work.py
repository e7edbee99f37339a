"""Work items: a plane, a volume or a tile is one thing, and what is done is planned before it is begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Item:
    """A part of an image that is restored in one go.

    Attributes
    ----------
    number : int
        Which one it is, counted from 0.
    index : tuple of int
        Where it is along the outer axes (T, Z, C), in their order in the image.
    region : tuple of slice
        What is written along Y and X.
    halo : int
        Pixels around the region that are read as well, as far as there are any.
    """

    number: int
    index: tuple[int, ...]
    region: tuple[slice, slice]
    halo: int = 0

    def read_region(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """Give what is read along Y and X of an image of that size: the region and its halo."""
        y, x = (
            slice(max(part.start - self.halo, 0), min(part.stop + self.halo, n))
            for part, n in zip(self.region, size, strict=True)
        )
        return y, x

    def inside(self, size: tuple[int, int], factor: int = 1) -> tuple[slice, slice]:
        """Give where the region lies in what is read, both enlarged by a factor."""
        y, x = (
            slice((part.start - read.start) * factor, (part.stop - read.start) * factor)
            for part, read in zip(self.region, self.read_region(size), strict=True)
        )
        return y, x


def plan_planes(outer: Sequence[int], size: tuple[int, int]) -> list[Item]:
    """Plan an item for each plane.

    Parameters
    ----------
    outer : sequence of int
        Sizes of the outer axes.
    size : (y, x)

    Examples
    --------
    >>> [item.index for item in plan_planes((2, 1), (64, 64))]
    [(0, 0), (1, 0)]
    """
    return plan_tiles(outer, size, max(size))


def plan_tiles(outer: Sequence[int], size: tuple[int, int], side: int, halo: int = 0) -> list[Item]:
    """Plan an item for each tile of at most `side` x `side` pixels of each plane; they cover it without overlap."""
    tiles = [
        (slice(y, min(y + side, size[0])), slice(x, min(x + side, size[1])))
        for y in range(0, size[0], side)
        for x in range(0, size[1], side)
    ]
    places = [(index, tile) for index in np.ndindex(*outer) for tile in tiles]
    return [Item(number, index, tile, halo) for number, (index, tile) in enumerate(places)]
