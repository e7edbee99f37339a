"""Boxes for numbers: whatever looks like one may be typed, and what cannot be is marked and refused."""

from __future__ import annotations

import math
from typing import Any

from magicgui.widgets import FloatSpinBox, LineEdit, Widget
from qtpy.QtCore import QRegularExpression
from qtpy.QtGui import QRegularExpressionValidator, QValidator
from qtpy.QtWidgets import QAbstractSpinBox

from napari_dip.errors import InputError

MOST = 2**31 - 1
CHARACTERS = "0123456789.,+-eE "
"""That may be typed into a box, even where they are wrong: with commas and letters dropped, 1,5 would be 15."""
LEAST = "napari-dip least"
"""Property of a box: what its number has to be above."""
FAULT = "napari-dip fault"
"""Property of a box: what is wrong with its content."""
HELP = "napari-dip help"
"""Property of a box: its tooltip, without what is wrong, or what is chosen."""
FRAME = "{} {{ border: 2px solid #e5484d; }}"
"""Of a box with a fault."""


class NumberValidator(QValidator):  # type: ignore[misc]
    """Lets into a spin box whatever looks like a number, to be marked if it is none; Qt drops characters instead.

    Parameters
    ----------
    box : QDoubleSpinBox
    """

    def __init__(self, box: QAbstractSpinBox):
        super().__init__(box)

    def validate(self, text: str | None, at: int) -> tuple[QValidator.State, str, int]:
        """Say whether a text may stand in the box; what stands behind the number is added if it was deleted."""
        box, text = self.parent(), text or ""
        suffix = box.suffix()
        if box.specialValueText() and text == box.specialValueText():
            return QValidator.State.Acceptable, text, at
        text = text if text.endswith(suffix) else text + suffix
        known = all(one in CHARACTERS for one in text.removesuffix(suffix))
        return QValidator.State.Acceptable if known else QValidator.State.Invalid, text, at


def whole_number(low: int, high: int, **common: Any) -> FloatSpinBox:
    """Make a box for whole numbers; the one of magicgui for these turns what is typed into other numbers."""
    spin = FloatSpinBox(min=low, max=high, step=1, **common)
    spin.native.setDecimals(0)
    return spin


def number_or_words(words: str, high: int, nothing: int = 0, **common: Any) -> FloatSpinBox:
    """Make a box for whole numbers that shows words in place of the least, which stands for none."""
    spin = whole_number(nothing, high, value=nothing, **common)
    spin.native.setSpecialValueText(words)
    return spin


def number_or_nothing(words: str, low: float, **common: Any) -> LineEdit:
    """Make a box for any number, 0 and negative ones too, that shows words in gray while it is empty."""
    box = LineEdit(**common)
    some = QRegularExpression(f"[{CHARACTERS.replace('-', '')}-]*")
    box.native.setValidator(QRegularExpressionValidator(some, box.native))
    box.native.setPlaceholderText(words)
    box.native.setProperty(LEAST, low)
    return box


def read(widget: Widget) -> Any:
    """Give the value of a knob's widget, None where it is left out.

    Raises
    ------
    InputError
        If it holds half a number, such as "-", or one that is too low, too high or not finite.
    """
    if isinstance(widget, FloatSpinBox):
        return _whole(widget)
    return _any_number(widget) if isinstance(widget, LineEdit) else widget.value


def write(widget: Widget, value: Any) -> None:
    """Set a knob's widget to a value; None leaves it out."""
    if isinstance(widget, FloatSpinBox):
        widget.value = widget.min if value is None else value
    elif isinstance(widget, LineEdit):
        widget.value = "" if value is None else repr(value)
    elif value is not None:
        widget.value = value


def fault(widget: Widget) -> str:
    """Say what is wrong with the content of a widget; empty if nothing is."""
    try:
        read(widget)
    except InputError as error:
        return str(error)
    return ""


def mark(widget: Widget, words: str) -> None:
    """Give a box a red frame and a tooltip that says what is wrong; empty words take both away."""
    native = widget.native
    if words == (native.property(FAULT) or ""):
        return
    if not native.property(FAULT):
        native.setProperty(HELP, native.toolTip())
    is_spin_box = isinstance(native, QAbstractSpinBox)
    frame = FRAME.format("QDoubleSpinBox" if is_spin_box else "QLineEdit")
    native.setProperty(FAULT, words)
    native.setStyleSheet(frame if words else "")
    for part in (native, *([native.lineEdit()] if is_spin_box else [])):
        part.setToolTip(words or native.property(HELP))
        part.setAccessibleDescription(words or native.property(HELP))


def signals_of(widget: Widget) -> list[Any]:
    """Give the signals that tell of a new content: also of one that is no value, which magicgui does not tell of."""
    native = widget.native
    return [widget.changed, *([native.lineEdit().textChanged] if isinstance(native, QAbstractSpinBox) else [])]


def _whole(widget: FloatSpinBox) -> int | None:
    """Read a spin box by its text: its value is the last one that could be."""
    native = widget.native
    text = native.lineEdit().text()
    if native.specialValueText() and text == native.specialValueText():
        return None
    text = text.removesuffix(native.suffix()).strip()
    least = int(widget.min) + (1 if native.specialValueText() else 0)
    if not (text.isdecimal() and least <= int(text) <= widget.max):
        raise InputError(
            f"{widget.label}: {text!r} is not a whole number from {least} to {int(widget.max)}; correct it."
        )
    return int(text)


def _any_number(widget: LineEdit) -> float | None:
    text = widget.value.strip()
    if not text:
        return None
    if "," in text and ("." in text or text.count(",") > 1):
        raise InputError(f"{widget.label}: {text!r} is not a number; type it without separators of thousands.")
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        raise InputError(f"{widget.label}: {text!r} is not a number; complete it, or leave the box empty.") from None
    if not math.isfinite(number):
        raise InputError(f"{widget.label}: {text} is not a finite number; correct it, or leave the box empty.")
    if (least := widget.native.property(LEAST)) is not None and not number > least:
        raise InputError(f"{widget.label}: {text} is not above {least:g}; correct it, or leave the box empty.")
    return number
