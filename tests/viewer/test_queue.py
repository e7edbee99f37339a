"""Several layers, one after the other."""

import numpy as np
import pytest


@pytest.fixture
def three(viewer, picture):
    return [viewer.add_image(np.roll(picture, n, 0), name=f"cells {n}") for n in range(3)]


@pytest.fixture
def all_ended(qtbot):
    def wait(dock):
        over = ("done", "failed", "cancelled", "removed")
        qtbot.waitUntil(
            lambda: dock.panel.state in ("ready", "nothing") and all(t.state in over for t in dock.queue.turns),
            timeout=240_000,
        )
        return [turn.state for turn in dock.queue.turns]

    return wait


def test_selected_layers_are_restored_one_after_the_other(viewer, three, open_dock, all_ended):
    dock = open_dock("Denoise")
    viewer.layers.selection.active = three[0]
    assert dock.panel.all_button.isHidden() and dock.queue.isHidden()
    viewer.layers.selection = set(three)
    assert not dock.panel.all_button.isHidden() and "3 selected" in dock.panel.all_button.text()
    dock.form.image.value = three[1]
    dock.panel.all_button.click()
    assert dock.form.image.value == three[1] and not dock.queue.isHidden()
    assert all_ended(dock) == ["done", "done", "done"] and dock.queue.counts.text() == "3 done, 0 waiting"
    for n, layer in enumerate(three):
        result = viewer.layers[f"cells {n} denoised"]
        assert result.data.shape == layer.data.shape and not np.array_equal(result.data, layer.data)
    assert all(turn.job is None for turn in dock.queue.turns)  # no image is held on to
    dock.queue.clear_button.click()
    assert dock.queue.isHidden()


def test_one_is_cancelled_one_taken_out_one_fails_and_the_others_are_done(qtbot, viewer, three, open_dock, all_ended):
    bad = viewer.add_image(np.full((20, 20), 7.0), name="flat")
    gone = viewer.add_image(three[0].data[::-1].copy(), name="gone")
    dock = open_dock("Denoise", iterations=4)
    dock.form.everyday["preset"].value = "paper"
    dock.form.more["max_iterations"].value = 60
    viewer.layers.selection = {*three, bad, gone}
    dock.panel.all_button.click()  # from the top of the list
    assert [turn.name for turn in dock.queue.turns] == ["gone", "flat", "cells 2", "cells 1", "cells 0"]
    qtbot.waitUntil(lambda: dock.panel.report is not None, timeout=240_000)
    dock.panel.cancel_button.click()
    viewer.layers.remove(three[2])
    dock.queue.rows.setCurrentRow(3)
    dock.queue.remove_button.click()
    assert [turn.name for turn in dock.queue.turns] == ["gone", "flat", "cells 2", "cells 0"]
    assert all_ended(dock) == ["cancelled", "failed", "removed", "done"]
    assert "constant" in dock.queue.turns[1].why
    assert [layer.name for layer in viewer.layers if "denoised" in layer.name] == ["cells 0 denoised"]


def test_what_waits_is_dropped_with_the_dock(qtbot, viewer, three, open_dock):
    dock = open_dock("Denoise")
    viewer.layers.selection = set(three)
    dock.panel.all_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "running", timeout=60_000)
    dock.shut()
    assert [turn.state for turn in dock.queue.turns] in ([], ["running"])


def test_it_waits_for_what_runs_elsewhere(qtbot, viewer, three, open_dock, all_ended, start):
    other = open_dock("Super-resolve")
    start(other, layers=4)
    dock = open_dock("Denoise", iterations=3)
    viewer.layers.selection = set(three[:2])
    dock.panel.all_button.click()
    qtbot.wait(1000)
    assert [turn.state for turn in dock.queue.turns] == ["waiting", "waiting"]
    other.panel.cancel_button.click()
    assert all_ended(dock) == ["done", "done"]
