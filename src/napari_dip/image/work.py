"""Work items: a plane, a volume or a tile is one thing, and what is done is planned before it is begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from napari_dip.image.planes import Region


def grown(region: Region, by: int, size: tuple[int, int]) -> Region:
    """Widen a region on all sides, as far as there are pixels.

    >>> grown((slice(0, 64), slice(64, 128)), 32, (100, 300))
    (slice(0, 96, None), slice(32, 160, None))
    """
    y, x = (slice(max(part.start - by, 0), min(part.stop + by, n)) for part, n in zip(region, size, strict=True))
    return y, x


def within(inner: Region, outer: Region) -> Region:
    """Say where a region lies in one around it."""
    y, x = (slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
    return y, x


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
    region: Region
    halo: int = 0

    def read_region(self, size: tuple[int, int]) -> Region:
        """Give what is read along Y and X of an image of that size: the region and its halo."""
        return grown(self.region, self.halo, size)

    def inside(self, size: tuple[int, int], factor: int = 1) -> Region:
        """Give where the region lies in what is read, both enlarged by a factor."""
        own = within(self.region, self.read_region(size))
        y, x = (slice(part.start * factor, part.stop * factor) for part in own)
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


@dataclass(frozen=True)
class Group:
    """Planes that one network is fitted to.

    Attributes
    ----------
    rows : tuple of tuple of Item
        Planes in the order in which they lie beside each other: a volume or a time series each, or a single plane.
    """

    rows: tuple[tuple[Item, ...], ...]

    @property
    def items(self) -> list[Item]:
        """All planes."""
        return [item for row in self.rows for item in row]


@dataclass(frozen=True)
class Block:
    """A part of a row that is restored in one go: some planes, and a region of them.

    Attributes
    ----------
    number : int
        Which one it is, counted from 0.
    row : tuple of Item
    planes : range
        Of the row.
    region : (slice, slice)
        Along Y and X.
    """

    number: int
    row: tuple[Item, ...]
    planes: range
    region: Region

    @property
    def items(self) -> tuple[Item, ...]:
        """The planes."""
        return self.row[self.planes.start : self.planes.stop]


def channel_of(outer: str, item: Item) -> int:
    """Give the channel of an item; 0 where there is no axis C."""
    return dict(zip(outer, item.index, strict=True)).get("C", 0)


def plan_groups(outer: str, items: Sequence[Item]) -> list[Group]:
    """Plan a group for each channel; its planes lie beside each other along Z, or else along T.

    Parameters
    ----------
    outer : str
        Letters of the outer axes, in their order.
    items : sequence of Item
        A plane each.

    Examples
    --------
    >>> groups = plan_groups("TC", plan_planes((3, 2), (64, 64)))
    >>> [[[item.number for item in row] for row in group.rows] for group in groups]
    [[[0, 2, 4]], [[1, 3, 5]]]
    """
    along = next((axis for axis in "ZT" if axis in outer and max(item.index[outer.index(axis)] for item in items)), "")
    groups: dict[int, dict[tuple[int, ...], list[Item]]] = {}
    for item in items:
        place = dict(zip(outer, item.index, strict=True))
        rest = tuple(i for axis, i in place.items() if axis != along)
        groups.setdefault(place.get("C", 0), {}).setdefault(rest, []).append(item)
    ordered = [
        [tuple(sorted(row, key=lambda one: one.index[outer.index(along)] if along else 0)) for row in rows.values()]
        for rows in groups.values()
    ]
    return [Group(tuple(rows)) for rows in ordered]


def plan_blocks(group: Group, size: tuple[int, int], pixels: int, side: int) -> list[Block]:
    """Plan blocks of at most so many pixels, and tiles of at most `side` x `side`; they cover all without overlap."""
    whole = slice(0, size[0]), slice(0, size[1])
    blocks = [block for row in group.rows for block in blocks_of(row, range(len(row)), whole, pixels, side)]
    return [replace(block, number=number) for number, block in enumerate(blocks)]


def blocks_of(row: tuple[Item, ...], planes: range, region: Region, pixels: int, side: int) -> list[Block]:
    """Plan blocks of a region of some planes of a row, as `plan_blocks` does."""
    found: list[Block] = []
    top, left = (part.start for part in region)
    for tile in plan_tiles((), (region[0].stop - top, region[1].stop - left), side):
        y, x = tile.region
        depth = max(1, pixels // ((y.stop - y.start) * (x.stop - x.start)))
        count = -(-len(planes) // depth)  # of about the same depth each
        ends = [planes.start + len(planes) * n // count for n in range(count + 1)]
        place = slice(top + y.start, top + y.stop), slice(left + x.start, left + x.stop)
        found += [Block(len(found) + n, row, range(*pair), place) for n, pair in enumerate(pairwise(ends))]
    return found
