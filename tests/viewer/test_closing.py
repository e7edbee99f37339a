"""Closing things during a run loses the run and nothing else."""

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_dip.viewer.run import runner as worker

WAIT = 240_000
NAMES = ["Denoise", "Inpaint", "Super-resolve"]


def close_dock(dock):
    """Press the x of the dock."""
    parent = dock.parent()
    while not isinstance(parent, QDockWidget):
        parent = parent.parent()
    parent.destroyOnClose()


def is_gone(reference):
    def check():
        gc.collect()
        return reference() is None

    return check


def test_dock_closed_during_a_run(qtbot, viewer, open_dock, start, picture, notes):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    close_dock(dock)
    qtbot.waitUntil(lambda: not worker.busy(), timeout=WAIT)
    assert [layer.name for layer in viewer.layers] == ["cell"]
    qtbot.wait(300)  # whatever was on its way arrives now
    assert len(viewer.layers) == 1
    assert not notes


def test_a_closed_dock_listens_no_more_and_another_one_works(
    qtbot, viewer, open_dock, start, run_to_end, picture, notes
):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    close_dock(dock)
    viewer.add_image(picture, name="later")
    del dock
    qtbot.waitUntil(lambda: not worker.busy(), timeout=WAIT)
    run_to_end(open_dock("Denoise", iterations=2))
    assert "later denoised" in viewer.layers or "cell denoised" in viewer.layers
    assert not notes


@pytest.mark.parametrize("paused", [False, True])
def test_viewer_closed_during_a_run(qtbot, make_napari_viewer, picture, paused, notes):
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="cell")
    dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")[1]
    dock.form.everyday["preset"].value = "paper"  # others find for themselves that they are done
    dock.form.more["threads"].value = 1
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)
    if paused:
        dock.panel.pause_button.click()
    reference = weakref.ref(dock)
    del dock
    viewer.close()
    QApplication.processEvents()
    qtbot.waitUntil(lambda: not worker.busy(), timeout=WAIT)
    qtbot.waitUntil(is_gone(reference), timeout=WAIT)
    assert not notes


def test_no_widget_is_left_after_closing(qtbot, viewer, open_dock):
    for name in NAMES:
        dock = open_dock(name)
        parts = [dock, dock.form, dock.panel, dock.panel.curve, dock.runner, dock.form.image]
        references = [weakref.ref(part) for part in parts]
        close_dock(dock)
        del dock, parts
        for reference in references:
            qtbot.waitUntil(is_gone(reference), timeout=WAIT)


def test_no_widget_is_left_after_a_run(qtbot, viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise", iterations=2)
    run_to_end(dock)
    references = [weakref.ref(part) for part in (dock, dock.form, dock.panel, dock.runner)]
    close_dock(dock)
    del dock
    for reference in references:
        qtbot.waitUntil(is_gone(reference), timeout=WAIT)
    assert "cell denoised" in viewer.layers


def test_no_array_is_left_after_its_layer(qtbot, viewer, open_dock, run_to_end):
    """A finished run must not hold the memory of pictures that have been closed."""
    data = np.random.default_rng(0).normal(size=(32, 32))
    viewer.add_image(data, name="cell")
    dock = open_dock("Denoise", iterations=2)
    run_to_end(dock)
    references = [weakref.ref(data), weakref.ref(viewer.layers["cell denoised"].data)]
    del data
    viewer.layers.clear()
    for reference in references:
        qtbot.waitUntil(is_gone(reference), timeout=WAIT)
