"""Signal connections that are undone together, and a watch on layers for any change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

SOON = 150
"""Milliseconds after the first of several changes at which they are reported, once for all."""


class Links:
    """Connections of one owner, made here so that none is left behind."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., Any]]] = []

    def connect(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Connect a signal of Qt or an event of napari."""
        signal.connect(slot)
        self._made.append((signal, slot))

    def undo(self) -> None:
        """Disconnect everything; what is gone already is no matter."""
        while self._made:
            signal, slot = self._made.pop()
            with suppress(RuntimeError, TypeError, ValueError, KeyError):
                signal.disconnect(slot)


class LayerWatch(QObject):  # type: ignore[misc]
    """Reports changes of layers, soon after the first of them and once for all that follow it at once.

    It listens to every event of a layer, since which event tells of a stroke of the brush, an undo, or a moved shape
    differs between layers and between versions of napari.

    Attributes
    ----------
    changed : Signal
        In the GUI thread, whatever thread has changed a layer.
    """

    changed = Signal()
    _event = Signal()

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._layers: list[Any] = []
        self._links = Links()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SOON)
        self._timer.timeout.connect(self.changed)
        self._event.connect(self.expect_change)

    def follow(self, layers: Sequence[Any]) -> None:
        """Listen to these layers, and to no others any more; None stands for a layer that is not there."""
        if list(layers) == self._layers:
            return
        self.stop()
        self._layers = list(layers)
        for layer in self._layers:
            if layer is not None:
                self._links.connect(layer.events, self._note)

    def expect_change(self) -> None:
        """Report a change soon."""
        if not self._timer.isActive():
            self._timer.start()

    def stop(self) -> None:
        """Listen to nothing."""
        self._links.undo()
        self._timer.stop()
        self._layers = []

    def _note(self, event: Any = None) -> None:
        self._event.emit()
