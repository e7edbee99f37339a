"""Planes that one network is fitted to and applied to: a volume, a time series, a set of images, or parts of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from napari_dip.prior.physics.fill import LOCAL_CONTRAST, LocalContrast, fill, local_contrast


@dataclass(frozen=True, eq=False)
class Stack:
    """Neighbouring planes.

    Attributes
    ----------
    values : Tensor
        (planes, channels, y, x), near [0, 1]; filled in smoothly where nothing was measured.
    observed : Tensor
        (planes, 1, y, x), 1 where a pixel was measured.
    base, contrast : Tensor
        Local mean, of the shape of `values`, and contrast, of that of `observed`.
    held_out : Tensor or None
        Of the shape of `observed`: 1 for pixels that are predicted but never learned from.
    shown : Tensor or None
        Of the shape of `values`: what planes beside show of these, if not all.
    context : Tensor or None
        (planes, any number, y, x): what else is shown of each plane, such as other channels, and whole.
    """

    values: Tensor
    observed: Tensor
    base: Tensor
    contrast: Tensor
    held_out: Tensor | None = None
    context: Tensor | None = None
    shown: Tensor | None = None

    @classmethod
    def of(cls, values: Tensor, observed: Tensor, window: LocalContrast = LOCAL_CONTRAST) -> Stack:
        """Find local mean and contrast of planes, one by one."""
        parts = [local_contrast(v[None], o[None], window) for v, o in zip(values, observed, strict=True)]
        filled = fill(values, observed) if (observed == 0).any() else values
        return cls(filled, observed, torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]))

    @property
    def size(self) -> tuple[int, int]:
        """(y, x)."""
        return self.values.shape[2], self.values.shape[3]

    def __len__(self) -> int:
        return len(self.values)

    def crop(self, where: tuple[Any, ...]) -> Stack:
        """Cut a part out of all planes; `where` indexes (..., y, x)."""
        return self._with(lambda part: part[where])

    def to(self, device: str) -> Stack:
        """Give it on a device of torch."""
        return self._with(lambda part: part.to(device))

    def _with(self, change: Callable[[Tensor], Tensor]) -> Stack:
        parts = {one.name: getattr(self, one.name) for one in fields(self)}
        return replace(self, **{name: change(part) for name, part in parts.items() if part is not None})

    @property
    def relative(self) -> Tensor:
        """What a network is shown of the values: their difference to the local mean, in local contrasts."""
        return (self.values - self.base) / self.contrast

    @property
    def beside_others(self) -> Tensor:
        """What is shown of planes beside the one that is predicted."""
        return self.values if self.shown is None else self.shown

    def split(self, part: float, generator: torch.Generator, *, hide: bool = False) -> Stack:
        """Hold out a random part of the measured pixels, and hide them from planes beside, too, if that is wanted."""
        drawn = torch.rand(self.observed.shape, generator=generator) < part
        held_out = self.observed * drawn.to(self.observed)
        return replace(
            self, held_out=held_out, shown=fill(self.values, self.observed * (1 - held_out)) if hide else None
        )

    def beside(self, plane: int, shift: int) -> int:
        """Give the plane so many planes away: on the other side where there is none, or else the nearest other one.

        It is never the plane itself, which would show the network the pixels that are hidden from it.
        """
        last = len(self) - 1
        for there in (plane + shift, plane - shift):
            if 0 <= there <= last:
                return there
        towards = plane + (1 if shift > 0 else -1)
        return towards if 0 <= towards <= last else 2 * plane - towards


def as_volume(planes: Tensor) -> Tensor:
    """Turn (planes, channels, y, x) into (1, channels, planes, y, x)."""
    return planes.transpose(0, 1)[None]


def as_planes(volume: Tensor) -> Tensor:
    """Turn (1, channels, planes, y, x) into (planes, channels, y, x)."""
    return volume[0].transpose(0, 1)


Place = tuple[Stack, int, int, int]
"""A plane of a stack, and the first row and column of a crop of it."""
