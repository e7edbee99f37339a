"""Both readings of undecided noise: a part is restored with each of them, side by side, and one can be chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import ref

from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from napari_dip.viewer.form.form import Form
from napari_dip.viewer.form.number_boxes import write
from napari_dip.viewer.form.trial import SUFFIX, moved
from napari_dip.viewer.layers.layers import itself
from napari_dip.viewer.messages import Job

GAP = 48
"""The gap between both parts is one pixel in so many."""
CORNERS = "top_left", "top_right"
"""Where the canvas shows the names of both parts."""
COMPLETE = "Both parts show the same place of the image. Choose a reading, then Run restores the whole."
FRAME = "yellow"
"""Colour of the frame around each part."""

Look = dict[str, Any]
"""Place and look of a layer."""
Start = tuple[Job, Look, Any]
"""What a run is of: its job, the look of its result, and its source."""


def side_by_side(job: Job, look: Look, radius: int, beside: tuple[int, int]) -> list[tuple[Job, Look]]:
    """Return the jobs of both readings of a part: where it lies as white noise, and beside it as correlated noise.

    Parameters
    ----------
    job : Job
        Of the part.
    look : dict
        Place and look of its result.
    radius : int
        How many pixels the noise may reach.
    beside : (int, int)
        Axis and direction, 1 or -1, that lead from left to right.
    """
    axis, direction = beside
    size = job.image.shape[axis]
    offset = [0] * len(look["scale"])
    offset[axis] = direction * (size + max(1, size // GAP))
    names = f"Grain stays, reach 0 {SUFFIX}", f"Grain removed, reach {radius} {SUFFIX}"
    places = look, {**look, "translate": moved(look, offset)}
    reaches = 0, radius
    return [
        (replace(job, title=name, settings={**job.settings, "reach": reach}), place)
        for name, reach, place in zip(names, reaches, places, strict=True)
    ]


class Readings(QWidget):  # type: ignore[misc]
    """Has both parts restored, then says what they show and has a button for each, for as long as both are there.

    Parameters
    ----------
    form : Form
        Makes the jobs of both parts, and takes the reading that is chosen.
    start : callable
        Starts a run of what a callable gives: job, look and source.
    say : callable
        Shows a sentence.
    """

    def __init__(self, form: Form, start: Callable[[Callable[[], Start]], Any], say: Callable[[str], None]):
        super().__init__()
        self.form, self._start, self._say = form, start, say
        self._waiting: list[tuple[Job, Look]] = []
        self._layers: list[Any] = []
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.buttons = (QPushButton(), QPushButton())
        self.radius = 0
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.addWidget(self.words, 0, 0, 1, 2)
        for place, button in enumerate(self.buttons):
            button.setMinimumWidth(1)
            grid.addWidget(button, 1, place)
        self.buttons[0].clicked.connect(lambda: self.choose(0))
        self.buttons[1].clicked.connect(lambda: self.choose(self.radius))
        self._name_parts(1)
        self.hide()

    def begin(self, radius: int) -> None:
        """Have a part restored with both readings of noise that may reach so many pixels."""
        self.clear()
        self.radius = radius
        self._name_parts(radius)
        self._start(self._first)

    def go_on(self) -> None:
        """Have the next part restored, if one is left."""
        if self._waiting:
            self._start(self._next)

    def choose(self, reach: int) -> None:
        """Set the form to a reading."""
        box = self.form.more["reach"]
        write(box, reach)
        self._say(f"{box.label} is {reach} px now, under More. Run restores the whole so.")

    def add(self, layer: Any) -> bool:
        """Take note of a part that is restored; return whether both are."""
        self._layers.append(ref(itself(layer)))
        complete = not self._waiting and len(self._layers) == len(self.buttons)
        if complete:
            for part, corner in zip(self._layers, CORNERS, strict=True):
                _mark(part(), corner)
        self.setVisible(complete)
        return complete

    def follow(self, layers: Any) -> None:
        """Hide once one of both parts is gone."""
        if not self.isHidden() and any(part() is None or part() not in layers for part in self._layers):
            self.clear()

    def clear(self) -> None:
        """Forget both parts."""
        self._waiting, self._layers, self.radius = [], [], 0
        self.hide()

    def _name_parts(self, radius: int) -> None:
        self.words.setText(
            f"Noise that reaches {radius} pixel{'s' * (radius > 1)}, or grain of that size? On the left it stays, as "
            "grain; on the right it is removed, as noise."
        )
        for button, reach, what in zip(self.buttons, (0, radius), ("It is grain", "It is noise"), strict=True):
            button.setText(f"{what}: reach {reach}")
            button.setToolTip(f"Set Noise reach, under More, to {reach} px; Run then restores the whole so.")

    def _first(self) -> Start:
        job, look = self.form.job(in_view=True, two=True)
        self._waiting = side_by_side(job, look, self.radius, self.form.beside)
        return self._next()

    def _next(self) -> Start:
        return (*self._waiting.pop(0), self.form.image.value)


def _mark(layer: Any, corner: str) -> None:
    """Show a frame around a part, and its name in a corner of the canvas where napari can do that."""
    if layer is None:
        return
    layer.bounding_box.points, layer.bounding_box.line_color = False, FRAME
    layer.bounding_box.visible = True
    if hasattr(layer, "name_overlay"):
        layer.name_overlay.position = corner
        layer.name_overlay.box = True
        layer.name_overlay.visible = True
