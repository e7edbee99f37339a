"""When to stop: the limits of a run, and rules that look at the fit itself, none of which knows the truth.

`benchmarks/stopping.py` compares the rules; `HeldOut` is the one that is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

StoppedBy = Literal["iterations", "seconds", "asked", "diverged", "held-out"]


@dataclass
class Limits:
    """Ends a run, between two iterations.

    Attributes
    ----------
    iterations : int
        Iterations that are planned; the learning rate falls towards their end.
    stop_at : int or None
        End after this many of them instead, which may be more; the plan stays unchanged.
    seconds : float or None
        Computing time that may be used; time between two iterations does not count.
    asked : bool
        Set from outside to end the run and keep its result.
    stopped_by : str
        What `stop_at` stands for: asked for by hand, or what ended the run that is repeated.
    """

    iterations: int
    stop_at: int | None = None
    seconds: float | None = None
    asked: bool = False
    stopped_by: StoppedBy = "asked"

    def reached(self, iteration: int, seconds: float) -> StoppedBy | None:
        """Say what ends the run after `iteration` iterations and `seconds`, or None to go on."""
        if self.stop_at is not None and iteration >= self.stop_at:
            return self.stopped_by
        if self.stop_at is None and iteration >= self.iterations:
            return "iterations"
        if self.asked:
            return "asked"
        if self.seconds is not None and seconds >= self.seconds:
            return "seconds"
        return None


class Rule(Protocol):
    """Looks at a number after each few iterations, and says when there is nothing more to gain."""

    every: int

    def wants_stop(self, iteration: int, value: float) -> bool:
        """Take the value after an iteration; True to end the run."""
        ...

    def why(self) -> str:
        """Say in a sentence what was seen at the last look, for the record."""
        ...


@dataclass
class HeldOut:
    """Stop when the error of pixels that were never learned from no longer falls by much.

    While a network learns what the image is, it predicts pixels it has not learned from ever better; once it learns
    the noise of the others by heart, these get worse. The error is that of averaged predictions, so it is smooth.

    Attributes
    ----------
    tolerance : float
        Least part by which the error has to fall in the last part of the run, to go on. Measured:
        benchmarks/constants.py.
    patience : float
        That last part, of the iterations so far. With a third of them the iterations have grown by half since.
        Measured: benchmarks/constants.py.
    least : int
        Iterations before which nothing is judged: about as many as the average of the predictions reaches back.
        Measured: benchmarks/constants.py.
    every : int
        Iterations between two looks; more of them would only take time.
    values : dict
        The error after each iteration that was looked at.

    References
    ----------
    Prechelt: Early stopping - but when? In: Neural Networks: Tricks of the Trade, 1998 (progress on held-out data).
    """

    tolerance: float = 0.01
    patience: float = 1 / 3
    least: int = 75
    every: int = 5
    values: dict[int, float] = field(default_factory=dict)

    def wants_stop(self, iteration: int, value: float) -> bool:
        """Take the held-out error after an iteration; True if the last part of the run has brought next to nothing."""
        self.values[iteration] = value
        if iteration < self.least:
            return False
        before = self._before(iteration)
        return bool(before) and not value < (1 - self.tolerance) * min(before)

    def why(self) -> str:
        """Say what was seen at the last look."""
        iteration, value = next(reversed(self.values.items()))
        return (
            f"The error of held-out pixels was {value:.4g} after {iteration} iterations, in units of their noise, and "
            f"{min(self._before(iteration)):.4g} at its least before the last {100 * self.patience:.0f} % of "
            f"them: it fell by less than {100 * self.tolerance:g} %."
        )

    def _before(self, iteration: int) -> list[float]:
        """Give what was seen before the last part of the iterations."""
        return [value for at, value in self.values.items() if at <= (1 - self.patience) * iteration]


@dataclass
class OutputVariance:
    """Stop when the variance of the latest outputs has been at its least for some time.

    Attributes
    ----------
    patience : float
        Part of the iterations so far that the least variance has to be old. Measured: benchmarks/stopping.py.
    least : int
        Iterations before which nothing is judged.
    every : int
        Iterations between two looks.
    best : tuple of float and int
        The least variance so far, and the iteration after which it was seen.

    References
    ----------
    Wang et al.: Early stopping for deep image prior. TMLR 2023 (windowed moving variance).
    """

    patience: float = 0.4
    least: int = 20
    every: int = 5
    best: tuple[float, int] = (math.inf, 0)

    def wants_stop(self, iteration: int, value: float) -> bool:
        """Take the variance over the last outputs after an iteration."""
        self.best = min(self.best, (value, iteration))
        return iteration >= self.least and iteration - self.best[1] >= self.patience * iteration

    def why(self) -> str:
        """Say when it was at its least."""
        return (
            f"The variance of the latest outputs was at its least, {self.best[0]:.4g}, after {self.best[1]} iterations."
        )


@dataclass
class Discrepancy:
    """Stop when the error of the learned pixels is no larger than their noise (Morozov's discrepancy principle).

    Attributes
    ----------
    level : float
        Mean squared error over noise variance at which to stop; 1 is the principle.
    least : int
        Iterations before which nothing is judged.
    every : int
        Iterations between two looks.

    References
    ----------
    Morozov: On the solution of functional equations by the method of regularization. Soviet Math. Dokl. 7, 1966.
    """

    level: float = 1.0
    least: int = 10
    every: int = 5

    def wants_stop(self, iteration: int, value: float) -> bool:
        """Take the mean squared error over the noise variance after an iteration."""
        return iteration >= self.least and value <= self.level

    def why(self) -> str:
        """Say what it has come down to."""
        return f"The error of the learned pixels was no more than {self.level:g} in units of their noise."
