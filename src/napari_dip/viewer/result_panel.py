"""What can be done with a result: seen beside its source and the truth, done once more, or on another layer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from magicgui.widgets import ComboBox
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSlider,
)

from napari_dip.recipe import as_command, as_python
from napari_dip.record import Record
from napari_dip.summary import taken_off_words
from napari_dip.tasks import task_named
from napari_dip.viewer.comparison import look_of_taken_off, scores, taken_off
from napari_dip.viewer.errand import errand
from napari_dip.viewer.form import Form
from napari_dip.viewer.inputs import renew
from napari_dip.viewer.invented import TASKS, invented, look_of_invented
from napari_dip.viewer.layers import RECORD, SHOWS, describe, is_users_own, itself, read_data, unique_name, with_scale
from napari_dip.viewer.passing import PassingLayer, still_there
from napari_dip.viewer.priors import FILES, SUFFIX, save
from napari_dip.viewer.snapshots import Stage, Stages
from napari_dip.viewer.widgets import tame

KEY = "Shift-B"
CONTOUR = 2
"""Pixels that an outline is wide."""
STEPS = 1000
"""Of the handle."""
NARROW = 40
"""Pixels of a button at the least: the dock is no wider for its words."""


_made_from: WeakKeyDictionary[Image, Callable[[], Any]] = WeakKeyDictionary()
"""From a result to what it was made from, as long as both live."""
_made_with: WeakKeyDictionary[Image, Path] = WeakKeyDictionary()
"""From a result to the file of the prior that it was made with."""
_went_through: WeakKeyDictionary[Image, list[Stage]] = WeakKeyDictionary()
"""From a result to the stages of its run."""


def is_result(layer: Any, task: str) -> bool:
    """Whether a layer is a result of a task; its uncertainty is none."""
    found = layer.metadata if isinstance(itself(layer), Image) else {}
    return RECORD in found and SHOWS not in found and found[RECORD].get("task") == task


class ResultPanel(QGroupBox):  # type: ignore[misc]
    """Buttons for one result of a task: that which is selected, or was made last.

    Parameters
    ----------
    viewer : napari viewer
    form : Form
        Of the task; takes the settings of a result.

    Attributes
    ----------
    run_of : callable
        Gives the run of a result, as long as that is there to go on with.
    """

    more = Signal()

    def __init__(self, viewer: ViewerModel, form: Form):
        super().__init__("Result")
        self.run_of: Callable[[Any], Any] = lambda result: None
        self.viewer, self.form = viewer, form
        self._result: Callable[[], Any] = lambda: None
        self._source: Callable[[], Any] = lambda: None
        self._hid = False
        self.blink_button = _button("Before / after", f"Show the source for the result, and back ({KEY}).", self.blink)
        self.residual_button = _button(
            "Taken off", "A layer of the source less the result: noise, if all went well.", self.show_taken_off
        )
        self.handle = QSlider(Qt.Orientation.Horizontal)
        self.handle.setRange(0, STEPS)
        self.handle.setAccessibleName("Border between source and result")
        self.handle.setToolTip("Drag: the source is seen left of the handle, and the result right of it.")
        self.handle.valueChanged.connect(self.wipe)
        self._before = PassingLayer(viewer, "before")
        self.stages = Stages(viewer)
        self.python_button = _button(
            "Copy as Python", "A script that makes the same result, to be pasted.", self.copy_python
        )
        self.command_button = _button(
            "Copy as command", "A line for the shell that makes the same result.", self.copy_command
        )
        self.more_button = _button("Continue", "Go on with this run: as long again, into a new layer.", self.more.emit)
        self.record_button = _button("Record", "All that is needed to repeat it, and what was found.", self.show_record)
        self.prior_button = _button(
            "Save prior", "Keep what was fitted, to restore images like this one without fitting anew.", self.save_prior
        )
        self.invented_button = _button(
            "Invented", "Outline what was never measured: deep gaps, detail beyond the pixels.", self.show_invented
        )
        self.load_button = _button("Use its settings", "Set the form as it was for this result.", self.load)
        self.truth = ComboBox(
            name="truth",
            label="Truth",
            tooltip="A layer with the true image, of the same shape, to measure against.",
            choices=lambda _: self._truths(),
        )
        tame(self.truth.native)
        self.truth.native.setAccessibleName("Truth to measure against")
        self.truth_button = _button(
            "Measure against", "PSNR, SSIM and (with napari-dip[metrics]) microSSIM of source and result.", self.measure
        )
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._arrange()
        self.hide()

    def show_of(
        self, result: Image, source: Image | None, prior: Path | None = None, stages: Sequence[Stage] | None = None
    ) -> None:
        """Be of this result from now on.

        Parameters
        ----------
        result : Image
            With its record.
        source : Image or None
            What it was made from, where that is known and still there.
        prior : Path, optional
            File of the fitted prior that it was made with.
        stages : sequence of Stage, optional
            That it went through; left out, those that are known of it.
        """
        if itself(result) is not itself(self.result):
            self._hid = False
            self.handle.setValue(0)
        self._result = ref(itself(result))
        if source is not None:
            _made_from[itself(result)] = ref(itself(source))
        if prior is not None:
            _made_with[itself(result)] = prior
        if stages is not None:
            _went_through[itself(result)] = list(stages)
        self._source = _made_from.get(itself(result), lambda: None)
        self.words.setText(taken_off_words(self.record))
        self.stages.offer(result, _went_through.get(itself(result), []))
        self.setVisible(True)
        self.refresh()
        self.viewer.bind_key(KEY, lambda viewer: self.blink(), overwrite=True)

    def refresh(self, *_: Any) -> None:
        """Follow the layers that there are; without the result, there is nothing to show."""
        renew(self.truth)
        result, source = self.result, self.source
        if result is None:
            self.hide()
            self.handle.setValue(0)
            self.stages.offer(None, [])
            return
        self.setTitle(f"Result: {result.name}" if len(result.name) < 32 else f"Result: {result.name[:30]}…")
        self.setToolTip(result.name)
        alike = source is not None and read_data(source).shape == result.data.shape
        self.blink_button.setEnabled(source is not None)
        run = self.run_of(result)
        self.more_button.setEnabled(run is not None)
        self.prior_button.setEnabled(run is not None and run.has_prior)
        self.residual_button.setEnabled(alike)
        self.invented_button.setEnabled(source is not None)
        self.handle.setEnabled(alike)
        self.load_button.setEnabled(self.record["task"] == self.form.task.name)
        for widget in (self.truth.native, self.truth_button):
            widget.setVisible(self.truth.value is not None)

    @property
    def result(self) -> Any:
        """The layer that holds the result; None if it is gone."""
        return still_there(self.viewer, self._result())

    @property
    def source(self) -> Any:
        """The layer that it was made from; None if it is gone or not known."""
        return still_there(self.viewer, self._source())

    @property
    def record(self) -> Record:
        """Of the result."""
        found: Record = self.result.metadata[RECORD]
        return found

    def blink(self) -> None:
        """Show the source in place of the result, or the result again."""
        result, source = self.result, self.source
        if result is None or source is None:
            return
        if result.visible:
            result.visible = False
            self._hid = not source.visible
            source.visible = True
        else:
            result.visible = True
            source.visible = source.visible and not self._hid
            self._hid = False

    def wipe(self, step: int) -> None:
        """Show the source over the left part of the result, by a layer that is there as long as any of it is seen."""
        result, source = self.result, self.source
        if step == 0 or result is None or source is None:
            self._before.drop()
            return
        axis, data = self.record["axes"].index("X"), read_data(source)
        part = data[(*[slice(None)] * axis, slice(max(1, round(data.shape[axis] * step / STEPS))))]
        self._before.show(result, f"{source.name} (before)", part, lambda: describe(source))

    def show_taken_off(self) -> None:
        """Add a layer of what was taken off."""
        result, source = self.result, self.source
        look, name = describe(result), unique_name(f"{result.name} taken off", (one.name for one in self.viewer.layers))
        viewer, beside = self.viewer, ref(result)

        def add(values: Any) -> None:
            layer = Image(
                values, name=name, multiscale=False, metadata={SHOWS: "residual"}, **look_of_taken_off(look, values)
            )
            there = beside()
            at = viewer.layers.index(there) + 1 if there is not None and there in viewer.layers else len(viewer.layers)
            viewer.layers.insert(at, with_scale(layer))

        self._work(lambda: taken_off(read_data(source), result.data, rgb=bool(result.rgb)), add, self.residual_button)

    def show_invented(self) -> None:
        """Add a Labels layer that outlines what was never measured, and say how much it is."""
        result, source, record = self.result, self.source, self.record
        name = unique_name(f"{result.name} invented", (one.name for one in self.viewer.layers))
        look, layers, of = look_of_invented(describe(result)), self.viewer.layers, result.name

        def add(found: tuple[np.ndarray, str]) -> None:
            mask, words = found
            selected = list(layers.selection)
            outline = self.viewer.add_labels(mask, name=name, metadata={RECORD: record, SHOWS: "invented"}, **look)
            outline.contour = CONTOUR
            layers.selection = selected
            self.words.setText(f"“{of}”: {words}")

        values = read_data(source), result.data
        self._work(lambda: invented(*values, record["axes"], record["task"]), add, self.invented_button)

    def measure(self) -> None:
        """Say how near source and result come to the truth."""
        result, source, truth, axes = self.result, self.source, self.truth.value, self.record["axes"]
        images = [read_data(source), result.data] if self.residual_button.isEnabled() else [result.data]
        of, true = result.name, read_data(truth)

        def tell(found: list[dict[str, float]]) -> None:
            said = [f"“{of}” against “{truth.name}”:"]
            for name in found[-1]:
                digits, unit = (2, " dB") if name == "PSNR" else (3, "")
                said.append(f"{name} {' → '.join(f'{one[name]:.{digits}f}' for one in found)}{unit}")
            self.words.setText("\n".join(said))

        self._work(lambda: [scores(image, true, axes) for image in images], tell, self.truth_button)

    def copy_python(self) -> None:
        """Put a script that repeats the run on the clipboard."""
        self._copy(as_python(self.record, self._names(), self._name()), "script")

    def copy_command(self) -> None:
        """Put a command that repeats the run on the clipboard."""
        self._copy(as_command(self.record, self._names()), "command")

    def show_record(self) -> None:
        """Show the record in a window of its own, from which it can be copied."""
        self.window_of_record = QPlainTextEdit(self)
        shown = self.window_of_record
        shown.setWindowFlag(Qt.WindowType.Window)
        shown.setWindowTitle(f"Record of {self.result.name}")
        shown.setReadOnly(True)
        shown.setPlainText(json.dumps(self.record, indent=2, ensure_ascii=False))
        shown.resize(600, 700)
        shown.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        shown.show()

    def save_prior(self) -> None:
        """Ask for a file, and write what was fitted to it."""
        run = self.run_of(self.result)
        path, _ = QFileDialog.getSaveFileName(self, "Save prior", f"{self._name()}{SUFFIX}", FILES)
        if path:
            self._work(lambda: save(run, Path(path)), show_info, self.prior_button)

    def load(self) -> None:
        """Set the form as it was."""
        self.form.apply(self.record)
        show_info(f"The form is set as it was for “{self.result.name}”; choose an image and run.")

    def shut(self) -> None:
        """Take the key back, and what is shown for a while."""
        self.handle.setValue(0)
        self.stages.offer(None, [])
        self.viewer.bind_key(KEY, None, overwrite=True)
        self._result = self._source = lambda: None
        self.run_of = lambda result: None
        self.truth.choices = ()  # PySide sees no circles: what asks here for layers would keep this alive

    def _truths(self) -> list[Image]:
        """List what may be the truth: images of the same shape that are no results."""
        result, source = self.result, self.source
        if result is None:
            return []
        others = [one for one in self.viewer.layers if isinstance(one, Image) and is_users_own(one)]
        return [one for one in others if read_data(one).shape == result.data.shape and one != source]

    def _names(self) -> dict[str, str]:
        """Give the files of source and mask, as far as they come from any."""
        row = task_named(self.record["task"])
        layers = {"input": self.source} | {one.name: self._mask() for one in row.inputs if one.kind == "mask"}
        paths: dict[str, Any] = {role: layer and layer.source.path for role, layer in layers.items()}
        paths["prior"] = _made_with.get(itself(self.result))
        return {role: str(path) for role, path in paths.items() if path}

    def _mask(self) -> Any:
        box = self.form.own.get("mask")
        return box.value if isinstance(box, ComboBox) and isinstance(box.value, Labels) else None

    def _name(self) -> str:
        return "" if self.source is None else str(self.source.name)

    def _copy(self, text: str, what: str) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(text)
        names = {"input", *(one.name for one in task_named(self.record["task"]).inputs if one.kind == "mask")}
        unsaid = names - set(self._names()) if "restore_file" in text or what == "command" else set()
        more = " Put the names of your files into it: the layers were not opened from any." if unsaid else ""
        show_info(f"The {what} is on the clipboard.{more}")

    def _work(self, do: Callable[[], Any], then: Callable[[Any], None], button: QPushButton) -> None:
        """Do something off the GUI thread; then all buttons are as they should be."""

        def end(found: Any) -> None:
            then(found)
            self.refresh()

        errand(do, end, button)

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 4, 4, 4)
        grid.setSpacing(4)
        grid.addWidget(self.blink_button, 0, 0)
        grid.addWidget(self.residual_button, 0, 1)
        compare = QHBoxLayout()
        for widget in (QLabel("Compare"), self.handle):
            compare.addWidget(widget)
        grid.addLayout(compare, 1, 0, 1, 2)
        grid.addWidget(self.stages, 2, 0, 1, 2)
        grid.addWidget(self.words, 3, 0, 1, 2)
        grid.addWidget(self.truth_button, 4, 0)
        grid.addWidget(self.truth.native, 4, 1)
        grid.addWidget(self.python_button, 5, 0)
        grid.addWidget(self.command_button, 5, 1)
        grid.addWidget(self.load_button, 6, 0)
        grid.addWidget(self.more_button, 6, 1)
        grid.addWidget(self.record_button, 7, 0)
        grid.addWidget(self.prior_button, 7, 1)
        self.prior_button.setVisible(self.form.task.keeps)
        grid.addWidget(self.invented_button, 7, 1)
        self.invented_button.setVisible(self.form.task.name in TASKS)
        self.truth.changed.connect(self.refresh)


def _button(text: str, tip: str, do: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMinimumWidth(NARROW)
    button.clicked.connect(do)
    return button
