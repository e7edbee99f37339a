"""The main job in a real viewer: open the fluorescence sample, dock the Denoise widget, press Run, keep the result.

Without a folder it opens the viewer and leaves the rest to you. With one it presses Run by itself, waits for the end,
and leaves result.tif, record.json and viewer.png there.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import napari
import numpy as np
import tifffile
from qtpy.QtWidgets import QApplication

READY_WITHIN, PATIENCE, SETTLE = 30, 900, 0.5  # seconds


def main() -> int:
    """Run the demo; the exit status is 1 if it did not end with a better image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where result, record and screenshot go")
    folder = parser.parse_args().folder

    viewer = napari.Viewer(title="napari-dip")
    viewer.window.resize(1400, 900)
    viewer.open_sample("napari-dip", "fluorescence")
    _, widget = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")
    if folder is None:
        napari.run()
        return 0
    try:
        return press_run(viewer, widget, folder)
    finally:
        viewer.close()


def press_run(viewer: napari.Viewer, widget, folder: Path) -> int:
    """Press the widget's Run button, wait, save what came of it, and say how good it is."""
    noisy, truth = viewer.layers["fluorescence"].data, viewer.layers["fluorescence (truth)"].data
    panel = widget.panel
    wait(panel.run_button.isEnabled, READY_WITHIN)
    started = time.perf_counter()
    panel.run_button.click()
    if not wait(panel.run_button.isEnabled, PATIENCE):
        print(f"Not done after {PATIENCE} s: pressing Stop and keep.")
        panel.stop_button.click()
        wait(panel.run_button.isEnabled, READY_WITHIN)
    seconds = time.perf_counter() - started
    viewer.reset_view()
    wait(lambda: False, SETTLE)  # let the last picture be drawn

    folder.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(folder / "viewer.png"), canvas_only=False, flash=False)
    results = [layer for layer in viewer.layers if "napari-dip" in layer.metadata]
    if not results:
        print(f"The restoration failed: {panel.status.text()} The screenshot is in {folder}.", file=sys.stderr)
        return 1
    result = results[-1]
    pixels_per_micron = 1 / np.asarray(result.scale)[[1, 0]]
    metadata = {"axes": "YX", "unit": "um"}
    tifffile.imwrite(
        folder / "result.tif", result.data, imagej=True, resolution=tuple(pixels_per_micron), metadata=metadata
    )
    (folder / "record.json").write_text(json.dumps(result.metadata["napari-dip"], indent=1) + "\n")

    before, after = psnr(noisy, truth), psnr(result.data, truth)
    print(f"Denoised the sample of {noisy.shape[0]} x {noisy.shape[1]} pixels in {seconds:.1f} s, from Run to the end.")
    print(f"PSNR before: {before:.2f} dB, after: {after:.2f} dB ({after - before:+.2f} dB, peak: the truth's range).")
    print(f"The result (result.tif), its record (record.json) and a screenshot (viewer.png) are in {folder}.")
    return 0 if after > before else 1


def wait(done, seconds: float) -> bool:
    """Let the viewer work until something is done, or so many seconds have passed; says whether it is done."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        if done():
            return True
        time.sleep(0.01)
    return False


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB; the peak is the range of the truth."""
    error = np.mean((image.astype(np.float64) - truth) ** 2)
    return float(10 * np.log10(np.ptp(truth).astype(np.float64) ** 2 / error))


if __name__ == "__main__":
    sys.exit(main())
