"""When to stop: the limits of a run. Rules that look at the image itself find their place here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StoppedBy = Literal["iterations", "seconds", "asked", "diverged"]


@dataclass
class Limits:
    """Ends a run, between two iterations.

    Attributes
    ----------
    iterations : int
        Iterations that are planned; the learning rate falls towards their end.
    stop_at : int or None
        End after this many of them, the plan unchanged.
    seconds : float or None
        Computing time that may be used; time between two steps of the generator does not count.
    asked : bool
        Set from outside to end the run and keep its result.
    """

    iterations: int
    stop_at: int | None = None
    seconds: float | None = None
    asked: bool = False

    def reached(self, iteration: int, seconds: float) -> StoppedBy | None:
        """Say what ends the run after `iteration` iterations and `seconds`, or None to go on."""
        if iteration >= self.iterations:
            return "iterations"
        if self.asked or (self.stop_at is not None and iteration >= self.stop_at):
            return "asked"
        if self.seconds is not None and seconds >= self.seconds:
            return "seconds"
        return None
