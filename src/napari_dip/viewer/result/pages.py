"""The two pages of a dock: settings, and the result once there is one."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTabWidget, QToolButton, QWidget

from napari_dip.viewer.form.widgets import scroll_area

SETTINGS, RESULT = 0, 1
NAME = 110
"""Pixels for the name of a result, so that both tabs fit a narrow dock."""


class Pages(QTabWidget):  # type: ignore[misc]
    """Settings and result, each in a page that scrolls.

    Parameters
    ----------
    settings, result : sequence of QWidget
        Below each other.
    """

    def __init__(self, settings: tuple[QWidget, ...], result: tuple[QWidget, ...]):
        super().__init__()
        self.setUsesScrollButtons(False)
        self.area = scroll_area(*settings)
        self.addTab(self.area, "Settings")
        self.addTab(scroll_area(*result), "Result")
        for button in self.tabBar().findChildren(QToolButton):  # there, though never seen
            button.setToolTip(button.accessibleName())

    def offer(self, result: Any) -> None:
        """Name the page of the result after it; without one it cannot be opened."""
        name = "" if result is None else str(result.name)
        short = self.tabBar().fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, NAME)
        self.setTabEnabled(RESULT, result is not None)
        self.setTabText(RESULT, f"Result: {short}" if name else "Result")
        self.setTabToolTip(RESULT, name)
        if result is None:
            self.setCurrentIndex(SETTINGS)
