"""A result is saved in one step, and replaces nothing without a question."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_dip.files.formats import read_image


@pytest.fixture
def dialog(monkeypatch):
    """Answer the dialog for the file, and the question whether to replace one; a person is not there."""
    answers = {"path": "", "kind": "TIFF (*.tif)", "replace": False}
    asked = []

    def question(parent, title, text):
        asked.append(text)
        return QMessageBox.StandardButton.Yes if answers["replace"] else QMessageBox.StandardButton.No

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(answers["path"]), answers["kind"]))
    monkeypatch.setattr(QMessageBox, "question", question)
    return answers, asked


@pytest.fixture
def done(viewer, open_dock, run_to_end, picture, tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", picture)
    (source,) = viewer.open(tmp_path / "cells.tif", plugin="napari")
    source.scale, source.units = (0.25, 0.25), ("um", "um")
    dock = open_dock("Denoise", iterations=2)
    run_to_end(dock)
    return dock


@pytest.mark.parametrize(
    ("name", "kind", "written"),
    [
        ("a.tif", "TIFF (*.tif)", "a.tif"),
        ("b", "TIFF (*.tif)", "b.tif"),
        ("c", "OME-Zarr (*.ome.zarr)", "c.ome.zarr"),
        ("d.zarr", "OME-Zarr (*.ome.zarr)", "d.zarr"),
    ],
)
def test_it_is_written_with_pixel_size_and_record(qtbot, done, dialog, notes, tmp_path, name, kind, written):
    if "zarr" in written:
        pytest.importorskip("zarr")
    dialog[0].update(path=tmp_path / name, kind=kind)
    done.results.save_button.click()
    qtbot.waitUntil(lambda: any("Saved" in words for _, words in notes), timeout=60_000)
    found = read_image(tmp_path / written)
    assert np.array_equal(np.asarray(found.array), done.results.result.data)
    assert found.metadata.step["X"] == pytest.approx(0.25)
    assert (tmp_path / f"{written.split('.')[0]}.dip.json").exists() and not dialog[1]


def test_nothing_is_replaced_without_a_question_and_the_source_never(qtbot, done, dialog, notes, tmp_path):
    answers, asked = dialog
    record = tmp_path / "out.dip.json"
    record.write_text("kept")
    answers["path"] = tmp_path / "out.tif"
    done.results.save_button.click()
    assert asked == ["out.dip.json exist already. Replace?"] and record.read_text() == "kept"
    answers["replace"] = True
    done.results.save_button.click()
    qtbot.waitUntil(lambda: any("Saved" in words for _, words in notes), timeout=60_000)
    assert record.read_text() != "kept" and len(asked) == 2
    source = Path(done.results.source.source.path)
    before = source.read_bytes()
    answers["path"] = source
    done.results.save_button.click()
    assert notes[-1][0] == "warning" and "would be written over" in notes[-1][1]
    assert source.read_bytes() == before and len(asked) == 2
