"""How long a run may still take: about, since most fits end by themselves long before their plan, and at the most."""

from __future__ import annotations

from math import inf
from typing import Protocol

from napari_dip.run.summary import Standing

TYPICAL, TYPICAL_OF_STACKS = 0.47, 0.67
"""Part of its plan after which a fit has usually found that there is nothing more to gain; of stacks later. Seen were
0.13 to 0.84: textures take long, and what the prior cannot make better ends at once."""
LONGEST_PLAN = 800
"""Iterations that a preset plans at the most; where more are asked for, fits end no later for that."""
FIRST_STOP = 75
"""No fit ends by itself sooner ..."""
PATIENCE = 1.5
"""... nor before so many times the iterations that it had at its best."""
NEARLY = 0.99
"""Most that is said to be done before it is."""
SOONEST = 1.0
"""Seconds before which nothing is said."""


class _Standing(Standing, Protocol):
    """Where a run stands, and how much of its plan and its time that is."""

    @property
    def seconds(self) -> float: ...
    @property
    def done(self) -> float: ...


class TimeLeft:
    """Follows a run, and says how long it will take.

    Parameters
    ----------
    ends_early : bool, optional
        Whether its fits end by themselves once held-out pixels tell that there is nothing more to gain; left out, they
        do once such pixels were looked at.

    Attributes
    ----------
    about, at_most : float
        Seconds; neither ever grows. inf as long as nothing is known.
    done : float
        Part of the time that has gone by, 0 to 1, as it looks now; it never shrinks.
    """

    def __init__(self, *, ends_early: bool | None = None) -> None:
        self._ends_early = ends_early
        self.about = self.at_most = inf
        self.done = 0.0
        self._first: tuple[float, float] | None = None
        self._fit = -1
        self._begin = (0, 0.0)
        self._best, self._error = 0, inf
        self._last = (0, 1)
        self._shares: list[float] = []

    def note(self, now: _Standing, held_out: float | None = None) -> None:
        """Take note of where a run stands; the error on held-out pixels is None where it was not looked at."""
        if self._first is None:
            self._first = now.seconds, now.done
        if now.fit != self._fit:
            self._shares += [self._last[0] / self._last[1]] if self._fit >= 0 else []
            self._fit, self._begin = now.fit, (now.iteration, now.done)
            self._best, self._error = 0, inf
        self._last = now.iteration, max(now.iterations, 1)
        if held_out is not None and self._ends_early is None:
            self._ends_early = True
        if held_out is not None and held_out < self._error:
            self._best, self._error = now.iteration, held_out
        seconds, done = now.seconds - self._first[0], now.done - self._first[1]
        if now.seconds < SOONEST or done <= 0:
            return
        rate = seconds / done  # of the whole plan; what came before the first look, loading and the like, comes no more
        self.at_most = min(self.at_most, rate * (1 - now.done))
        self.about = min(self.about, rate * max(1 - now.done - self._saved(now), 0.0), self.at_most)
        gone = min(now.seconds / (now.seconds + self.about), NEARLY) if now.done < 1 else 1.0
        self.done = max(self.done, gone)

    def words(self, limit: float | None = None) -> str:
        """Say it; `limit` are seconds after which the run ends in any case.

        >>> left = TimeLeft(ends_early=True)
        >>> left.words()
        'Estimating the time left ...'
        >>> left.about, left.at_most = 8.2, 19.0
        >>> left.words(), left.words(limit=10), left.words(limit=5)
        ('About 8 s left, at most 19 s', 'About 8 s left', 'About 5 s left')
        """
        if self.about == inf:
            return "Estimating the time left ..."
        about, most = (value if limit is None else min(value, max(limit, 0)) for value in (self.about, self.at_most))
        words = f"About {in_time(about)} left"
        return words if most < 1.3 * about + 1 else f"{words}, at most {in_time(most)}"

    def _saved(self, now: _Standing) -> float:
        """Give the part of the plan that will not be needed."""
        if now.stage == "apply" or now.iteration <= self._begin[0] or not self._ends_early:
            return 0.0
        each = (now.done - self._begin[1]) / (now.iteration - self._begin[0])
        share = sum(self._shares) / len(self._shares) if self._shares else None
        rest = max((now.fit + 1) / now.fits - now.done, 0.0)  # of this fit: a limit of time may cut its plan short
        planned = min(float(now.iterations), now.iteration + rest / each) if each > 0 else float(now.iterations)
        typical = TYPICAL if now.together == 1 else TYPICAL_OF_STACKS
        usual = (typical if share is None else share) * min(float(now.iterations), LONGEST_PLAN)
        stop = min(max(usual, FIRST_STOP, PATIENCE * self._best, now.iteration), planned)
        later = (now.fits - now.fit - 1) * (planned - (stop if share is None else share * planned))
        return each * (planned - stop + max(later, 0.0))


def in_time(seconds: float) -> str:
    """Give a duration in words.

    >>> in_time(4.2), in_time(312), in_time(7400)
    ('4 s', '5 min 12 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
