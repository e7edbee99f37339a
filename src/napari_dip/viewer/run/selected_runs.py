"""All selected images, one after the other: turns are made at once, and begun whenever nothing is at work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_dip.errors import InputError
from napari_dip.viewer.form.form import Form
from napari_dip.viewer.layers.layers import is_users_own, itself
from napari_dip.viewer.run.queue import Queue, Turn
from napari_dip.viewer.run.runner import Runner, busy

LOOK = 200
"""Milliseconds between two looks at whether a run elsewhere has ended."""


class SelectedRuns:
    """Fills the queue of a dock, and starts what is in it.

    Parameters
    ----------
    viewer : napari viewer
    form : Form
    runner : Runner
    start : callable
        Starts the run of a turn; returns why it cannot be started, or an empty string.
    parent : QObject
        Of the timer.
    """

    def __init__(self, viewer: ViewerModel, form: Form, runner: Runner, start: Callable[[Turn], str], parent: QObject):
        self.viewer, self.form, self.runner, self.start = viewer, form, runner, start
        self.queue = Queue()
        self.timer = QTimer(parent)
        self.timer.setInterval(LOOK)
        self.timer.setSingleShot(True)
        self.timer.timeout.connect(self.begin_next)

    def images(self) -> list[Image]:
        """List the images that are selected in the list of layers, from its top; no results."""
        chosen = self.viewer.layers.selection
        return [
            layer
            for layer in reversed(self.viewer.layers)
            if layer in chosen and isinstance(itself(layer), Image) and is_users_own(layer)
        ]

    def add(self) -> None:
        """Put all selected images in the queue, each to be restored as the form says now.

        Raises
        ------
        InputError
            If one of them cannot be restored so; then none is put there.
        """
        before, turns = self.form.image.value, []
        try:
            for layer in self.images():
                self.form.image.value = layer
                turns.append(Turn(*self.form.job(), self._while_there(layer), str(layer.name)))
        except InputError as error:
            raise InputError(f"{layer.name}: {error}") from None
        finally:
            self.form.image.value = before
        self.queue.add(turns)
        self.begin_next()

    def begin_next(self) -> None:
        """Begin with the next image of the queue, unless something is at work here."""
        if self.runner.control is not None or not self.queue.waiting:
            return
        if busy():  # elsewhere, or one that was cancelled comes to its end
            self.timer.start()
            return
        if (turn := self.queue.take()) is None:
            return
        if reason := self.start(turn):
            self.queue.end("failed", reason)
            QTimer.singleShot(0, self.begin_next)

    def _while_there(self, layer: Any) -> Callable[[], Any]:
        """Make what returns a layer as long as it is in the viewer."""
        found, layers = ref(itself(layer)), self.viewer.layers
        return lambda: one if (one := found()) is not None and one in layers else None
