"""What can be done with a result: judge it, then keep it, repeat it, or go on with its run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from napari_dip.errors import InputError
from napari_dip.run.record import Record
from napari_dip.run.summary import judgement
from napari_dip.viewer.errand import errand
from napari_dip.viewer.form.form import Form
from napari_dip.viewer.form.priors import FILES, SUFFIX, save
from napari_dip.viewer.form.short_label import ShortLabel
from napari_dip.viewer.form.widgets import in_the_form
from napari_dip.viewer.layers.layers import RECORD, SHOWS, describe, insert_above, itself, read_data, unique_name
from napari_dip.viewer.layers.views import Views
from napari_dip.viewer.result.before_after import KEY, BeforeAfter
from napari_dip.viewer.result.border import Border
from napari_dip.viewer.result.copy_menu import CopyMenu
from napari_dip.viewer.result.invented import TASKS, invented, look_of_invented
from napari_dip.viewer.result.result_layers import ResidualView, UncertaintyView
from napari_dip.viewer.result.save_result import choose_file, save_result
from napari_dip.viewer.result.truth import TruthRow
from napari_dip.viewer.run.provenance import CurrentResult, Provenance
from napari_dip.viewer.run.stages import Stages

CONTOUR = 2
"""Pixels that an outline is wide."""


class ResultPanel(QWidget):  # type: ignore[misc]
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
        super().__init__()
        self.run_of: Callable[[Any], Any] = lambda result: None
        self.viewer, self.form = viewer, form
        self.current = CurrentResult(viewer)
        self.words = ShortLabel(2)
        self.border, self.stages = Border(self.current), Stages(self.current)
        self.residual = ResidualView(self.current)
        self.views = Views([self.border, self.residual, UncertaintyView(self.current), self.stages])
        self.before_after = BeforeAfter(self.current, self.views.end)
        self.truth = TruthRow(self.current)
        self.copy_menu = CopyMenu(self.current, form, self)
        self._make_buttons()
        self._arrange()
        self.hide()

    def show_of(self, result: Image, provenance: Provenance | None = None) -> None:
        """Be about this result, with its record, from now on; without a provenance, that of before is kept."""
        if itself(result) is not itself(self.result):
            self.views.end()
            self.before_after.reset()
            self.truth.clear()
        self.current.choose(result, provenance)
        self.words.setText("\n".join(judgement(self.record, in_the_form)))
        self.setVisible(True)
        self.refresh()
        self.before_after.take_key()

    def refresh(self, *_: Any) -> None:
        """Follow the layers that there are; without the result, there is nothing to show."""
        result, source = self.result, self.source
        self.views.refresh()
        self.truth.refresh()
        if result is None:
            self.hide()
            self.views.end()
            self.truth.clear()
            return
        run = self.run_of(result)
        self.blink_button.setEnabled(source is not None)
        self.more_button.setEnabled(run is not None)
        self.prior_button.setEnabled(run is not None and run.has_prior)
        self.invented_button.setEnabled(source is not None)
        self.load_button.setEnabled(self.record["task"] == self.form.task.name)

    @property
    def result(self) -> Any:
        """The layer that holds the result; None if it is gone."""
        return self.current.layer

    @property
    def source(self) -> Any:
        """The layer that it was made from; None if it is gone or not known."""
        return self.current.source

    @property
    def record(self) -> Record:
        """Of the result."""
        return self.current.record

    def show_invented(self) -> None:
        """Add a Labels layer that outlines what was never measured, and say how much it is."""
        result, source, record = self.result, self.source, self.record
        look, layers, of = look_of_invented(describe(result)), self.viewer.layers, result.name
        name = unique_name(f"{of} extrapolated", (one.name for one in layers))

        def add(found: tuple[np.ndarray, str]) -> None:
            mask, words = found
            outline = Labels(mask, name=name, metadata={RECORD: record, SHOWS: "invented"}, **look)
            outline.contour = CONTOUR
            insert_above(layers, outline, result)
            self.words.setText(words)

        values = read_data(source), result.data
        self._work(lambda: invented(*values, record["axes"], record["task"]), add, self.invented_button)

    def save(self) -> None:
        """Ask for a file, and write the result with its pixel size and record."""
        try:
            path = choose_file(self, self.result, self.source)
        except InputError as error:
            show_warning(str(error))
            return
        if path is not None:
            result = self.result
            self._work(lambda: save_result(path, result), show_info, self.save_button)

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
        run, name = self.run_of(self.result), "" if self.source is None else self.source.name
        path, _ = QFileDialog.getSaveFileName(self, "Save prior", f"{name}{SUFFIX}", FILES)
        if path:
            self._work(lambda: save(run, Path(path)), show_info, self.prior_button)

    def load(self) -> None:
        """Set the form as it was."""
        self.form.apply(self.record)
        show_info(f"The form is set as it was for “{self.result.name}”; choose an image and run.")

    def shut(self) -> None:
        """Take the key back, and what is shown for a while."""
        self.views.end()
        self.before_after.release_key()
        self.current.clear()
        self.run_of = lambda result: None
        self.truth.shut()

    def _work(self, do: Callable[[], Any], then: Callable[[Any], None], button: QPushButton) -> None:
        """Do something off the GUI thread; then all buttons are as they should be."""

        def end(found: Any) -> None:
            then(found)
            self.refresh()

        errand(do, end, button)

    def _make_buttons(self) -> None:
        self.blink_button = _button(
            "Before / after", f"Show the source for the result, and back ({KEY}).", self.before_after.switch
        )
        self.invented_button = _button(
            "Extrapolated", "Outline what was never measured: deep gaps, detail beyond the pixels.", self.show_invented
        )
        self.save_button = _button("Save ...", "Write TIFF or OME-Zarr, with pixel size and record.", self.save)
        self.more_button = _button("Continue", "Go on with this run: as long again, into a new layer.", self.more.emit)
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Text that makes the same result: a Python script, or a command.")
        self.copy_button.setMenu(self.copy_menu)
        self.copy_button.setMinimumWidth(1)
        self.load_button = _button("Use settings", "Set the form as it was for this result.", self.load)
        self.record_button = _button("Record", "Settings, versions, and what was found in the image.", self.show_record)
        self.prior_button = _button(
            "Save prior ...", "Keep the fitted network, to restore images like this one faster.", self.save_prior
        )

    def _arrange(self) -> None:
        self.invented_button.setVisible(self.form.task.name in TASKS)
        self.prior_button.setVisible(self.form.task.keeps)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        judge, keep = QGridLayout(), QGridLayout()
        judge.addWidget(self.blink_button, 0, 0)
        judge.addWidget(self.invented_button, 0, 1)
        buttons = (self.save_button, self.more_button, self.copy_button, self.load_button, self.record_button)
        for number, button in enumerate((*buttons, self.prior_button)):
            keep.addWidget(button, number // 2, number % 2)
        column.addWidget(self.words)
        column.addWidget(self.views)
        column.addLayout(judge)
        column.addWidget(self.truth)
        column.addLayout(keep)
        for grid in (judge, keep):
            grid.setSpacing(4)
        column.addStretch(1)
        self.truth.box.changed.connect(self.refresh)


def _button(text: str, tip: str, do: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMinimumWidth(1)
    button.clicked.connect(do)
    return button
