"""Back through the stages of a run, by a slider."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QWidget

from napari_dip.viewer.form.trial import moved
from napari_dip.viewer.form.widgets import tame
from napari_dip.viewer.layers.layers import describe, place_of, unique_name
from napari_dip.viewer.layers.passing import PassingLayer
from napari_dip.viewer.run.provenance import CurrentResult
from napari_dip.viewer.run.snapshots import Stage


class Stages(QWidget):  # type: ignore[misc]
    """A slider back through the stages of a result, and a button that keeps one as a layer.

    Parameters
    ----------
    current : CurrentResult
    """

    name = "Stages"
    tip = "Back through the run: the plane in view as it was earlier."

    def __init__(self, current: CurrentResult):
        super().__init__()
        self.current, self.controls = current, self
        self._shown = PassingLayer(current.viewer, "stage")
        self.label, self.slider, self.button = QLabel(), QSlider(Qt.Orientation.Horizontal), QPushButton("Keep")
        self.slider.setAccessibleName("Stage of the run")
        self.slider.setToolTip("Left: early in the run. Right end: the result.")
        self.button.setToolTip("Keep what is shown as a layer of its own.")
        self.button.clicked.connect(self.keep)
        self.slider.valueChanged.connect(self.draw)
        tame(self.slider)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.slider, 1)
        for widget in (self.label, self.button):
            row.addWidget(widget)

    @property
    def stages(self) -> Sequence[Stage]:
        """What there is to go back to; a single stage is none."""
        found = self.current.provenance.stages
        return found if len(found) > 1 else ()

    def is_possible(self) -> bool:
        """Whether the run was long enough to have stages."""
        return bool(self.stages)

    def begin(self) -> None:
        """Show a stage in the middle of the run."""
        self.slider.setRange(0, len(self.stages))
        self.slider.setValue(len(self.stages) // 2)
        self.draw(self.slider.value())

    def end(self) -> None:
        """Show the result."""
        self._shown.drop()

    def draw(self, at: int) -> None:
        """Show a stage; at the end, the result."""
        result, stages = self.current.layer, self.stages
        earlier = at < len(stages) and result is not None
        self.label.setText(f"iteration {stages[at].iterations}" if earlier else "result")
        self.button.setEnabled(earlier)
        if not earlier:
            self._shown.drop()
            return
        picture = stages[at].picture
        place = place_of(self.current.record["axes"], picture.index)
        outer = tuple(n for n, one in enumerate(place) if not isinstance(one, slice))
        start = [0 if isinstance(one, slice) else one for one in place[: result.ndim]]
        look = describe(result)
        look["translate"] = moved(look, start)
        self._shown.show(result, f"{result.name} (earlier)", np.expand_dims(picture.plane, outer), look)

    def keep(self) -> None:
        """Keep the stage that is shown."""
        shown, at = self._shown.release(), self.slider.value()
        if shown is not None:
            name = f"{self.current.layer.name} after {self.stages[at].iterations}"
            shown.name = unique_name(name, (one.name for one in self.current.viewer.layers))
            shown.blending = self.current.layer.blending
            self.slider.setValue(len(self.stages))
