"""What a run is asked to do: frozen, so that nothing of it changes while it is worked on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from napari_dip.image.arrays import digest_of
from napari_dip.image.source import Source
from napari_dip.prior.fitting.weights import Start
from napari_dip.settings import Settings
from napari_dip.tasks import Task


@dataclass(frozen=True)
class Request:
    """A task, an image, and how it is to be done.

    Attributes
    ----------
    task : Task
    source : Source
        The image, with what is to be filled in.
    inputs : dict
        What else the task takes, by name: numbers and arrays. A mask is part of the source.
    settings : Settings
    device : str
        Of torch.
    start : Start, optional
        Weights to begin with.
    on_crops : bool
        Whether even a small plane is fitted on crops, so that its weights can be applied elsewhere.
    whole : Source, optional
        What the image is a part of: range and noise of a plane that is fitted by itself are those of the whole.
    """

    task: Task
    source: Source
    inputs: dict[str, Any]
    settings: Settings
    device: str
    start: Start | None = None
    on_crops: bool = False
    whole: Source | None = None

    def part_of(self, whole: Source) -> Request:
        """Give the same for an image that is a part of a whole: the same values are fitted as there.

        What it begins with is kept to: weights were fitted to values of their own.
        """
        values, suspects = (self.source if self.start else whole).values, self.task.suspects
        source, around = (
            one if one.values == values else one.with_values(values, suspects) for one in (self.source, whole)
        )
        return replace(self, source=source, whole=around)

    @property
    def factor(self) -> int:
        """How many times more pixels the result has along Y and X."""
        return int(self.inputs.get("factor") or 1)

    @property
    def numbers(self) -> dict[str, int]:
        """The inputs that are numbers."""
        return {one.name: int(self.inputs[one.name]) for one in self.task.inputs if one.kind == "number"}

    @cached_property
    def digests(self) -> dict[str, str]:
        """What tells the image, and each array that the task takes, from others."""
        found = {"image": self.source.digest}
        for one in self.task.inputs:
            if one.kind != "number":
                found[one.name] = self.source.mask_digest if one.kind == "mask" else digest_of(self.inputs[one.name])
        return found

    def enlarged(self, original: np.ndarray) -> np.ndarray:
        """Give a plane (samples, y, x) of the caller's as float32, each pixel repeated where there are more of them."""
        with np.errstate(over="ignore"):  # what is to be filled in may be beyond float32
            return np.array(original.repeat(self.factor, -2).repeat(self.factor, -1), np.float32)
