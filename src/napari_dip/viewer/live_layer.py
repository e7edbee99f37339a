"""The layer that shows a run while it goes on, and that its result ends in."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_dip.viewer.connections import Links
from napari_dip.viewer.layers import uncertainty_look, unique_name
from napari_dip.viewer.runner import Control, Done


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

    def finish(self, outcome: Done) -> tuple[Image, Image | None]:
        """Put the result where the preview was, or into a new layer, with its record.

        Returns
        -------
        result, uncertainty : Image
            The uncertainty lies right above the result, hidden; None where it was not asked for.
        """
        layer = self._put(outcome.image)
        layer.metadata = {**layer.metadata, "napari-dip": outcome.record}
        self.links.undo()
        return layer, self._add_above(layer, outcome)

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

    def _add_above(self, layer: Image, outcome: Done) -> Image | None:
        layers, data = self.viewer.layers, outcome.uncertainty
        if data is None:
            return None
        selected = list(layers.selection)
        second = Image(
            data,
            name=unique_name(f"{layer.name} uncertainty", (other.name for other in layers)),
            metadata={"napari-dip": outcome.record},
            multiscale=False,
            **uncertainty_look(self.look, data),
        )
        layers.insert(layers.index(layer) + 1, second)
        layers.selection = selected or [layer]  # what is hidden is not what one goes on with
        return second

    def _look(self) -> None:
        self.control.watched = bool(self._alive() and self.layer.visible)

    def _removed(self) -> None:
        if not self._alive():
            self.deleted, self.layer, self.control.watched = True, None, False
