"""Which layers a form offers and follows: those that can be restored, and none that only shows a run."""

import numpy as np
import pytest

WAIT = 60_000


def names(box):
    return [layer.name for layer in box.choices]


@pytest.fixture
def done(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    dock.form.everyday["uncertainty"].value = True
    run_to_end(dock)
    return dock


def keep_residual(qtbot, viewer, dock):
    dock.results.views.buttons["Residual"].click()
    qtbot.waitUntil(lambda: "cells denoised residual" in viewer.layers, timeout=WAIT)
    dock.results.residual.button.click()
    assert "cells denoised residual" in viewer.layers


def test_what_shows_a_run_is_neither_offered_nor_followed(qtbot, viewer, done):
    """Residual, uncertainty, the layers of Compare and of the stages: none is an image to restore, none a truth."""
    source, results = viewer.layers["cells"], done.results
    keep_residual(qtbot, viewer, done)
    results.views.buttons["Compare"].click()
    shown = {layer.name for layer in viewer.layers} - {"cells", "cells denoised"}
    assert {"cells denoised residual", "cells denoised uncertainty", "cells (before)"} <= shown
    for name in shown:
        viewer.layers.selection.active = viewer.layers[name]
        assert done.form.image.value == source, name
        assert not done.panel.all_button.isVisible()
    assert names(done.form.image) == ["cells", "cells denoised"]
    assert names(results.truth.box) == []
    viewer.layers.select_all()
    assert done.panel.all_button.text() == "Run on 1 selected layers"
    for other in viewer.layers:
        other.visible = other.name in shown
    viewer.layers.remove("cells")
    assert done.form.image.value == viewer.layers["cells denoised"]


def test_a_new_form_does_not_begin_with_them(qtbot, viewer, open_dock, done):
    keep_residual(qtbot, viewer, done)
    viewer.layers.selection.active = viewer.layers["cells denoised residual"]
    form = open_dock("Super-resolve").form
    assert form.image.value in (viewer.layers["cells"], viewer.layers["cells denoised"])


def test_the_live_layer_is_offered_once_it_is_a_result(qtbot, viewer, open_dock, done, start, picture):
    other = open_dock("Inpaint")
    start(done, layers=4)
    live = viewer.layers["cells denoised [1]"]
    assert live not in done.form.image.choices and live not in other.form.image.choices
    assert live not in done.results.truth.box.choices
    viewer.layers.selection.active = live
    assert other.form.image.value != live
    done.panel.stop_button.click()
    qtbot.waitUntil(lambda: done.panel.state == "ready", timeout=WAIT)
    assert live in done.form.image.choices and done.form.image.value == viewer.layers["cells"]
    assert live not in done.results.truth.box.choices


def test_an_outline_of_what_was_invented_is_no_mask(qtbot, viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cells")
    mask = viewer.add_labels(np.pad(np.ones((8, 8), int), ((8, 16), (8, 24))), name="mask")
    dock = open_dock("Inpaint")
    run_to_end(dock)
    dock.results.invented_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=WAIT)
    viewer.layers.selection.active = viewer.layers[-1]
    viewer.layers.selection.active = viewer.layers["cells inpainted extrapolated"]
    assert dock.form.mask.value == mask and names(dock.form.mask) == ["mask"]
