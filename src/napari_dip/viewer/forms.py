"""The forms, one per task, built from `settings.py`: what is needed every day on top, the rest under "More"."""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from magicgui.widgets import ComboBox, FloatSpinBox, PushButton, SpinBox, Widget
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_dip.errors import InputError
from napari_dip.settings import FACTORS, Task, field
from napari_dip.viewer.layers import describe, empty_mask, enlarge, read_axes, read_data
from napari_dip.viewer.worker import Job

MORE = ("max_iterations", "max_seconds", "seed", "device", "threads", "nonfinite")
EMPTY = {"max_iterations": "as the preset says", "max_seconds": "no limit", "threads": "all cores"}
"""What an optional number says when it is left out (at 0)."""
LABELS = {"refuse": "refuse the image", "inpaint": "fill them in"}
MOST = 2**31 - 1


def setting_widget(name: str) -> Widget:
    """Make the widget of one knob out of its title, help, bounds and default."""
    knob = field(name)
    common = {"name": name, "label": knob.title, "tooltip": knob.description}
    kind, optional = knob.annotation, False
    if get_origin(kind) in (Union, UnionType):
        kind, optional = get_args(kind)[0], True
    if get_origin(kind) is Literal:
        return ComboBox(choices=_choices(get_args(kind), knob.description or ""), value=knob.default, **common)
    low, high = _bounds(knob.metadata)
    if not optional:
        return SpinBox(value=knob.default, min=int(low), max=int(high), **common)
    spin = number_or_words(EMPTY.get(name, "auto"), high, **common)
    if isinstance(knob.json_schema_extra, dict) and "unit" in knob.json_schema_extra:
        spin.native.setSuffix(f" {knob.json_schema_extra['unit']}")
    return spin


def number_or_words(words: str, high: float, **common: Any) -> FloatSpinBox:
    """Make a box for whole numbers that shows words in place of 0."""
    # of the spin boxes that magicgui has, only this one can
    spin = FloatSpinBox(value=0, min=0, max=high, step=1, **common)
    spin.native.setDecimals(0)
    spin.native.setSpecialValueText(words)
    return spin


def lay_out(widgets: list[Widget]) -> QWidget:
    """Put widgets below each other, their labels in a column of their own."""
    native = QWidget()
    rows = QFormLayout(native)
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for widget in widgets:
        label = QLabel("" if isinstance(widget, PushButton) else widget.label)
        label.setToolTip(widget.tooltip or "")
        rows.addRow(label, widget.native)
    return native


def _choices(values: tuple[str, ...], description: str) -> list[tuple[str, str]]:
    """Label each choice with what the help says of it, as in "fast: minutes on a laptop."."""
    said = dict(part.split(": ", 1) for part in description.rstrip(".").split(". ") if ": " in part)
    return [(f"{v} ({said[v]})" if v in said else LABELS.get(v, v), v) for v in values]


def _bounds(metadata: list[Any]) -> tuple[float, float]:
    low = next((getattr(m, "ge", getattr(m, "gt", None)) for m in metadata if hasattr(m, "ge") or hasattr(m, "gt")), 0)
    return low or 0, next((m.le for m in metadata if hasattr(m, "le")), MOST)


class Form:
    """What all tasks have: an image, a preset, and the rest under "More".

    Attributes
    ----------
    native : QWidget
        The form as a Qt widget.
    image, preset : magicgui widgets
    """

    task: Task = "denoise"
    words = "Removes noise. The network learns from this one image alone: no training data, no model to download."
    suffix = "denoised"

    def __init__(self, viewer: ViewerModel):
        self.viewer = viewer
        self.image = ComboBox(
            name="image",
            label="Image",
            choices=self._layers(Image),
            tooltip="The image layer to restore; it is never changed.",
        )
        self.preset = setting_widget("preset")
        self.top = [self.image, *self.own_widgets(), self.preset]
        self.more = {name: setting_widget(name) for name in MORE}
        self.native = self._arrange()
        self._preselect()

    def own_widgets(self) -> list[Widget]:
        """Give the widgets that only this task has."""
        return []

    def own_job(self, source: Image) -> dict[str, Any]:
        """Give the parts of a job that only this task has."""
        return {}

    def refresh(self, *_: Any) -> None:
        """Offer the layers that there are now."""
        for widget in self.top:
            if isinstance(widget, ComboBox):
                widget.reset_choices()
        words = self.missing()
        self.hint.setText(words)
        self.hint.setVisible(bool(words))

    def missing(self) -> str:
        """Say what has to be there before a run can start; empty if nothing is missing."""
        return "" if self.image.value is not None else "Open an image first (File > Open, or File > Open Sample)."

    def settings(self) -> dict[str, Any]:
        """Give what differs from nothing: every knob on the form, optional ones only where they are set."""
        values = {"preset": self.preset.value}
        for name, widget in self.more.items():
            if not isinstance(widget, FloatSpinBox):
                values[name] = widget.value
            elif widget.value:
                values[name] = int(widget.value)
        return values

    def job(self) -> tuple[Job, dict[str, Any]]:
        """Read the form: what to restore, and the place and look of the result.

        Raises
        ------
        InputError
            If something is missing.
        """
        if self.missing():
            raise InputError(self.missing())
        source = self.image.value
        own = self.own_job(source)
        job = Job(
            task=self.task,
            title=f"{source.name} {self.result_suffix()}",
            image=read_data(source),
            axes=read_axes(source),
            settings=self.settings(),
            **own,
        )
        look = describe(source)
        return job, enlarge(look, job.axes, job.factor) if job.factor and job.axes else look

    def result_suffix(self) -> str:
        """Say what the result's name ends in."""
        return self.suffix

    def _layers(self, kind: type) -> Callable[[Any], list[Any]]:
        layers = self.viewer.layers
        return lambda _: [layer for layer in layers if isinstance(layer, kind)]

    def _arrange(self) -> QWidget:
        native = QWidget()
        self.words_label, self.hint = QLabel(self.words), QLabel()
        for label in (self.words_label, self.hint):
            label.setWordWrap(True)
        self.hint.setStyleSheet("font-weight: bold;")
        self.collapsible = QCollapsible("", expandedIcon=QIcon(), collapsedIcon=QIcon())
        self.collapsible.toggled.connect(self._name_more)
        self._name_more(False)
        self.collapsible.toggleButton().setToolTip("Limits, seed, device: the defaults suit most images.")
        self.collapsible.setDuration(0)
        self.collapsible.addWidget(lay_out(list(self.more.values())))
        layout = QVBoxLayout(native)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.words_label, self.hint, lay_out(self.top), self.collapsible):
            layout.addWidget(widget)
        return native

    def _name_more(self, expanded: bool) -> None:
        # as text, since icons are painted before the theme is known
        self.collapsible.setText(f"{'▼' if expanded else '▶'}  More")

    def _preselect(self) -> None:
        """Choose what is selected in the viewer, or else the uppermost image that is seen."""
        self.refresh()
        layers = self.viewer.layers
        for box, kind in ((self.image, Image), (getattr(self, "mask", None), Labels)):
            found = [layer for layer in layers if isinstance(layer, kind)]
            seen = [layer for layer in found if layer.visible]
            if box is not None and found:
                box.value = layers.selection.active if layers.selection.active in found else (seen or found)[-1]
        self.refresh()


class DenoiseForm(Form):
    """Nothing more than what all have."""


class InpaintForm(Form):
    """An image and the Labels layer that says what to fill in."""

    task: Task = "inpaint"
    words = "Fills in what you mark: scratches, dust, dead pixels. All other pixels stay exactly as they are."
    suffix = "inpainted"

    def own_widgets(self) -> list[Widget]:
        """Mask, label, and a button for an empty mask."""
        self.mask = ComboBox(
            name="mask",
            label="Mask",
            choices=self._layers(Labels),
            tooltip="The Labels layer whose painted pixels are filled in.",
        )
        self.new_mask = PushButton(
            text="New mask",
            tooltip="Adds an empty Labels layer on the image and takes up the brush, so that you can paint "
            "over what is to be filled in.",
        )
        self.new_mask.changed.connect(self.add_mask)
        self.label = number_or_words(
            "every label",
            MOST,
            name="label",
            label="Label",
            tooltip="Fill in only pixels of this label number; 0 fills in every label.",
        )
        return [self.mask, self.new_mask, self.label]

    def own_job(self, source: Image) -> dict[str, Any]:
        """Take the mask as it is now: painting on must not change a run."""
        data = read_data(self.mask.value)
        return {"labels": data.copy() if hasattr(data, "copy") else data, "label": int(self.label.value)}

    def missing(self) -> str:
        """Ask for an image, then for a mask."""
        without = "Press New mask and paint over what is to be filled in, or open a Labels layer."
        return super().missing() or ("" if self.mask.value is not None else without)

    def add_mask(self, *_: Any) -> None:
        """Add an empty mask on the image, ready to be painted."""
        source = self.image.value
        if source is None:
            return
        mask = empty_mask(source, (layer.name for layer in self.viewer.layers))
        self.viewer.add_layer(mask)
        self.refresh()
        self.mask.value = mask
        self.viewer.layers.selection.active = mask
        mask.mode = "paint"
        self.refresh()


class SuperResolveForm(Form):
    """An image and how many times larger it is to be."""

    task: Task = "super_resolve"
    words = "Enlarges an image with more detail than interpolation. The result covers the same area."

    def own_widgets(self) -> list[Widget]:
        """How much larger."""
        self.factor = ComboBox(
            name="factor",
            label="Enlarge",
            choices=[(f"{n} times", n) for n in FACTORS],
            value=4,
            tooltip="How many times more pixels the result has along each side.",
        )
        return [self.factor]

    def own_job(self, source: Image) -> dict[str, Any]:
        """How much larger."""
        return {"factor": int(self.factor.value)}

    def result_suffix(self) -> str:
        """Say how much larger."""
        return f"x{self.factor.value}"
