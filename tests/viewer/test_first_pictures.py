"""The first pictures of an enlargement are no coloured noise."""

import numpy as np
import pytest

from napari_dip.viewer.layers.first_pictures import shown_for


@pytest.mark.parametrize("axes", ["YX", "ZYX", "XYC", "YXS"])
def test_only_what_gives_the_source_is_shown(axes):
    random = np.random.default_rng(0)
    shape = {"YX": (12, 9), "ZYX": (3, 12, 9), "XYC": (12, 9, 2), "YXS": (12, 9, 3)}[axes]
    image = random.normal(100, 20, shape)
    index = {"ZYX": (1,), "XYC": (1,)}.get(axes, ())
    plane = image[1] if axes == "ZYX" else image[..., 1] if axes == "XYC" else image
    good = plane.repeat(2, 0).repeat(2, 1)
    noise = random.normal(100, 20, good.shape)
    assert shown_for(good, image, axes, index, 2) is good
    smooth = shown_for(noise, image, axes, index, 2)
    assert smooth.shape == good.shape and smooth.dtype == np.float32
    assert np.corrcoef(smooth.ravel(), good.ravel())[0, 1] > 0.85


def test_a_run_begins_with_interpolation(qtbot, viewer, open_dock, picture, monkeypatch):
    monkeypatch.setattr("napari_dip.viewer.run.runner.REPORT_EVERY", 0)
    viewer.add_image(picture, name="cells")
    dock = open_dock("Super-resolve", iterations=200)
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=240_000)
    seen = viewer.layers[1].data.copy()
    dock.panel.cancel_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)
    repeated = picture.repeat(4, 0).repeat(4, 1)
    assert np.corrcoef(seen.ravel(), repeated.ravel())[0, 1] > 0.9
    assert not np.array_equal(seen, repeated)
