"""Docks of this plugin in the same column share it as tabs: each would be too low below the others."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


def tab_with_others(widget: QWidget, kind: type[QWidget]) -> None:
    """Move the dock of a widget onto that of another one in the same area, and show it.

    Parameters
    ----------
    widget : QWidget
        Without a dock, or in one that floats, nothing is moved.
    kind : type
        Of the widgets whose docks are meant.
    """
    mine = _ancestor(widget, QDockWidget)
    window = _ancestor(mine, QMainWindow)
    if mine is None or window is None or mine.isFloating():
        return
    area = window.dockWidgetArea(mine)
    for other in window.findChildren(QDockWidget):
        if other is mine or other.isFloating() or other.isHidden() or not other.findChildren(kind):
            continue
        if window.dockWidgetArea(other) == area:
            window.tabifyDockWidget(other, mine)
            mine.show()
            mine.raise_()
            return


def _ancestor(widget: QWidget | None, kind: type[Any]) -> Any:
    parent = None if widget is None else widget.parentWidget()
    while parent is not None and not isinstance(parent, kind):
        parent = parent.parentWidget()
    return parent
