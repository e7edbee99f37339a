"""The widgets of the forms, made from `settings.py`: title, help, bounds and default of each knob stand there."""

from __future__ import annotations

import math
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from weakref import ref

from magicgui.widgets import CheckBox, ComboBox, PushButton, Widget
from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_dip.settings import NOISE_KINDS, field
from napari_dip.viewer.form.number_boxes import HELP, NumberValidator, number_or_nothing, number_or_words, whole_number

EMPTY = {
    "max_iterations": "as the preset says",
    "max_seconds": "no limit",
    "threads": "as suits the image",
    "sigma": "estimated",
    "gain": "estimated",
    "offset": "not needed",
    "period": "from type and range",
    "z_step": "not known",
    "neighbours": "as many as suit it",
}
"""What an optional number says when it is left out."""
LABELS = {
    "nonfinite": {"refuse": "refuse the image", "inpaint": "fill them in"},
    "noise": {kind.name: kind.title for kind in NOISE_KINDS},
    "values": {
        "auto": "find out from the image",
        "linear": "as they are (linear)",
        "logarithmic": "over decades (logarithmic)",
        "circular": "angles, phase, hue (circular)",
    },
    "waves": {"remove": "remove them", "keep": "keep them"},
    "channels": {"separate": "one by one", "together": "with a look at the others"},
}
"""Choices in words, where the help does not give them in so few."""
TICKED = {"uncertainty": "as a second layer"}
"""What stands behind a box to tick."""
SHOWN = 12
"""Characters that a list has room for at the least, unless the dock is too narrow for them with a large font."""
NARROW = 60
"""Pixels of a box at the least: a dock is as wide with a large font as with a small one."""


def setting_widget(name: str) -> Widget:
    """Make the widget of one knob out of its title, help, bounds and default."""
    knob = field(name)
    common = {"name": name, "label": knob.title, "tooltip": knob.description}
    kind, optional = knob.annotation, False
    if get_origin(kind) in (Union, UnionType):
        kind, optional = get_args(kind)[0], True
    if get_origin(kind) is Literal:
        labels = LABELS.get(name) or _labels(knob.description or "")
        return ComboBox(choices=[(labels.get(v, v), v) for v in get_args(kind)], value=knob.default, **common)
    if kind is bool:
        box = CheckBox(value=knob.default, **common)
        box.native.setText(TICKED.get(name, ""))  # the label stands before it, as with all others
        return box
    low, high = _bounds(knob.metadata)
    if not optional:
        return whole_number(int(low), int(high), value=knob.default, **common)
    if math.isinf(high):  # a quantity in units of the image: any step of a spin box would be wrong
        return number_or_nothing(EMPTY.get(name, "auto"), low, **common)
    nothing = int(low) - 1 if kind is int else 0
    spin = number_or_words(EMPTY.get(name, "auto"), int(high), nothing, **common)
    if isinstance(knob.json_schema_extra, dict) and "unit" in knob.json_schema_extra:
        spin.native.setSuffix(f" {knob.json_schema_extra['unit']}")
    return spin


def percent(part: float) -> str:
    """Give a part in per cent, with two digits that count; what is not all of it is never 100 %.

    >>> percent(0.0016), percent(0.063), percent(0.94), percent(0.998), percent(1.0), percent(1e-6)
    ('0.16 %', '6.3 %', '94 %', 'more than 99 %', '100 %', 'less than 0.01 %')
    """
    value = 100 * part
    if value < 0.01:
        return "less than 0.01 %"
    if 99 < value < 100:
        return "more than 99 %"
    return f"{value:.0f} %" if value > 9.9 else f"{value:.2g} %"


def on_the_form(sentence: str) -> str:
    """Say the same of the boxes of a form, where a sentence speaks of settings as Python and the shell call them."""
    for name, value, rest in (("nonfinite", "inpaint", " to have them filled in"), ("values", "linear", "")):
        choice = f"choose “{LABELS[name][value]}” as {field(name).title} under More"
        sentence = sentence.replace(f'set {name} to "{value}"{rest}', choice)
    return sentence


def in_the_form(setting: str, value: object) -> str:
    """Name a value of a setting as the boxes of a form do.

    >>> in_the_form("reach", 2)
    '2 px as Noise reach under More'
    """
    knob = field(setting)
    unit = knob.json_schema_extra.get("unit", "") if isinstance(knob.json_schema_extra, dict) else ""
    return f"{' '.join(filter(None, (str(value), str(unit))))} as {knob.title} under More"


def lay_out(widgets: list[Widget | QWidget]) -> QWidget:
    """Put widgets below each other, their labels in a column of their own; one of Qt takes the whole width."""
    native = QWidget()
    rows = QFormLayout(native)
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    for widget in widgets:
        if isinstance(widget, QWidget):
            rows.addRow(widget)
            continue
        label = QLabel("" if isinstance(widget, PushButton) else widget.label)
        label.setToolTip(widget.tooltip or "")
        label.setBuddy(widget.native)
        widget.native.setMinimumWidth(NARROW)
        rows.addRow(label, widget.native)
        tame(widget.native)
        name_parts(widget.native, widget.label, widget.tooltip or "")
    return native


def name_parts(native: QWidget, name: str, tip: str) -> None:
    """Give a box an accessible name and a help, and whatever in it takes the focus: the text of a number, a button."""
    native.setAccessibleName(name)
    for part in (native, *native.findChildren(QLineEdit), *native.findChildren(QPushButton)):
        if not part.accessibleName():
            part.setAccessibleName(f"{name}: {part.text()}" if isinstance(part, QPushButton) else name)
        if not part.toolTip():
            part.setToolTip(tip)
        part.setAccessibleDescription(tip)


def scroll_area(*widgets: QWidget) -> QScrollArea:
    """Make a page of widgets below each other that scrolls up and down; it is as wide as what it is in."""
    inner, area = QWidget(), QScrollArea()
    inside = QVBoxLayout(inner)
    inside.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        inside.addWidget(widget)
    inside.addStretch(1)
    inner.setMinimumWidth(1)  # or words and lists would widen it with a large font
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area


def collapsible() -> QCollapsible:
    """Make a section that opens and closes, without an icon, which would be painted before the theme is known."""
    pixmap = QPixmap(1, 1)
    pixmap.fill(Qt.GlobalColor.transparent)
    nothing = QIcon(pixmap)  # of an empty one superqt finds with PySide6 that there is none
    section = QCollapsible("", expandedIcon=nothing, collapsedIcon=nothing)
    section.toggleButton().setIconSize(QSize(1, 1))
    section.setDuration(0)
    return section


class _WheelFilter(QObject):  # type: ignore[misc]
    """Lets the wheel pass on to what scrolls: it changes no closed list, and no number that nobody has clicked on."""

    def eventFilter(self, box: QObject | None, event: QEvent | None) -> bool:
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        if isinstance(box, QAbstractSpinBox) and box.hasFocus():
            return False
        event.ignore()
        return True


def tame(native: QWidget) -> None:
    """Have a box or a slider leave the wheel alone, and a list not grow with what it shows."""
    if not isinstance(native, QComboBox | QAbstractSpinBox | QSlider):
        return
    native.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    native.installEventFilter(_WheelFilter(native))
    if isinstance(native, QDoubleSpinBox):
        native.lineEdit().setValidator(NumberValidator(native))
    if isinstance(native, QComboBox):
        native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        native.setMinimumContentsLength(SHOWN)
        native.setProperty(HELP, native.toolTip())
        there = ref(native)  # a list that is held by what it tells is never let go by PySide

        def tell(text: str) -> None:
            if (box := there()) is not None:
                box.setToolTip(f"{text}\n\n{box.property(HELP)}")

        native.currentTextChanged.connect(tell)


def _labels(description: str) -> dict[str, str]:
    """Label each choice with what the help says of it, as in "fast: minutes on a laptop."."""
    said = dict(part.split(": ", 1) for part in description.rstrip(".").split(". ") if ": " in part)
    return {value: f"{value} ({words})" for value, words in said.items()}


def _bounds(metadata: list[Any]) -> tuple[float, float]:
    """Lowest and highest value; infinite where there is no bound."""
    low = [getattr(m, key) for m in metadata for key in ("ge", "gt") if hasattr(m, key)]
    high = [m.le for m in metadata if hasattr(m, "le")]
    return low[0] if low else -math.inf, high[0] if high else math.inf
