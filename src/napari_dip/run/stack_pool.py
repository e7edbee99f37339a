"""What a network is fitted to: crops of planes of one image or several, in one range, and the noise found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, product
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dip.image.planes import Region
from napari_dip.image.scaling import Scaling
from napari_dip.image.source import Plane, Source
from napari_dip.image.value_map import ValueMap
from napari_dip.image.work import Group, Item
from napari_dip.prior.fitting.weights import relative_noise
from napari_dip.prior.noise.correlation import noise_in_common
from napari_dip.prior.objectives.stack import Stack
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.presets import STACK
from napari_dip.run.noise_settings import noise_known_of
from napari_dip.settings import Settings

POOL = 2**23
"""Pixels that a network is fitted to at the most, spread over all there are: 32 planes of 512 x 512, 100 MB."""
SAMPLED = 8, 512
"""Planes and side of each part that is taken where there are more."""
LOOKED_AT = 2**19
"""Pixels from which the strength of the noise, and what a fit leaves of it, are found."""
REACH = 2
"""Planes on each side that are looked at; with an early version one more gained nothing on a volume of cells, and none
lost 0.35 dB."""
FAR = 8.0
"""Distance of planes, in pixels, from which on only the next plane on each side tells anything of one."""

IN_COMMON = 0.2
"""Correlation of the noise of neighbouring planes from which on these are not looked at: 0.02 at most in the volumes
of the scoreboard, 0.5 once they are interpolated between two planes."""

GOLDEN = (5**0.5 - 1) / 2
"""The fractional parts of its multiples are spread evenly, however many there are."""

_Chosen = tuple[tuple[Item, ...], range, Region]

Part = tuple[Source, Group]
"""An image, and the planes of it that are fitted together."""


@dataclass(frozen=True)
class Pool:
    """What a network is fitted to.

    Attributes
    ----------
    images : list of list of Stack
        The parts that are taken of each image.
    scaling : Scaling
        Of all of them.
    noise : NoiseModel
    """

    images: list[list[Stack]]
    scaling: Scaling
    noise: NoiseModel

    @classmethod
    def of(cls, parts: Sequence[Part], settings: Settings, device: str) -> Pool:
        """Read it, and find its noise; all planes have something to learn from."""
        scaling = _scaling_of(parts)
        images = []
        for source, group in parts:
            chosen, others = _chosen(group, source.size, POOL // source.samples // len(parts))
            read = partial(_read, source, scaling=scaling, settings=settings, device=device)
            known = [stack for stack in map(read, chosen) if stack.observed.any()]
            # something was measured somewhere
            images.append(known or [next(stack for stack in map(read, others) if stack.observed.any())])
        return cls(images, scaling, _noise_of(list(chain(*images)), scaling, settings, parts[0][0].values))

    @property
    def stacks(self) -> list[Stack]:
        """Those of all images."""
        return list(chain(*self.images))

    @property
    def shares_noise(self) -> bool:
        """Whether planes that lie beside each other have noise in common, and must not be looked at for each other."""
        return any(map(_shares_noise, self.images))

    @property
    def relative_noise(self) -> float:
        """How strong the noise is beside what the image holds."""
        return relative_noise(self.noise, sample(self.stacks, LOOKED_AT))


def _shares_noise(stacks: Sequence[Stack]) -> bool:
    """Say it of an image, as the first of its parts shows it in which enough is seen."""
    for stack in stacks:
        rows = min(len(stack), max(2, LOOKED_AT // prod(stack.size)))
        if rows > 1:
            values, observed = stack.values[:rows, 0].cpu().numpy(), stack.observed[:rows, 0].cpu().numpy() > 0
            found = noise_in_common(values, observed)
            if found is not None:
                return found > IN_COMMON
    return False


def _read(source: Source, part: _Chosen, *, scaling: Scaling, settings: Settings, device: str) -> Stack:
    row, planes, region = part
    return read_stack(source, row, planes, region, scaling, settings, device)


def read_stack(
    source: Source,
    row: Sequence[Item],
    planes: range,
    region: Region,
    scaling: Scaling,
    settings: Settings,
    device: str,
) -> Stack:
    """Read a part of a row, with the other channels where these are to be looked at."""
    items = [replace(row[i], region=region) for i in planes]
    stack = _as_stack([source.plane(item, scaling) for item in items]).to(device)
    if not context_of(source, settings):
        return stack
    others = zip(*(_other_channels(source, item) for item in items), strict=True)
    beside = [_as_stack([source.plane(item) for item in channel]).relative for channel in others]
    return replace(stack, context=torch.cat(beside, 1).to(device))


def _as_stack(planes: Sequence[Plane]) -> Stack:
    values = torch.from_numpy(np.stack([plane.values for plane in planes]))
    return Stack.of(values, torch.from_numpy(np.stack([plane.observed[None] for plane in planes]).astype(np.float32)))


def context_of(source: Source, settings: Settings) -> int:
    """Say how many channels of others are shown beside each."""
    return source.samples * (source.sizes.get("C", 1) - 1) if settings.channels == "together" else 0


def _other_channels(source: Source, item: Item) -> list[Item]:
    """Give the same plane of all other channels."""
    at = source.outer.index("C")

    def elsewhere(index: tuple[int, ...]) -> tuple[int, ...]:
        return index[:at] + index[at + 1 :]

    alike = [one for one in source.items if elsewhere(one.index) == elsewhere(item.index) and one.index != item.index]
    return [replace(one, region=item.region, halo=item.halo) for one in alike]


def reach_of(settings: Settings, parts: Sequence[Part]) -> int:
    """Say how many planes on each side are looked at: none, if any plane lies by itself."""
    if shortest(parts) == 1:
        return 0
    if settings.neighbours is not None:
        return settings.neighbours
    return 1 if settings.z_step is not None and settings.z_step > FAR else REACH


def shortest(parts: Sequence[Part]) -> int:
    """Give the number of planes of the shortest row."""
    return min(len(row) for _, group in parts for row in group.rows)


def sample(stacks: Sequence[Stack], pixels: int) -> list[tuple[Stack, list[int]]]:
    """Take so many pixels at the most: planes spread over the largest stacks, or the middle of planes.

    Where some of the middle was not measured, it is the part of a plane in which most was.
    """
    largest = max((stack.size for stack in stacks), key=lambda size: (prod(size), size))
    stacks = [stack for stack in stacks if stack.size == largest]
    height, width = (min(n, int((pixels / 4) ** 0.5)) for n in largest)
    planes = [(n, plane) for n, stack in enumerate(stacks) for plane in range(len(stack))]
    count = min(len(planes), max(1, pixels // (height * width)))
    step = len(planes) / count
    chosen: dict[int, list[int]] = {}
    for n, plane in (planes[int(step * (i + 0.5))] for i in range(count)):
        chosen.setdefault(n, []).append(plane)
    return [
        (stacks[n].crop(_most_known(stacks[n].observed[rows], (height, width))), rows) for n, rows in chosen.items()
    ]


def _most_known(observed: Tensor, size: tuple[int, int]) -> tuple[Any, ...]:
    """Say where, of the middle and parts spread over all of some planes (n, 1, y, x), most was measured."""
    middles = [range((n - side) // 2, (n + side) // 2) for n, side in zip(observed.shape[2:], size, strict=True)]
    spread = product(*(_spread(n, side) for n, side in zip(observed.shape[2:], size, strict=True)))
    places = [(..., slice(y.start, y.stop), slice(x.start, x.stop)) for y, x in (middles, *spread)]
    if observed[places[0]].all():
        return places[0]
    return max(places, key=lambda where: float(observed[where].sum()))


def _scaling_of(parts: Sequence[Part]) -> Scaling:
    """Find one range for all planes."""
    known = [(source, item.index) for source, group in parts for item in group.items if item.index in source.ranges]
    ends, floors = ([getattr(source, what)[index] for source, index in known] for what in ("ranges", "floors"))
    return Scaling.of(np.array(ends, np.float64), float(np.median(floors)))


def _noise_of(stacks: Sequence[Stack], scaling: Scaling, settings: Settings, fitted: ValueMap) -> NoiseModel:
    """Find the noise from a part that is bounded in size."""
    known = noise_known_of(settings, scaling, fitted)
    parts = sample(stacks, LOOKED_AT)
    values, observed = (
        torch.cat([getattr(part, name)[rows].expand_as(part.values[rows]).flatten(0, 1) for part, rows in parts])
        for name in ("values", "observed")
    )
    return STACK[settings.preset].noise_model(values.cpu().numpy(), observed.cpu().numpy() > 0, known)


def _chosen(group: Group, size: tuple[int, int], most: int) -> tuple[list[_Chosen], list[_Chosen]]:
    """Say what is read to fit a network to: all planes, or parts of so many pixels that are spread over them.

    The other parts come second.
    """
    whole = slice(0, size[0]), slice(0, size[1])
    if len(group.items) * size[0] * size[1] <= most:
        return [(row, range(len(row)), whole) for row in group.rows], []
    depth, side = SAMPLED
    alone = max(map(len, group.rows)) == 1
    parts = [
        (row, planes, (slice(y.start, y.stop), slice(x.start, x.stop)))
        for row in group.rows
        for planes in _spread(len(row), depth)
        for y, x in product(*(_spread(n, side) for n in size))
    ]
    planes = 1 if alone else min(depth, max(map(len, group.rows)))
    count = max(1, most // (min(side, size[0]) * min(side, size[1]) * planes))
    step = max(1.0, len(parts) / count)
    # with equal steps all could lie in one column of an image: so one of each step, at ever other places of it
    numbers = [int(step * n + step * (n * GOLDEN % 1)) for n in range(min(count, len(parts)))]
    taken = set(numbers)
    return [parts[n] for n in numbers], [part for n, part in enumerate(parts) if n not in taken]


def _spread(length: int, part: int) -> list[range]:
    """Cover a length with parts of one size; they may overlap."""
    part = min(part, length)
    count = -(-length // part)
    starts = [(length - part) * n // max(count - 1, 1) for n in range(count)]
    return [range(start, start + part) for start in starts]
