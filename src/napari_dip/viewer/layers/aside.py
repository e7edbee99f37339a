"""A source that would shine through its result: it steps aside while that is seen, and comes back."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, ref

from napari.components import ViewerModel
from napari.layers import Image

from napari_dip.viewer.layers.connections import Links
from napari_dip.viewer.layers.layers import itself

COVERING = ("opaque", "translucent", "translucent_no_depth")
"""Ways to blend with which a layer covers those below."""

_aside: WeakKeyDictionary[Image, Aside] = WeakKeyDictionary()
"""By result, for as long as it lives: events hold on to nobody."""


def step_aside(viewer: ViewerModel, source: Image | None, result: Image) -> None:
    """Hide a source that is added to what lies over it, for as long as its result is seen."""
    if source is not None and source in viewer.layers and source.visible and source.blending not in COVERING:
        _aside[itself(result)] = Aside(viewer.layers, itself(source), itself(result))


class Aside:
    """Two layers of which one is seen; ends once one of them is gone, or somebody shows both.

    Parameters
    ----------
    layers : list of layers
    source, result : Image
    """

    def __init__(self, layers: Any, source: Image, result: Image):
        self._layers, self._source, self._result = ref(itself(layers)), ref(source), ref(result)
        self._ours = False
        self._links = Links()
        self._show(False)
        self._links.connect(result.events.visible, self._turned)
        self._links.connect(source.events.visible, self._shown)
        self._links.connect(layers.events.removed, self._removed)

    def _turned(self, *_: Any) -> None:
        result = self._result()
        if result is not None:
            self._show(not result.visible)

    def _shown(self, *_: Any) -> None:
        if not self._ours:
            self._links.undo()

    def _removed(self, *_: Any) -> None:
        layers, source, result = self._layers(), self._source(), self._result()
        if layers is None or source is None or source not in layers:
            self._links.undo()
        elif result is None or result not in layers:
            self._show(True)
            self._links.undo()

    def _show(self, seen: bool) -> None:
        source = self._source()
        if source is not None:
            self._ours = True
            source.visible = seen
            self._ours = False
