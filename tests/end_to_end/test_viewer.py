"""The plugin as napari finds it: manifest, samples, menus."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SAMPLES = {
    "fluorescence": ["fluorescence (truth)", "fluorescence"],
    "photograph": ["photograph (truth)", "photograph"],
    "scratched": ["scratched (truth)", "scratched", "scratched (mask)"],
    "small": ["small (truth)", "small"],
}


def test_the_manifest_is_valid():
    npe2 = Path(sys.executable).with_name("npe2")
    ran = subprocess.run([npe2, "validate", "napari-dip", "--imports"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_menus_name_commands_that_there_are():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-dip")
    commands = {command.id for command in manifest.contributions.commands}
    items = {place: {item.command for item in items} for place, items in manifest.contributions.menus.items()}
    assert items == {
        "napari/layers/filter": {"napari-dip.denoise", "napari-dip.inpaint"},
        "napari/layers/transform": {"napari-dip.super_resolve"},
    }
    assert set.union(*items.values()) < commands


@pytest.mark.parametrize("key", SAMPLES)
def test_samples_open(make_napari_viewer_proxy, key):
    viewer = make_napari_viewer_proxy()
    viewer.open_sample("napari-dip", key)
    assert [layer.name for layer in viewer.layers] == SAMPLES[key]
    truth, picture = viewer.layers[:2]
    assert not truth.visible
    assert picture.visible
    for corner in (0, 1):  # picture and truth cover the same area
        at = [-0.5 if corner == 0 else n - 0.5 for n in picture.data.shape[:2]]
        there = [-0.5 if corner == 0 else n - 0.5 for n in truth.data.shape[:2]]
        np.testing.assert_allclose(picture.data_to_world(at), truth.data_to_world(there))
    if key == "fluorescence":
        assert tuple(picture.scale) == (0.1, 0.1)
        assert {str(unit) for unit in picture.units} == {"micrometer"}


def test_from_sample_to_result(make_napari_viewer_proxy, qtbot):
    """Open a sample, open the dock from the menu's command, run: better than before."""
    from napari_dip.samples import fluorescence

    viewer = make_napari_viewer_proxy()
    viewer.open_sample("napari-dip", "fluorescence")
    dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")[1]
    assert dock.form.image.value == viewer.layers["fluorescence"]
    dock.form.more["threads"].value = 1
    dock.form.more["max_iterations"].value = 30
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=600_000)
    noisy, truth = fluorescence()
    result = viewer.layers["fluorescence denoised"]
    assert tuple(result.scale) == (0.1, 0.1)
    assert np.mean((result.data - truth) ** 2) < 0.5 * np.mean((noisy - truth) ** 2)
