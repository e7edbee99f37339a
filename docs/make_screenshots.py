"""Make the pictures of README and documentation: each of a real viewer at work.

Run it on a desktop, or without one under Xvfb:

    xvfb-run -s "-screen 0 1600x1000x24" python docs/make_screenshots.py [NAME ...] [--folder FOLDER]

It writes into docs/images: denoise.png (in the middle of a run), run.gif (a whole run), inpaint.png, and what a prior
invents, hole.png and letters.png.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication
from skimage import data
from skimage.transform import downscale_local_mean

SIZE = (1280, 760)
SETTLE = 0.7
"""Seconds of events after which the window is painted."""
LIMIT = 1800
FRAMES, FRAME_WIDTH, FRAME_MS, LAST_MS, COLOURS = 10, 720, 350, 2500, 64
"""Of the animation, which is to stay below 1 MiB."""


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


def ended(dock: Any) -> bool:
    """Whether a run is over."""
    return dock.panel.state in ("ready", "nothing")


def taken(viewer: napari.Viewer, *, canvas_only: bool = False) -> Image.Image:
    """Give a picture of the window."""
    settle()
    shot = viewer.screenshot(canvas_only=canvas_only, flash=False)
    return Image.fromarray(shot[..., :3])  # opaque pixels compress better


def opened(task: str, sample: str = "") -> tuple[napari.Viewer, Any]:
    """Open a viewer with the form of a task, and a sample without its truth."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    if sample:
        viewer.open_sample("napari-dip", sample)
    dock = viewer.window.add_plugin_dock_widget("napari-dip", task)[1]
    for layer in [one for one in viewer.layers if "truth" in one.name]:
        viewer.layers.remove(layer)
    settle()
    return viewer, dock


def in_grid(viewer: napari.Viewer, shape: tuple[int, int], stride: int = 1) -> None:
    """Show layers beside each other, the first one above or on the left; of a negative stride, the last one."""
    viewer.grid.shape, viewer.grid.stride, viewer.grid.enabled = shape, stride, True
    viewer.reset_view(margin=0)


def finish(viewer: napari.Viewer, dock: Any) -> None:
    """End what runs, and close."""
    if not ended(dock):
        dock.panel.cancel_button.click()
        wait(lambda: ended(dock))
    viewer.close()


def denoise(file: Path, at: int = 40) -> None:
    """Show original above live result, in the middle of a run."""
    viewer, dock = opened("Denoise", "fluorescence")
    dock.panel.run_button.click()
    wait(lambda: len(viewer.layers) == 2)
    in_grid(viewer, (2, 1))
    viewer.layers.selection.active = viewer.layers["fluorescence denoised"]
    wait(lambda: dock.panel.curve.points[-1][0] >= at or ended(dock))
    taken(viewer).save(file, optimize=True)
    finish(viewer, dock)


def run(file: Path) -> None:
    """Show a run from the first press to its end, as an animation."""
    viewer, dock = opened("Denoise", "fluorescence")
    frames = [taken(viewer)]
    dock.panel.run_button.click()
    wait(lambda: len(viewer.layers) == 2)
    while not ended(dock):
        frames.append(taken(viewer))
    frames.append(taken(viewer))
    step = max(1, len(frames) // FRAMES)
    chosen = [*frames[:4], *frames[4:-1:step], frames[-1]]  # most happens at the beginning
    size = (FRAME_WIDTH, FRAME_WIDTH * frames[0].height // frames[0].width)
    small = [
        frame.resize(size, Image.Resampling.LANCZOS).quantize(COLOURS, dither=Image.Dither.NONE) for frame in chosen
    ]
    lasts = [FRAME_MS] * (len(small) - 1) + [LAST_MS]
    small[0].save(file, save_all=True, append_images=small[1:], duration=lasts, loop=0, optimize=True)
    finish(viewer, dock)


def inpaint(file: Path) -> None:
    """Show a mask that was painted, and the tools for it, with the result beside."""
    viewer, dock = opened("Inpaint", "scratched")
    dock.form.mask_tools.expand(animate=False)
    dock.panel.run_button.click()
    wait(lambda: ended(dock))
    for layer in viewer.layers:
        layer.visible = True
    in_grid(viewer, (1, 2), stride=-2)
    dock.pages.setCurrentIndex(0)
    dock.pages.area.ensureWidgetVisible(dock.form.mask_tools, 0, 0)
    taken(viewer).save(file, optimize=True)
    finish(viewer, dock)


def hole(file: Path) -> None:
    """Show what is made of a hole in something, beside what was there."""
    truth = data.camera()[60:252, 120:312].astype(np.float32)
    mask = np.zeros(truth.shape, np.uint8)
    mask[60:100, 90:130] = 1
    beside(file, "Inpaint", truth, np.where(mask, 0, truth), mask)


def letters(file: Path) -> None:
    """Show letters that are enlarged beyond what they hold, beside those that were there."""
    truth = data.page()[20:164, 10:202].astype(np.float32)
    beside(file, "Super-resolve", truth, downscale_local_mean(truth, (4, 4)).astype(np.float32))


def beside(file: Path, task: str, truth: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> None:
    """Restore an image; show it, its result and the truth beside each other, each as large as the truth."""
    viewer, dock = opened(task)
    scale = len(truth) / len(image)
    source = viewer.add_image(image, name="seen", scale=(scale, scale), contrast_limits=(0, 255))
    if mask is not None:
        viewer.add_labels(mask, name="mask", visible=False)
    dock.form.image.value = source
    dock.panel.run_button.click()
    wait(lambda: ended(dock))
    result = next(layer for layer in viewer.layers if "napari-dip" in layer.metadata)
    pictures = [source.data.repeat(scale, 0).repeat(scale, 1), result.data, truth]
    finish(viewer, dock)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    for name, picture in zip(("what was seen", "what is made of it", "what was there"), pictures, strict=True):
        viewer.add_image(picture, name=name, contrast_limits=(0, 255))
    in_grid(viewer, (1, 3))
    shot = taken(viewer, canvas_only=True)
    drawn = np.argwhere(np.asarray(shot).any(-1))
    (top, left), (bottom, right) = drawn.min(0), drawn.max(0) + 1
    shot.crop((left, top, right, bottom)).save(file, optimize=True)
    viewer.close()


PICTURES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "denoise": ("denoise.png", denoise),
    "run": ("run.gif", run),
    "inpaint": ("inpaint.png", inpaint),
    "hole": ("hole.png", hole),
    "letters": ("letters.png", letters),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; left out, all")
    parser.add_argument("--folder", type=Path, default=Path(__file__).with_name("images"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.names or PICTURES:
        file, make = PICTURES[name]
        make(given.folder / file)
        print(given.folder / file)
