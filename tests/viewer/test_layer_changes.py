"""What a form reports of a layer is true soon after the layer has changed, by mouse, key or script."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QEnterEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_dip.viewer.layers.placing import mask_on_image

SOON = 500
"""Milliseconds within which the form has to follow."""
EMPTY = "The mask is empty: paint over what is to be filled in."
LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


class Mouse:
    """A mouse over the canvas, which is moved to pixels of a layer."""

    def __init__(self, viewer, layer):
        self.viewer, self.name = viewer, layer.name

    @property
    def canvas(self):
        return self.viewer.window._qt_viewer.canvas.native

    def at(self, y, x):
        shown = self.viewer.window._qt_viewer  # asked for each time: a viewer that is held is never let go
        visual = shown.canvas.layer_to_visual[shown.viewer.layers[self.name]]
        found = visual.node.get_transform("visual", "canvas").map([x, y])
        return QPoint(round(found[0] / found[3]), round(found[1] / found[3]))

    def click(self, y, x):
        self.drag((y, x))

    def double_click(self, y, x):
        self.click(y, x)
        QTest.mouseDClick(self.canvas, LEFT, NO_KEY, self.at(y, x))

    def drag(self, *places):
        QTest.mouseMove(self.canvas, self.at(*places[0]))
        QTest.mousePress(self.canvas, LEFT, NO_KEY, self.at(*places[0]))
        for place in places[1:]:
            QTest.mouseMove(self.canvas, self.at(*place))
            QTest.qWait(10)
        QTest.mouseRelease(self.canvas, LEFT, NO_KEY, self.at(*places[-1]))
        QTest.qWait(10)


@pytest.fixture
def dock(viewer, open_dock, picture, qtbot):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Inpaint")
    viewer.window._qt_window.resize(1100, 800)
    viewer.window._qt_window.show()
    qtbot.waitExposed(viewer.window._qt_window)
    viewer.reset_view()
    QTest.qWait(50)
    return dock


@pytest.fixture
def mask(viewer, dock):
    """A new mask, with the brush in hand."""
    dock.form.new_mask.native.click()
    layer = viewer.layers["cell mask"]
    layer.brush_size = 4
    QTest.qWait(50)
    return layer


@pytest.fixture
def mouse(viewer, mask):
    return Mouse(viewer, mask)


@pytest.fixture
def follows(qtbot, dock):
    """Wait until the form says what is so of the mask, within the time that it has."""

    def follow(part):
        words = "" if part else EMPTY

        def true():
            told = dock.form.plan_label.text()
            covers = f"covers {100 * part:.2g} % of the image" in told if part else "covers" not in told
            return dock.form.hint.text() == words and covers and dock.panel.run_button.isEnabled() == bool(part)

        qtbot.waitUntil(true, timeout=SOON)

    return follow


def part_of(mask):
    return np.count_nonzero(mask.data) / mask.data.size


def test_a_stroke_of_the_brush_an_undo_and_the_eraser(dock, mouse, mask, follows):
    assert dock.form.hint.text() == EMPTY and not dock.panel.run_button.isEnabled()
    mouse.drag((8, 8), (9, 12), (10, 20))
    assert part_of(mask) > 0
    follows(part_of(mask))
    QTest.keyClick(mouse.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert part_of(mask) == 0
    follows(0)
    QTest.keyClick(mouse.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert part_of(mask) > 0
    follows(part_of(mask))
    mask.mode, mask.brush_size = "erase", 40
    mouse.drag((8, 8), (9, 12), (10, 20))
    assert part_of(mask) == 0
    follows(0)


def test_a_single_click(mouse, mask, follows):
    mouse.click(16, 20)
    assert part_of(mask) > 0
    follows(part_of(mask))


def test_a_polygon_and_a_fill(viewer, mouse, mask, follows):
    mask.mode = "polygon"
    for place in ((4, 4), (4, 20), (20, 20)):
        mouse.click(*place)
    mouse.double_click(20, 4)
    assert 0.1 < part_of(mask) < 0.5
    follows(part_of(mask))
    mask.mode, mask.selected_label = "fill", 0
    mouse.click(10, 10)
    assert part_of(mask) < 0.01
    follows(part_of(mask))


def test_shapes_that_are_drawn_moved_and_deleted(viewer, dock, picture, qtbot):
    shapes = viewer.add_shapes(name="drawn", ndim=2)
    mouse = Mouse(viewer, shapes)
    dock.form.mask.value = shapes
    shapes.mode = "add_rectangle"
    QTest.qWait(50)
    assert "Nothing is drawn" in dock.form.hint.text()

    def covered():
        part = np.count_nonzero(shapes.to_labels(picture.shape)) / picture.size
        words = f"covers about {100 * part:.2g} % of the image"
        qtbot.waitUntil(lambda: words in dock.form.plan_label.text(), timeout=SOON)
        assert dock.panel.run_button.isEnabled()
        return part

    mouse.drag((4, 4), (10, 10), (19, 19))
    whole = covered()
    shapes.mode = "select"
    mouse.drag((10, 10), (14, 20), (20, 35))
    assert 0 < covered() < 0.8 * whole  # a part of it is no longer on the image
    mouse.drag((25, 36), (40, 45), (60, 80))
    qtbot.waitUntil(lambda: "Nothing of the mask lies on" in dock.form.hint.text(), timeout=SOON)
    shapes.remove_selected()
    qtbot.waitUntil(lambda: "Nothing is drawn" in dock.form.hint.text(), timeout=SOON)
    assert not dock.panel.run_button.isEnabled()


def test_a_script_that_changes_the_mask(viewer, dock, mask, follows, qtbot):
    mask.data[2:4] = 1
    mask.refresh()
    follows(2 / 32)
    mask.data = np.pad(np.ones((32, 20), np.uint8), ((0, 0), (0, 20)))
    follows(0.5)
    mask.paint((5, 30), 1, refresh=False)
    mask.fill((0, 0), 0)
    follows(part_of(mask))
    mask.visible = False
    QTest.qWait(SOON)
    mask.data[4:8] = 1  # nothing tells of this: it is noticed when the mouse comes to the form
    mask.refresh()
    QApplication.sendEvent(dock, QEnterEvent(*[QPointF(5, 5)] * 3))
    follows(part_of(mask))
    mask.data[:] = 1
    mask.visible = True
    qtbot.waitUntil(lambda: "covers the whole image" in dock.form.hint.text(), timeout=SOON)
    assert not dock.panel.run_button.isEnabled()


def test_a_mask_that_is_moved_or_scaled(dock, mask, qtbot):
    """A mask counts as it lies on the image, which is how it is filled in."""
    mask.data[:8, :11] = 1  # 7 % of its own pixels
    mask.refresh()
    qtbot.waitUntil(lambda: "covers 6.9 % of the image" in dock.form.plan_label.text(), timeout=SOON)
    mask.scale = (3.9, 4)
    qtbot.waitUntil(lambda: "covers 94 % of the image" in dock.form.plan_label.text(), timeout=SOON)
    job, _ = dock.form.job()
    assert round(100 * mask_on_image(job.inputs["mask"]).mean()) == 94
    mask.translate = (200, 0)
    qtbot.waitUntil(lambda: "Nothing of the mask lies on the image" in dock.form.hint.text(), timeout=SOON)
    assert not dock.panel.run_button.isEnabled()
    mask.translate, mask.scale = (0, 0), (1, 1)
    qtbot.waitUntil(lambda: "covers 6.9 %" in dock.form.plan_label.text(), timeout=SOON)
    assert dock.panel.run_button.isEnabled()


def test_a_script_that_changes_the_image(viewer, open_dock, picture, qtbot):
    image = viewer.add_image(np.stack([picture, picture, picture]), name="cell")
    form = open_dock("Denoise").form

    def reads(*words):
        told = lambda: f"{form.plan_label.text()} {form.more['z_step'].native.placeholderText()}"  # noqa: E731
        qtbot.waitUntil(lambda: all(one in told() for one in words), timeout=SOON)

    reads("A volume of 3 x 32 x 40", "The axes are guessed", "not known")
    image.scale = (3, 1, 1)
    reads("3, as layer or file say")
    image.units = ("nm", "um", "um")
    reads("0.003, as layer or file say")
    image.metadata = {"axes": "TYX"}
    reads("3 frames of 32 x 40")
    image.axis_labels = ("c", "y", "x")
    reads("3 channels of 32 x 40")
    image.data = np.stack([picture, picture])
    reads("2 channels of 32 x 40")
    before = form.estimate_label.text()
    image.data = np.zeros((2, 900, 900), np.float32)
    reads("2 channels of 900 x 900")
    assert form.estimate_label.text() != before
    image.name = "renamed"
    qtbot.waitUntil(lambda: form.image.native.currentText() == "renamed", timeout=SOON)


def test_many_changes_at_once_are_looked_at_once(viewer, open_dock, picture, qtbot):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Inpaint")
    dock.form.new_mask.native.click()
    QTest.qWait(SOON)
    reports = []
    dock.watch.changed.connect(lambda: reports.append(1))
    for n in range(20):
        viewer.layers["cell mask"].paint((n, n), 1)
    qtbot.waitUntil(lambda: bool(reports), timeout=SOON)
    QTest.qWait(SOON)
    assert len(reports) == 1


def test_a_layer_is_listened_to_no_longer_than_it_is_chosen(viewer, open_dock, picture, qtbot):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Inpaint")
    dock.form.new_mask.native.click()
    first, before = viewer.layers["cell mask"], []
    dock.form.new_mask.native.click()
    QTest.qWait(SOON)
    dock.watch.changed.connect(lambda: before.append(1))
    first.paint((5, 5), 1)
    QTest.qWait(SOON)
    assert not before
    dock.shut()
    viewer.layers["cell mask [1]"].paint((5, 5), 1)
    QTest.qWait(SOON)
    assert not before
