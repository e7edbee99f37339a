"""What a run gives: where it stands, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from napari_dip.run.record import Record


@dataclass(frozen=True)
class Restoration:
    """A restored image, and what made it.

    Attributes
    ----------
    image : float32 array
        Of the axes of the input and in its units; super-resolution makes Y and X larger. Planes that a run did not come
        to, that failed, or in which nothing was measured, are NaN; the record names them.
    axes : str
        One letter for each dimension.
    record : dict
        JSON-ready; `napari_dip.run.record.Record` says what it holds. `napari_dip.replay(record, image)` repeats the
        run bit for bit on the same machine.
    uncertainty : float32 array or None
        Standard deviation of the error of each value of `image`, of its shape and in its units, where the setting
        `uncertainty` asked for it. 0 where a value is known exactly: pixels that inpainting keeps, and constant planes.
        NaN where nothing was restored: planes that are NaN in `image`, and alpha.
    """

    image: np.ndarray
    axes: str
    record: Record
    uncertainty: np.ndarray | None = None


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an iteration.

    Attributes
    ----------
    plane, planes : int
        The plane at work, counted from 0, and how many there are.
    index : tuple of int
        Where that plane is along the outer axes (T, Z, C) of the image, in their order.
    iteration, iterations : int
        Iterations of this plane, done and planned.
    loss : float
        What is minimised.
    error : float
        Training error: mean squared error of this iteration's prediction on the pixels it learns from, in the squared
        units of a plane scaled to [0, 1].
    held_out_error : float or None
        Mean squared error of the averaged predictions on pixels that are never learned from, in units of their noise,
        when it was last looked at; it decides when a run ends by itself. None where the preset holds none out.
    seconds : float
        Computing time so far, of all planes.
    done : float
        Part of the planned work that is done, 0 to 1.
    stage : str
        "fit" while it learns, "apply" while planes that were fitted together are restored with what was learned.
    finished : tuple of tuple of int
        Planes that were completed in this step, by their place along the outer axes.
    fit, fits : int
        The fit at work, counted from 0, and how many are planned: one for each plane, or for each channel where planes
        are fitted together.
    together, restored : int
        Planes that are fitted together in it, and how many of these are restored.
    preview : callable
        Gives the plane at work as it is now, float32 in the caller's units, with the axes of the image but for the
        outer ones. Call it before taking the next step.
    stop : callable
        Ends the run after this iteration and keeps the result.
    """

    plane: int
    planes: int
    index: tuple[int, ...]
    iteration: int
    iterations: int
    loss: float
    error: float
    held_out_error: float | None
    seconds: float
    done: float
    stage: Literal["fit", "apply"]
    finished: tuple[tuple[int, ...], ...]
    fit: int
    fits: int
    together: int
    restored: int
    preview: Callable[[], np.ndarray] = field(repr=False)
    stop: Callable[[], None] = field(repr=False)
