"""How a large image is cut: into bricks that are restored one by one, and views that a prior is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

DEPTH, SIDE, SIDE_ALONE = 16, 1024, 2048
"""Of a brick: planes, pixels along Y and X, and those where a plane lies by itself. With what is seen around it, some
400 MB at work."""
POOL = 2**23
"""Pixels of all views of a channel: 32 planes of 512 x 512, as a fit takes of any image."""
DEPTH_OF_VIEW, SIDE_OF_VIEW = 8, 512
VIEWS = 16
CANDIDATES = 64
"""Places among which the views are chosen."""
GOLDEN = (5**0.5 - 1) / 2
"""The fractional parts of its multiples are spread evenly, however many there are."""

Box = dict[str, tuple[int, int]]
"""From the letter of each axis to begin and end."""


def key_of(box: Box, axes: str) -> tuple[slice, ...]:
    """Give the box as the key of an array with these axes."""
    return tuple(slice(*box[axis]) for axis in axes)


@dataclass(frozen=True)
class Layout:
    """The bricks of an image: each of one channel, of planes that lie beside each other along Z, or else along T.

    Attributes
    ----------
    shape : tuple of int
    axes : str
        One letter of T Z C Y X for each dimension.
    depth, side : int
        Of a brick at most, in planes and pixels; 0 for what is usual.

    Examples
    --------
    >>> layout = Layout((2, 40, 1500, 1000), "CZYX")
    >>> len(layout.bricks), layout.bricks[3]
    (12, {'C': (0, 1), 'Z': (14, 28), 'Y': (1024, 1500), 'X': (0, 1000)})
    """

    shape: tuple[int, ...]
    axes: str
    depth: int = 0
    side: int = 0

    @property
    def sizes(self) -> dict[str, int]:
        """Of the axes, by their letters."""
        return dict(zip(self.axes, self.shape, strict=True))

    @property
    def along(self) -> str:
        """The axis along which planes lie beside each other; "" where each lies by itself."""
        return next((axis for axis in "ZT" if self.sizes.get(axis, 1) > 1), "")

    @cached_property
    def bricks(self) -> list[Box]:
        """All of them, without overlap; in the order of the axes."""
        side, depth = self.side or (SIDE if self.along else SIDE_ALONE), self.depth or DEPTH
        lengths = {**dict.fromkeys(self.axes, 1), "Y": side, "X": side}
        if self.along:
            n = self.sizes[self.along]
            lengths[self.along] = -(-n // -(-n // depth))  # of about the same depth each
        return self._cut(lengths)

    @cached_property
    def slabs(self) -> list[Box]:
        """Whole planes, some of them at a time."""
        return self._cut({**self.sizes, **{a: 1 for a in self.axes if a not in "YX"}, self.along: self.depth or DEPTH})

    def around(self, brick: Box, planes: int, pixels: int) -> Box:
        """Give the brick with what lies around it, as far as there is anything."""
        more = {self.along: planes, "Y": pixels, "X": pixels}
        return {
            axis: (max(start - more.get(axis, 0), 0), min(end + more.get(axis, 0), self.sizes[axis]))
            for axis, (start, end) in brick.items()
        }

    def candidates(self) -> list[Box]:
        """Give places of views, spread over the image, with all channels: chosen so that none has to be read whole."""
        depth = min(DEPTH_OF_VIEW, self.sizes.get(self.along, 1))
        channels = self.sizes.get("C", 1)
        side = min(SIDE_OF_VIEW, int((POOL / VIEWS / depth / max(channels / 4, 1)) ** 0.5) // 64 * 64 or 64)
        lengths = dict.fromkeys(self.axes, 1) | {"Y": side, "X": side, self.along: depth, "C": channels}
        starts = [_spread(self.sizes[axis], lengths[axis]) for axis in self.axes]
        count = prod(map(len, starts))
        step = max(1.0, count / CANDIDATES)
        # with equal steps all could lie in one column: so one of each step, at ever other places of it
        numbers = [int(step * n + step * (n * GOLDEN % 1)) for n in range(min(count, CANDIDATES))]
        places = product(*starts) if count <= CANDIDATES else (_nth(starts, number) for number in numbers)
        return [
            {axis: (at, min(at + lengths[axis], self.sizes[axis])) for axis, at in zip(self.axes, place, strict=True)}
            for place in places
        ]

    def _cut(self, lengths: dict[str, int]) -> list[Box]:
        parts = [
            [(at, min(at + lengths[axis], n)) for at in range(0, n, lengths[axis])] for axis, n in self.sizes.items()
        ]
        return [dict(zip(self.axes, place, strict=True)) for place in product(*parts)]


def _spread(length: int, part: int) -> list[int]:
    """Give where parts begin that cover a length; they may overlap."""
    part = min(part, length)
    count = -(-length // part)
    return [(length - part) * n // max(count - 1, 1) for n in range(count)]


def _nth(choices: Sequence[Sequence[int]], number: int) -> tuple[int, ...]:
    """Give one of all combinations, without making the others."""
    found = []
    for own in reversed(choices):
        number, which = divmod(number, len(own))
        found.append(own[which])
    return tuple(reversed(found))
