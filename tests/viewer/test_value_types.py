"""Every type of value that napari shows, from the layer to the result and what is said of it."""

import dask.array as da
import numpy as np
import pytest

FORMS = {
    "bool": lambda image: image > np.median(image),
    "float16": lambda image: (image / 8).astype(np.float16),
    "big-endian": lambda image: image.astype(">i4"),
    "masked nowhere": lambda image: np.ma.MaskedArray(image, mask=np.zeros(image.shape, bool)),
    "lazy bool": lambda image: da.from_array(image > np.median(image), chunks=16),
}


@pytest.mark.parametrize("name", ["Denoise", "Inpaint", "Super-resolve"])
def test_every_type_of_value_that_napari_shows_is_restored(viewer, open_dock, run_to_end, picture, name):
    dock = open_dock(name, iterations=2)
    if name == "Inpaint":
        viewer.add_labels(np.eye(32, 40, dtype=np.uint8), name="mask")
    for form, make in FORMS.items():
        source = viewer.add_image(make(picture), name=form)
        dock.form.image.value = source
        run_to_end(dock)
        result = dock.results.result
        assert result.data.dtype == np.float32 and np.isfinite(result.data).all()
        assert result.name.startswith(form)


@pytest.mark.parametrize("form", ["bool", "float16", "big-endian"])
def test_what_a_result_can_be_compared_by_knows_every_type(qtbot, viewer, open_dock, run_to_end, picture, form):
    source = viewer.add_image(FORMS[form](picture), name="cells")
    dock = open_dock("Denoise", iterations=2)
    run_to_end(dock)
    buttons = dock.results.views.buttons
    buttons["Compare"].click()
    assert viewer.layers["cells (before)"].data.dtype == source.data.dtype
    buttons["Residual"].click()
    qtbot.waitUntil(lambda: "cells denoised residual" in viewer.layers, timeout=20_000)
    residual = viewer.layers["cells denoised residual"]
    expected = source.data.astype(np.float32) - viewer.layers["cells denoised"].data
    np.testing.assert_array_equal(residual.data, expected)


def test_masked_pixels_are_said_to_be_what_they_are(qtbot, viewer, open_dock, picture):
    viewer.add_image(np.ma.MaskedArray(picture, mask=picture > np.quantile(picture, 0.99)), name="cells")
    dock = open_dock("Denoise", iterations=2)
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)
    assert "pixels that are masked, NaN or inf" in dock.panel.status.text()
