"""What the GUI thread and a run tell each other: what to do, how it goes, what came of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_dip.run.record import Record

Wish = Literal["go", "pause", "stop", "keep", "cancel"]
PICTURE_EVERY = 0.25
"""Seconds between pictures of a run, if nobody prefers anything else."""
ENDS = ("go", "stop", "keep", "cancel")
"""Ways to end, from the mildest to the gravest."""


@dataclass(frozen=True)
class Painted:
    """What is painted in a Labels layer, as a mask.

    Attributes
    ----------
    labels : array
        It may be lazy, so the mask is made of it in the worker's thread.
    label : int
        The label to fill in; 0 for all.
    shape : tuple of int
        Of the image, without colours.
    matrix : array, optional
        From the index of a pixel of the image, along the axes of the labels, to that in the labels; left out, the same.
    part : tuple of slice, optional
        Of the image, without colours, if only that is restored.
    whole : tuple of int
        The shape that this is a part of.
    """

    labels: Any
    label: int
    shape: tuple[int, ...] = ()
    matrix: np.ndarray | None = None
    part: tuple[slice, ...] | None = None
    whole: tuple[int, ...] = ()


@dataclass(frozen=True)
class Beginning:
    """What a fit begins with, and whether what comes of it is to be kept.

    Attributes
    ----------
    prior : Path, optional
        File of a fitted prior.
    update : int
        Iterations that bring it up to date first.
    keep : bool
        Whether a single plane is fitted so that its weights can be applied to others.
    """

    prior: Path | None = None
    update: int = 0
    keep: bool = False


@dataclass(frozen=True)
class Job:
    """What to restore, read from layers and forms before the run starts, so that the run looks at neither.

    Attributes
    ----------
    task : str
        As in `napari_dip.restore_steps`.
    title : str
        What the viewer says is running, and what the result is called.
    image, axes, settings
        As in `napari_dip.restore_steps`.
    inputs : dict
        What else the task takes, by name; a mask as `Painted`.
    rgb : bool
        Whether the layer shows its last axis as colours, whatever that axis is called.
    is_part : bool
        Whether the image is a part of a layer, which is tried first.
    around : array, optional
        What that is a part of, and its noise is estimated from.
    run : napari_dip.Run, optional
        That has ended, and is to go on for `more` iterations.
    more : int
    picture_every : float
        Seconds between pictures, at the least.
    beginning : Beginning
    metadata : dict
        What the layers of a result hold beside its record, such as the pixel size of the file of the image.
    """

    task: str
    title: str
    image: Any
    axes: str | None
    settings: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    rgb: bool = False
    is_part: bool = False
    around: Any = None
    run: Any = None
    more: int = 0
    picture_every: float = PICTURE_EVERY
    beginning: Beginning = Beginning()
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def factor(self) -> int:
        """How many times more pixels the result has along Y and X."""
        return int(self.inputs.get("factor") or 1)


@dataclass(frozen=True)
class Picture:
    """A plane to be shown.

    Attributes
    ----------
    index : tuple of int
        Where it is along the outer axes (T, Z, C) of the image, in their order.
    plane : array
        With the axes of the image but for the outer ones, as `layers.displayable` gives it.
    """

    index: tuple[int, ...]
    plane: np.ndarray


@dataclass(frozen=True)
class Report:
    """How a run goes: where it stands, the errors since the report before, and what there is to see.

    Attributes
    ----------
    plane, planes, iteration, iterations, seconds, done, loss, stage, fit, fits, together, restored
        As in `napari_dip.Progress`.
    losses : list of (fit, iteration, loss)
    held_out : list of (fit, iteration, error)
        Errors on held-out pixels, whenever they were looked at.
    pictures : list of Picture
        Planes that have ended since the pictures before, and the one at work; empty if it is not time for any.
    """

    plane: int
    planes: int
    iteration: int
    iterations: int
    seconds: float
    done: float
    loss: float
    stage: Literal["fit", "apply"]
    fit: int
    fits: int
    together: int
    restored: int
    losses: list[tuple[int, int, float]]
    held_out: list[tuple[int, int, float]]
    pictures: list[Picture]


@dataclass(frozen=True)
class Done:
    """The run came to its end; it can go on."""

    image: np.ndarray
    record: Record
    uncertainty: np.ndarray | None = None
    run: Any = None


@dataclass(frozen=True)
class Stopped(Done):
    """The run was stopped by hand; what it had is kept."""


@dataclass(frozen=True)
class Cancelled:
    """The run was dropped."""


@dataclass(frozen=True)
class Failed:
    """The run failed; says why in one sentence."""

    reason: str


@dataclass(frozen=True)
class Undecided:
    """A part was not restored: its noise may reach so many pixels, so both readings are to be tried."""

    radius: int


Outcome = Done | Undecided | Stopped | Cancelled | Failed


@dataclass
class Control:
    """What the GUI thread wants of a run. The worker reads it between two iterations.

    Attributes
    ----------
    wish : str
        "go", "stop" (learning, and keep the result), "keep" (what is restored, and nothing more), or "cancel".
    paused : bool
        Whether the run is to wait.
    looked_at : tuple of int
        The plane that the viewer shows, by its place along the outer axes (T, Z, C) of the image, in their order.
    watched : bool
        Whether anybody looks at the pictures.
    shown : bool
        Whether those sent last were drawn: pictures never pile up.
    drawing : float
        Seconds that the viewer took to draw the pictures sent last.
    wake : Event
        Set with each wish, so that a paused run hears of it at once.
    news : Event
        Set with each wish, too, and cleared by the worker once it looks.
    over : Event
        Set by the worker at its end.
    """

    wish: Wish = "go"
    paused: bool = False
    looked_at: tuple[int, ...] = ()
    watched: bool = True
    shown: bool = True
    drawing: float = 0.0
    wake: threading.Event = field(default_factory=threading.Event)
    news: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, wish: Wish) -> None:
        """Change the wish: to wait or go on, or to end, which a milder wish does not take back."""
        if wish in ("go", "pause"):
            self.paused = wish == "pause" and self.wish != "cancel"
        elif ENDS.index(wish) > ENDS.index(self.wish):
            self.wish, self.paused = wish, False
        self.wake.set()
        self.news.set()
