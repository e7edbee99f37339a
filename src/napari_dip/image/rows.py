"""Rows of a lazy plane: read once, from top to bottom, in parts as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from napari_dip.image.cancellation import check_cancelled

READ, AT_ONCE = 2**20, 2**23
"""Pixels of a plane that are read at a time at the least, and of one that is read at once where it is only stored, not
computed: cancellation is heard between two reads."""


def bounds_of(array: Any, axes: str, size: tuple[int, int]) -> list[int]:
    """Give the rows at which the parts of a plane end that are read together: whole chunks of the array.

    >>> import numpy as np
    >>> bounds_of(np.zeros((16384, 1024)), "YX", (16384, 1024))[:2]
    [1024, 2048]
    """
    height, width = size
    chunks = getattr(array, "chunks", None)
    along = chunks[axes.index("Y")] if chunks else 1
    if isinstance(along, tuple):  # dask's: each has a length of its own
        lengths = list(along)
    elif height * width <= AT_ONCE:
        return [height]
    else:
        lengths = [along] * (height // along) + [height % along]
    least, start = max(READ // width, 1), 0
    found: list[int] = []
    for end in accumulate(int(n) for n in lengths if n):
        if end - start >= least or end == height:
            found.append(end)
            start = end
    return found


class Rows:
    """Rows of a plane, each read once.

    Parameters
    ----------
    read : callable
        Gives the rows (samples, y, x) of a slice.
    bounds : sequence of int
        Where parts that are read together end.
    note : callable
        Is handed each part and its first row, in their order.
    """

    def __init__(
        self,
        read: Callable[[slice], np.ndarray],
        bounds: Sequence[int],
        note: Callable[[int, np.ndarray], None] = lambda start, part: None,
    ):
        self._read, self._bounds, self._note = read, list(bounds), note
        self._parts: list[tuple[int, np.ndarray]] = []
        self.end = 0

    @property
    def start(self) -> int:
        """The first row that can still be given."""
        return self._parts[0][0] if self._parts else self.end

    def take(self, rows: slice) -> np.ndarray:
        """Give rows; those before them can no longer be given afterwards."""
        while self.end < rows.stop:
            check_cancelled()
            stop = self._bounds.pop(0)
            part = self._read(slice(self.end, stop))
            self._note(self.end, part)
            self._parts.append((self.end, part))
            self.end = stop
        self._parts = [(start, part) for start, part in self._parts if start + part.shape[1] > rows.start]
        cut = [part[:, max(rows.start - start, 0) : rows.stop - start] for start, part in self._parts]
        return cut[0] if len(cut) == 1 else np.concatenate(cut, axis=1)
