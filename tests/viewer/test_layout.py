"""The dock keeps its width, and the run in sight, whatever the font and the window are."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, QRect, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_dip.viewer.docks import Dock
from napari_dip.viewer.form.short_label import ShortLabel


@pytest.fixture
def font_of_14():
    from napari.settings import get_settings

    appearance = get_settings().appearance
    before = appearance.font_size
    appearance.font_size = 14
    yield
    appearance.font_size = before


@pytest.mark.parametrize("task", ["Denoise", "Inpaint", "Super-resolve"])
def test_with_a_large_font_run_progress_and_curve_are_in_sight(qtbot, make_napari_viewer, picture, font_of_14, task):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(picture, name="a rather long name of a layer that an instrument has given to it")
    mask = viewer.add_labels(np.zeros(picture.shape, np.uint8), name="mask")
    mask.paint((9, 9), 1)
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", task)
    dock.form.image.value = viewer.layers[0]
    dock.form.more["max_iterations"].value = 2
    window = viewer.window._qt_window
    window.resize(1280, 720)
    qtbot.waitUntil(lambda: dock.width() > 0 and window.height() <= 720, timeout=5000)
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=240_000)
    qtbot.wait(50)
    assert dock.width() <= 360 and dock.form.native.width() <= 360 and dock.results.width() <= 360
    tabs = dock.pages.tabBar()
    assert tabs.sizeHint().width() <= dock.pages.width() and tabs.tabText(0) == "Settings"
    inside = QRect(QPoint(), dock.size())
    for widget in (dock.panel.run_button, dock.panel.stop_button, dock.panel.bar, dock.panel.status, dock.panel.curve):
        assert widget.isVisible() and inside.contains(QRect(widget.mapTo(dock, QPoint()), widget.size()))
        assert not dock.pages.isAncestorOf(widget)


def test_no_button_moves_when_a_run_begins(qtbot, make_napari_viewer, picture, start):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(picture)
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")
    qtbot.waitUntil(dock.isVisible, timeout=5000)
    qtbot.wait(50)
    button = dock.panel.run_button
    before = button.mapTo(dock, QPoint())
    start(dock)
    assert dock.panel.curve.isVisible() and button.mapTo(dock, QPoint()) == before
    dock.panel.cancel_button.click()


def test_docks_of_one_column_are_tabs(qtbot, make_napari_viewer, picture):
    viewer = make_napari_viewer(show=True)
    docks = [viewer.window.add_plugin_dock_widget("napari-dip", name)[1] for name in ("Denoise", "Inpaint")]
    window = viewer.window._qt_window
    homes = [next(d for d in window.findChildren(QDockWidget) if d.isAncestorOf(dock)) for dock in docks]
    qtbot.waitUntil(lambda: window.tabifiedDockWidgets(homes[0]) == [homes[1]], timeout=5000)
    assert docks[1].isVisible() and isinstance(docks[0], Dock)


@pytest.mark.parametrize("width", [60, 120, 400])
def test_a_short_label_shows_whole_lines_and_tells_the_rest(qtbot, width):
    label = ShortLabel(2)
    qtbot.addWidget(label)
    text = "A sentence that is longer than\ntwo lines and has_a_word_without_an_end_" + 12 * "x"
    label.setText(text)
    label.resize(width, label.height())
    label.show()
    shown = super(ShortLabel, label).text()
    assert label.text() == text and text.split()[-1] in label.toolTip() and shown.count("\n") <= 1
    assert label.sizeHint().height() <= label.height() + 1
    assert shown.endswith("…") == (width < 400)


@pytest.mark.parametrize("which", ["border", "stages"])
def test_the_wheel_passes_by_sliders(viewer, open_dock, which):
    slider = getattr(open_dock("Denoise").results, which).slider
    slider.setRange(0, 10)
    slider.setValue(5)
    at, turn = QPointF(5, 5), QPoint(0, -120)
    moment = Qt.ScrollPhase.NoScrollPhase
    wheel = QWheelEvent(at, at, turn, turn, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, moment, False)
    QApplication.sendEvent(slider, wheel)
    assert slider.value() == 5 and not wheel.isAccepted()


def test_painting_during_a_run_says_which_mask_is_used(qtbot, make_napari_viewer, picture):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(picture, name="cell")
    mask = viewer.add_labels(np.zeros(picture.shape, np.uint8), name="mask")
    mask.paint((9, 9), 1)
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", "Inpaint")
    dock.form.image.value = viewer.layers["cell"]
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: dock.panel.report is not None, timeout=240_000)
    assert "mask of its start" not in dock.panel.status.text()
    viewer.layers.selection.active = mask
    mask.mode = "paint"
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    qtbot.waitUntil(lambda: "mask of its start" in dock.panel.status.text(), timeout=60_000)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)
