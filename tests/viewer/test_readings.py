"""Noise that cannot be told from grain: a trial shows both readings side by side, and one can be chosen."""

import numpy as np
import pytest
from napari.layers import Shapes
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.ndimage import gaussian_filter
from skimage import data

from napari_dip.viewer.form import trial

SIDE = 96


@pytest.fixture
def undecided():
    """Fine stones under weak noise that reaches a pixel."""
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((SIDE, SIDE)), 0.8, mode="wrap")
    return (data.gravel()[160 : 160 + SIDE, 160 : 160 + SIDE] + 15 * noise / noise.std()).astype("float32")


@pytest.fixture
def click(qtbot):
    def press(button):
        qtbot.waitUntil(button.isEnabled, timeout=5_000)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    return press


@pytest.fixture
def try_both(qtbot, click, monkeypatch):
    """Try a small part, and give the layers of both readings."""
    monkeypatch.setattr(trial, "SIDES", (32,))

    def run(dock):
        click(dock.panel.try_button)
        qtbot.waitUntil(lambda: not dock.readings.isHidden(), timeout=240_000)
        assert dock.panel.state == "ready"
        return [next(layer for layer in dock.viewer.layers if name in layer.name) for name in ("stays", "removed")]

    return run


def columns(layer, whole):
    """First and last pixel of a part along X, in pixels of the whole."""
    ends = [whole.world_to_data(layer.data_to_world(at)) for at in ([0, 0], np.array(layer.data.shape) - 1)]
    return [round(end[1]) for end in ends]


def test_both_readings_are_shown_side_by_side_and_one_can_be_chosen(
    viewer, open_dock, try_both, click, run_to_end, undecided
):
    image = viewer.add_image(undecided, name="stones", scale=(0.5, 0.5), translate=(3, 4))
    dock = open_dock("Denoise")
    left, right = try_both(dock)
    assert [layer.name for layer in (left, right)] == ["Grain stays, reach 0 (part)", "Grain removed, reach 1 (part)"]
    records = [layer.metadata["napari-dip"] for layer in (left, right)]
    assert [record["settings"]["reach"] for record in records] == [0, 1]
    assert [record["planes"][0]["correlation_radius"] for record in records] == [0, 1]
    assert records[0]["digest"] == records[1]["digest"] and left.data.shape == (32, 32) == right.data.shape
    assert columns(left, image) == [16, 47] and columns(right, image) == [49, 80]  # what is in view holds both
    assert left.data.std() > right.data.std()
    assert dock.form.more["reach"].value == dock.form.more["reach"].min and "reach" not in dock.form.settings()
    assert "Choose a reading" in dock.panel.status.text() and "Noise that reaches 1 pixel" in dock.readings.words.text()
    click(dock.readings.buttons[1])
    assert dock.form.settings()["reach"] == 1 and "Noise reach is 1 px now" in dock.panel.status.text()
    click(dock.readings.buttons[0])
    assert dock.form.settings()["reach"] == 0
    click(dock.readings.buttons[1])
    run_to_end(dock)
    whole = viewer.layers["stones denoised"]
    assert whole.data.shape == undecided.shape
    assert whole.metadata["napari-dip"]["planes"][0]["correlation_radius"] == 1


def test_the_offer_goes_with_a_part(viewer, open_dock, try_both, undecided):
    viewer.add_image(undecided, name="stones")
    dock = open_dock("Denoise")
    left, _ = try_both(dock)
    viewer.layers.remove(left)
    assert dock.readings.isHidden()


def test_a_reading_that_is_chosen_is_tried_alone(qtbot, viewer, open_dock, try_both, click, undecided):
    viewer.add_image(undecided, name="stones")
    dock = open_dock("Denoise")
    try_both(dock)
    click(dock.readings.buttons[1])
    before = len(viewer.layers)
    click(dock.panel.try_button)
    qtbot.waitUntil(lambda: len(viewer.layers) == before + 1 and dock.panel.state == "ready", timeout=240_000)
    assert "This is a part of the image" in dock.panel.status.text() and dock.readings.isHidden()


def test_a_trial_that_is_cancelled_offers_nothing(qtbot, viewer, open_dock, click, undecided):
    viewer.add_image(undecided, name="stones")
    dock = open_dock("Denoise", iterations=10_000)
    dock.form.everyday["preset"].value = "best"  # its fit ends later
    click(dock.panel.try_button)
    qtbot.waitUntil(lambda: dock.panel.report is not None, timeout=240_000)
    click(dock.panel.cancel_button)
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=240_000)
    assert dock.readings.isHidden() and len(viewer.layers) == 1


def test_a_mirrored_image_has_the_first_reading_on_the_left(viewer, open_dock, try_both, undecided):
    image = viewer.add_image(undecided, name="stones", scale=(1, -1))
    left, right = try_both(open_dock("Denoise"))
    assert columns(left, image) == [48, 79] and columns(right, image) == [15, 46]
    assert left.extent.world[1, 1] <= right.extent.world[0, 1]


def test_all_that_is_drawn_is_tried(viewer, open_dock, try_both, undecided):
    image = viewer.add_image(undecided, name="stones")
    shapes = Shapes([np.array([[40, 50], [40, 79], [65, 79], [65, 50]])], shape_type="rectangle")
    viewer.add_layer(shapes)
    dock = open_dock("Denoise")
    viewer.layers.selection.active = shapes
    dock.form.image.value = image
    left, right = try_both(dock)
    assert left.data.shape == (26, 30) and columns(left, image) == [50, 79] and columns(right, image) == [81, 110]


def test_the_result_says_what_stays_undecided_in_the_words_of_the_form(viewer, open_dock, run_to_end, undecided):
    viewer.add_image(undecided, name="stones")
    dock = open_dock("Denoise")
    run_to_end(dock)
    for words in (dock.panel.status.text(), dock.results.words.text()):
        assert "If it is noise, choose 1 px as Noise reach under More." in words


def test_a_plane_of_a_stack_is_tried_with_both(viewer, open_dock, try_both, undecided):
    image = viewer.add_image(np.stack([undecided, undecided[::-1]]), name="stones", scale=(3, 1, 1))
    dock = open_dock("Denoise")
    viewer.dims.set_point(0, 3.0)
    left, right = try_both(dock)
    assert left.data.shape == right.data.shape == (1, 32, 32)
    first, second = (image.world_to_data(layer.data_to_world((0, 0, 0))) for layer in (left, right))
    np.testing.assert_allclose(first, [1, 32, 16], atol=1e-6)
    np.testing.assert_allclose(second, [1, 32, 49], atol=1e-6)
