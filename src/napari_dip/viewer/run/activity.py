"""A run in the activity dock of napari, for as long as its own dock is out of sight."""

from __future__ import annotations

from time import monotonic

from napari.utils import progress

STEPS = 1000
EVERY = 2.0
"""Seconds between two moves of the bar: napari handles all pending events, and draws its window, at each."""


class Activity:
    """A bar in the activity dock; made and moved in the GUI thread alone.

    Parameters
    ----------
    title : str
        What is running.
    """

    def __init__(self, title: str):
        self._title = title
        self._bar: progress | None = None
        self._next = 0.0
        self._ended = False

    def show(self, done: float) -> None:
        """Show which part is done, 0 to 1, unless that was shown a moment ago."""
        if self._ended or monotonic() < self._next:
            return
        self._next = monotonic() + EVERY  # before anything else: napari may call this again from within
        bar = self._bar or progress(total=STEPS, desc=self._title)
        if self._ended:  # meanwhile
            bar.close()
            return
        self._bar = bar
        bar.update(max(round(STEPS * done) - bar.n, 0))

    def hide(self) -> None:
        """Take the bar away, until it is shown again."""
        if self._bar is not None:
            bar, self._bar, self._next = self._bar, None, 0.0
            bar.close()

    def end(self) -> None:
        """Take the bar away for good."""
        self._ended = True
        self.hide()
