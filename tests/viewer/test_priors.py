"""What was fitted is saved from the form, and restores another layer."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication, QFileDialog

import napari_dip as dip


@pytest.fixture
def save_as(qtbot, monkeypatch):
    """Press the button, and answer the dialog."""

    def save(dock, path):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
        dock.results.prior_button.click()
        qtbot.waitUntil(dock.results.prior_button.isEnabled, timeout=60_000)

    return save


def test_a_prior_is_saved_and_restores_another_layer(
    viewer, open_dock, run_to_end, save_as, notes, picture, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("cells.tif", picture)
    tifffile.imwrite("other.tif", np.roll(picture, 7, 1))
    viewer.open(["cells.tif"])
    dock = open_dock("Denoise")
    run_to_end(dock)
    assert not dock.results.prior_button.isEnabled()  # a single plane is fitted in a way of its own
    dock.form.prior.keep.value = True
    run_to_end(dock)
    kept = viewer.layers["cells denoised [1]"]
    save_as(dock, tmp_path / "cells")
    assert any("“cells.prior”" in words for _, words in notes)
    prior = dip.load_prior("cells.prior")
    assert kept.metadata["napari-dip"]["on_crops"] is True
    text = again(dock, "command")
    assert "--save-prior cells.prior" in text
    Path("cells.prior").unlink()
    assert run_alone(text) == kept.data.tobytes()

    viewer.open(["other.tif"])
    dock.form.prior.keep.value = False
    dock.form.prior.file.value = tmp_path / "cells.prior"
    assert not dock.form.everyday["preset"].enabled and dock.form.everyday["noise"].enabled
    assert "applied" in dock.form.estimate()
    run_to_end(dock)
    result = viewer.layers["other denoised"]
    expected = prior.restore(np.roll(picture, 7, 1), axes="YX", threads=1)
    assert np.array_equal(result.data, expected.image)
    assert result.metadata["napari-dip"]["prior"]["sha256"] == prior.weights.digest
    assert run_alone(again(dock, "command")) == result.data.tobytes()
    assert run_alone(again(dock, "python")) == result.data.tobytes()
    dock.form.prior.update.value = 3
    run_to_end(dock)
    brought = viewer.layers["other denoised [1]"]
    assert brought.metadata["napari-dip"]["prior"]["iterations"] == 3
    assert "--update 3" in again(dock, "command")
    assert run_alone(again(dock, "python")) == brought.data.tobytes()
    viewer.layers.selection.active = kept
    dock.results.load_button.click()
    assert dock.form.prior.keep.value and dock.form.prior.chosen is None and dock.form.everyday["preset"].enabled


def again(dock, what):
    """Copy how to repeat the result."""
    getattr(dock.results.copy_menu, f"copy_{what}")()
    return QApplication.clipboard().text()


def run_alone(text):
    """Run a copied text in a process of its own; give the bytes of the image that it writes."""
    words = shlex.split(text.replace("napari-dip", "napari_dip", 1))
    command = ["-c", text] if text.startswith("import") else ["-m", *words]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    file = next(Path().glob("*-denoised.tif"))
    image = tifffile.imread(file)
    file.unlink()
    return image.tobytes()


def test_a_stack_can_always_be_saved(viewer, open_dock, run_to_end, save_as, notes, picture, tmp_path):
    viewer.add_image(np.stack([np.roll(picture, n, 0) for n in range(3)]), name="stack")
    dock = open_dock("Denoise")
    run_to_end(dock)
    save_as(dock, tmp_path / "stack.prior")
    assert dip.load_prior(tmp_path / "stack.prior").task == "denoise"
    save_as(dock, tmp_path / "nowhere" / "stack.prior")
    assert "nowhere" in notes[-1][1] and notes[-1][0] == "warning"


def test_what_is_no_prior_is_refused(qtbot, viewer, open_dock, notes, picture, tmp_path):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    dock.form.prior.file.line_edit.value = str(tmp_path / "gone.prior")
    qtbot.waitUntil(lambda: "gone.prior" in dock.form.hint.text(), timeout=10_000)
    assert not dock.panel.run_button.isEnabled()
    (tmp_path / "gone.prior").write_bytes(b"no prior")
    dock.form.prior.file.line_edit.value = ""
    dock.form.prior.file.line_edit.value = str(tmp_path / "gone.prior")
    qtbot.waitUntil(dock.panel.run_button.isEnabled, timeout=10_000)
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready" and bool(dock.panel.status.text()), timeout=60_000)
    assert "prior" in dock.panel.status.text() and len(viewer.layers) == 1
    assert open_dock("Inpaint").form.prior is None
