"""The forms: which layers they choose, what they read, and that every knob comes from the settings."""

from dataclasses import replace

import dask.array
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QWidget

from napari_dip.restore import restore_steps
from napari_dip.settings import NOISE_KINDS, Settings
from napari_dip.tasks import Input, task_named

NOISE = {"noise", "sigma", "gain", "offset", "reach"}
STACK = {"z_step", "neighbours", "channels"}
VALUES = {"values", "period"}


def test_the_selected_image_is_chosen(viewer, open_dock, picture):
    viewer.add_image(picture, name="one")
    viewer.add_image(picture, name="two")
    viewer.layers.selection.active = viewer.layers["one"]
    assert open_dock("Denoise").form.image.value == viewer.layers["one"]


def test_else_the_uppermost_that_is_seen(viewer, open_dock, picture):
    viewer.add_image(picture, name="one")
    viewer.add_image(picture, name="hidden", visible=False)
    viewer.add_labels(np.zeros(picture.shape, int), name="labels")
    form = open_dock("Inpaint").form
    assert form.image.value == viewer.layers["one"]
    assert form.mask.value == viewer.layers["labels"]


def test_the_choices_follow_the_viewer(viewer, open_dock, picture):
    form = open_dock("Denoise").form
    assert form.image.choices == ()
    viewer.add_image(picture, name="one")
    viewer.add_image(picture, name="two")
    viewer.add_points([[1, 1]])
    assert [layer.name for layer in form.image.choices] == ["one", "two"]
    assert form.image.value == viewer.layers["two"]  # a new layer is the selected one
    viewer.layers["two"].name = "other"
    assert form.image.native.currentText() == "other"
    viewer.layers.remove("other")
    assert form.image.value == viewer.layers["one"]


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("Denoise", set()),
        ("Inpaint", NOISE | STACK | {"waves"}),
        ("Super-resolve", NOISE | STACK | VALUES | {"waves"}),
    ],
)
def test_every_knob_of_use_is_on_the_form_with_its_default(viewer, open_dock, picture, name, without):
    viewer.add_image(picture)
    form = open_dock(name, iterations=0).form
    form.more["threads"].value = 0
    assert set(form.knobs) == set(Settings.model_fields) - without
    assert Settings(**form.settings()) == Settings()
    for knob, widget in form.knobs.items():
        assert widget.tooltip
        assert widget.label == Settings.model_fields[knob].title
    assert form.more["max_iterations"].native.text() == "as the preset says"
    assert form.more["max_iterations"].max == 100_000
    assert form.more["seed"].max == 2**31 - 1


def test_the_kinds_of_noise_are_said_in_words(viewer, open_dock):
    box = open_dock("Denoise").form.everyday["noise"]
    said = {box.native.itemText(i): box.choices[i] for i in range(box.native.count())}
    assert said["find out from the image"] == box.value == "auto"
    assert said["photons and read noise"] == "poisson-gaussian"
    assert len(said) == sum(kind.may_be_given for kind in NOISE_KINDS)


def test_what_is_set_is_read(viewer, open_dock, picture):
    viewer.add_image(picture)
    form = open_dock("Denoise", iterations=5000).form
    form.everyday["preset"].value = "best"
    form.everyday["noise"].value = "poisson-gaussian"
    form.everyday["uncertainty"].value = True
    form.more["sigma"].value = "1.5e2"
    form.more["gain"].value = "0.25"
    form.more["offset"].value = "-3"
    form.more["max_seconds"].value = 90
    form.more["seed"].value = 123456
    form.more["nonfinite"].value = "inpaint"
    assert form.settings() == {
        "preset": "best",
        "noise": "poisson-gaussian",
        "uncertainty": True,
        "sigma": 150.0,
        "gain": 0.25,
        "offset": -3.0,
        "values": "auto",
        "max_iterations": 5000,
        "max_seconds": 90,
        "seed": 123456,
        "device": "auto",
        "threads": 1,
        "nonfinite": "inpaint",
        "waves": "remove",
    }
    Settings(**form.settings())


def test_an_offset_of_zero_is_not_an_empty_box(viewer, open_dock, picture):
    viewer.add_image(picture)
    form = open_dock("Denoise").form
    assert "offset" not in form.settings()
    form.more["offset"].value = "0"
    assert form.settings()["offset"] == 0
    form.more["offset"].value = ""
    assert "offset" not in form.settings()


def test_boxes_for_numbers_take_numbers_only(qtbot, viewer, open_dock, picture):
    viewer.add_image(picture)
    dock = open_dock("Denoise")
    box = dock.form.more["sigma"].native
    qtbot.keyClicks(box, "a1,5b")
    assert box.text() == "1,5" and dock.form.settings()["sigma"] == 1.5
    box.setText("-3")
    assert dock.form.hint.text() == "Noise sigma: -3 is not above 0; correct it, or leave the box empty."
    box.clear()
    qtbot.keyClicks(dock.form.more["offset"].native, "-")
    assert dock.form.hint.text() == "Offset: '-' is not a number; complete it, or leave the box empty."
    assert dock.panel.state == "nothing"
    dock.form.everyday["noise"].value = "gaussian"  # has no offset
    assert dock.panel.state == "ready" and not dock.form.hint.text()


@pytest.mark.parametrize(
    ("preset", "noise", "used"),
    [
        ("fast", "auto", {"noise", "uncertainty", "sigma", "gain", "offset", "reach"}),
        ("best", "gaussian", {"noise", "uncertainty", "sigma", "reach"}),
        ("fast", "poisson", {"noise", "uncertainty", "gain", "offset", "reach"}),
        ("fast", "poisson-gaussian", {"noise", "uncertainty", "sigma", "gain", "offset", "reach"}),
        ("fast", "compression", {"noise", "uncertainty"}),
        ("paper", "gaussian", {"noise"}),
    ],
)
def test_what_changes_nothing_is_gray_and_left_out(viewer, open_dock, picture, preset, noise, used):
    viewer.add_image(picture)
    form = open_dock("Denoise").form
    for name, text in (("sigma", "7"), ("gain", "7"), ("offset", "7"), ("reach", "2")):
        form.more[name].value = text
    form.everyday["uncertainty"].value = True
    form.everyday["noise"].value = noise
    form.everyday["preset"].value = preset
    asked = NOISE | {"uncertainty"}
    assert {name for name in asked if form.knobs[name].native.isEnabledTo(form.native)} == used
    assert asked & set(form.settings()) == used
    restore_steps("denoise", picture, axes="YX", **form.settings())  # refuses settings that do nothing together


def test_angles_have_a_period_and_no_strength_of_noise(viewer, open_dock, picture):
    viewer.add_image(picture)
    form = open_dock("Denoise").form
    for name in ("sigma", "period"):
        form.more[name].value = "1000"
    assert "period" not in form.settings() and form.settings()["sigma"] == 1000
    form.more["values"].value = "circular"
    enabled = {name: form.knobs[name].native.isEnabledTo(form.native) for name in ("noise", "sigma", "reach", "period")}
    assert enabled == {"noise": False, "sigma": False, "reach": True, "period": True}
    assert form.settings()["values"] == "circular" and form.settings()["period"] == 1000
    assert not {"noise", "sigma"} & set(form.settings())
    assert restore_steps("denoise", picture, axes="YX", **form.settings()).request.source.values.period == 1000


def test_what_is_said_of_time_and_memory_follows_every_setting(viewer, open_dock, tmp_path):
    (tmp_path / "cells.prior").write_bytes(b"")
    viewer.add_image(np.random.default_rng(0).random((512, 512), np.float32))
    form = open_dock("Denoise", iterations=0).form
    told = form.estimate_label.text
    usual = told()
    said = {usual}
    for name, value in (("max_iterations", 5), ("max_iterations", 2_000), ("max_seconds", 15)):
        form.more[name].value = value
        said.add(told())
    assert "about 15 s" in told() and "at most" not in told()
    form.more["max_iterations"].value = form.more["max_seconds"].value = 0
    assert told() == usual
    for widget, value in (
        (form.everyday["preset"], "paper"),
        (form.everyday["preset"], "best"),
        (form.prior.keep, True),
        (form.prior.file.line_edit, str(tmp_path / "cells.prior")),
        (form.prior.update, 50),
    ):
        widget.value = value
        said.add(told())
    assert len(said) == 9, said
    form.prior.file.line_edit.value = ""
    form.everyday["preset"].value, form.prior.keep.value = "fast", False
    memory = form._estimate((512, 512)).memory
    form.everyday["uncertainty"].value = True
    assert form._estimate((512, 512)).memory > memory


def test_more_is_closed_at_first(viewer, open_dock):
    assert not open_dock("Denoise").form.collapsible.isExpanded()


def test_a_new_mask_is_ready_to_be_painted(qtbot, viewer, open_dock, run_to_end, picture):
    image = viewer.add_image(picture, name="cell", scale=(0.5, 0.2), rotate=30, units=("um", "um"))
    dock = open_dock("Inpaint", iterations=3)
    assert "New mask" in dock.form.hint.text()
    assert not dock.panel.run_button.isEnabled()
    dock.form.new_mask.native.click()
    mask = viewer.layers["cell mask"]
    assert dock.form.mask.value == mask
    assert viewer.layers.selection.active == mask
    assert mask.mode == "paint"
    np.testing.assert_allclose(mask.extent.world, image.extent.world)
    assert mask.units == image.units
    assert "mask is empty" in dock.form.hint.text() and not dock.panel.run_button.isEnabled()
    mask.paint((16, 20), 1)
    qtbot.waitUntil(lambda: not dock.form.hint.text() and dock.panel.run_button.isEnabled(), timeout=5_000)
    mask.paint((10, 10), 3)
    masked = np.array(mask.data) > 0
    run_to_end(dock)
    result = viewer.layers["cell inpainted"]
    np.testing.assert_array_equal(result.data[~masked], picture[~masked])
    assert (result.data[masked] != picture[masked]).any()
    np.testing.assert_allclose(result.extent.world, image.extent.world)


def test_one_label_of_several_is_filled_in(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cell")
    labels = np.zeros(picture.shape, int)
    labels[4:8, 4:8], labels[20:24, 20:24], labels[10:12] = 1, 2, 70000
    viewer.add_labels(labels)
    dock = open_dock("Inpaint", iterations=3)
    dock.form.label.value = 70000
    run_to_end(dock)
    dock.form.label.value = 0
    run_to_end(dock)
    for name, masked in (("cell inpainted", labels == 70000), ("cell inpainted [1]", labels > 0)):
        changed = viewer.layers[name].data != picture
        assert changed[masked].mean() > 0.9
        assert not changed[~masked].any()


def test_painting_on_does_not_change_a_run(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell")
    labels = viewer.add_labels(np.pad(np.ones((4, 4), int), ((3, 25), (3, 33))))
    dock = open_dock("Inpaint")
    start(dock, layers=3)
    labels.data[20:24, 20:24] = 1
    labels.refresh()
    dock.panel.stop_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=240_000)
    result = viewer.layers["cell inpainted"]
    np.testing.assert_array_equal(result.data[20:24, 20:24], picture[20:24, 20:24])


def test_super_resolution_covers_the_same_area(viewer, open_dock, run_to_end, picture):
    source = viewer.add_image(
        picture, name="cell", scale=(0.5, 0.2), translate=(7, 8), rotate=30, units=("um", "um"), axis_labels=("y", "x")
    )
    dock = open_dock("Super-resolve", iterations=2)
    assert dock.form.factor.value == 4
    dock.form.factor.value = 3
    run_to_end(dock)
    result = viewer.layers["cell x3"]
    assert result.data.shape == (96, 120)
    np.testing.assert_allclose(result.data_to_world((-0.5, -0.5)), source.data_to_world((-0.5, -0.5)))
    np.testing.assert_allclose(result.data_to_world((95.5, 119.5)), source.data_to_world((31.5, 39.5)))
    assert result.units == source.units
    assert result.axis_labels == ("y", "x")


def test_colours_dask_and_levels(viewer, open_dock, run_to_end, picture):
    color = np.stack([picture // 8] * 3, -1).astype(np.uint8)
    viewer.add_image(color, name="color", rgb=True, translate=(2, 3))
    dock = open_dock("Denoise", iterations=2)
    run_to_end(dock)
    result = viewer.layers["color denoised"]
    assert result.rgb
    assert result.data.dtype == np.uint8
    assert result.data.shape == color.shape
    assert tuple(result.translate) == (2, 3)

    lazy = dask.array.from_array(picture, chunks=16)
    viewer.add_image([lazy, lazy[::2, ::2]], name="levels", multiscale=True)
    dock.form.image.value = viewer.layers["levels"]
    run_to_end(dock)
    result = viewer.layers["levels denoised"]
    assert not result.multiscale
    assert result.data.shape == picture.shape


def test_a_form_is_made_from_any_row_of_the_table(viewer, picture):
    from napari_dip.viewer.form.form import Form

    rows = (
        Input("guide", "image", "Guide", "Shows the edges."),
        Input("passes", "number", "Passes", "How often.", range(1, 4), 2),
    )
    task = replace(task_named("inpaint"), name="guided", suffix="guided x{passes}", words="Guided.", inputs=rows)
    form = Form(viewer, task)
    assert "Open an image first" in form.missing()
    viewer.add_image(picture, name="cell")
    form.refresh()
    assert form.missing() == "Guide: open another image for it first."
    viewer.add_image(picture + 1, name="edges")
    form.refresh()
    assert not form.missing() and form.guide.value == viewer.layers["edges"]
    assert form.words_label.text() == "Guided."
    assert (form.guide.label, form.guide.tooltip) == ("Guide", "Shows the edges.")
    assert list(form.passes.choices) == [1, 2, 3]
    form.image.value, form.guide.value = viewer.layers["cell"], viewer.layers["edges"]
    job, _ = form.job()
    assert (job.task, job.title, job.inputs["passes"]) == ("guided", "cell guided x2", 2)
    np.testing.assert_array_equal(job.inputs["guide"], picture + 1)
    assert "noise" not in form.knobs and "uncertainty" in form.knobs


@pytest.mark.parametrize("name", ["Denoise", "Inpaint", "Super-resolve"])
@pytest.mark.parametrize("size", [12, 20])
def test_nothing_lies_beyond_the_side_whatever_the_font(qtbot, make_napari_viewer, picture, name, size):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(picture, name="cells")
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", name)
    for section in (dock.form.collapsible, dock.form.mask_tools):
        section.expand(animate=False)
    dock.setStyleSheet(f"* {{font-size: {size}px}}")
    dock.queue.show()
    qtbot.wait(50)
    page = dock.pages.area.viewport()
    shown = [one for one in page.findChildren(QWidget) if one.isVisible()]
    assert len(shown) > 20 and dock.width() == 350
    beyond = [one for one in shown if one.mapTo(page, one.rect().topRight()).x() > page.width()]
    assert not [(type(one), one.objectName()) for one in beyond]


def test_it_can_be_used_by_the_keyboard_and_read_aloud(qtbot, viewer, open_dock, picture):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    for widget in (*dock.form.top, *dock.form.more.values()):
        assert widget.native.accessibleName() == widget.label, widget.name
    for widget in dock.panel.findChildren(QPushButton) + dock.results.findChildren(QPushButton):
        assert widget.text() and widget.toolTip()
    viewer.window._qt_window.show()
    dock.window().show()
    dock.window().activateWindow()
    qtbot.waitUntil(dock.window().isActiveWindow, timeout=10_000)
    dock.form.everyday["noise"].native.setFocus()
    qtbot.keyClick(dock.form.everyday["noise"].native, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: dock.panel.state == "running", timeout=5_000)
    qtbot.waitUntil(lambda: dock.panel.state in ("ready", "nothing"), timeout=240_000)
    assert "cells denoised" in viewer.layers
