"""A lazy image is read before its run: once cancelled, no more of it is, and what was is given back."""

import gc
import threading

import dask.array as da
import numpy as np
import psutil
import pytest

import napari_dip.restore  # noqa: F401 (torch takes its memory before, not during a run that is measured)
from napari_dip.run import estimate as estimates
from napari_dip.viewer.run import runner

PLANES, SIDE = 8, 4200
"""Of more than 32 MB each, which an allocator gives back at once."""
CANCELLED_AT = 6


class Reading:
    """A stack whose planes are made when they are read, and counted; one of them has to wait."""

    def __init__(self):
        self.reads, self.held, self.go_on = 0, threading.Event(), threading.Event()
        self.counts = False
        plane = np.arange(SIDE * SIDE).astype(np.uint16).reshape(1, SIDE, SIDE)

        def chunk(block_info=None):
            if self.counts:
                self.reads += 1
                if self.reads == CANCELLED_AT:
                    self.held.set()
                    assert self.go_on.wait(60)
            return plane.copy()

        self.lazy = da.map_blocks(chunk, chunks=((1,) * PLANES, (SIDE,), (SIDE,)), dtype=np.uint16)


def taken():
    gc.collect()
    return psutil.Process().memory_info().rss


def test_cancelled_preparation_ends_its_reading_and_gives_its_memory_back(qtbot, viewer, open_dock, monkeypatch):
    monkeypatch.setattr(estimates, "free_memory", lambda: 10**12)  # it does not come to take what it needs
    reading = Reading()
    viewer.add_image(reading.lazy, name="cells")
    viewer.add_labels(np.eye(SIDE, dtype=np.uint8), name="mask")
    dock = open_dock("Inpaint")
    before, reading.counts = taken(), True
    dock.panel.run_button.click()
    qtbot.waitUntil(reading.held.is_set, timeout=60_000)
    kept = (CANCELLED_AT - 1) * SIDE**2 * 2
    assert taken() - before > 0.8 * kept
    dock.panel.cancel_button.click()
    reading.go_on.set()
    qtbot.waitUntil(lambda: not runner.busy(), timeout=60_000)
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)
    assert "Cancelled" in dock.panel.status.text() and len(viewer.layers) == 2
    assert reading.reads == CANCELLED_AT
    assert taken() - before < 0.5 * kept  # the allocator may keep some of it for itself


@pytest.mark.parametrize("name", ["Denoise", "Super-resolve"])
def test_what_needs_more_memory_than_is_free_is_not_begun(qtbot, viewer, open_dock, monkeypatch, notes, name):
    viewer.add_image(np.random.default_rng(0).random((900, 900)), name="cells")
    dock = open_dock(name)
    monkeypatch.setattr(estimates, "free_memory", lambda: 10**8)  # it cannot be had without harm to other programs
    dock.panel.run_button.click()
    assert dock.panel.state == "ready" and not runner.busy()
    words = dock.panel.status.text()
    assert "of memory, and 0.1 GB are free; restore it part by part" in words
    assert ("napari-dip batch --blocks" in words) == (name == "Denoise") and notes == [("warning", words)]
