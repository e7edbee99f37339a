"""Measure for how long the viewer does not answer while a run is at work: the gaps between two turns of its event loop.

    xvfb-run -s "-screen 0 1600x1000x24" python benchmarks/gui_gaps.py --side 512 --json gaps.json

An image of textured cells with photon noise, made here, is denoised from the form, with previews and curves, from the
press on Run to its end. A timer of 1 ms tells when the loop turns.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QApplication
from report import save, table
from simulate import camera, cells

PEAK = 50.0
LIMIT = 1800


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512, help="pixels along y and x (default: %(default)s)")
    parser.add_argument("--iterations", type=int, metavar="N", help="iterations to plan, if not what the preset does")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures here")
    given = parser.parse_args()
    given.command, given.crop = shlex.join(["python", "benchmarks/gui_gaps.py", *sys.argv[1:]]), None
    viewer = napari.Viewer()
    viewer.add_image(camera(cells((given.side, given.side)), PEAK)[0], name="cells")
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")
    dock.form.more["threads"].value = given.threads
    if given.iterations is not None:
        dock.form.more["max_iterations"].value = given.iterations
    for _ in range(50):
        QApplication.processEvents()
    turns: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: turns.append(time.perf_counter()))
    timer.start(1)
    dock.panel.run_button.click()
    began = time.monotonic()
    loop = QEventLoop()  # to quit the application would close the viewer
    watch = QTimer()
    watch.timeout.connect(lambda: dock.panel.state in ("ready", "nothing") and loop.quit())
    watch.start(50)
    QTimer.singleShot(LIMIT * 1000, loop.quit)
    loop.exec()
    seconds, gaps = time.monotonic() - began, 1000 * np.diff(turns)
    found = {"side": given.side, "seconds": seconds, "turns": len(turns), "longest": float(gaps.max())}
    found |= {f"p{part}": float(np.percentile(gaps, part)) for part in (50, 95, 99)}
    save(given, [found])
    header = ["side", "seconds", "turns", "p50", "p95", "p99", "longest"]
    table("Gaps of the GUI thread (ms)", header, [[found[name] for name in header]])
    viewer.close()


if __name__ == "__main__":
    main()
