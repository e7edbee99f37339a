"""A small live curve."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

COLOUR = QColor("#3fa7d6")
MOST_POINTS = 400
MARGIN = 6
SHORTEST = 40
"""Iterations that the curve has room for at first."""


class Curve(QWidget):  # type: ignore[misc]
    """Draws how the loss falls over the iterations of a plane.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.points: list[tuple[int, float]] = []
        self.iterations = 1
        self.setMinimumHeight(90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("What the network minimises, over the iterations: it falls steeply, then levels off.")

    def clear(self) -> None:
        """Begin anew."""
        self.points = []
        self.update()

    def add(self, points: list[tuple[int, float]], iterations: int) -> None:
        """Add (iteration, loss) pairs, of `iterations` planned."""
        self.points += [(i, loss) for i, loss in points if math.isfinite(loss)]
        self.iterations = max(iterations, 1)
        self.update()

    def ranges(self) -> tuple[float, float]:
        """Give the losses at the bottom and the top; the few first ones, far above the rest, are left out of sight."""
        losses = sorted(loss for _, loss in self.points)
        low, high = losses[0], losses[min(len(losses) - 1, int(0.9 * len(losses)))]
        return (low, high) if high > low else (low - 0.5, low + 0.5)

    def span(self) -> float:
        """Give the iterations that there is room for: it grows with the run, which may end long before its plan."""
        return min(self.iterations, max(SHORTEST, 1.25 * self.points[-1][0]))

    def path(self, area: QRectF) -> QPainterPath:
        """Give the curve in a rectangle; a stretch of many iterations is drawn as their mean."""
        low, high = self.ranges()
        span = self.span()
        stride = max(1, len(self.points) // MOST_POINTS)
        drawn = QPainterPath()
        for start in range(0, len(self.points), stride):
            part = self.points[start : start + stride]
            loss = min(sum(loss for _, loss in part) / len(part), high)
            x = area.left() + area.width() * part[-1][0] / span
            y = area.bottom() - area.height() * (loss - low) / (high - low)
            (drawn.lineTo if start else drawn.moveTo)(QPointF(x, y))
        return drawn

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint frame, curve and its last value."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        frame = QColor(text)
        frame.setAlpha(60)
        outer = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(frame)
        painter.drawRoundedRect(outer, 3, 3)
        area = outer.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        if len(self.points) > 1:
            painter.setPen(QPen(COLOUR, 1.6))
            painter.drawPath(self.path(area))
        painter.setPen(text)
        painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop, "loss")
        painter.end()
