"""How far a batch is, and how long it will take still: by what its files weigh, not by how many there are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from napari_dip.files.formats import peek
from napari_dip.jobs import seal
from napari_dip.jobs.job import Item, Outcome
from napari_dip.run.estimate import estimate


def weigh(item: Item) -> float:
    """Give about how long an item takes on one core, in seconds; from the size of its file, where that says no more."""
    found = peek(item.source)
    try:
        if found is not None:
            shape, metadata = found
            axes = item.axes or metadata.axes
            preset, factor = item.settings.get("preset", "fast"), int(item.inputs.get("factor") or 1)
            if axes is not None and len(axes) == len(shape):
                return estimate(item.task, axes.upper(), shape, 2, preset=str(preset), factor=factor).seconds
        return 1.0 + seal.look(item.source)["size"] * 1e-4
    except (OSError, KeyError, ValueError):
        return 1.0


class Pace:
    """What is done, and the time left.

    Items that were done before count for nothing, and failed ones only as far as they took time.

    Parameters
    ----------
    items : sequence of Item
        Those that have to be done.
    workers : int
        How many are at work.
    """

    def __init__(self, items: Sequence[Item], workers: int = 1):
        self._weights = {str(item.target): weigh(item) for item in items}
        self._left = dict(self._weights)
        self._took = self._weighed = 0.0
        self._began = time.monotonic()
        self.workers = workers
        self.parts: dict[Path, float] = {}

    @property
    def done(self) -> float:
        """The part of the work that is done, from 0 to 1."""
        whole = sum(self._weights.values())
        return 1 - self._remaining() / whole if whole else 1.0

    @property
    def left(self) -> float | None:
        """Seconds that are left, as far as those tell that are done; None before that."""
        if not self._weighed:
            done = self.done
            return (time.monotonic() - self._began) * (1 - done) / done if done > 0.05 else None
        return self._remaining() * self._took / self._weighed / max(1, min(self.workers, len(self._left)))

    def tell(self, outcome: Outcome) -> None:
        """Take note of what came of an item."""
        weight = self._left.pop(outcome.target, 0.0)
        self.parts.clear()
        if outcome.status == "done":
            self._took, self._weighed = self._took + outcome.seconds, self._weighed + weight

    def at_work(self, target: Path, part: float) -> None:
        """Take note of how far an item is, from 0 to 1."""
        self.parts[target] = part

    def _remaining(self) -> float:
        parts = sum(self._left.get(str(target), 0.0) * part for target, part in self.parts.items())
        return sum(self._left.values()) - parts
