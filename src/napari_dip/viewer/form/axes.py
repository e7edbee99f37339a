"""What the dimensions of a layer mean: what it says, what its file says, a guess, or what somebody types."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from magicgui.widgets import LineEdit
from napari.layers import Image

from napari_dip.errors import InputError
from napari_dip.files.formats import peek
from napari_dip.image.axes import AXES, AXES_IN_WORDS, check_axes, guess_axes, letters_of
from napari_dip.viewer.layers.layers import read_data

HELP = "What the dimensions of the image are, one letter for each: " + ", ".join(
    f"{letter} {words}" for letter, words in AXES_IN_WORDS.items()
)

_peeked: WeakKeyDictionary[Image, Any] = WeakKeyDictionary()
"""What files say, by layer, so that none is opened twice."""


class AxesField:
    """A box for the axes of an image: filled in from the layer, and for each layer kept as somebody has typed it.

    Attributes
    ----------
    box : magicgui widget
    guessed : bool
        Whether nothing has told what the axes are, nor somebody typed them.
    """

    def __init__(self) -> None:
        self.box = LineEdit(name="axes", label="Axes", tooltip=f"{HELP}. Left empty, what the layer says.")
        self._typed: WeakKeyDictionary[Image, str] = WeakKeyDictionary()
        self._layer: Image | None = None
        self._said: str | None = None
        self.guessed = False
        self.box.changed.connect(self._note)

    def follow(self, layer: Image | None) -> None:
        """Show the axes of a layer."""
        told = "" if layer is None else told_axes(layer)
        self._layer, self._said = layer, None if layer is None else told or guessed_axes(layer)
        shown = self._said or "" if layer is None else self._typed.get(layer, self._said or "")
        self.box.native.setPlaceholderText(self._said or "")
        if shown != self.box.value:  # setting it would move the cursor of who is typing
            with self.box.changed.blocked():
                self.box.value = shown
        self.guessed = bool(self._said) and not told and shown in (self._said, "")

    def read(self) -> str:
        """Give the axes as capital letters, without what may stand between them; empty if nobody knows them."""
        return "".join(c for c in self.box.value if not c.isspace() and c not in ",;-").upper() or self._said or ""

    def wrong(self) -> str:
        """Say what is wrong with the axes; empty if nothing is."""
        if self._layer is None:
            return ""
        shape, axes = read_data(self._layer).shape, self.read()
        if not axes:
            return f"Say under Axes what the {len(shape)} dimensions of the image are, with letters of {AXES}."
        try:
            check_axes(axes, shape)
        except InputError as error:
            return str(error)
        return ""

    def _note(self, text: str) -> None:
        if self._layer is not None:
            self._typed[self._layer] = text


def told_axes(layer: Image) -> str:
    """Give the axes of an image layer as something tells them, one letter for each dimension; empty if nothing does.

    That is the layer's axis labels, if each stands for a different letter; its metadata, those of a result or an entry
    "axes"; or the file it was read from.
    """
    shape, metadata = read_data(layer).shape, layer.metadata
    labels = letters_of(layer.axis_labels, len(shape) - layer.rgb, without="S")
    if labels:
        return labels + "S" * bool(layer.rgb)
    record = metadata.get("napari-dip")
    for said in (record.get("axes") if isinstance(record, dict) else None, metadata.get("axes")):
        if found := letters_of(said, len(shape)):
            return found
    return _in_file(layer, shape)


def guessed_axes(layer: Image) -> str | None:
    """Guess the axes as `guess_axes` does, but that napari knows what it shows in colours: that is S, all else C.

    Returns
    -------
    str or None
        None if the layer has more dimensions than can be told apart.
    """
    shape = read_data(layer).shape
    try:
        if layer.rgb:
            return guess_axes(shape[:-1], np.dtype("uint8")) + "S"
        guess = guess_axes(shape, layer.dtype).replace("S", "C")
    except InputError:
        return None
    return guess if len(set(guess)) == len(shape) else None


def peek_at_file(layer: Image) -> Any:
    """Give shape and metadata of the file of a layer; None if there is none that says anything."""
    if layer not in _peeked:
        path = layer.source.path
        _peeked[layer] = None if path is None else peek(Path(path))
    return _peeked[layer]


def _in_file(layer: Image, shape: tuple[int, ...]) -> str:
    """Say what the file of a layer says of its axes; of an image that is split into layers, without C."""
    peeked = peek_at_file(layer)
    if peeked is None or peeked[1].axes is None:
        return ""
    size = dict(zip(peeked[1].axes, peeked[0], strict=True))
    choices = (peeked[1].axes, peeked[1].axes.replace("C", ""))
    return next((axes for axes in choices if tuple(size[a] for a in axes) == tuple(shape)), "")
