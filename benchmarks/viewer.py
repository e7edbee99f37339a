"""Compare a run in the viewer with the same run in Python: the GUI thread must not slow the network's threads down.

    xvfb-run -s "-screen 0 1600x1000x24" python benchmarks/viewer.py SCOREBOARD/denoise-sigma25/F16 --rounds 3

Both restore the same centre crop with preset fast and the same number of iterations, in turns within one process, with
the viewer open all the time; the run in the viewer shows its previews. What is compared is computing time, without
previews.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import napari
from cases import load
from qtpy.QtWidgets import QApplication
from report import options, read, save, table

import napari_dip as dip

LIMIT = 600


def wait(until: Callable[[], bool]) -> None:
    """Let the viewer work until something is so."""
    started = time.monotonic()
    while not until():
        if time.monotonic() - started > LIMIT:
            raise TimeoutError("The run in the viewer took too long.")
        QApplication.processEvents()
        time.sleep(0.005)


def main() -> int:
    """Take turns."""
    parser = options(__doc__, images=False, folder="holds input.png and truth.png")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of both (default: %(default)s)")
    given = read(parser)
    iterations = given.iterations or 60
    image = load(given.folder, given.crop).input
    viewer = napari.Viewer(show=True)
    source = viewer.add_image(image, name="image", rgb=image.ndim == 3)
    dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")[1]
    dock.form.more["max_iterations"].value = iterations
    if given.threads:
        dock.form.more["threads"].value = given.threads
    seconds: dict[str, list[float]] = {"in the viewer": [], "in Python": []}
    for _ in range(given.rounds):
        dock.panel.run_button.click()
        wait(lambda: dock.panel.state == "ready" and len(viewer.layers) > 1)
        result = viewer.layers[-1]
        seconds["in the viewer"].append(result.metadata["napari-dip"]["seconds"])
        viewer.layers.remove(result)
        axes = "YXS" if source.rgb else "YX"
        plain = dip.denoise(image, axes=axes, max_iterations=iterations, threads=given.threads)
        seconds["in Python"].append(plain.record["seconds"])
    save(given, [seconds])
    base = statistics.median(seconds["in Python"])
    rows = [
        [where, statistics.median(each), min(each), max(each), statistics.median(each) / base]
        for where, each in seconds.items()
    ]
    title = f"{image.shape[0]} x {image.shape[1]} pixels, {iterations} iterations, {given.threads or 'default'} threads"
    table(title, ["run", "s (median)", "min", "max", "ratio"], rows)
    viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
