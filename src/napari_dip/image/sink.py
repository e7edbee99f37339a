"""Where results go, region by region.

A new kind of sink stands here and in `sink_for`; `tests/contracts` holds what all have to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.planes import Region, place, restore_order
from napari_dip.image.work import Item


class Sink(Protocol):
    """Takes what is restored."""

    @property
    def array(self) -> Any:
        """What it is written to; NaN where nothing was restored yet."""
        ...

    def put(self, item: Item, values: np.ndarray) -> None:
        """Write the region of an item, (samples, y, x)."""
        ...

    def clear(self, item: Item) -> None:
        """Write NaN to the region of an item."""
        ...

    def copy(self) -> Sink:
        """Give a sink of its own in memory that holds the same."""
        ...


class ArraySink:
    """Writes to an array in memory, or to one that is mapped to a file: whatever can be indexed like numpy's.

    Parameters
    ----------
    shape : tuple of int
        Of the result.
    axes : str
        One letter for each dimension.
    factor : int
        How many times more pixels the result has along Y and X than the image.
    out : array, optional
        float32 and of that shape; made where it is left out. It is filled with NaN first, so that what a run does not
        come to is seen to be missing.

    Raises
    ------
    InputError
        If `out` is of another shape or type, or read-only.
    """

    def __init__(self, shape: Sequence[int], axes: str, factor: int = 1, out: Any = None):
        self.axes, self.factor = axes, factor
        self.array = np.empty(tuple(shape), np.float32) if out is None else _checked(out, tuple(shape))
        self.array[...] = np.nan

    def put(self, item: Item, values: np.ndarray) -> None:
        """Write the region of an item, (samples, y, x)."""
        self.array[place(self.axes, item.index, self._enlarged(item))] = restore_order(values, self.axes)

    def clear(self, item: Item) -> None:
        """Write NaN to the region of an item."""
        self.array[place(self.axes, item.index, self._enlarged(item))] = np.nan

    def copy(self) -> ArraySink:
        """Give a sink of its own in memory that holds the same."""
        other = ArraySink.__new__(ArraySink)
        other.axes, other.factor, other.array = self.axes, self.factor, np.array(self.array)
        return other

    def _enlarged(self, item: Item) -> Region:
        y, x = (slice(part.start * self.factor, part.stop * self.factor) for part in item.region)
        return y, x


def sink_for(out: Any, shape: Sequence[int], axes: str, factor: int = 1) -> Sink:
    """Make the sink that writes to what the caller gave; to an array in memory, if that is nothing.

    Raises
    ------
    InputError
        If it cannot be written to.
    """
    return ArraySink(shape, axes, factor, out)


def _checked(out: Any, shape: tuple[int, ...]) -> Any:
    if tuple(getattr(out, "shape", ())) != shape or getattr(out, "dtype", None) != np.float32:
        raise InputError(f"The array to write to must be float32 and of the shape {shape}; give another as out.")
    flags = getattr(out, "flags", None)
    if flags is not None and not flags.writeable:
        raise InputError("The array to write to is read-only; give another as out.")
    return out
