"""Copies of a run as text: a Python script, or a command for the shell."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox
from napari.layers import Labels
from napari.utils.notifications import show_info
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QApplication, QMenu, QWidget

from napari_dip.run.recipe import as_command, as_python
from napari_dip.tasks import task_named
from napari_dip.viewer.form.form import Form
from napari_dip.viewer.run.provenance import CurrentResult


class CopyMenu(QMenu):  # type: ignore[misc]
    """Puts text that repeats the run of a result on the clipboard.

    Parameters
    ----------
    current : CurrentResult
    form : Form
        Knows the layer of the mask.
    parent : QWidget
    """

    def __init__(self, current: CurrentResult, form: Form, parent: QWidget):
        super().__init__(parent)
        self.current, self.form = current, form
        self.setToolTipsVisible(True)
        for text, tip, copy in (
            ("as Python", "A script that makes the same result.", self.copy_python),
            ("as command", "A line for the shell that makes the same result.", self.copy_command),
        ):
            action = QAction(text, self)
            action.setToolTip(tip)
            action.triggered.connect(lambda *_, copy=copy: copy())
            self.addAction(action)

    def copy_python(self) -> None:
        """Copy a script."""
        source = self.current.source
        self._copy(as_python(self.current.record, self._files(), "" if source is None else str(source.name)), "script")

    def copy_command(self) -> None:
        """Copy a command."""
        self._copy(as_command(self.current.record, self._files()), "command")

    def _copy(self, text: str, what: str) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(text)
        names = {"input", *(one.name for one in task_named(self.current.record["task"]).inputs if one.kind == "mask")}
        missing = names - set(self._files()) if "restore_file" in text or what == "command" else set()
        more = " Put the names of your files into it: the layers were not opened from files." if missing else ""
        show_info(f"The {what} is on the clipboard.{more}")

    def _files(self) -> dict[str, str]:
        """Return the files of source, mask and prior, as far as they come from any."""
        row = task_named(self.current.record["task"])
        layers = {"input": self.current.source} | {one.name: self._mask() for one in row.inputs if one.kind == "mask"}
        paths: dict[str, Any] = {role: layer and layer.source.path for role, layer in layers.items()}
        paths["prior"] = self.current.provenance.prior
        return {role: str(path) for role, path in paths.items() if path}

    def _mask(self) -> Any:
        box = self.form.own.get("mask")
        return box.value if isinstance(box, ComboBox) and isinstance(box.value, Labels) else None
