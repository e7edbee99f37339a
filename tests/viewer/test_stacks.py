"""Runs on stacks: the planes are learned from together, then restored, the one that is looked at first."""

import numpy as np
import pytest

WAIT = 240_000


@pytest.fixture
def stack(picture):
    """Three times of two planes, uint16: each time is restored in one go."""
    planes = [np.roll(picture, (t, z), (0, 1)) for t in range(3) for z in range(2)]
    return np.stack(planes).reshape(3, 2, *picture.shape)


@pytest.fixture
def dock(viewer, open_dock, stack):
    """Over a stack with a scale, at its second time."""
    viewer.add_image(stack, name="stack", axis_labels=("t", "z", "y", "x"), scale=(30, 2, 0.5, 0.5))
    viewer.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(1, 0)
    return open_dock("Denoise")


@pytest.fixture
def wait_for_end(qtbot):
    def wait(dock):
        qtbot.waitUntil(lambda: dock.panel.state in ("ready", "nothing"), timeout=WAIT)

    return wait


def learning(report):
    return report.stage == "fit"


def restoring(report):
    return report.stage == "apply"


def seen(viewer, stack):
    """Planes that the live layer shows otherwise than the source does."""
    live = viewer.layers["stack denoised"].data
    return {index for index in np.ndindex(3, 2) if (live[index] != stack[index]).any()}


def test_the_plane_that_is_looked_at_comes_first(qtbot, viewer, dock, stack, start_stack, wait_for_end):
    start_stack(dock, learning)
    assert "earning from 6 planes: iteration " in dock.panel.status.text()
    qtbot.waitUntil(lambda: "stack denoised" in viewer.layers, timeout=WAIT)
    assert seen(viewer, stack) == {(1, 0)}
    viewer.dims.set_current_step(1, 1)
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: (2, 1) in seen(viewer, stack), timeout=WAIT)
    assert seen(viewer, stack) <= {(1, 0), (1, 1), (2, 1)}
    dock.panel.cancel_button.click()
    wait_for_end(dock)
    assert [layer.name for layer in viewer.layers] == ["stack"]


def test_stop_while_it_learns_restores_all_planes(qtbot, viewer, dock, start_stack, wait_for_end):
    start_stack(dock, learning)
    assert dock.panel.stop_button.text() == "Stop and keep" and "then restored" in dock.panel.stop_button.toolTip()
    dock.panel.stop_button.click()
    assert dock.panel.status.text().startswith("Restoring planes ...\n“Stop now” keeps only")
    assert dock.panel.stop_button.text() == "Stop now" and dock.panel.stop_button.isEnabled()
    qtbot.waitUntil(lambda: "estoring planes: 0 of 6 done" in dock.panel.status.text(), timeout=WAIT)
    wait_for_end(dock)
    result, words = viewer.layers["stack denoised"], dock.panel.status.text()
    assert np.isfinite(result.data).all()
    assert result.metadata["napari-dip"]["stopped_by"] == "asked"
    assert words.startswith("Stopped after") and "empty" not in words
    assert dock.panel.stop_button.text() == "Stop and keep"


def test_stop_pressed_twice_keeps_what_is_restored(viewer, dock, start_stack, wait_for_end):
    start_stack(dock, learning)
    dock.panel.stop_button.click()
    dock.panel.stop_button.click()
    assert dock.panel.status.text() == "Finishing ..."
    wait_for_end(dock)
    data = viewer.layers["stack denoised"].data
    assert np.isfinite(data[1]).all() and np.isnan(data[[0, 2]]).all()
    assert "2 of 6 planes are restored; the others are empty." in dock.panel.status.text()


def test_stop_while_planes_are_restored_keeps_those(viewer, dock, start_stack, wait_for_end):
    start_stack(dock, restoring, iterations=3)
    assert dock.panel.stop_button.text() == "Stop now" and "stay empty" in dock.panel.stop_button.toolTip()
    dock.panel.stop_button.click()
    wait_for_end(dock)
    data = viewer.layers["stack denoised"].data
    assert np.isfinite(data[1]).all() and np.isnan(data).any()
    assert viewer.layers["stack denoised"].metadata["napari-dip"]["iterations"] == 3
    assert "planes are restored; the others are empty." in dock.panel.status.text()


def test_planes_appear_as_they_are_restored(viewer, dock, start_stack, wait_for_end):
    shown, words, bars = {}, [], []
    show = dock.panel.show_report

    def note(report):
        shown.update((picture.index, picture.plane) for picture in report.pictures)
        show(report)
        words.append(dock.panel.status.text())
        bars.append(dock.panel.bar.value())

    dock.panel.show_report = note
    start_stack(dock, restoring, iterations=3)
    assert [i for i, _ in dock.panel.curve.points] == [1, 2, 3]
    wait_for_end(dock)
    result = viewer.layers["stack denoised"].data
    for index in ((1, 0), (1, 1)):
        np.testing.assert_array_equal(shown[index], result[index])
    assert np.isfinite(result).all()
    assert [n for n in (0, 2, 4) if any(f"estoring planes: {n} of 6 done" in text for text in words)] == [0, 2, 4]
    assert len(dock.panel.curve.points) == 3
    assert bars == sorted(bars)


def test_pause_and_cancel_while_planes_are_restored(qtbot, viewer, dock, start_stack, wait_for_end):
    start_stack(dock, restoring, iterations=3)
    dock.panel.pause_button.click()
    assert dock.panel.status.text() == "Pausing after the planes at work ..."
    qtbot.waitUntil(lambda: "Paused" in dock.panel.status.text(), timeout=WAIT)
    held = dock.panel.report.restored
    qtbot.wait(600)
    assert dock.panel.report.restored == held < 6
    dock.panel.pause_button.click()
    qtbot.waitUntil(lambda: dock.panel.report.restored > held, timeout=WAIT)
    dock.panel.cancel_button.click()
    wait_for_end(dock)
    assert [layer.name for layer in viewer.layers] == ["stack"]
    assert dock.panel.status.text() == "Cancelled; nothing was kept."


def test_a_stop_can_be_held_and_cancelled(qtbot, viewer, open_dock, stack, start_stack, wait_for_end):
    """So many planes that some are left to restore when it is held, even if this thread has to wait meanwhile."""
    viewer.add_image(np.tile(stack, (40, 1, 1, 1)), name="stack", axis_labels=("t", "z", "y", "x"))
    dock = open_dock("Denoise")
    start_stack(dock, learning)
    dock.panel.stop_button.click()
    dock.panel.pause_button.click()
    qtbot.waitUntil(lambda: "Paused" in dock.panel.status.text(), timeout=WAIT)
    dock.panel.cancel_button.click()
    wait_for_end(dock)
    assert [layer.name for layer in viewer.layers] == ["stack"]


def test_hidden_planes_are_sent_once_they_are_looked_at(monkeypatch):
    """However many planes have ended meanwhile, they are sent a few at a time, the one that is looked at first."""
    from types import SimpleNamespace

    from napari_dip.viewer.messages import Control, Job
    from napari_dip.viewer.run import runner

    out = np.arange(10 * 9 * 8, dtype=np.float32).reshape(10, 9, 8)
    control = Control(shown=False, looked_at=(7,))
    clock = runner._Clock(Job("denoise", "a", out, "ZYX", {}), control, out)
    monkeypatch.setattr(runner, "AT_ONCE", 3 * 72)
    where = {"plane": 0, "planes": 10, "iteration": 9, "iterations": 9, "seconds": 9.0, "done": 0.5, "loss": 1.0}
    where |= {"fit": 0, "fits": 1, "together": 10, "restored": 10, "stage": "apply", "index": (0,)}
    clock.note(now := SimpleNamespace(**where, finished=[(n,) for n in range(10)]))
    assert not clock.report(now).pictures
    sent = []
    now.finished = []
    for count in (3, 3, 3, 1, 0):
        control.shown, clock.previewed = True, -np.inf
        clock.note(now)
        pictures = clock.report(now).pictures
        assert len(pictures) == count
        assert not any(np.shares_memory(picture.plane, out) for picture in pictures)
        sent += [picture.index[0] for picture in pictures]
    assert sent == [7, 0, 1, 2, 3, 4, 5, 6, 8, 9]


def test_five_dimensions(qtbot, viewer, open_dock, start_stack, wait_for_end, picture):
    image = np.stack([picture + 100 * n for n in range(8)]).reshape(2, 2, 2, *picture.shape)
    units, scale = ("s", "um", "pixel", "um", "um"), (30, 0.5, 1, 0.2, 0.2)
    viewer.add_image(image, name="embryo", scale=scale, units=units, axis_labels=("t", "z", "c", "y", "x"))
    viewer.dims.set_current_step(2, 1)
    viewer.dims.set_current_step(1, 1)
    dock, fits = open_dock("Denoise"), []
    show = dock.panel.show_report

    def note(report):
        show(report)
        if not fits or fits[-1] != report.fit:
            fits.append(report.fit)
            assert f"Channel {report.fit + 1} of 2, learning from 4 planes" in dock.panel.status.text()
            assert dock.panel.curve.points[-1][0] == report.iteration == len(dock.panel.curve.points)

    dock.panel.show_report = note
    start_stack(dock, learning, iterations=2)
    assert dock.runner.control.looked_at == (0, 1, 1)
    wait_for_end(dock)
    result = viewer.layers["embryo denoised"]
    assert fits == [0, 1]
    assert np.isfinite(result.data).all() and result.data.shape == image.shape
    assert tuple(result.scale) == scale and result.units == viewer.layers["embryo"].units
    assert abs(result.data - image).mean() < 200
