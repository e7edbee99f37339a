"""A run that has ended, or was stopped, goes on."""

import gc
import weakref

import numpy as np
import pytest

from napari_dip.viewer.run.runner import busy


@pytest.fixture
def ended(qtbot):
    def wait(dock):
        qtbot.waitUntil(lambda: dock.panel.state in ("ready", "nothing"), timeout=240_000)
        return dock.panel.status.text()

    return wait


def test_a_finished_run_goes_on_into_a_new_layer(viewer, open_dock, run_to_end, ended, picture):
    viewer.add_image(picture, name="cells", scale=(0.5, 0.5))
    dock = open_dock("Denoise", iterations=6)
    run_to_end(dock)
    first = viewer.layers["cells denoised"]
    before = first.data.copy()
    dock.results.more_button.click()
    assert dock.panel.state == "running"
    assert "The result is the layer" in ended(dock)
    second = viewer.layers["cells denoised [1]"]
    record = second.metadata["napari-dip"]
    assert record["iterations"] > first.metadata["napari-dip"]["iterations"] == 6
    assert np.array_equal(first.data, before) and not np.array_equal(second.data, before)
    assert np.array_equal(second.scale, first.scale) and dock.results.result == second
    viewer.layers.selection.active = second
    viewer.layers.selection.active = first
    assert not dock.results.more_button.isEnabled()  # its run has gone on
    viewer.layers.selection.active = second
    assert dock.results.more_button.isEnabled()


def test_a_stack_that_was_stopped_is_completed(qtbot, viewer, open_dock, ended, picture):
    stack = np.stack([np.roll(picture, n, 0) for n in range(4)])
    viewer.add_image(stack, name="stack")
    dock = open_dock("Inpaint", iterations=40)
    mask = np.zeros(picture.shape, np.uint8)
    mask[10:14, 10:14] = 1
    viewer.add_labels(mask, name="mask")
    dock.form.image.value = viewer.layers["stack"]
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: dock.panel.report is not None and dock.panel.report.iteration > 2, timeout=240_000)
    dock.panel.stop_button.click()
    words = ended(dock)
    assert "1 of 4 planes is restored; the others are empty." in words and "Continue" in words
    assert np.isnan(viewer.layers["stack inpainted"].data[1:]).all()
    dock.results.more_button.click()
    ended(dock)
    done = viewer.layers["stack inpainted [1]"]
    assert np.isfinite(done.data).all() and done.metadata["napari-dip"]["unreached"] == []


def test_what_can_go_on_is_let_go(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    run_to_end(dock)
    run = weakref.ref(dock.kept.run)
    run_to_end(dock)
    gc.collect()
    assert run() is None
    run = weakref.ref(dock.kept.run)
    viewer.layers.remove(dock.results.result)
    gc.collect()
    assert not dock.results.isVisible() and run() is None


def test_continue_outlives_a_second_run_that_is_cancelled(qtbot, viewer, open_dock, run_to_end, ended, start, picture):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    run_to_end(dock)
    start(dock, layers=3)
    assert not dock.results.more_button.isEnabled()
    dock.panel.cancel_button.click()
    assert "Cancelled" in ended(dock)
    more = dock.results.more_button
    qtbot.waitUntil(more.isEnabled, timeout=60_000)
    more.click()  # and is cancelled itself
    qtbot.waitUntil(lambda: dock.panel.report is not None, timeout=60_000)
    dock.panel.cancel_button.click()
    ended(dock)
    qtbot.waitUntil(lambda: more.isEnabled() and dock.runner.control is None, timeout=60_000)
    qtbot.waitUntil(lambda: not busy(), timeout=60_000)
    more.click()
    assert "The result is the layer “cells denoised [1]”." in ended(dock)


def test_a_run_that_goes_on_and_ends_by_itself_is_not_said_to_be_stopped(
    qtbot, viewer, open_dock, ended, start, picture
):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    dock.form.everyday["preset"].value = "paper"
    start(dock)
    dock.panel.stop_button.click()
    assert ended(dock).startswith("Stopped after")
    dock.results.more_button.click()
    assert ended(dock).startswith("Done after")
