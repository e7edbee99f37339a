"""Forms and the layer list: what is selected, renamed, hidden and painted."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

LONG = "a-name-that-an-instrument-makes-of-all-it-knows_" * 4


def test_a_layer_that_is_renamed_stays_chosen(viewer, open_dock, picture):
    for name in "abc":
        viewer.add_image(picture, name=name)
    form = open_dock("Denoise").form
    form.image.value = viewer.layers["b"]
    viewer.layers["b"].name = "z"
    assert form.image.value == viewer.layers["z"] and form.image.native.currentText() == "z"
    assert form.job()[0].title.startswith("z ")


def test_the_form_follows_the_selection_but_to_no_result(viewer, open_dock, run_to_end, picture):
    one, two = (viewer.add_image(picture, name=name) for name in ("one", "two"))
    mask = viewer.add_labels(np.zeros(picture.shape, int), name="a mask")
    viewer.add_labels(np.zeros(picture.shape, int), name="another")
    dock = open_dock("Inpaint")
    viewer.layers.selection.active = one
    viewer.layers.selection.active = mask
    assert (dock.form.image.value, dock.form.mask.value) == (one, mask)
    mask.paint((16, 20), 1)
    viewer.layers.selection.active = one
    run_to_end(dock)
    result = viewer.layers.selection.active
    assert result.name == "one inpainted" and dock.form.image.value == one
    viewer.layers.selection.active = two
    viewer.layers.selection.active = result
    assert dock.form.image.value == two


def test_a_selection_made_meanwhile_is_left_as_it_is(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="one")
    dock = open_dock("Denoise")
    start(dock)
    other = viewer.add_points([[1, 1]])
    viewer.layers.selection.active = other
    dock.panel.stop_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)
    assert viewer.layers.selection.active == other and dock.form.image.value == viewer.layers["one"]


def test_a_source_that_shines_through_steps_aside_and_comes_back(viewer, open_dock, run_to_end, picture):
    source = viewer.add_image(picture, name="red", blending="additive", colormap="red")
    plain = viewer.add_image(picture, name="plain")
    dock = open_dock("Denoise")
    for layer in (plain, source):
        dock.form.image.value = layer
        run_to_end(dock)
    assert plain.visible  # it is covered
    result = viewer.layers["red denoised"]
    assert not source.visible and result.visible
    result.visible = False
    assert source.visible
    result.visible = True
    assert not source.visible
    source.visible = True  # by hand: both are wanted
    result.visible = False
    result.visible = True
    assert source.visible
    source.visible = False
    viewer.layers.remove(result)
    assert not source.visible


def test_a_source_comes_back_when_its_run_is_cancelled(qtbot, viewer, open_dock, start, picture):
    source = viewer.add_image(picture, name="red", blending="additive")
    dock = open_dock("Denoise")
    start(dock)
    assert not source.visible
    dock.panel.cancel_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)
    assert source.visible and len(viewer.layers) == 1


def test_a_mask_that_is_painted_stays_in_sight(viewer, open_dock, start, picture):
    viewer.add_image(picture, name="one")
    mask = viewer.add_labels(np.zeros(picture.shape, int), name="next mask")
    viewer.layers.selection.active = mask
    mask.mode = "paint"
    dock = open_dock("Denoise")
    start(dock, layers=3)
    assert [layer.name for layer in viewer.layers] == ["one", "one denoised", "next mask"]
    assert viewer.layers.selection.active == mask and mask.mode == "paint"
    dock.panel.cancel_button.click()


def test_colours_keep_contrast_and_gamma(viewer, open_dock, run_to_end):
    image = np.random.default_rng(0).integers(0, 200, (24, 32, 3), np.uint8)
    viewer.add_image(image, rgb=True, name="dim", contrast_limits=(10, 120), gamma=0.6)
    run_to_end(open_dock("Denoise"))
    result = viewer.layers["dim denoised"]
    assert result.contrast_limits == [10, 120] and result.gamma == 0.6


def test_an_empty_mask_and_a_label_that_is_nowhere_are_told_before_run(qtbot, viewer, open_dock, picture):
    viewer.add_image(picture)
    mask = viewer.add_labels(np.zeros(picture.shape, int))
    dock = open_dock("Inpaint")
    assert "The mask is empty" in dock.form.hint.text() and not dock.panel.run_button.isEnabled()
    mask.paint((10, 10), 2)
    qtbot.waitUntil(dock.panel.run_button.isEnabled, timeout=5_000)
    dock.form.label.value = 3
    assert "Nothing in the mask has the label 3" in dock.form.hint.text()
    dock.form.label.value = 2
    assert dock.panel.run_button.isEnabled()
    mask.undo()
    qtbot.waitUntil(lambda: not dock.panel.run_button.isEnabled(), timeout=5_000)


def test_that_another_restoration_runs_is_taken_back(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="one")
    first, second = open_dock("Denoise"), open_dock("Super-resolve")
    start(first)
    second.form.image.value = viewer.layers["one"]
    second.panel.run_button.click()
    assert "Another restoration is running" in second.panel.status.text()
    first.panel.cancel_button.click()
    qtbot.waitUntil(lambda: not second.panel.status.text(), timeout=60_000)


@pytest.mark.parametrize("name", ["preset", "seed"])
def test_the_wheel_changes_no_setting_in_passing(qtbot, viewer, open_dock, picture, name):
    viewer.add_image(picture)
    dock = open_dock("Denoise")
    box = dock.form.knobs[name]
    before = box.value
    at, turn = QPointF(5, 5), QPoint(0, -120)
    moment = Qt.ScrollPhase.NoScrollPhase
    wheel = QWheelEvent(at, at, turn, turn, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, moment, False)
    QApplication.sendEvent(box.native, wheel)
    assert box.value == before


def test_long_names_widen_nothing_and_are_told_in_whole(qtbot, viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="short")
    dock = open_dock("Denoise")
    viewer.add_image(picture, name=LONG)
    assert dock.form.image.value == viewer.layers[LONG]
    assert LONG in dock.form.image.native.toolTip()
    run_to_end(dock)
    assert LONG in dock.panel.status.text()
    assert dock.minimumSizeHint().width() <= dock.minimumWidth() == 350


def test_what_the_window_has_no_room_for_can_be_scrolled_to(qtbot, make_napari_viewer, picture):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(picture)
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")
    window = viewer.window._qt_window
    window.resize(1280, 720)
    dock.form.collapsible.expand(False)
    bar = dock.pages.area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0, timeout=5000)
    assert window.height() <= 720
    assert dock.form.more["sigma"].native.height() >= dock.form.more["sigma"].native.minimumSizeHint().height()


def test_a_result_lies_right_above_its_source_and_a_newer_one_above_it(viewer, open_dock, run_to_end, picture):
    for name in ("red", "green", "blue"):
        viewer.add_image(picture, name=name)
    viewer.add_points([[1, 1]], name="cells")
    dock = open_dock("Denoise", iterations=2)
    dock.form.everyday["uncertainty"].value = True
    names = ["red", "green", "green denoised", "green denoised uncertainty", "blue", "cells"]
    dock.form.image.value = viewer.layers["green"]
    run_to_end(dock)
    assert [layer.name for layer in viewer.layers] == names
    dock.form.everyday["uncertainty"].value = False
    dock.form.image.value = viewer.layers["green"]
    run_to_end(dock)
    assert [layer.name for layer in viewer.layers] == [*names[:4], "green denoised [1]", *names[4:]]


def test_a_result_covers_its_mask_but_nothing_else_above_its_source(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cells")
    mask = viewer.add_labels(np.zeros(picture.shape, int), name="mask")
    mask.paint((16, 20), 1)
    viewer.add_labels(np.zeros(picture.shape, int), name="segments")
    dock = open_dock("Inpaint", iterations=2)
    dock.form.mask.value = mask
    run_to_end(dock)
    assert [layer.name for layer in viewer.layers] == ["cells", "mask", "cells inpainted", "segments"]
