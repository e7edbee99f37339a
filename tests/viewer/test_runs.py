"""Runs in a real viewer: to the end, stopped, cancelled, paused, and with things taken away meanwhile."""

import threading
import time

import numpy as np

from napari_dip.viewer.run import runner as worker

WAIT = 240_000


def ended(dock):
    return lambda: dock.panel.state in ("ready", "nothing")


def test_opening_a_dock_loads_no_torch():
    import subprocess
    import sys

    code = "import sys, napari_dip.viewer.docks, napari_dip.samples; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_to_the_end_gives_a_layer_and_leaves_the_input(viewer, open_dock, run_to_end, picture):
    source = viewer.add_image(picture.copy(), name="cell", colormap="green", contrast_limits=(100, 900), gamma=0.8)
    dock = open_dock("Denoise")
    run_to_end(dock)
    assert [layer.name for layer in viewer.layers] == ["cell", "cell denoised"]
    result = viewer.layers["cell denoised"]
    assert result.data.shape == picture.shape
    assert result.data.dtype == np.float32
    assert result.colormap.name == "green"
    assert tuple(result.contrast_limits) == (100, 900)
    assert result.gamma == 0.8
    assert result.metadata["napari-dip"]["iterations"] == 4
    assert abs(float(result.data.mean()) - float(picture.mean())) < 100
    np.testing.assert_array_equal(source.data, picture)
    assert "napari-dip" not in source.metadata
    assert "cell denoised" in dock.panel.status.text()
    assert dock.form.image.value == source


def test_uncertainty_comes_as_a_second_layer(viewer, open_dock, run_to_end, picture):
    import napari_dip

    viewer.add_image(picture, name="cell", scale=(0.5, 0.2), translate=(7, 8), rotate=30, units=("um", "um"))
    viewer.add_points([[1, 1]], name="points")
    viewer.layers.selection.active = viewer.layers["cell"]
    dock = open_dock("Denoise")
    dock.form.everyday["uncertainty"].value = True
    run_to_end(dock)
    assert [layer.name for layer in viewer.layers] == ["cell", "cell denoised", "cell denoised uncertainty", "points"]
    result, spread = viewer.layers["cell denoised"], viewer.layers["cell denoised uncertainty"]
    assert viewer.layers.selection == {viewer.layers["cell denoised"]}  # no longer what it covers
    assert result.visible and not spread.visible
    assert spread.colormap.name == "magma"
    np.testing.assert_allclose(spread.extent.world, result.extent.world)
    assert spread.units == result.units
    assert spread.metadata["napari-dip"] == result.metadata["napari-dip"]
    expected = napari_dip.denoise(picture, axes="YX", uncertainty=True, max_iterations=4, threads=1)
    np.testing.assert_array_equal(spread.data, expected.uncertainty)
    assert "“cell denoised uncertainty”" in dock.panel.status.text()


def test_uncertainty_of_colours_is_gray(viewer, open_dock, run_to_end, picture):
    color = np.stack([picture // 8, picture // 5, picture // 4], -1).astype(np.uint8)
    viewer.add_image(color, name="color", rgb=True, translate=(2, 3))
    dock = open_dock("Denoise", iterations=2)
    dock.form.everyday["uncertainty"].value = True
    run_to_end(dock)
    spread = viewer.layers["color denoised uncertainty"]
    assert spread.data.shape == (32, 40)
    assert not spread.rgb
    assert (spread.data > 0).all()
    assert tuple(spread.translate) == (2, 3)


def test_layers_deleted_during_a_run_with_uncertainty(qtbot, viewer, open_dock, start, picture, notes):
    viewer.add_image(picture, name="cell")
    labels = np.zeros(picture.shape, int)
    labels[4:8, 4:8] = 1
    viewer.add_labels(labels, name="mask")
    dock = open_dock("Inpaint")
    dock.form.everyday["uncertainty"].value = True
    start(dock, layers=3)
    viewer.layers.clear()
    dock.panel.stop_button.click()
    assert dock.panel.status.text() == "Finishing ..."
    qtbot.waitUntil(lambda: dock.panel.state == "nothing", timeout=WAIT)
    assert [layer.name for layer in viewer.layers] == ["cell inpainted", "cell inpainted uncertainty"]
    spread = viewer.layers["cell inpainted uncertainty"].data
    assert (spread[labels > 0] > 0).all() and not spread[labels == 0].any()
    assert not notes


def test_the_end_is_told_in_words(qtbot, viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise", iterations=100_000)
    run_to_end(dock)
    record, words = viewer.layers["cell denoised"].metadata["napari-dip"], dock.panel.status.text()
    assert record["stopped_by"] == "held-out"
    assert f"Done after {record['iterations']} iterations" in words
    assert "It stopped by itself" in words
    assert "Found" in words and "noise" in words
    assert dock.panel.bar.value() == dock.panel.bar.maximum()


def test_a_plan_is_said_to_be_the_most_there_will_be(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    assert "of at most 100000\n" in dock.panel.status.text()
    curve = dock.panel.curve
    assert curve.points[-1][0] < curve.span() < 1000  # and the curve has the room it needs now
    qtbot.waitUntil(lambda: "About" in dock.panel.status.text(), timeout=WAIT)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)


def test_there_is_no_picture_before_there_is_something_to_see(qtbot, viewer, open_dock, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise", iterations=1000)
    reports = []
    dock.panel.show_report = lambda report, show=dock.panel.show_report: (reports.append(report), show(report))
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: any(report.pictures for report in reports), timeout=WAIT)
    first = next(report for report in reports if report.pictures)
    assert first.iteration >= worker.FIRST_PREVIEW or first.seconds >= worker.PATIENCE
    dock.panel.cancel_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)


def test_each_result_has_a_name_of_its_own(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cell")
    other = viewer.add_image(np.full((4, 4), 7.0), name="cell denoised")
    viewer.layers.selection.active = viewer.layers["cell"]
    dock = open_dock("Denoise", iterations=2)
    run_to_end(dock)
    run_to_end(dock)
    assert {layer.name for layer in viewer.layers} == {
        "cell",
        "cell denoised",
        "cell denoised [1]",
        "cell denoised [2]",
    }
    assert (other.data == 7).all()


def test_the_form_gives_what_a_script_gives(viewer, open_dock, run_to_end, picture):
    import napari_dip

    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise", iterations=5)
    dock.form.more["seed"].value = 3
    run_to_end(dock)
    expected = napari_dip.denoise(picture, axes="YX", seed=3, max_iterations=5, threads=1)
    np.testing.assert_array_equal(viewer.layers[-1].data, expected.image)


def test_stop_keeps(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    dock.panel.stop_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    record = viewer.layers["cell denoised"].metadata["napari-dip"]
    assert record["stopped_by"] == "asked"
    assert 0 < record["iterations"] < 100_000
    assert "Stopped" in dock.panel.status.text()
    assert len(viewer.layers) == 2


def test_cancel_drops(qtbot, viewer, open_dock, start, picture, notes):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    assert [layer.name for layer in viewer.layers] == ["cell"]
    assert dock.form.native.isEnabled()
    assert not notes


def test_cancel_before_the_first_picture(qtbot, viewer, open_dock, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise", iterations=100_000)
    dock.panel.run_button.click()
    dock.panel.cancel_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    assert len(viewer.layers) == 1


def test_what_prepares_can_be_left_at_once(qtbot, viewer, open_dock, run_to_end, picture, notes):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    hold, begun = threading.Event(), threading.Event()
    prepare = dock.runner._restore_steps

    def slowly(*args, **kwargs):
        begun.set()
        assert hold.wait(WAIT / 1000)
        return prepare(*args, **kwargs)

    dock.runner._restore_steps = slowly
    dock.panel.run_button.click()
    qtbot.waitUntil(begun.is_set, timeout=WAIT)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(ended(dock), timeout=5 * worker.GRACE)
    assert worker.busy() and "Cancelled" in dock.panel.status.text() and len(viewer.layers) == 1
    dock.panel.run_button.click()
    assert notes == [("warning", worker.ENDING)] and dock.panel.status.text() == worker.ENDING
    hold.set()
    qtbot.waitUntil(lambda: dock.panel.status.text() == "", timeout=WAIT)
    assert not worker.busy() and len(viewer.layers) == 1
    dock.runner._restore_steps = prepare
    run_to_end(dock)
    assert len(viewer.layers) == 2


def test_pause_holds_and_resume_goes_on(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    dock.panel.pause_button.click()
    assert dock.panel.pause_button.text() == "Resume"
    qtbot.wait(600)  # the iteration at work, and the reports on their way
    held = len(dock.panel.curve.points)
    qtbot.wait(600)
    assert len(dock.panel.curve.points) == held
    assert "Paused" in dock.panel.status.text()
    dock.panel.pause_button.click()
    qtbot.waitUntil(lambda: len(dock.panel.curve.points) > held, timeout=WAIT)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)


def test_a_paused_run_can_be_ended(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    for button, left in ((dock.panel.cancel_button, 1), (dock.panel.stop_button, 2)):
        start(dock)
        dock.panel.pause_button.click()
        qtbot.wait(300)
        button.click()
        qtbot.waitUntil(ended(dock), timeout=WAIT)
        assert len(viewer.layers) == left


def test_buttons_say_what_can_be_done(qtbot, viewer, open_dock, start, picture):
    dock = open_dock("Denoise")
    panel = dock.panel

    def enabled():
        buttons = (panel.run_button, panel.pause_button, panel.stop_button, panel.cancel_button)
        return [button.isEnabled() for button in buttons]

    assert enabled() == [False] * 4
    assert "Open an image first" in dock.form.hint.text()
    viewer.add_image(picture, name="cell")
    assert enabled() == [True, False, False, False]
    assert dock.form.hint.text() == ""
    start(dock)
    assert enabled() == [False, True, True, True]
    assert not dock.form.native.isEnabled()
    panel.cancel_button.click()
    assert enabled() == [False] * 4
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    assert enabled() == [True, False, False, False]


def test_run_pressed_the_moment_a_run_ends(qtbot, viewer, open_dock, picture):
    """Napari's worker says twice that it has ended; the second time must not end the run that came after it."""
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise", iterations=2)
    ends, end = [], dock.panel.end

    def and_again(words, *rest):
        end(words, *rest)
        ends.append(words)
        if len(ends) < 3:
            dock.panel.run_button.click()

    dock.panel.end = and_again
    dock.panel.run_button.click()
    qtbot.waitUntil(lambda: len(ends) == 3, timeout=WAIT)
    assert all("The result is the layer" in words for words in ends)
    assert len(viewer.layers) == 4


def test_source_deleted_during_a_run(qtbot, viewer, open_dock, start, picture, notes):
    viewer.add_image(picture, name="cell", scale=(0.5, 0.2))
    dock = open_dock("Denoise")
    start(dock)
    viewer.layers.remove("cell")
    dock.panel.stop_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    assert [layer.name for layer in viewer.layers] == ["cell denoised"]
    assert tuple(viewer.layers[0].scale) == (0.5, 0.2)
    assert not notes


def test_preview_deleted_during_a_run(qtbot, viewer, open_dock, start, picture, notes):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    viewer.layers.remove("cell denoised")
    seen = len(dock.panel.curve.points)
    qtbot.waitUntil(lambda: len(dock.panel.curve.points) > seen + 10, timeout=WAIT)
    assert len(viewer.layers) == 1
    dock.panel.stop_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    assert "napari-dip" in viewer.layers["cell denoised"].metadata
    assert not notes


def test_no_pictures_are_made_while_the_preview_is_hidden(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    viewer.layers["cell denoised"].visible = False
    qtbot.wait(600)  # a picture may be on its way
    before = np.array(viewer.layers["cell denoised"].data)
    seen = len(dock.panel.curve.points)
    qtbot.waitUntil(lambda: len(dock.panel.curve.points) > seen + 10, timeout=WAIT)
    np.testing.assert_array_equal(viewer.layers["cell denoised"].data, before)
    viewer.layers["cell denoised"].visible = True
    qtbot.waitUntil(lambda: (viewer.layers["cell denoised"].data != before).any(), timeout=WAIT)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)


def test_a_preview_leaves_the_selection_and_the_contrast(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell", contrast_limits=(300, 700))
    mask = viewer.add_labels(np.zeros(picture.shape, np.uint8))
    mask.mode = "paint"
    dock = open_dock("Denoise")
    start(dock, layers=3)
    assert viewer.layers.selection.active == mask
    assert mask.mode == "paint"
    assert tuple(viewer.layers["cell denoised"].contrast_limits) == (300, 700)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)


def test_a_second_run_is_refused_in_words(qtbot, viewer, open_dock, start, run_to_end, picture, notes):
    viewer.add_image(picture, name="cell")
    first, second = open_dock("Denoise"), open_dock("Super-resolve", iterations=2)
    start(first)
    second.panel.run_button.click()
    assert notes == [("warning", worker.BUSY)]
    assert second.panel.state == "ready"
    first.panel.cancel_button.click()
    qtbot.waitUntil(ended(first), timeout=WAIT)
    qtbot.waitUntil(lambda: not worker.busy(), timeout=WAIT)
    viewer.layers.selection.active = viewer.layers["cell"]
    run_to_end(second)
    assert "cell x4" in viewer.layers


def test_a_stack_is_restored(qtbot, viewer, open_dock, run_to_end, picture):
    viewer.add_image(np.stack([picture, picture[::-1]]), name="stack", axis_labels=("t", "y", "x"))
    dock = open_dock("Denoise", iterations=3)
    run_to_end(dock)
    result = viewer.layers["stack denoised"]
    assert result.data.shape == (2, 32, 40)
    assert result.metadata["napari-dip"]["axes"] == "TYX"
    assert result.metadata["napari-dip"]["planes_restored"] == 2


def test_napari_can_end_a_paused_run_itself(qtbot, viewer, open_dock, start, picture):
    """Its close dialog and the end of the program call `quit` on every worker."""
    from superqt.utils._qthreading import WorkerBase

    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    dock.panel.pause_button.click()
    for thread_worker in list(WorkerBase._worker_set):
        thread_worker.quit()
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    qtbot.waitUntil(lambda: not worker.busy(), timeout=WAIT)
    assert [layer.name for layer in viewer.layers] == ["cell"]


def test_a_stopped_stack_says_what_is_missing(qtbot, viewer, open_dock, start, picture):
    stack = np.stack([picture, picture[::-1], picture + 1])
    viewer.add_image(stack, name="stack")
    dock = open_dock("Denoise")
    start(dock)
    live = viewer.layers["stack denoised"].data
    np.testing.assert_array_equal(live[1:], stack[1:])  # the source, until a plane has its turn
    assert (live[0] != stack[0]).any()
    dock.panel.stop_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    result = viewer.layers["stack denoised"]
    assert np.isfinite(result.data[0]).all()
    assert np.isnan(result.data[1:]).all()
    assert result.metadata["napari-dip"]["unreached"] == [1, 2]
    words = dock.panel.status.text()
    assert words.startswith("Stopped after")
    assert "1 of 3 planes is restored; the others are empty." in words


def test_a_stopped_stack_of_colours_is_black_where_it_is_empty(qtbot, viewer, open_dock, start, picture):
    color = np.stack([np.stack([picture // 8, picture // 5, picture // 4], -1).astype(np.uint8)] * 2)
    viewer.add_image(color, name="color", rgb=True)
    dock = open_dock("Denoise")
    start(dock)
    dock.panel.stop_button.click()
    qtbot.waitUntil(ended(dock), timeout=WAIT)
    result = viewer.layers["color denoised"].data
    assert result.dtype == np.uint8
    assert result[0].any() and not result[1].any()
    assert "1 of 2 planes is restored; the other is empty." in dock.panel.status.text()


def test_planes_that_have_ended_are_seen_as_they_ended(qtbot, viewer, run_to_end, picture):
    from napari_dip.restore import restore_steps
    from napari_dip.viewer.docks import Denoise

    shown = {}

    class HeldAtTheLast:
        """A run that stays at its last plane until that is shown."""

        def __init__(self, *args, **kwargs):
            self.run = restore_steps(*args, **kwargs)

        def __iter__(self):
            for now in self.run:
                yield now
                while now.index == (2,) and (2,) not in shown:
                    time.sleep(0.05)
                    yield now

        def __getattr__(self, name):
            return getattr(self.run, name)

    channels = np.stack([picture, picture[::-1], picture])
    viewer.add_image(channels, name="stack", axis_labels=("c", "y", "x"))
    dock = Denoise(viewer, restore_steps=HeldAtTheLast)
    viewer.window.add_dock_widget(dock)
    dock.form.more["max_iterations"].value = 2
    show = dock.panel.show_report

    def note(report):
        shown.update((picture.index, picture.plane) for picture in report.pictures)
        show(report)

    dock.panel.show_report = note
    run_to_end(dock)
    assert set(shown) == {(0,), (1,), (2,)}
    result = viewer.layers["stack denoised"].data
    for plane in (0, 1):
        np.testing.assert_array_equal(shown[(plane,)], result[plane])
