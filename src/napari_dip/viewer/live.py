"""The layer that shows a run while it goes on, and that its result ends in."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_dip.viewer.layers import unique_name
from napari_dip.viewer.links import Links
from napari_dip.viewer.worker import Control, Done


class LiveLayer:
    """Added with the first preview; deleting it does no harm.

    Parameters
    ----------
    viewer : napari viewer
    name : str
        Numbered if a layer has it.
    look : dict
        Keyword arguments of the layer: where it lies and what it looks like.
    control : Control
        Told whether the layer is looked at.
    """

    def __init__(self, viewer: ViewerModel, name: str, look: dict[str, Any], control: Control):
        self.viewer, self.name, self.look, self.control = viewer, name, look, control
        self.layer: Any = None
        self.deleted = False
        self.links = Links()

    def show(self, image: np.ndarray) -> None:
        """Show the image so far, unless the user has thrown its layer away."""
        if not self.deleted:
            self._put(image)

    def finish(self, outcome: Done) -> Image:
        """Put the result where the preview was, or into a new layer, with its record."""
        layer = self._put(outcome.image)
        layer.metadata = {**layer.metadata, "napari-dip": outcome.record}
        self.links.undo()
        return layer

    def drop(self) -> None:
        """Take the preview away."""
        self.links.undo()
        if self._alive():
            self.viewer.layers.remove(self.layer)
        self.layer = None

    def _alive(self) -> bool:
        return self.layer is not None and self.layer in self.viewer.layers

    def _put(self, image: np.ndarray) -> Image:
        if not self._alive():
            return self._add(image)
        self.layer.data = image
        return self.layer

    def _add(self, data: np.ndarray) -> Image:
        self.links.undo()
        layers = self.viewer.layers
        selected = list(layers.selection)
        name = unique_name(self.name, (layer.name for layer in layers))
        self.layer = self.viewer.add_image(data, name=name, multiscale=False, **self.look)
        if selected:  # a new layer takes the selection, and the brush out of the hand of who is painting
            layers.selection = selected
        self.links.connect(self.layer.events.visible, self._look)
        self.links.connect(self.viewer.layers.events.removed, self._removed)
        return self.layer

    def _look(self) -> None:
        self.control.watched = bool(self._alive() and self.layer.visible)

    def _removed(self) -> None:
        if not self._alive():
            self.deleted, self.layer, self.control.watched = True, None, False
