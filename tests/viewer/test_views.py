"""Where the border between source and result lies, whatever is displayed, and which result the key is about."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_dip.viewer.result.border import left_part


def part(data, order=None, view=None, ndisplay=2, **place):
    """Return the left quarter of a layer in a view."""
    viewer = ViewerModel()
    layer = viewer.add_layer(Image(data, **place))
    viewer.dims.ndisplay = ndisplay
    if order:
        viewer.dims.order = order
    layer.corner_pixels = np.zeros((2, layer.ndim), int) if view is None else np.array(view)
    return left_part(viewer, layer, 0.25)


VOLUME = np.zeros((8, 20, 40), np.float32)
TURNED = [[0, -1], [1, 0]]


@pytest.mark.parametrize(
    ("data", "how", "axis", "expected"),
    [
        (VOLUME, {}, 2, slice(0, 10)),
        (VOLUME, {"order": (2, 1, 0)}, 0, slice(0, 2)),
        (VOLUME, {"order": (0, 2, 1)}, 1, slice(0, 5)),
        (VOLUME, {"ndisplay": 3}, 2, slice(0, 10)),
        (VOLUME, {"view": [(0, 4, 8), (0, 10, 27)]}, 2, slice(0, 13)),
        (VOLUME[0], {"rotate": TURNED}, 0, slice(0, 5)),
        (VOLUME[0], {"rotate": [[0, 1], [-1, 0]]}, 0, slice(15, 20)),
        (VOLUME[0], {"scale": (1, -2)}, 1, slice(30, 40)),
    ],
)
def test_the_border_is_across_what_is_displayed_and_in_view(data, how, axis, expected):
    found = part(data, **how)
    assert found[axis] == expected
    assert all(one == slice(0, data.shape[n]) for n, one in enumerate(found) if n != axis)


def test_the_border_follows_a_view_that_is_zoomed_and_turned(qtbot, make_napari_viewer, run_to_end, picture):
    viewer = make_napari_viewer(show=True)
    stack = np.stack([np.roll(picture, n, 0) for n in range(6)])
    viewer.add_image(stack, name="cells", axis_labels=("z", "y", "x"))
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")
    dock.form.more["max_iterations"].value = 2
    run_to_end(dock)
    dock.results.views.buttons["Compare"].click()

    def before():
        return viewer.layers["cells (before)"].data.shape

    assert before() == (6, 32, 20)
    camera = getattr(viewer, "scene", viewer).camera
    camera.center, camera.zoom = (0, 16, 30), 40 * camera.zoom
    qtbot.waitUntil(lambda: 26 <= before()[2] <= 34, timeout=5000)
    viewer.dims.order = (1, 2, 0)
    viewer.reset_view()
    qtbot.waitUntil(lambda: before() == (3, 32, 40), timeout=5000)


def test_the_key_serves_the_dock_that_was_used_last(qtbot, make_napari_viewer, run_to_end, picture):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(picture, name="cells")
    docks = {name: viewer.window.add_plugin_dock_widget("napari-dip", name)[1] for name in ("Denoise", "Super-resolve")}
    for dock in docks.values():
        dock.form.more["max_iterations"].value = 2
        dock.form.image.value = viewer.layers["cells"]
        run_to_end(dock)
    denoised, enlarged = viewer.layers["cells denoised"], viewer.layers["cells x4"]
    canvas = viewer.window._qt_viewer.canvas.native

    def press():
        canvas.setFocus()
        QTest.keyClick(canvas, Qt.Key.Key_B, Qt.KeyboardModifier.ShiftModifier)

    press()
    assert (denoised.visible, enlarged.visible) == (True, False)
    press()
    for layer in (enlarged, denoised):
        viewer.layers.selection.active = layer
    press()
    assert (denoised.visible, enlarged.visible) == (False, True)
    press()
    docks["Denoise"].shut()
    press()
    assert (denoised.visible, enlarged.visible) == (True, False)
