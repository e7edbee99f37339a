"""The curves of a run: the error on held-out pixels, which decides when it ends, and the loss it learns by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import QEvent, QObject, QPointF, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

LOSS, HELD_OUT, BEST = "#7f8c99", "#3fa7d6", "#e0a030"
SHORTEST = 40
"""Iterations that the curve has room for at first."""
HEIGHT = 130
OUT_OF_SIGHT = 0.9
"""Part of the losses that is in sight: the first ones are far above the rest."""

Points = list[tuple[int, float]]


class Curve(QWidget):  # type: ignore[misc]
    """Draws how the held-out error and the loss of a fit fall over its iterations, and where the best of it is.

    Parameters
    ----------
    parent : QWidget, optional

    Attributes
    ----------
    points, held_out : list of (iteration, value)
        Loss and held-out error of the fit at work.
    """

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.plot = pg.PlotWidget(background=None)
        self.plot.viewport().installEventFilter(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.points: Points = []
        self.held_out: Points = []
        self.iterations = 1
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Blue: the error on pixels that are never learned from, over that of their noise; it decides when the run "
            "ends by itself. Gray: what the network minimises. Yellow: the best so far."
        )
        plot = self.plot.plotItem
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMouseEnabled(False, False)
        plot.setLabel("bottom", "iteration")
        plot.setLabel("left", "loss", color=LOSS)
        self._losses = plot.plot(pen=pg.mkPen(LOSS, width=1))
        self._errors = pg.PlotDataItem(pen=pg.mkPen(HELD_OUT, width=2))
        self._right = pg.ViewBox(enableMenu=False, enableMouse=False)  # the held-out error has a scale of its own
        plot.setLabel("right", "held-out error", color=HELD_OUT)
        plot.scene().addItem(self._right)
        plot.getAxis("right").linkToView(self._right)
        self._right.setXLink(plot)
        self._right.addItem(self._errors)
        self.best = pg.InfiniteLine(angle=90, pen=pg.mkPen(BEST, style=Qt.PenStyle.DashLine))
        plot.addItem(self.best, ignoreBounds=True)
        self.told = pg.TextItem(anchor=(1, 0))
        self._right.addItem(self.told, ignoreBounds=True)
        plot.vb.sigResized.connect(self._fit_right)
        plot.scene().sigMouseMoved.connect(self._hovered)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.points, self.held_out = [], []
        self._draw()

    def add(self, points: Points, iterations: int, held_out: Sequence[tuple[int, float]] = ()) -> None:
        """Add (iteration, loss) and (iteration, held-out error) pairs, of `iterations` planned."""
        self.points += [(i, loss) for i, loss in points if math.isfinite(loss)]
        self.held_out += [(i, error) for i, error in held_out if math.isfinite(error)]
        self.iterations = max(iterations, 1)
        self._draw()

    def span(self) -> float:
        """Give the iterations that there is room for: it grows with the run, which may end long before its plan."""
        last = self.points[-1][0] if self.points else 0
        return min(self.iterations, max(SHORTEST, 1.25 * last))

    def words(self, iteration: float) -> str:
        """Say what is known of an iteration."""
        parts = []
        for name, points in (("held-out error", self.held_out), ("loss", self.points)):
            near = min(points, key=lambda point: abs(point[0] - iteration), default=None)
            if near is not None:
                parts.append(f"{name} {near[1]:.4g}")
        return f"iteration {round(iteration)}: {', '.join(parts)}" if parts else ""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let the wheel pass on to what scrolls."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True

    def _draw(self) -> None:
        self._losses.setData(*_columns(self.points))
        self._errors.setData(*_columns(self.held_out))
        known = self.held_out or self.points
        self.best.setVisible(bool(self.held_out))
        if known:
            self.best.setValue(min(known, key=lambda point: point[1])[0])
        self.plot.plotItem.setXRange(0, self.span(), padding=0.02)
        for view, points in ((self.plot.plotItem.vb, self.points), (self._right, self.held_out)):
            if points:
                view.setYRange(*_range([value for _, value in points]), padding=0.05)
        self.plot.plotItem.getAxis("right").setVisible(bool(self.held_out))
        self._fit_right()

    def _fit_right(self, *_: Any) -> None:
        self._right.setGeometry(self.plot.plotItem.vb.sceneBoundingRect())

    def _hovered(self, place: QPointF) -> None:
        inside = self.plot.plotItem.vb.sceneBoundingRect().contains(place)
        words = self.words(self.plot.plotItem.vb.mapSceneToView(place).x()) if inside else ""
        self.told.setText(words)
        (_, right), (_, top) = self._right.viewRange()
        self.told.setPos(right, top)

    def set_text_colour(self, text: QColor) -> None:
        """Draw axes and words in a colour that can be read on the theme of the viewer."""
        for side in ("left", "bottom", "right"):
            axis = self.plot.plotItem.getAxis(side)
            axis.setPen(pg.mkPen(text, width=1))
            axis.setTextPen({"left": LOSS, "right": HELD_OUT}.get(side, text))
        self.told.setColor(text)


def _columns(points: Points) -> tuple[list[int], list[float]]:
    return [i for i, _ in points], [value for _, value in points]


def _range(values: list[float]) -> tuple[float, float]:
    """Give the values at the bottom and the top; the few first ones, far above the rest, are left out of sight."""
    known = sorted(values)
    low, high = known[0], known[min(len(known) - 1, int(OUT_OF_SIGHT * len(known)))]
    return (low, high) if high > low else (low - 0.5, low + 0.5)
