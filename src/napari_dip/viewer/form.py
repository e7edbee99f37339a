"""The forms, one per task, built from `settings.py`: what is needed every day on top, the rest under "More"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, PushButton, Widget
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_dip.errors import InputError
from napari_dip.settings import STRENGTH
from napari_dip.tasks import task_named
from napari_dip.viewer.layers import describe, empty_mask, enlarge, read_axes, read_data
from napari_dip.viewer.runner import Job
from napari_dip.viewer.widgets import EMPTY, MOST, lay_out, number_or_words, read, setting_widget

MORE = ("max_iterations", "max_seconds", "seed", "device", "threads", "nonfinite")


class Form:
    """What all tasks have: an image, a preset, and the rest under "More".

    Attributes
    ----------
    native : QWidget
        The form as a Qt widget.
    image : magicgui widget
    everyday, more : dict
        The widgets of the knobs by name, those on top and those under "More".
    """

    task = "denoise"
    on_top: tuple[str, ...] = ("preset",)
    rarely: tuple[str, ...] = MORE
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
        self.everyday = {name: setting_widget(name) for name in self.on_top}
        self.more = {name: setting_widget(name) for name in self.rarely}
        self.top = [self.image, *self.own_widgets(), *self.everyday.values()]
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
        for name, widget in self.knobs.items():
            widget.enabled = self.has_use_for(name)
        words = self.missing()
        self.hint.setText(words)
        self.hint.setVisible(bool(words))

    def missing(self) -> str:
        """Say what has to be there before a run can start; empty if nothing is missing."""
        return "" if self.image.value is not None else "Open an image first (File > Open, or File > Open Sample)."

    @property
    def knobs(self) -> dict[str, Widget]:
        """The widgets of all knobs, by name."""
        return {**self.everyday, **self.more}

    def has_use_for(self, name: str) -> bool:
        """Whether a knob changes anything, with the others as they are."""
        noise = self.everyday["noise"].value if "noise" in self.everyday else None
        return name == "noise" or task_named(self.task).uses(name, self.everyday["preset"].value, noise)

    def settings(self) -> dict[str, Any]:
        """Give every knob on the form that changes anything; optional ones only where they are set.

        Raises
        ------
        InputError
            If one holds half a number.
        """
        values = {name: read(widget) for name, widget in self.knobs.items() if self.has_use_for(name)}
        return {name: value for name, value in values.items() if value is not None}

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
    """An image, and what is known of its noise."""

    on_top = ("preset", "noise", "uncertainty")
    rarely = (*STRENGTH, *MORE)

    def refresh(self, *_: Any) -> None:
        """Say, too, what an offset is that is left out: photons alone start at 0."""
        super().refresh()
        words = "0" if self.everyday["noise"].value == "poisson" else EMPTY["offset"]
        self.more["offset"].native.setPlaceholderText(words)


class InpaintForm(Form):
    """An image and the Labels layer that says what to fill in."""

    task = "inpaint"
    words = "Fills in what you mark: scratches, dust, dead pixels. All other pixels stay exactly as they are."
    suffix = "inpainted"
    on_top = ("preset", "uncertainty")

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

    task = "super_resolve"
    words = "Enlarges an image with more detail than interpolation. The result covers the same area."

    def own_widgets(self) -> list[Widget]:
        """How much larger."""
        self.factor = ComboBox(
            name="factor",
            label="Enlarge",
            choices=[(f"{n} times", n) for n in task_named("super_resolve").inputs[0].choices],
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
