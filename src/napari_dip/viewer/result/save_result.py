"""Saves a result in one step: a dialog for the file, then image, pixel size and record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_dip.files.formats import check_output
from napari_dip.viewer.contributions import record_beside, write_layer

ENDINGS = {"TIFF (*.tif)": ".tif", "OME-Zarr (*.ome.zarr)": ".ome.zarr"}
"""Suffix of a file whose name has none, by what the dialog offers."""
WRITTEN = (".tif", ".tiff", ".zarr")


def choose_file(parent: QWidget, result: Any, source: Any) -> Path | None:
    """Ask for a file, and whether to replace what exists.

    Parameters
    ----------
    parent : QWidget
    result : Image
    source : Image or None
        Its folder is offered, and its file is never replaced.

    Returns
    -------
    Path or None
        None if the user has changed their mind.

    Raises
    ------
    InputError
        If the file cannot be written there.
    """
    origin = None if source is None or not source.source.path else Path(source.source.path)
    proposed = f"{result.name}.tif".replace("/", "-")
    path, kind = QFileDialog.getSaveFileName(
        parent,
        "Save result",
        proposed if origin is None else str(origin.with_name(proposed)),
        ";;".join(ENDINGS),
        options=QFileDialog.Option.DontConfirmOverwrite,  # the name may still change; asked once, below
    )
    if not path:
        return None
    target = Path(path)
    if target.suffix.lower() not in WRITTEN:
        target = target.with_name(target.name + ENDINGS.get(kind, ".tif"))
    check_output(target, [] if origin is None else [origin], force=True)
    return target if _may_replace(parent, target) else None


def save_result(path: Path, result: Any) -> str:
    """Write a result with pixel size and record; return a sentence that names the files."""
    data, meta, _ = result.as_layer_data_tuple()
    files = [Path(file).name for file in write_layer(str(path), data, meta)]
    return f"Saved {' and '.join(files)} in {path.parent}."


def _may_replace(parent: QWidget, target: Path) -> bool:
    existing = [path.name for path in (target, record_beside(target)) if path.exists()]
    if not existing:
        return True
    answer = QMessageBox.question(parent, "Replace?", f"{' and '.join(existing)} exist already. Replace?")
    return bool(answer == QMessageBox.StandardButton.Yes)
