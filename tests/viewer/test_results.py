"""What can be done with a result: seen beside its source and the truth, repeated, its settings used again."""

import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication

from napari_dip.files.formats import read_image
from napari_dip.viewer.result.comparison import scores


@pytest.fixture
def clean():
    y, x = np.mgrid[:32, :40]
    return (500 + 300 * np.sin(x / 6) * np.cos(y / 7)).astype("float32")


@pytest.fixture
def done(viewer, open_dock, run_to_end, picture):
    """A dock whose run has ended, in a viewer with source and result."""
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    dock.results.hide()
    run_to_end(dock)
    return dock


def test_it_is_there_once_there_is_a_result_and_goes_with_it(viewer, done):
    results, pages = done.results, done.pages
    assert not results.isHidden() and pages.currentIndex() == 1 and pages.tabText(1) == "Result: cells denoised"
    assert "noise variance" in results.words.text()
    viewer.layers.remove("cells denoised")
    assert results.isHidden() and pages.currentIndex() == 0 and not pages.isTabEnabled(1)
    assert pages.tabText(1) == "Result" and not done.panel.status.text()


def test_blinking_shows_the_one_or_the_other_and_leaves_what_was_hidden_hidden(viewer, done):
    source, result = viewer.layers["cells"], viewer.layers["cells denoised"]
    source.visible = False
    done.results.blink_button.click()
    assert (source.visible, result.visible) == (True, False)
    done.results.blink_button.click()
    assert (source.visible, result.visible) == (False, True)
    source.visible = True
    for _ in range(2):
        done.results.blink_button.click()
    assert (source.visible, result.visible) == (True, True)
    press = viewer.keymap["Shift-B"] if "Shift-B" in viewer.keymap else next(iter(viewer.keymap.values()))
    press(viewer)
    assert not result.visible
    viewer.layers.remove("cells")
    assert not done.results.blink_button.isEnabled()


def test_the_border_shows_the_source_left_of_it(viewer, done, picture):
    source, result = viewer.layers["cells"], viewer.layers["cells denoised"]
    selected = viewer.layers.selection.active
    button, slider = done.results.views.buttons["Compare"], done.results.border.slider
    assert not slider.isVisibleTo(done)
    button.click()
    assert slider.isVisibleTo(done)
    slider.setValue(250)
    before = viewer.layers["cells (before)"]
    assert np.array_equal(before.data, picture[:, :10]) and np.array_equal(before.scale, source.scale)
    assert viewer.layers.index(before) > viewer.layers.index(result) and viewer.layers.selection.active == selected
    slider.setValue(500)
    assert before.data.shape == (32, 20) and len(viewer.layers) == 3
    viewer.layers.selection.active = before
    assert done.results.result == result and done.form.image.value == source
    slider.setValue(0)
    assert before not in viewer.layers and len(viewer.layers) == 2
    slider.setValue(700)
    button.click()
    assert len(viewer.layers) == 2 and not slider.isVisibleTo(done)
    button.click()
    viewer.layers.remove(result)
    assert [layer.name for layer in viewer.layers] == ["cells"] and not button.isChecked()


def test_what_is_shown_over_an_additive_result_covers_it(viewer, done):
    for layer in viewer.layers:
        layer.blending = "additive"
    done.results.views.buttons["Compare"].click()
    assert viewer.layers["cells (before)"].blending == "translucent_no_depth"


def test_views_exclude_each_other(qtbot, viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    dock.form.everyday["uncertainty"].value = True
    run_to_end(dock)
    buttons, count = dock.results.views.buttons, len(viewer.layers)
    spread = viewer.layers["cells denoised uncertainty"]

    def shown():
        names = [name for name in ("cells (before)", "cells denoised residual") if name in viewer.layers]
        return names + [spread.name] * spread.visible

    expected = {
        "Compare": "cells (before)", "Residual": "cells denoised residual", "Uncertainty": spread.name,
    }  # fmt: skip
    for name in ("Compare", "Residual", "Uncertainty", "Residual", "Compare"):
        buttons[name].click()
        qtbot.waitUntil(lambda name=name: shown() == [expected[name]], timeout=20_000)
        assert [one.text() for one in buttons.values() if one.isChecked()] == [name]
    dock.results.blink_button.click()
    assert not shown() and len(viewer.layers) == count
    viewer.layers.remove(spread)
    assert not buttons["Uncertainty"].isEnabled()


def test_the_residual_has_zero_in_the_middle_and_is_kept_on_demand(qtbot, viewer, done, picture):
    button, view = done.results.views.buttons["Residual"], done.results.residual
    button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=20_000)
    layer = viewer.layers["cells denoised residual"]
    np.testing.assert_allclose(layer.data, picture.astype("f4") - viewer.layers["cells denoised"].data, rtol=1e-6)
    low, high = layer.contrast_limits
    assert low == -high and high > 0
    assert viewer.layers.index(layer) == viewer.layers.index("cells denoised") + 1
    button.click()
    assert len(viewer.layers) == 2
    button.click()
    button.click()  # before it is computed
    qtbot.waitUntil(view.button.isEnabled, timeout=20_000)
    assert len(viewer.layers) == 2
    button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=20_000)
    viewer.layers.selection.active = viewer.layers["cells denoised residual"]
    assert done.form.image.value == viewer.layers["cells"]
    qtbot.waitUntil(view.button.isEnabled, timeout=20_000)
    view.button.click()
    button.click()
    assert len(viewer.layers) == 3


def test_it_is_measured_against_a_truth(qtbot, viewer, done, clean):
    truth = done.results.truth
    assert truth.isHidden()  # there is none yet
    viewer.add_image(clean[:16], name="half")
    assert truth.isHidden()
    viewer.add_image(clean, name="truth")
    assert not truth.isHidden() and truth.box.value.name == "truth"
    truth.button.click()
    qtbot.waitUntil(lambda: "PSNR" in truth.words.text(), timeout=20_000)
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    span = float(np.ptp(clean))
    said = truth.words.text()
    for name in ("cells", "cells denoised"):
        image = viewer.layers[name].data.astype("f8")
        assert f"{peak_signal_noise_ratio(clean, image, data_range=span):.2f}" in said
        assert f"{structural_similarity(clean.astype('f8'), image, data_range=span):.3f}" in said
    viewer.layers.remove("cells denoised")
    assert not truth.words.text()


def test_micro_ssim_knows_no_background_and_no_scale(clean):
    pytest.importorskip("microssim")
    truth = clean.astype("f8")
    noisy = truth + np.random.default_rng(1).normal(0, 40, truth.shape)
    plain, shifted = scores(noisy, truth, "YX"), scores(3 * noisy + 500, truth, "YX")
    assert shifted["SSIM"] < plain["SSIM"] - 0.1 and shifted["PSNR"] < plain["PSNR"]
    assert shifted["microSSIM"] == pytest.approx(plain["microSSIM"], abs=0.02)
    assert scores(truth, truth, "YX")["microSSIM"] == pytest.approx(1, abs=1e-3)
    colours = np.stack([truth] * 3, -1)
    assert set(scores(colours, colours, "YXS")) == {"PSNR", "SSIM"}


@pytest.mark.parametrize("what", ["python", "command"])
def test_the_copied_text_makes_the_same_in_a_fresh_process(viewer, open_dock, run_to_end, picture, tmp_path, what):
    tifffile.imwrite(tmp_path / "my cells.tif", picture)
    viewer.open(tmp_path / "my cells.tif", plugin="napari")
    dock = open_dock("Denoise")
    dock.form.more["seed"].value = 11
    run_to_end(dock)
    getattr(dock.results.copy_menu, f"copy_{what}")()
    text = QApplication.clipboard().text()
    assert "my cells.tif" in text and "11" in text
    command = [sys.executable, "-c", text]
    if what == "command":
        command = [sys.executable, "-m", *shlex.split(text.replace("napari-dip", "napari_dip", 1))]
    fresh = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=tmp_path, env=fresh, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    again = read_image(tmp_path / "my cells-denoised.tif").array
    assert again.tobytes() == viewer.layers[-1].data.tobytes()


def test_without_a_file_the_script_works_in_the_console(viewer, done):
    done.results.copy_menu.copy_python()
    space = {"viewer": viewer}
    exec(QApplication.clipboard().text(), space)
    assert np.array_equal(space["result"].image, viewer.layers["cells denoised"].data)


def test_its_settings_are_used_on_another_layer(viewer, done, run_to_end, picture, notes):
    viewer.layers["cells denoised"].metadata["napari-dip"]["settings"].update(seed=23, noise="poisson", gain=2.5)
    other = viewer.add_image(picture[::-1].copy(), name="other")
    done.form.image.value = other
    done.results.load_button.click()
    assert done.form.settings() | {"seed": 23, "noise": "poisson", "gain": 2.5} == done.form.settings()
    assert done.form.image.value == other
    run_to_end(done)
    record = viewer.layers["other denoised"].metadata["napari-dip"]
    assert (record["settings"]["seed"], record["settings"]["gain"]) == (23, 2.5)


def test_a_result_that_is_selected_is_the_one_shown_and_its_uncertainty_is_none(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="a")
    dock = open_dock("Denoise")
    dock.form.everyday["uncertainty"].value = True
    run_to_end(dock)
    first = viewer.layers["a denoised"]
    second = viewer.layers["a denoised uncertainty"]
    assert second.colorbar.visible and not second.visible
    said = dock.panel.status.text()
    usual = float(np.median(second.data[second.data > 0]))
    part = usual / np.ptp(np.percentile(first.data, [1, 99]))
    assert f"Typical uncertainty: {usual:.3g}, {100 * part:.2g} % of the intensity range." in said
    viewer.layers.selection.active = second
    assert dock.results.result == first
    run_to_end(dock)
    assert dock.results.result.name == "a denoised [1]"
    viewer.layers.selection.active = first
    assert dock.results.result == first and dock.results.source.name == "a"
    other = open_dock("Inpaint")
    assert other.results.isHidden()


def test_its_record_is_shown(viewer, done):
    done.results.record_button.click()
    shown = done.results.window_of_record
    assert shown.isVisible() and "cells denoised" in shown.windowTitle()
    assert json.loads(shown.toPlainText()) == json.loads(json.dumps(done.results.record))
    shown.close()


def test_colours_and_enlarged_images(qtbot, viewer, open_dock, run_to_end, picture):
    colours = np.stack([picture // 4, picture // 8, picture // 16], -1).astype("uint8")
    viewer.add_image(colours, name="rgb", rgb=True)
    dock = open_dock("Denoise")
    run_to_end(dock)
    dock.results.views.buttons["Residual"].click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=20_000)
    assert viewer.layers["rgb denoised residual"].data.shape == picture.shape
    enlarge = open_dock("Super-resolve")
    enlarge.form.image.value = viewer.layers["rgb"]
    run_to_end(enlarge)
    assert not enlarge.results.views.buttons["Residual"].isEnabled() and enlarge.results.blink_button.isEnabled()
