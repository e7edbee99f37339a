"""The border between source and result: a slider that moves across what is in view."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QSlider, QWidget

from napari_dip.viewer.form.trial import moved
from napari_dip.viewer.form.widgets import tame
from napari_dip.viewer.layers.connections import Links
from napari_dip.viewer.layers.layers import describe, read_data
from napari_dip.viewer.layers.passing import PassingLayer
from napari_dip.viewer.layers.placing import from_left_to_right
from napari_dip.viewer.run.provenance import CurrentResult

STEPS = 1000
SETTLE = 100
"""Milliseconds after which the border follows a view that was moved or zoomed."""


def left_part(viewer: ViewerModel, layer: Any, share: float) -> tuple[slice, ...]:
    """Return the part of a layer that lies left of a border.

    Parameters
    ----------
    viewer : napari viewer
        The border is at right angles to the axis that it displays horizontally.
    layer : Image
    share : float
        Of what is in view that lies left of the border, 0 to 1.

    Returns
    -------
    tuple of slice
        For each axis of the layer; without anything in it if the layer has not the axis that is displayed horizontally.
    """
    n, shape = layer.ndim, read_data(layer).shape
    whole = [slice(0, size) for size in shape[:n]]
    across = from_left_to_right(viewer, layer)
    if across is None:
        return (slice(0, 0), *whole[1:])
    axis, direction = across
    low, high = 0.0, float(shape[axis])
    seen = np.asarray(layer.corner_pixels, float)[:, axis]
    if viewer.dims.ndisplay == 2 and seen[1] > seen[0]:
        low, high = max(seen[0], low), min(seen[1] + 1, high)
    if direction < 0:  # the layer is mirrored, or turned by half a turn
        whole[axis] = slice(round(high - share * (high - low)), shape[axis])
    else:
        whole[axis] = slice(0, round(low + share * (high - low)))
    return tuple(whole)


class Border(QWidget):  # type: ignore[misc]
    """Shows the source left of a border, over the result.

    Parameters
    ----------
    current : CurrentResult
    """

    name = "Compare"
    tip = "Drag the handle: the source is left of it, the result right of it."

    def __init__(self, current: CurrentResult):
        super().__init__()
        self.current, self.controls = current, self
        self._shown = PassingLayer(current.viewer, "before")
        self._links = Links()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE)
        self._timer.timeout.connect(self.draw)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setValue(STEPS // 2)
        self.slider.setAccessibleName("Border between source and result")
        self.slider.setToolTip(self.tip)
        self.slider.valueChanged.connect(self.draw)
        tame(self.slider)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.slider)

    def is_possible(self) -> bool:
        """Whether source and result have the same pixels."""
        return self.current.has_shape_of_source

    def begin(self) -> None:
        """Show the border, and keep it in view."""
        viewer = self.current.viewer
        camera = getattr(viewer, "scene", viewer).camera.events  # napari before 0.9 has no scene
        for event in (camera.zoom, camera.center, viewer.dims.events.order, viewer.dims.events.ndisplay):
            self._links.connect(event, self._follow)
        self.draw()

    def end(self) -> None:
        """Take the source away."""
        self._links.undo()
        self._timer.stop()
        self._shown.drop()

    def draw(self, *_: Any) -> None:
        """Show the source as far as the border."""
        result, source = self.current.layer, self.current.source
        if result is None or source is None:
            self._shown.drop()
            return
        part = left_part(self.current.viewer, result, self.slider.value() / STEPS)
        if any(one.start >= one.stop for one in part):
            self._shown.drop()
            return
        look = describe(source)
        place = {"translate": moved(look, [one.start for one in part])}
        self._shown.show(result, f"{source.name} (before)", read_data(source)[part], {**look, **place})

    def _follow(self, *_: Any) -> None:
        if not self._timer.isActive():
            self._timer.start()
