"""Patches of a volume: cut out, laid back, and for some of them the others that are alike.

All images here are (channels, z, y, x), a plane is a volume of one, and the patches of an image are
(z, y, x, values): one for each place where its first pixel can be. Its values are those of one channel after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def cut(image: Tensor, size: Sequence[int]) -> Tensor:
    """Give all patches of `size` (z, y, x): (z, y, x, values)."""
    for axis, length in enumerate(size, 1):
        image = image.unfold(axis, length, 1)
    return image.permute(1, 2, 3, 0, 4, 5, 6).flatten(3)


def lay(patches: Tensor, size: Sequence[int]) -> Tensor:
    """Sum patches of `size` in their places, the transpose of `cut`: (channels, z, y, x)."""
    places = patches.shape[:3]
    # the values first, so that each is added as one block of an image
    values = patches.flatten(0, 2).T.contiguous().view(-1, *size, *places)
    image = values.new_zeros(len(values), *(n + length - 1 for n, length in zip(places, size, strict=True)))
    for z, y, x in product(*(range(length) for length in size)):
        image[:, z : z + places[0], y : y + places[1], x : x + places[2]] += values[:, z, y, x]
    return image


def grid(last: int, step: int) -> list[int]:
    """Give 0, step, ... and `last`, so that all is covered."""
    return sorted({*range(0, last + 1, step), last})


def in_parts(items: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    """Give one part after the other, each of up to so many items."""
    for start in range(0, len(items), length):
        yield items[start : start + length]


def around(places: Sequence[int], radius: int, last: int) -> tuple[int, int]:
    """Give the first and the last place within `radius` of some that rise; places are 0 ... `last`."""
    return max(places[0] - radius, 0), min(places[-1] + radius, last)


def alike(guide: Tensor, plane: int, rows: Sequence[int], columns: Sequence[int], radius: int, count: int) -> Tensor:
    """Find the nearest patches for those at all `rows` and `columns` of a plane: (rows * columns, count) indices.

    All of them are looked for in one window, which reaches `radius` pixels beyond them, in all planes. A patch is
    always the nearest to itself.

    Parameters
    ----------
    guide : (z, y, x, values) Tensor
        The patches that are compared.
    """
    (top, bottom), (left, right) = (
        around(places, radius, n - 1) for places, n in zip((rows, columns), guide.shape[1:3], strict=True)
    )
    window = guide[:, top : bottom + 1, left : right + 1]
    height, width = window.shape[1:3]
    others = window.flatten(0, 2)
    others = others - others.mean()  # squares of small numbers have small errors
    step_y, step_x = (torch.tensor(p, device=guide.device) - n for p, n in ((rows, top), (columns, left)))
    home = ((plane * height + step_y[:, None]) * width + step_x).flatten()
    # squared distances, but for the squares of the patch itself
    apart = torch.addmm(others.square().sum(1), others[home], others.T, alpha=-2)
    apart.scatter_(1, home[:, None], -torch.inf)
    nearest = apart.topk(count, 1, largest=False, sorted=False).indices
    z, y, x = nearest // (height * width), nearest // width % height, nearest % width
    return (z * guide.shape[1] + y + top) * guide.shape[2] + x + left
