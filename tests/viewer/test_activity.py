"""A run is seen where its dock is not."""

from napari.utils import progress


def bars():
    return list(progress._all_instances)


def test_a_run_has_a_bar_in_the_activity_dock_until_it_ends(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    for end in (dock.panel.cancel_button, dock.panel.stop_button):
        start(dock)
        (bar,) = bars()
        assert bar.desc.startswith("cell denoised")
        qtbot.waitUntil(lambda bar=bar: bar.n > 0 or dock.panel.report.done < 0.001, timeout=60_000)
        end.click()
        qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)
        assert not bars()


def test_a_run_whose_dock_is_closed_leaves_no_bar(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture)
    dock = open_dock("Denoise")
    start(dock)
    dock.shut()
    assert not bars()


def test_the_end_is_told_where_the_dock_is_not_seen(qtbot, make_napari_viewer, run_to_end, picture, notes):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(picture, name="cell")
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")
    dock.form.more["max_iterations"].value = 2
    qtbot.waitUntil(dock.isVisible, timeout=5000)
    run_to_end(dock)
    assert not notes
    dock.hide()
    run_to_end(dock)
    assert notes == [("info", "“cell denoised [1]” is ready.")]


def test_no_bar_is_drawn_while_the_dock_is_seen(qtbot, make_napari_viewer, start, picture):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(picture, name="cell")
    _, dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")
    qtbot.waitUntil(dock.isVisible, timeout=5000)
    start(dock)
    assert not bars()
    dock.hide()
    qtbot.waitUntil(lambda: bool(bars()), timeout=60_000)
    (bar,) = bars()
    moves = []
    bar.events.value.connect(lambda event: moves.append(event.value))
    seen = dock.panel.report.iteration
    qtbot.waitUntil(lambda: dock.panel.report.iteration > seen + 20, timeout=60_000)
    assert len(moves) < 15  # by time, not by report
    dock.show()
    qtbot.waitUntil(lambda: not bars(), timeout=60_000)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)


def test_pictures_are_rare_where_drawing_is_slow(qtbot, viewer, open_dock, start, picture):
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise")
    start(dock)
    control, live = dock.runner.control, viewer.layers["cell denoised"]
    qtbot.waitUntil(lambda: control.shown and control.drawing > 0, timeout=60_000)
    control.drawing = 1e6
    qtbot.wait(300)  # a picture may be on its way
    control.drawing = 1e6
    before, seen = live.data.copy(), dock.panel.report.iteration
    qtbot.waitUntil(lambda: dock.panel.report.iteration > seen + 20, timeout=60_000)
    assert (live.data == before).all()
    control.drawing = 0.0
    qtbot.waitUntil(lambda: (live.data != before).any(), timeout=60_000)
    dock.panel.cancel_button.click()
    qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=60_000)
