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
from napari_dip.viewer.comparison import scores


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
    results = done.results
    assert not results.isHidden() and results.title() == "Result: cells denoised"
    assert "of its variance" in results.words.text()
    viewer.layers.remove("cells denoised")
    assert results.isHidden()


def test_blinking_shows_the_one_or_the_other_and_leaves_what_was_hidden_hidden(viewer, done):
    source, result = viewer.layers["cells"], viewer.layers["cells denoised"]
    source.visible = False
    done.results.blink_button.click()
    assert (source.visible, result.visible) == (True, False)
    done.results.blink_button.click()
    assert (source.visible, result.visible) == (False, True)
    source.visible = True
    for _ in range(2):
        done.results.blink()
    assert (source.visible, result.visible) == (True, True)
    press = viewer.keymap["Shift-B"] if "Shift-B" in viewer.keymap else next(iter(viewer.keymap.values()))
    press(viewer)
    assert not result.visible
    viewer.layers.remove("cells")
    assert not done.results.blink_button.isEnabled()


def test_the_handle_shows_the_source_left_of_it(viewer, done, picture):
    source, result = viewer.layers["cells"], viewer.layers["cells denoised"]
    selected = viewer.layers.selection.active
    done.results.handle.setValue(250)
    before = viewer.layers["cells (before)"]
    assert np.array_equal(before.data, picture[:, :10]) and np.array_equal(before.scale, source.scale)
    assert viewer.layers.index(before) > viewer.layers.index(result) and viewer.layers.selection.active == selected
    done.results.handle.setValue(500)
    assert before.data.shape == (32, 20) and len(viewer.layers) == 3
    viewer.layers.selection.active = before
    assert done.results.result == result and done.form.image.value == source
    done.results.handle.setValue(0)
    assert before not in viewer.layers and len(viewer.layers) == 2
    done.results.handle.setValue(700)
    viewer.layers.remove(result)
    assert [layer.name for layer in viewer.layers] == ["cells"] and done.results.handle.value() == 0


def test_what_was_taken_off_is_a_layer_with_nothing_in_the_middle(qtbot, viewer, done, picture):
    done.results.residual_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=20_000)
    layer = viewer.layers["cells denoised taken off"]
    np.testing.assert_allclose(layer.data, picture.astype("f4") - viewer.layers["cells denoised"].data, rtol=1e-6)
    low, high = layer.contrast_limits
    assert low == -high and high > 0
    assert viewer.layers.index(layer) == viewer.layers.index("cells denoised") + 1


def test_it_is_measured_against_a_truth(qtbot, viewer, done, clean):
    assert done.results.truth_button.isHidden()  # there is none yet
    viewer.add_image(clean[:16], name="half")
    assert done.results.truth_button.isHidden()
    viewer.add_image(clean, name="truth")
    assert not done.results.truth_button.isHidden() and done.results.truth.value.name == "truth"
    done.results.truth_button.click()
    qtbot.waitUntil(lambda: "PSNR" in done.results.words.text(), timeout=20_000)
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    span = float(np.ptp(clean))
    said = done.results.words.text()
    for name in ("cells", "cells denoised"):
        image = viewer.layers[name].data.astype("f8")
        assert f"{peak_signal_noise_ratio(clean, image, data_range=span):.2f}" in said
        assert f"{structural_similarity(clean.astype('f8'), image, data_range=span):.3f}" in said


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
    getattr(dock.results, f"copy_{what}")()
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
    done.results.copy_python()
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
    assert f"usually off by {usual:.3g}, {100 * part:.2g} % of the range of the image." in said
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
    dock.results.show_taken_off()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=20_000)
    assert viewer.layers["rgb denoised taken off"].data.shape == picture.shape
    enlarge = open_dock("Super-resolve")
    enlarge.form.image.value = viewer.layers["rgb"]
    run_to_end(enlarge)
    assert not enlarge.results.residual_button.isEnabled() and enlarge.results.blink_button.isEnabled()
