"""The curves of a run: what they show, and what the mouse makes of them."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_dip.viewer.run.curve import BEST, HELD_OUT, LOSS, Curve


@pytest.fixture
def curve(qtbot):
    found = Curve()
    qtbot.addWidget(found)
    found.resize(330, found.height())
    found.show()
    qtbot.waitExposed(found)
    return found


def fill(curve):
    curve.add([(i, 5 / i) for i in range(1, 101)], 400, [(25, 2.0), (50, 1.2), (75, 1.1), (100, 1.3)])
    QApplication.processEvents()


def colours(curve):
    """Give the colours within the axes."""
    image, area = curve.grab().toImage(), curve.plot.plotItem.vb.sceneBoundingRect().toRect()
    across, down = range(area.left() + 3, area.right() - 3), range(area.top() + 3, area.bottom() - 3)
    return {image.pixelColor(x, y).name() for x in across for y in down}


def test_both_curves_and_the_best_are_drawn(curve):
    assert not {LOSS, HELD_OUT} & colours(curve)
    fill(curve)
    assert {LOSS, HELD_OUT} <= colours(curve) and curve.best.isVisible() and curve.best.value() == 75
    curve.clear()
    QApplication.processEvents()
    assert not curve.best.isVisible() and BEST not in colours(curve)


def test_the_first_losses_do_not_flatten_the_others_and_room_grows_with_the_run(curve):
    fill(curve)
    low, high = curve.plot.plotItem.vb.viewRange()[1]
    assert high < 1 and low < 0.06
    assert curve.span() == 125


def test_hovering_reads_values(qtbot, curve):
    fill(curve)
    assert curve.words(49.6) == "iteration 50: held-out error 1.2, loss 0.1"
    area = curve.plot.plotItem.vb.sceneBoundingRect()
    curve.plot.plotItem.scene().sigMouseMoved.emit(area.center())
    assert curve.told.toPlainText().startswith("iteration ") and "held-out error" in curve.told.toPlainText()
    curve.plot.plotItem.scene().sigMouseMoved.emit(QPointF(-5, -5))
    assert curve.told.toPlainText() == ""


def test_the_wheel_passes_on_and_nothing_is_moved(curve):
    fill(curve)
    before = curve.plot.plotItem.vb.viewRange()
    middle = QPointF(curve.plot.viewport().rect().center())
    wheel = QWheelEvent(
        middle, middle, QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(curve.plot.viewport(), wheel)
    assert not wheel.isAccepted() and np.allclose(curve.plot.plotItem.vb.viewRange(), before)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_its_words_can_be_read_on_each_theme(viewer, open_dock, theme):
    dock = open_dock("Denoise")
    viewer.theme = theme
    text = dock.panel.curve.plot.plotItem.getAxis("bottom").textPen().color()
    assert (text.lightness() < 128) == (theme == "light")


def test_a_run_tells_its_held_out_errors(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise", iterations=60)
    run_to_end(dock)
    curve = dock.panel.curve
    assert len(curve.held_out) >= 2 and len(curve.points) == 60
    assert all(0 < error < 100 for _, error in curve.held_out)
    assert sorted(i for i, _ in curve.held_out) == [i for i, _ in curve.held_out]
