"""A part of an image is tried first: the right part, in its place, with its mask."""

import numpy as np
import pytest
from napari.layers import Shapes

from napari_dip.viewer.form import trial


@pytest.fixture
def large():
    y, x = np.mgrid[:300, :340]
    clean = 500 + 300 * np.sin(x / 6) * np.cos(y / 7)
    return (clean + np.random.default_rng(0).normal(0, 60, clean.shape)).astype(np.uint16)


@pytest.fixture
def run_try(qtbot):
    def run(dock):
        dock.panel.try_button.click()
        qtbot.waitUntil(lambda: dock.panel.state in ("ready", "nothing"), timeout=240_000)
        assert "part of the image" in dock.panel.status.text(), dock.panel.status.text()
        return next(layer for layer in reversed(dock.viewer.layers) if "(part)" in layer.name)

    return run


def offset(part, whole):
    """Where the first pixel of a part is in the whole, in its pixels."""
    return np.array([whole.world_to_data(part.data_to_world([0] * part.ndim))[axis] for axis in range(part.ndim)])


def test_what_is_drawn_is_tried_where_it_lies(viewer, open_dock, run_try, large):
    image = viewer.add_image(large, name="cells", scale=(0.5, 0.25), translate=(7, 9), rotate=20)
    dock = open_dock("Denoise")
    corners = np.array([[40, 60], [40, 100], [70, 100], [70, 60]])
    shapes = Shapes([np.array([image.data_to_world(corner) for corner in corners])], shape_type="rectangle")
    viewer.add_layer(shapes)
    viewer.layers.selection.active = shapes
    dock.form.image.value = image
    part = run_try(dock)
    assert part.name == "cells denoised (part)" and part.data.shape == (31, 41)
    np.testing.assert_allclose(offset(part, image), [40, 60], atol=1e-6)
    assert part.metadata["napari-dip shows"] == "part" and dock.results.isHidden()
    viewer.layers.remove(part)
    assert not dock.panel.status.text()


def test_what_is_in_view_of_the_plane_in_view_is_tried(qtbot, viewer, open_dock, run_try, large, monkeypatch):
    monkeypatch.setattr(trial, "SIDES", (24,))
    stack = np.stack([large[:80, :90] + 10 * n for n in range(5)])
    image = viewer.add_image(stack, name="stack", scale=(2, 1, 1))
    dock = open_dock("Denoise")
    viewer.dims.set_point(0, 6.0)
    image.corner_pixels = np.array([[0, 20, 30], [0, 49, 79]])
    part = run_try(dock)
    assert part.data.shape == (1, 24, 24)
    np.testing.assert_allclose(offset(part, image), [3, 23, 43], atol=1e-6)
    assert np.abs(part.data.mean() - stack[3, 23:47, 43:67].mean()) < 20
    run = len(viewer.layers)
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: dock.panel.state in ("ready", "nothing"), timeout=240_000)
    assert len(viewer.layers) == run + 1 and viewer.layers["stack denoised"].data.shape == stack.shape


def test_a_mask_goes_along(viewer, open_dock, run_try, picture):
    image = viewer.add_image(np.stack([picture, picture]), name="cells")
    dock = open_dock("Inpaint")
    mask = np.zeros((2, *picture.shape), np.uint8)
    mask[:, 10:13, 20:24] = 1
    viewer.add_labels(mask, name="mask")
    dock.form.image.value = image
    viewer.dims.set_point(0, 1)
    image.corner_pixels = np.array([[0, 5, 10], [0, 24, 35]])
    part = run_try(dock)
    assert part.data.shape == (1, 20, 26)
    inside = np.zeros((20, 26), bool)
    inside[5:8, 10:14] = True
    source = picture[5:25, 10:36].astype("f4")
    assert np.array_equal(part.data[0][~inside], source[~inside]) and not np.array_equal(part.data[0], source)


def test_a_part_without_anything_of_the_mask_or_the_image_is_refused(viewer, qtbot, open_dock, picture):
    image = viewer.add_image(picture, name="cells")
    dock = open_dock("Inpaint")
    mask = np.zeros(picture.shape, np.uint8)
    mask[1, 1] = 1
    viewer.add_labels(mask, name="mask")
    dock.form.image.value = image
    image.corner_pixels = np.array([[10, 10], [25, 35]])
    dock.panel.try_button.click()
    qtbot.waitUntil(lambda: dock.panel.state in ("ready", "nothing"), timeout=60_000)
    assert "Nothing of the mask lies in view" in dock.panel.status.text()
    shapes = viewer.add_shapes([np.array([[200, 200], [220, 220]])], shape_type="rectangle")
    viewer.layers.selection.active = shapes
    dock.form.mask.value = viewer.layers["mask"]
    dock.panel.try_button.click()
    assert "Nothing of the image is in view" in dock.panel.status.text() and dock.panel.state == "ready"


def test_colours_channels_and_enlarging(viewer, open_dock, run_try, picture, monkeypatch):
    monkeypatch.setattr(trial, "SIDES", (16,))
    colours = np.stack([picture // 4, picture // 8, picture // 16], -1).astype("uint8")
    rgb = viewer.add_image(colours, name="rgb", rgb=True)
    part = run_try(open_dock("Denoise"))
    assert part.rgb and part.data.shape == (16, 16, 3)
    dock = open_dock("Super-resolve")
    dock.form.image.value = rgb
    dock.form.factor.value = 2
    part = run_try(dock)
    assert part.data.shape == (32, 32, 3)
    low, high = (rgb.world_to_data(one) for one in part.extent.world)
    assert np.allclose(np.subtract(high, low), 16, atol=1.1)


def test_a_view_of_x_and_z_says_what_to_change(viewer, open_dock, run_try, large):
    stack = np.stack([large[:48, :56] + 10 * n for n in range(24)])
    image = viewer.add_image(stack, name="stack", axis_labels=("z", "y", "x"))
    dock = open_dock("Denoise")
    for order, words in (((1, 0, 2), "Z and X"), ((2, 0, 1), "Z and Y")):
        viewer.dims.order = order
        dock.panel.try_button.click()
        assert f"The view shows {words}" in dock.panel.status.text() and len(viewer.layers) == 1
        assert "change the order of the axes" in dock.panel.status.text() and dock.panel.state == "ready"
    viewer.dims.order = (0, 2, 1)  # transposed: all of the plane is seen
    assert run_try(dock).data.shape == (1, 48, 56)
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3
    assert run_try(dock).data.shape == (1, 48, 56)
    assert dock.form.image.value == image


def test_a_part_has_the_noise_and_the_range_of_its_plane(viewer, open_dock, run_try, run_to_end, monkeypatch):
    """What lies in view may be too uniform to show that the noise grows with brightness."""
    monkeypatch.setattr(trial, "SIDES", (48,))
    photons = np.repeat(np.linspace(2, 400, 160)[None], 160, 0)
    image = viewer.add_image((1.5 * np.random.default_rng(0).poisson(photons) + 100).astype("float32"), name="cells")
    dock = open_dock("Denoise")
    image.corner_pixels = np.array([[0, 100], [47, 147]])
    part = run_try(dock)
    run_to_end(dock)
    whole = viewer.layers["cells denoised"].metadata["napari-dip"]["planes"][0]
    found = part.metadata["napari-dip"]["planes"][0]
    assert found["noise"] == whole["noise"]
    for name in ("sigma", "gain", "offset"):
        assert found["noise_variance"][name] == pytest.approx(whole["noise_variance"][name], rel=1e-6)
    assert whole["noise_variance"]["gain"] == pytest.approx(1.5, rel=0.2)
