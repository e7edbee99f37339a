"""Layers that wait for their turn, and what became of those that had it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QGroupBox, QLabel, QListWidget, QPushButton

from napari_dip.viewer.messages import Job

State = Literal["waiting", "running", "done", "failed", "cancelled", "removed"]
NARROW = 60
"""Pixels of the list at the least: the dock is no wider for long names."""
ROWS = 4
"""Layers in sight; others are scrolled to."""


@dataclass
class Turn:
    """A layer in the queue.

    Attributes
    ----------
    job : Job or None
        What is to be done; let go of once it is.
    look : dict
        Place and look of the result.
    source : callable
        Gives the layer as long as it is there.
    name : str
        Of the layer when it was put there.
    state : str
    why : str
        What went wrong, if anything did.
    """

    job: Job | None
    look: dict[str, Any]
    source: Callable[[], Any]
    name: str
    state: State = "waiting"
    why: str = ""


class Queue(QGroupBox):  # type: ignore[misc]
    """A list of layers with their states; those that wait can be taken out."""

    def __init__(self) -> None:
        super().__init__("Queue")
        self.turns: list[Turn] = []
        self.rows = QListWidget()
        self.rows.setAccessibleName("Layers in the queue")
        self.rows.setToolTip("Layers that are restored one after the other, and what became of them.")
        self.rows.setFixedHeight(ROWS * (self.rows.fontMetrics().lineSpacing() + 6))
        self.rows.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.counts = QLabel()
        self.remove_button = QPushButton("Take out")
        self.remove_button.setToolTip("Take the chosen layers out of the queue; Cancel ends the one at work.")
        self.clear_button = QPushButton("Clear")
        self.clear_button.setToolTip("Take out all that wait, and the list of what is done.")
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 4, 4, 4)
        grid.addWidget(self.rows, 0, 0, 1, 2)
        grid.addWidget(self.counts, 1, 0, 1, 2)
        for place, button in enumerate((self.remove_button, self.clear_button)):
            grid.addWidget(button, 2, place)
        self.rows.setMinimumWidth(NARROW)
        self.rows.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.rows.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.remove_button.clicked.connect(self.remove_chosen)
        self.clear_button.clicked.connect(self.clear)
        self.rows.itemSelectionChanged.connect(self._show_buttons)
        self._show()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return sum(turn.state == "waiting" for turn in self.turns)

    def add(self, turns: list[Turn]) -> None:
        """Put layers at the end."""
        self.turns = [*(turn for turn in self.turns if turn.state in ("waiting", "running")), *turns]
        self._show()

    def take(self) -> Turn | None:
        """Give the next one, which is at work from now on; None if none waits. Layers that are gone are passed over."""
        for turn in self.turns:
            if turn.state == "waiting" and turn.source() is None:
                turn.state, turn.job = "removed", None
        found = next((turn for turn in self.turns if turn.state == "waiting"), None)
        if found is not None:
            found.state = "running"
        self._show()
        return found

    def end(self, state: State, why: str = "") -> None:
        """Say what became of the one at work, if any is."""
        for turn in self.turns:
            if turn.state == "running":
                turn.state, turn.why, turn.job = state, why, None
        self._show()

    def remove_chosen(self) -> None:
        """Take out those that are chosen and wait."""
        chosen = {index.row() for index in self.rows.selectedIndexes()}
        self.turns = [t for n, t in enumerate(self.turns) if n not in chosen or t.state != "waiting"]
        self._show()

    def clear(self) -> None:
        """Take out all but the one at work."""
        self.turns = [turn for turn in self.turns if turn.state == "running"]
        self._show()

    def _show(self) -> None:
        self.rows.clear()
        for turn in self.turns:
            self.rows.addItem(f"{turn.name}: {turn.state}")
            row = self.rows.item(self.rows.count() - 1)
            if row is not None:
                row.setToolTip(turn.why or turn.name)
        done = sum(turn.state == "done" for turn in self.turns)
        self.counts.setText(f"{done} done, {self.waiting} waiting")
        self._show_buttons()
        self.setVisible(bool(self.turns))

    def _show_buttons(self) -> None:
        chosen = {index.row() for index in self.rows.selectedIndexes()}
        self.remove_button.setEnabled(any(self.turns[n].state == "waiting" for n in chosen if n < len(self.turns)))
