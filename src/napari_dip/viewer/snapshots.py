"""The stages that a run went through: a few pictures of the plane in view, to go back to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import ref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QWidget

from napari_dip.viewer.layers import RECORD, describe, itself, place_of, unique_name
from napari_dip.viewer.messages import Picture, Report
from napari_dip.viewer.passing import PassingLayer, still_there
from napari_dip.viewer.trial import moved

MOST, BYTES = 16, 2**27
"""Stages that are kept at the most, and how much memory they may take."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A plane as it was.

    Attributes
    ----------
    iterations : int
        That were done by then.
    picture : Picture
    """

    iterations: int
    picture: Picture


class Snapshots:
    """Stages of one plane, spread evenly over the run so far: one of two is let go when there are too many."""

    def __init__(self, most: int = MOST):
        self.stages: list[Stage] = []
        self._most, self._every, self._seen = most, 1, 0

    def note(self, report: Report) -> None:
        """Keep the plane at work if it is its turn; another plane begins anew."""
        if report.stage != "fit" or not report.pictures:
            return
        picture = report.pictures[-1]
        if self.stages and self.stages[-1].picture.index != picture.index:
            self.stages, self._every, self._seen = [], 1, 0
        if self._seen % self._every == 0:
            self.stages.append(Stage(report.iteration, Picture(picture.index, picture.plane.copy())))
            if len(self.stages) > max(2, min(self._most, BYTES // max(picture.plane.nbytes, 1))):
                self.stages, self._every = self.stages[::2], 2 * self._every
        self._seen += 1


class Stages(QWidget):  # type: ignore[misc]
    """A slider back through the stages of a result, and a button that keeps one as a layer.

    Parameters
    ----------
    viewer : napari viewer
    """

    def __init__(self, viewer: ViewerModel):
        super().__init__()
        self.viewer = viewer
        self.stages: list[Stage] = []
        self._result: Callable[[], Any] = lambda: None
        self._shown = PassingLayer(viewer, "stage")
        self.label, self.slider, self.button = QLabel(), QSlider(Qt.Orientation.Horizontal), QPushButton("Keep")
        self.slider.setAccessibleName("Stage of the run")
        self.slider.setToolTip("Drag to the left: the plane as it was earlier in the run. At the end: the result.")
        self.button.setToolTip("Keep what is shown as a layer of its own.")
        self.button.clicked.connect(self.keep)
        self.slider.valueChanged.connect(self.go_to)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (QLabel("Earlier"), self.slider, self.label, self.button):
            row.addWidget(widget)
        self.offer(None, [])

    def offer(self, result: Image | None, stages: list[Stage]) -> None:
        """Be of this result from now on; without two stages there is nothing to offer."""
        if result is not None and itself(result) is self._result() and stages == self.stages:
            return  # it was only selected once more
        self.slider.setValue(self.slider.maximum())
        self._result = (lambda: None) if result is None else ref(itself(result))
        self.stages = stages if len(stages) > 1 else []
        self.slider.setRange(0, len(self.stages))
        self.slider.setValue(len(self.stages))
        self.setVisible(bool(self.stages))
        self._say(len(self.stages))

    def go_to(self, at: int) -> None:
        """Show a stage, by a layer that is there as long as it is looked at; at the end, the result."""
        self._say(at)
        result = still_there(self.viewer, self._result())
        if at >= len(self.stages) or result is None:
            self._shown.drop()
            return
        picture = self.stages[at].picture
        place = place_of(result.metadata[RECORD]["axes"], picture.index)
        outer = tuple(n for n, one in enumerate(place) if not isinstance(one, slice))
        start = [0 if isinstance(one, slice) else one for one in place[: result.ndim]]

        def look() -> dict[str, Any]:
            there = describe(result)
            return {**there, "translate": moved(there, start)}

        self._shown.show(result, f"{result.name} (earlier)", np.expand_dims(picture.plane, outer), look)

    def keep(self) -> None:
        """Keep the stage that is shown."""
        shown, at = self._shown.release(), self.slider.value()
        if shown is not None:
            name = f"{self._result().name} after {self.stages[at].iterations}"
            shown.name = unique_name(name, (one.name for one in self.viewer.layers))
            self.slider.setValue(len(self.stages))

    def _say(self, at: int) -> None:
        earlier = at < len(self.stages)
        self.label.setText(f"{self.stages[at].iterations} iterations" if earlier else "result")
        self.button.setEnabled(earlier)
