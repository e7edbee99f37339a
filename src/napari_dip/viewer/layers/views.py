"""Views of a result: buttons of which one at most is down, and the controls of the view that it opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

COLUMNS = 2


class View(Protocol):
    """Something that is shown of a result for a while.

    Attributes
    ----------
    name, tip : str
        Text and tooltip of its button.
    controls : QWidget or None
        Shown while the view is open.
    """

    name: str
    tip: str
    controls: QWidget | None

    def is_possible(self) -> bool:
        """Whether there is anything to show."""

    def begin(self) -> None:
        """Show it."""

    def end(self) -> None:
        """Show the result again."""


class Views(QWidget):  # type: ignore[misc]
    """One button for each view; a view that opens ends the one before.

    Parameters
    ----------
    views : sequence of View

    Attributes
    ----------
    buttons : dict
        By the name of the view.
    """

    def __init__(self, views: Sequence[View]):
        super().__init__()
        self.views = {view.name: view for view in views}
        self.buttons: dict[str, QPushButton] = {}
        self.current = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        grid = QGridLayout()
        grid.setSpacing(4)
        column.addLayout(grid)
        for number, view in enumerate(views):
            button = self.buttons[view.name] = QPushButton(view.name)
            button.setCheckable(True)
            button.setToolTip(view.tip)
            button.setMinimumWidth(1)
            button.toggled.connect(lambda down, name=view.name: self._toggled(name, down))
            grid.addWidget(button, number // COLUMNS, number % COLUMNS)
            if view.controls is not None:
                view.controls.hide()
                column.addWidget(view.controls)

    def end(self) -> None:
        """Show the result itself."""
        if self.current:
            self.buttons[self.current].setChecked(False)

    def refresh(self) -> None:
        """Offer what is possible now."""
        for name, view in self.views.items():
            possible = view.is_possible()
            self.buttons[name].setEnabled(possible)
            if not possible:
                self.buttons[name].setChecked(False)

    def _toggled(self, name: str, down: bool) -> None:
        view = self.views[name]
        if down:
            self.end()
            self.current = name
            view.begin()
        else:
            self.current = ""
            view.end()
        if view.controls is not None:
            view.controls.setVisible(down)
