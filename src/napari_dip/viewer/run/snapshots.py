"""The stages that a run went through: a few pictures of the plane in view, to go back to."""

from __future__ import annotations

from dataclasses import dataclass

from napari_dip.viewer.messages import Picture, Report

MOST, BYTES = 16, 2**27
"""Stages that are kept at the most, and how much memory they may take."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A plane as it was.

    Attributes
    ----------
    iterations : int
        That were done by then.
    picture : Picture
    """

    iterations: int
    picture: Picture


class Snapshots:
    """Stages of one plane, spread evenly over the run so far: one of two is let go when there are too many."""

    def __init__(self, most: int = MOST):
        self.stages: list[Stage] = []
        self._most, self._every, self._seen = most, 1, 0

    def note(self, report: Report) -> None:
        """Keep the plane at work if it is its turn; another plane begins anew."""
        if report.stage != "fit" or not report.pictures:
            return
        picture = report.pictures[-1]
        if self.stages and self.stages[-1].picture.index != picture.index:
            self.stages, self._every, self._seen = [], 1, 0
        if self._seen % self._every == 0:
            self.stages.append(Stage(report.iteration, Picture(picture.index, picture.plane.copy())))
            if len(self.stages) > max(2, min(self._most, BYTES // max(picture.plane.nbytes, 1))):
                self.stages, self._every = self.stages[::2], 2 * self._every
        self._seen += 1
