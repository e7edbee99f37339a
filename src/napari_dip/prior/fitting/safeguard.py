"""When a fit has gone wrong, seen from its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Safeguard:
    """When a fit counts as diverged, and what is done then.

    Attributes
    ----------
    checkpoint_every : int
        Iterations between two copies of good weights.
    jump : float
        An error this much above the worst of late is a divergence: 5 dB, as in the published method.
    jumps : int
        So many of them in a row are one: a single one may be a bright spot that happened to be a target.
    retries : int
        How often a fit goes back to its last good weights, each time with half of the step.
    usual : int
        Errors before which nothing is judged, and a third of those that are remembered as the usual ones: some rounds
        of four networks that take turns.
    """

    checkpoint_every: int = 10
    jump: float = 10**0.5
    jumps: int = 3
    retries: int = 5
    usual: int = 10

    @property
    def remembered(self) -> int:
        """Errors that are remembered."""
        return 3 * self.usual


SAFEGUARD = Safeguard()


class Errors:
    """The errors of late, of one network."""

    def __init__(self, safeguard: Safeguard) -> None:
        self.safeguard = safeguard
        self.usual: list[float] = []
        self.jumps: list[float] = []

    def take(self, error: float) -> bool | None:
        """Say whether an error is as usual; None if the network has gone wrong."""
        if not math.isfinite(error):
            return None
        if len(self.usual) >= self.safeguard.usual and error > self.safeguard.jump * max(self.usual):
            self.jumps.append(error)
            if len(self.jumps) < self.safeguard.jumps:
                return False
            self.jumps = []
            return None
        # what was no divergence is usual from now on
        self.usual = [*self.usual, *self.jumps, error][-self.safeguard.remembered :]
        self.jumps = []
        return True
