"""A layer that is there as long as something is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from napari.components import ViewerModel
from napari.layers import Image

from napari_dip.viewer.layers.aside import COVERING
from napari_dip.viewer.layers.layers import RECORD, SHOWS, insert_above, unique_name


def still_there(viewer: ViewerModel, layer: Any) -> Any:
    """Give a layer if it is in the viewer; None if it is gone, or was none."""
    return layer if layer is not None and layer in viewer.layers else None


class PassingLayer:
    """One layer right above a result, which others may delete at any time.

    Parameters
    ----------
    viewer : napari viewer
    shows : str
        What it shows, for its metadata: it is neither an image to restore nor a truth.
    """

    def __init__(self, viewer: ViewerModel, shows: str):
        self._viewer, self._shows = viewer, shows
        self._layer: Callable[[], Any] = lambda: None

    def show(self, result: Image, name: str, data: Any, look: dict[str, Any]) -> Any:
        """Show data where `look` places them, in a layer of this look if there is none yet; return the layer."""
        shown = still_there(self._viewer, self._layer())
        if shown is not None:
            shown.data, shown.translate = data, look["translate"]
            return shown
        marks = {RECORD: result.metadata[RECORD], SHOWS: self._shows}
        name = unique_name(name, (one.name for one in self._viewer.layers))
        layer = Image(data, name=name, multiscale=False, metadata=marks, **{**look, "opacity": 1.0})
        if layer.blending not in COVERING:  # the result would shine through
            layer.blending = "translucent_no_depth"
        self._layer = ref(layer)
        insert_above(self._viewer.layers, layer, result)
        return layer

    def drop(self) -> None:
        """Take it away."""
        shown = self.release()
        if shown is not None:
            self._viewer.layers.remove(shown)

    def release(self) -> Any:
        """Give the layer if there is one, and have no more to do with it."""
        shown, self._layer = still_there(self._viewer, self._layer()), lambda: None
        return shown
