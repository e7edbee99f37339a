"""A run in the activity dock of napari: seen wherever its own dock is."""

from __future__ import annotations

from napari.utils import progress

STEPS = 1000


class Activity:
    """A bar in the activity dock, from the beginning of a run to its end; made and moved in the GUI thread alone.

    Parameters
    ----------
    title : str
        What is running.
    """

    def __init__(self, title: str):
        self._bar = progress(total=STEPS, desc=title)

    def show(self, done: float) -> None:
        """Show which part is done, 0 to 1."""
        self._bar.update(max(round(STEPS * done) - self._bar.n, 0))

    def end(self) -> None:
        """Take the bar away."""
        self._bar.close()
