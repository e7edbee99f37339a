"""Signal connections that are undone together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


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
