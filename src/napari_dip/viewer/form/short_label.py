"""A label of a few lines, however long its text is: the tooltip shows all of it."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QFontMetricsF, QResizeEvent, QTextLayout, QTextOption
from qtpy.QtWidgets import QLabel, QSizePolicy


class ShortLabel(QLabel):  # type: ignore[misc]
    """Wraps its text to the width that there is, and cuts what needs more lines; it never widens what it is in.

    Parameters
    ----------
    lines : int
        Its height.
    """

    def __init__(self, lines: int):
        super().__init__()
        self._lines, self._text = lines, ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._wrap()

    def setText(self, text: str) -> None:
        """Show a text."""
        self._text = text
        self.setToolTip(f"<qt>{escape(text).replace(chr(10), '<br>')}</qt>" if text else "")  # rich text wraps
        self.setAccessibleDescription(text)
        self._wrap()

    def text(self) -> str:
        """Return the whole text."""
        return self._text

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Wrap to the new width."""
        super().resizeEvent(event)
        self._wrap()

    def changeEvent(self, event: QEvent | None) -> None:
        """Wrap with the new font."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._wrap()

    def _wrap(self) -> None:
        metrics = QFontMetricsF(self.font())
        super().setText("\n".join("x" * self._lines))
        needed = super().sizeHint()  # with margins and padding, of the theme perhaps
        self.setFixedHeight(needed.height())
        width = max(self.width() - needed.width() + round(metrics.horizontalAdvance("x")), 1)
        lines = [line for paragraph in self._text.split("\n") for line in self._lines_of(paragraph, width)]
        if len(lines) > self._lines:
            rest = " ".join(lines[self._lines - 1 :])
            lines[self._lines - 1 :] = [metrics.elidedText(rest, Qt.TextElideMode.ElideRight, width)]
        super().setText("\n".join(lines))

    def _lines_of(self, paragraph: str, width: int) -> list[str]:
        layout = QTextLayout(paragraph, self.font())
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        layout.setTextOption(option)
        layout.beginLayout()
        found = []
        while (line := layout.createLine()).isValid():
            line.setLineWidth(width)
            found.append(paragraph[line.textStart() : line.textStart() + line.textLength()].rstrip())
        layout.endLayout()
        return found
