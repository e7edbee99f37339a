"""What the axes of a layer are, and what the form says and takes of them."""

from itertools import permutations

import numpy as np
import pytest
import tifffile
from napari.layers import Image

from napari_dip.settings import STACK
from napari_dip.viewer.form.axes import guessed_axes, told_axes
from napari_dip.viewer.form.form import GUESSED
from napari_dip.viewer.form.pixel_size import read_z_step

RNG = np.random.default_rng(0)


def read_axes(layer):
    return told_axes(layer) or guessed_axes(layer)


def noise(*shape, dtype="uint16"):
    return RNG.integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "rgb", "labels", "axes"),
    [
        ((9, 8), False, None, "YX"),
        ((9, 8, 3), True, None, "YXS"),
        ((9, 8, 4), True, None, "YXS"),
        ((5, 9, 8), False, None, "ZYX"),
        ((9, 8, 3), False, None, "YXC"),
        ((9, 8, 4), False, None, "YXC"),
        ((5, 4, 9, 8), False, None, "TZYX"),
        ((5, 2, 4, 9, 8), False, None, "TZCYX"),
        ((5, 9, 8), False, ("t", "y", "x"), "TYX"),
        ((5, 9, 8), False, ("Time", "height", "WIDTH"), "TYX"),
        ((5, 9, 8), False, ("frames", "Rows", "columns"), "TYX"),
        ((2, 5, 9, 8), False, ("Channel", "depth", "y", "x"), "CZYX"),
        ((5, 9, 8, 4), True, ("c", "y", "x"), "CYXS"),
        ((9, 8), False, ("x", "y"), "XY"),
        ((5, 9, 8), False, ("wells", "y", "x"), "ZYX"),
        ((5, 9, 8), False, ("y", "y", "x"), "ZYX"),
        ((5, 9, 8), False, ("time", "frame", "x"), "ZYX"),
        ((9, 8), False, ("s", "x"), "YX"),
        ((1, 1, 1, 1, 9, 8), False, None, None),
        ((2, 2, 2, 9, 8, 3), False, None, None),
    ],
)
def test_axes_by_labels_or_guessed(shape, rgb, labels, axes):
    assert read_axes(Image(np.zeros(shape), rgb=rgb, axis_labels=labels)) == axes


@pytest.mark.parametrize(
    ("metadata", "axes"),
    [
        ({"axes": "tyx"}, "TYX"),
        ({"axes": ["channel", "y", "x"]}, "CYX"),
        ({"axes": "SYX"}, "SYX"),
        ({"napari-dip": {"axes": "CYX"}, "axes": "TYX"}, "CYX"),
        ({"napari-dip": {"axes": "CTYX"}}, "ZYX"),
        ({"napari-dip": None, "axes": 3}, "ZYX"),
        ({"axes": "QYX"}, "ZYX"),
        ({"axes": "YX"}, "ZYX"),
    ],
)
def test_axes_by_metadata(metadata, axes):
    assert read_axes(Image(np.zeros((3, 9, 8)), metadata=metadata, rgb=False)) == axes
    assert read_axes(Image(np.zeros((3, 9, 8)), metadata=metadata, axis_labels=("z", "y", "x"))) == "ZYX"


@pytest.mark.parametrize(
    ("scale", "units", "axes", "step"),
    [
        ((2, 0.5, 0.5), None, "ZYX", 4),
        ((1, 1, 1), None, "ZYX", None),
        ((1, 0.25, 0.25), ("um", "um", "um"), "ZYX", 4),
        ((-2, 0.5, -0.5), None, "ZYX", 4),
        ((2, 0.5, 0.5), ("um", "nm", "nm"), "ZYX", 4000),
        ((2, 0.5, 0.5), ("um", "pixel", "pixel"), "ZYX", None),
        ((2, 0.5, 0.5), None, "TYX", None),
        ((0.2, 0.4, 3), None, "XYZ", 7.5),
        ((2, 0.5, 0.5), None, "", None),
    ],
)
def test_how_far_planes_are_apart_is_the_scale_of_the_layer(scale, units, axes, step):
    found = read_z_step(Image(np.zeros((9, 9, 9)), scale=scale, units=units), axes)
    assert found == (None if step is None else pytest.approx(step))


@pytest.fixture
def opened(viewer, tmp_path):
    """Open an array as a TIFF file, as if it had been dropped on the viewer."""

    def open_it(image, **how):
        tifffile.imwrite(tmp_path / "a.tif", image, **how)
        return viewer.open(str(tmp_path / "a.tif"), plugin="napari")[0]

    return open_it


def test_axes_and_step_are_those_of_the_file(viewer, opened, open_dock):
    how = {"imagej": True, "resolution": (10, 5), "metadata": {"axes": "TZYX", "spacing": 0.5, "unit": "um"}}
    layer = opened(noise(2, 3, 16, 16), **how)
    assert read_axes(layer) == "TZYX"
    assert read_z_step(layer, "TZYX") == pytest.approx(2.5)
    layer.scale = (1, 3, 1, 1)
    assert read_z_step(layer, "TZYX") == 3
    form = open_dock("Denoise").form
    form.image.value = layer
    assert form.axes.read() == "TZYX"
    assert form.job()[0].settings["z_step"] == 3


@pytest.mark.parametrize("axes", ["CZYX", "TCYX", "TZYX", "CTYX"])
def test_axes_of_a_stack_that_could_be_any(opened, axes):
    """Four dimensions are guessed to be TZYX; the file knows better."""
    assert read_axes(opened(noise(2, 3, 16, 16), ome=True, metadata={"axes": axes})) == axes


def test_a_plain_file_says_nothing(opened):
    layer = opened(noise(3, 16, 16), metadata=None)
    assert read_axes(layer) == "ZYX"
    assert read_z_step(layer, "ZYX") is None


def test_a_file_that_is_gone_says_nothing(opened, tmp_path):
    layer = opened(noise(3, 16, 16), imagej=True, metadata={"axes": "TYX"})
    (tmp_path / "a.tif").unlink()
    assert read_axes(layer) == "ZYX"


def test_the_form_says_what_the_axes_come_to(viewer, open_dock):
    viewer.add_image(noise(3, 2, 16, 20), name="stack", axis_labels=("t", "c", "y", "x"))
    viewer.add_image(noise(16, 20, 3, dtype="uint8"), name="photo", rgb=True)
    form = open_dock("Denoise").form
    form.image.value = viewer.layers["stack"]
    assert form.axes.box.value == "TCYX"
    assert form.plan_label.text() == "3 frames x 2 channels of 16 x 20"
    form.axes.box.value = "zcyx"
    assert form.plan_label.text() == "2 channels, each a volume of 3 x 16 x 20"
    form.image.value = viewer.layers["photo"]
    assert (form.axes.box.value, form.plan_label.text()) == ("YXS", "One plane of 16 x 20, RGB")
    form.image.value = viewer.layers["stack"]
    assert form.axes.box.value == "zcyx"  # kept for that layer
    form.axes.box.value = ""
    assert (form.axes.read(), form.axes.box.native.placeholderText()) == ("TCYX", "TCYX")
    assert form.plan_label.text() == "3 frames x 2 channels of 16 x 20"
    form.axes.box.value = " c, t, y, x"
    assert form.plan_label.text() == "2 frames x 3 channels of 16 x 20"
    assert form.job()[0].axes == "CTYX"


def test_the_form_follows_the_layer(qtbot, viewer, open_dock):
    layer = viewer.add_image(noise(3, 16, 20))
    form = open_dock("Super-resolve").form
    assert form.plan_label.text() == f"A volume of 3 x 16 x 20, enlarged to 3 x 64 x 80.\n{GUESSED}"
    form.factor.value = 2
    assert form.plan_label.text() == f"A volume of 3 x 16 x 20, enlarged to 3 x 32 x 40.\n{GUESSED}"
    layer.axis_labels = ("time", "y", "x")
    qtbot.waitUntil(lambda: form.plan_label.text() == "3 frames of 16 x 20, enlarged to 32 x 40", timeout=5_000)
    layer.data = noise(5, 16, 20)
    qtbot.waitUntil(lambda: form.plan_label.text() == "5 frames of 16 x 20, enlarged to 32 x 40", timeout=5_000)
    viewer.layers.remove(layer)
    assert (form.axes.box.value, form.plan_label.text()) == ("", "")


def test_the_form_says_that_the_axes_are_guessed(qtbot, viewer, open_dock):
    layer = viewer.add_image(noise(3, 16, 20))
    form = open_dock("Denoise").form
    for typed, told in (("ZYX", True), ("TYX", False), ("", True), ("Z", False), ("zyx", False)):
        form.axes.box.value = typed
        assert (GUESSED in form.plan_label.text()) is told
    form.axes.box.value = ""
    layer.axis_labels = ("z", "y", "x")
    qtbot.waitUntil(lambda: form.plan_label.text() == "A volume of 3 x 16 x 20", timeout=5_000)
    viewer.add_image(noise(16, 20), name="plane")
    form.image.value = viewer.layers["plane"]
    assert form.plan_label.text() == "One plane of 16 x 20"  # of what could not be otherwise, nothing is said


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("TQYX", "hold 'Q'; use the letters T (time), Z (depth)"),
        ("TY", "name 2 dimensions, but the image has 4 (3 x 2 x 16 x 20); give one letter for each"),
        ("TTYX", "name an axis twice"),
        ("TZCX", "lack Y or X"),
        ("TYXZ", "at least 8 along y and x"),
        ("SZYX", None),
        ("TSYX", "2 samples; RGB has 3"),
    ],
)
def test_axes_that_cannot_be_are_refused_on_the_form(viewer, open_dock, typed, words):
    viewer.add_image(noise(3, 2, 16, 20), rgb=False)
    dock = open_dock("Denoise")
    dock.form.axes.box.value = typed
    assert dock.panel.run_button.isEnabled() is (words is None)
    if words is not None:
        assert words in dock.form.plan_label.text() == dock.form.missing()
        assert not dock.form.hint.text()
        dock.form.axes.box.value = "TZYX"
    assert dock.panel.run_button.isEnabled() and not dock.form.missing()


def test_more_dimensions_than_can_be_guessed_have_to_be_named(viewer, open_dock):
    viewer.add_image(noise(1, 1, 1, 1, 9, 8))
    dock = open_dock("Denoise")
    assert dock.form.plan_label.text().startswith("Say under Axes what the 6 dimensions of the image are")
    assert not dock.panel.run_button.isEnabled()


def test_what_concerns_stacks_is_gray_where_there_is_none(viewer, open_dock, picture):
    viewer.add_image(noise(2, 3, 16, 20), scale=(1, 3, 0.5, 0.5), name="stack")
    form = open_dock("Denoise").form
    used = {
        "TZYX": ["z_step", "neighbours"],
        "CZYX": [*STACK],
        "TCYX": ["neighbours", "channels"],
        "CSYX": ["channels"],
    }
    for axes, names in used.items():
        form.axes.box.value = axes
        assert [name for name in STACK if form.knobs[name].native.isEnabledTo(form.native)] == names
        assert ("z_step" in form.job()[0].settings) is ("Z" in axes)
    form.axes.box.value = "TZYX"
    assert form.more["z_step"].native.placeholderText() == "6, as layer or file say"
    assert form.job()[0].settings["z_step"] == 6
    form.more["z_step"].value = "2.5"
    assert form.job()[0].settings["z_step"] == 2.5
    form.everyday["preset"].value = "paper"
    assert "z_step" not in form.job()[0].settings


def test_no_neighbours_are_not_as_many_as_suit(viewer, open_dock):
    viewer.add_image(noise(3, 16, 20))
    form = open_dock("Denoise").form
    box = form.more["neighbours"]
    assert box.native.text() == "as many as suit it" and "neighbours" not in form.settings()
    for n in (0, 4):
        box.value = n
        assert form.settings()["neighbours"] == n


@pytest.mark.parametrize("axes", [*map("".join, permutations("TYX")), "CXY"])
def test_what_is_typed_is_what_is_restored(viewer, open_dock, run_to_end, axes):
    viewer.add_image(noise(*({"T": 2, "C": 2}.get(a, 9 if a == "Y" else 8) for a in axes)), name="a", rgb=False)
    dock = open_dock("Denoise", iterations=2)
    dock.form.axes.box.value = axes.lower()
    run_to_end(dock)
    result = viewer.layers["a denoised"]
    record = result.metadata["napari-dip"]
    assert (record["axes"], record["axes_guessed"], record["planes_in_image"]) == (axes, False, 2)
    assert result.data.shape == viewer.layers["a"].data.shape and np.isfinite(result.data).all()
    dock.form.image.value = result
    assert dock.form.axes.box.value == axes


def test_colours_may_be_channels_and_planes_may_be_colours(viewer, open_dock, run_to_end):
    viewer.add_image(noise(12, 10, 3, dtype="uint8"), name="photo", rgb=True)
    viewer.add_image(noise(3, 12, 10, dtype="uint8"), name="planes", rgb=False)
    dock = open_dock("Denoise", iterations=2)
    dock.form.everyday["uncertainty"].value = True
    for name, axes, planes in (("photo", "YXC", 3), ("planes", "SYX", 1)):
        dock.form.image.value = viewer.layers[name]
        dock.form.axes.box.value = axes
        run_to_end(dock)
        result, spread = viewer.layers[f"{name} denoised"], viewer.layers[f"{name} denoised uncertainty"]
        assert result.metadata["napari-dip"]["planes_in_image"] == planes
        assert result.rgb is (name == "photo") and result.data.shape == viewer.layers[name].data.shape
        assert spread.data.shape == ((12, 10) if name == "photo" else (3, 12, 10))


def test_a_mask_of_fewer_axes_serves_all_frames(viewer, open_dock, run_to_end):
    stack, labels = noise(2, 3, 12, 10), np.zeros((3, 12, 10), int)
    labels[1, 3:6, 4:7] = 1
    viewer.add_image(stack, name="a")
    viewer.add_labels(labels)
    run_to_end(open_dock("Inpaint", iterations=2))
    changed = viewer.layers["a inpainted"].data != stack
    assert changed[:, labels > 0].mean() > 0.9 and not changed[:, labels == 0].any()
