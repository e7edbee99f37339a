"""Make the README's picture: Denoise at work on the fluorescence sample, in a real viewer.

Run it on a desktop, or without one under Xvfb:

    xvfb-run -s "-screen 0 1600x1000x24" python docs/make_screenshots.py [FOLDER] [--at N]

It writes denoise.png into FOLDER (docs/images).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication
from skimage.io import imread, imsave

SIZE = (1280, 760)
SETTLE = 0.7
"""Seconds of events after which the window is painted."""
LIMIT = 900


def wait(until: Callable[[], bool]) -> None:
    """Let the viewer work until something is so."""
    started = time.monotonic()
    while not until():
        if time.monotonic() - started > LIMIT:
            raise TimeoutError("The run took too long for a picture.")
        QApplication.processEvents()
        time.sleep(0.005)


def settle() -> None:
    """Let the viewer paint."""
    started = time.monotonic()
    wait(lambda: time.monotonic() - started > SETTLE)


def denoise(file: Path, at: int) -> None:
    """Show original above live result, in the middle of a run."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample("napari-dip", "fluorescence")
    dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")[1]
    viewer.layers.remove("fluorescence (truth)")
    settle()
    dock.panel.run_button.click()
    wait(lambda: len(viewer.layers) == 2)
    viewer.grid.enabled = True
    viewer.grid.shape = (2, 1)
    viewer.grid.stride = 1  # the original above
    viewer.layers.selection.active = viewer.layers["fluorescence denoised"]
    viewer.reset_view(margin=0)
    wait(lambda: dock.panel.curve.points[-1][0] >= at or dock.panel.state == "ready")
    settle()
    file.parent.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(file), canvas_only=False)
    # opaque pixels compress better
    imsave(file, imread(file)[..., :3], check_contrast=False)
    dock.panel.cancel_button.click()
    wait(lambda: dock.panel.state in ("ready", "nothing"))
    viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("images"))
    parser.add_argument("--at", type=int, default=40, help="iterations after which the picture is taken")
    given = parser.parse_args()
    denoise(given.folder / "denoise.png", given.at)
    print(given.folder / "denoise.png")
