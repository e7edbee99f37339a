"""The widgets for what a task takes beside the image: a mask, a number, another image. One class for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any, Protocol

import numpy as np
from magicgui.widgets import ComboBox, PushButton, Widget
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes
from napari.utils.notifications import show_info, show_warning

from napari_dip.errors import InputError
from napari_dip.tasks import Input
from napari_dip.viewer.errand import errand
from napari_dip.viewer.form.number_boxes import (
    MOST,
    fault,
    mark,
    number_or_nothing,
    number_or_words,
    read,
    whole_number,
)
from napari_dip.viewer.form.proposals import PROPOSALS, Proposal, grown, propose
from napari_dip.viewer.form.widgets import percent
from napari_dip.viewer.layers.layers import OWN_MASK, can_serve, empty_mask, itself, read_data
from napari_dip.viewer.layers.placing import ELSEWHERE, between, drawn, drawn_part, lies_alike, lies_on, mask_on_image
from napari_dip.viewer.messages import Painted

FIRST_LABEL = 2
"""Label of the first kind that may be proposed: each has its own, and 1 is what is painted with."""
NO_THRESHOLD = "There is nothing to set for this kind."
LOOKED_THROUGH, DRAWN = 2**24, 20
"""Most pixels of a mask, and most shapes, that are looked through whenever it is painted on."""


class InputWidgets(Protocol):
    """What a form asks of the widgets of an input.

    Attributes
    ----------
    widgets : dict
        By name, in the order in which they stand on the form.
    """

    widgets: dict[str, Widget]

    def missing(self) -> str:
        """Say what has to be there before a run can start; empty if nothing is missing."""
        ...

    def preselect(self) -> None:
        """Choose what is most likely meant."""
        ...

    def read(self) -> Any:
        """Give the value for a job."""
        ...


class NumberInput:
    """A number of a few."""

    def __init__(self, row: Input, viewer: ViewerModel, image: ComboBox):
        choices = [(f"{n} {row.unit}".strip(), n) for n in row.choices]
        self.box = ComboBox(name=row.name, label=row.title, choices=choices, value=row.default, tooltip=row.help)
        self.widgets: dict[str, Widget] = {row.name: self.box}

    def missing(self) -> str:
        """Say nothing: a number is always there."""
        return ""

    def preselect(self) -> None:
        """Leave the default."""

    def read(self) -> int:
        """Give the number."""
        return int(self.box.value)


class ImageInput:
    """Another image layer: any but the one to restore."""

    def __init__(self, row: Input, viewer: ViewerModel, image: ComboBox):
        self.title = row.title
        self.box = layer_box(viewer, Image, lambda: image.value, name=row.name, label=row.title, tooltip=row.help)
        self.widgets: dict[str, Widget] = {row.name: self.box}

    def missing(self) -> str:
        """Ask for an image."""
        return "" if self.box.value is not None else f"{self.title}: open another image for it first."

    def preselect(self) -> None:
        """Leave the first of the others: what is selected is the image to restore."""

    def read(self) -> Any:
        """Give the array of the layer."""
        return read_data(self.box.value)


class MaskInput:
    """A Labels or Shapes layer, a button for an empty one, and which of its labels counts."""

    def __init__(self, row: Input, viewer: ViewerModel, image: ComboBox):
        self.viewer, self.image = viewer, image
        self.axes: Callable[[], str] = lambda: ""
        self.box = layer_box(
            viewer,
            (Labels, Shapes),
            name=row.name,
            label=row.title,
            tooltip="The Labels or Shapes layer that lies over what is to be filled in.",
        )
        self.button = PushButton(
            text=f"New {row.name}",
            tooltip="Adds an empty Labels layer on the image and takes up the brush, so that you can paint "
            "over what is to be filled in.",
        )
        self.button.changed.connect(self.add)
        self.label = number_or_words(
            "every label",
            MOST,
            name="label",
            label="Label",
            tooltip="Fill in only pixels of this label number; 0 fills in every label.",
        )
        self.kind = ComboBox(
            name="propose",
            label="Propose",
            choices=[(one.title, one.name) for one in PROPOSALS],
            tooltip="What may be wrong in the image. It is marked in a mask, to be painted on before Run.",
        )
        self.threshold = number_or_nothing("", 0.0, name="threshold", label="Threshold")
        self.propose_button = PushButton(
            text="Propose a mask", tooltip="Look for it, and mark it in the mask; what was painted stays."
        )
        self.by = whole_number(1, 99, value=1, name="by", label="By", tooltip="Pixels to grow or shrink by.")
        self.grow_button = PushButton(text="Grow the mask", tooltip="Let all of it reach further, in its plane.")
        self.shrink_button = PushButton(text="Shrink the mask", tooltip="Take its rim off, in its plane.")
        self.kind.changed.connect(self._show_threshold)
        self.propose_button.changed.connect(lambda *_: self.propose())
        self.grow_button.changed.connect(lambda *_: self.grow(int(self.by.value)))
        self.shrink_button.changed.connect(lambda *_: self.grow(-int(self.by.value)))
        self._show_threshold()
        self.widgets: dict[str, Widget] = {row.name: self.box, f"new_{row.name}": self.button, "label": self.label}
        self.tools: list[Widget] = [
            self.kind,
            self.threshold,
            self.propose_button,
            self.by,
            self.grow_button,
            self.shrink_button,
        ]

    @property
    def numbers(self) -> list[Widget]:
        """The boxes for numbers."""
        return [self.label, self.threshold, self.by]

    def missing(self) -> str:
        """Ask for a mask, and for something in it that lies on the image."""
        if words := fault(self.label):
            return words
        layer, label = self.box.value, int(self.label.value)
        if layer is None:
            return f"Press {self.button.text} and paint over what is to be filled in, or open a Labels layer."
        try:
            if isinstance(layer, Shapes):
                return self._missing_shapes(layer, label)
            mask = self.mask_on_image()
        except InputError as error:
            return str(error)
        if mask is None or (mask.any() and not mask.all()):
            return ""  # of what is lazy or large the run will say so
        if mask.any():
            return "The mask covers the whole image; leave some pixels to restore the others from."
        if label and layer.data.any():
            return f"Nothing in the mask has the label {label}; give another number, or 0 for every label."
        return "The mask is empty: paint over what is to be filled in."

    def _missing_shapes(self, layer: Shapes, label: int) -> str:
        image = self.image.value
        if not layer.data:
            return "Nothing is drawn in the mask: draw over what is to be filled in."
        if len(layer.data) < label:
            return f"The layer “{layer.name}” has {len(layer.data)} shapes; give a lower number, or 0 for all of them."
        there = image is None or lies_on(layer, image, read_data(image).shape[: image.ndim])
        return "" if there else ELSEWHERE

    def coverage(self) -> str:
        """Say how much of the image is to be filled in; empty where that is not known at once."""
        image, layer = self.image.value, self.box.value
        try:
            if isinstance(layer, Shapes) and image is not None:
                few = 0 < len(layer.data) <= DRAWN
                shape = read_data(image).shape[: image.ndim]
                part = drawn_part(layer, image, shape, int(self.label.value)) if few else 0.0
                return f"The mask covers about {percent(part)} of the image." if part else ""
            mask = self.mask_on_image()
        except InputError:
            return ""
        part = 0.0 if mask is None else np.count_nonzero(mask) / mask.size
        return f"The mask covers {percent(part)} of the image." if part else ""

    def mask_on_image(self) -> np.ndarray | None:
        """Give what a run would fill in of labels; None where there are none, or too many to look at after each stroke.

        Raises
        ------
        InputError
            If the mask cannot be laid on the image.
        """
        image, layer = self.image.value, self.box.value
        if image is None or layer is None:
            return None
        pixels, data = prod(read_data(image).shape[: image.ndim]), read_data(layer)
        quick = isinstance(data, np.ndarray) and 0 < data.size <= LOOKED_THROUGH and pixels <= LOOKED_THROUGH
        return mask_on_image(self._painted()) if quick else None

    def propose(self) -> None:
        """Look for what is chosen, off the GUI thread, and mark it in the mask that was made for this image."""
        source = self.image.value
        if source is None:
            return
        data, axes = read_data(source), "".join(self.axes())
        if len(axes) != len(data.shape):
            show_warning("Say first what the axes of the image are.")
            return
        try:
            threshold = read(self.threshold)
        except InputError as error:
            show_warning(str(error))
            return
        one = self._proposal
        limit = one.threshold or 0.0 if threshold is None else threshold

        def end(found: np.ndarray) -> None:
            mask = self._mask_of(source)
            if not found.any():
                show_info("Nothing of that kind was found; another threshold may find more.")
            elif mask is None:
                mask = self._add(source)
            if mask is not None:
                self.box.value = mask
                self._label(mask, found, FIRST_LABEL + PROPOSALS.index(one))

        errand(lambda: propose(data, axes, one.name, limit), end, self.propose_button.native)

    def _mask_of(self, source: Image) -> Any:
        """Give the mask on an image that proposals go to: the chosen one or another that was made here, or None."""
        shape = tuple(read_data(source).shape[: source.ndim])
        for layer in (self.box.value, *reversed(self.box.choices)):
            made_here = isinstance(itself(layer), Labels) and OWN_MASK in layer.metadata
            if made_here and layer.data.shape == shape and lies_alike(between(source, layer), shape):
                return layer
        return None

    def _label(self, mask: Any, found: np.ndarray, number: int) -> None:
        """Give pixels a label, and take it from those that had it before; what is painted stays and counts, too."""
        self.label.value = 0
        after = np.where(mask.data == number, 0, mask.data)
        after[found & (after == 0)] = number
        changed = np.nonzero(after != mask.data)
        if changed[0].size:
            mask.data_setitem(changed, after[changed])

    def grow(self, by: int) -> None:
        """Let the chosen mask reach further in its planes, or less far; undone as painting is."""
        layer = self.box.value
        if words := fault(self.by):
            show_warning(words)
            return
        if not isinstance(layer, Labels) or not isinstance(layer.data, np.ndarray):
            show_warning("Choose a Labels layer as mask first.")
            return
        after = grown(layer.data, by, (layer.ndim - 2, layer.ndim - 1))
        changed = np.nonzero(after != layer.data)
        if changed[0].size:
            layer.data_setitem(changed, after[changed])

    @property
    def _proposal(self) -> Proposal:
        """What is chosen to be looked for."""
        return next(one for one in PROPOSALS if one.name == self.kind.value)

    def _show_threshold(self, *_: Any) -> None:
        """Say what the threshold means, and what it is if nobody says otherwise."""
        one = self._proposal
        self.threshold.enabled = one.threshold is not None
        self.threshold.native.setPlaceholderText("" if one.threshold is None else f"{one.threshold:g}")
        mark(self.threshold, "")
        self.threshold.tooltip = one.meaning[:1].upper() + one.meaning[1:] if one.meaning else NO_THRESHOLD
        self.threshold.native.setAccessibleDescription(self.threshold.tooltip)

    def preselect(self) -> None:
        """Choose the Labels layer that is most likely meant."""
        preselect(self.box, self.viewer, Labels)

    def read(self) -> Painted:
        """Give the labels as they are now, and where they lie: painting on must not change a run.

        Raises
        ------
        InputError
            If they cannot be laid on the image.
        """
        painted = self._painted()
        return replace(painted, labels=painted.labels.copy()) if hasattr(painted.labels, "copy") else painted

    def _painted(self) -> Painted:
        """Give the labels themselves, and where they lie.

        Raises
        ------
        InputError
            As `read` does.
        """
        image, mask, label = self.image.value, self.box.value, int(self.label.value)
        shape = tuple(read_data(image).shape[: image.ndim])
        if isinstance(mask, Shapes):
            return Painted(drawn(mask, image, shape), label)
        data, trailing = read_data(mask), shape[-mask.ndim :]
        if mask.ndim < image.ndim and data.shape != trailing:  # it may lack axes in between, which their sizes tell
            return Painted(data, label)
        matrix = between(image, mask)
        same = data.shape == trailing and lies_alike(matrix, trailing)
        return Painted(data, label, shape, None if same else matrix)

    def add(self, *_: Any) -> None:
        """Add an empty mask on the image, ready to be painted."""
        if self.image.value is not None:
            self._add(self.image.value)

    def _add(self, source: Image) -> Any:
        mask = empty_mask(source, (layer.name for layer in self.viewer.layers))
        self.viewer.add_layer(mask)
        self.box.reset_choices()
        self.box.value = mask
        self.viewer.layers.selection.active = mask
        mask.mode = "paint"
        return mask


KINDS: dict[str, Callable[[Input, ViewerModel, ComboBox], InputWidgets]] = {
    "mask": MaskInput,
    "number": NumberInput,
    "image": ImageInput,
}


def layer_box(
    viewer: ViewerModel, kind: type | tuple[type, ...], taken: Callable[[], Any] = lambda: None, **common: Any
) -> ComboBox:
    """Make a box that offers the layers of one kind that can serve, but for one that is taken."""

    def offered(_: Any) -> list[Any]:
        layers = (layer for layer in viewer.layers if isinstance(layer, kind) and can_serve(layer))
        return [layer for layer in layers if layer is not taken()]

    return ComboBox(choices=offered, **common)


def renew(box: ComboBox) -> None:
    """Offer what there is now; what was chosen stays chosen, whatever it is called by now."""
    chosen = box.value
    with box.changed.blocked():
        box.reset_choices()
        if chosen in box.choices:
            box.value = chosen
    if box.value != chosen:
        box.changed.emit(box.value)


def preselect(box: ComboBox, viewer: ViewerModel, kind: type) -> None:
    """Choose what is selected in the viewer, or else the uppermost layer of that kind that is seen."""
    active = viewer.layers.selection.active
    found: list[Any] = [layer for layer in box.choices if isinstance(layer, kind)]
    seen = [layer for layer in found if layer.visible]
    if found:
        box.value = active if active in found else (seen or found)[-1]
