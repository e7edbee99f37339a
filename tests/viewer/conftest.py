"""A real viewer with a real dock, tiny images and short runs."""

import gc

import numpy as np
import pytest

LONG = 100_000
WAIT = 240_000


@pytest.fixture
def picture() -> np.ndarray:
    """A smooth picture with noise, uint16, 32 x 40."""
    y, x = np.mgrid[:32, :40]
    clean = 500 + 300 * np.sin(x / 6) * np.cos(y / 7)
    return (clean + np.random.default_rng(0).normal(0, 60, clean.shape)).astype(np.uint16)


@pytest.fixture
def notes():
    """Collect what the viewer tells its user, as (severity, sentence)."""
    from napari.utils.notifications import notification_manager

    told = []

    def note(notification):
        told.append((str(notification.severity), notification.message))

    notification_manager.notification_ready.connect(note)
    yield told
    notification_manager.notification_ready.disconnect(note)


@pytest.fixture(autouse=True)
def nobodys_preferences(tmp_path_factory, monkeypatch):
    """Neither read nor write what the user of this machine prefers."""
    from napari import settings

    if not hasattr(settings, "get_plugin_settings"):  # older than 0.9
        yield
        return
    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path_factory.mktemp("config") / "settings.yaml"))
    settings._PLUGIN_SETTINGS.clear()
    yield
    settings._PLUGIN_SETTINGS.clear()


@pytest.fixture(autouse=True)
def no_run_left():
    """Let a run that a test has dropped come to its end before the next one starts."""
    yield
    from napari_dip.viewer.run.runner import cancel_and_wait

    assert cancel_and_wait(60)
    gc.collect()


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


@pytest.fixture
def open_dock(viewer):
    """Open a dock of the plugin as the menu does; short runs unless told otherwise."""

    def open_it(name, iterations=4):
        _, dock = viewer.window.add_plugin_dock_widget("napari-dip", name)
        dock.form.more["max_iterations"].value = iterations
        dock.form.more["threads"].value = 1
        return dock

    return open_it


@pytest.fixture
def press_run(qtbot):
    """Press Run once the form allows it: it follows what happened to a layer a moment later."""

    def press(dock):
        qtbot.waitUntil(dock.panel.run_button.isEnabled, timeout=5_000)
        dock.panel.run_button.click()

    return press


@pytest.fixture
def run_to_end(qtbot, press_run):
    def run(dock):
        press_run(dock)
        qtbot.waitUntil(lambda: dock.panel.state in ("ready", "nothing"), timeout=WAIT)
        assert "The result is the layer" in dock.panel.status.text()

    return run


@pytest.fixture
def start(qtbot, press_run):
    """Start a run without end and wait until it shows a picture."""

    def begin(dock, layers=2):
        if "noise" in dock.form.everyday:  # other presets find for themselves that they are done
            dock.form.everyday["preset"].value = "paper"
        dock.form.more["max_iterations"].value = LONG
        press_run(dock)

        def shows():
            if dock.panel.state in ("ready", "nothing"):
                pytest.fail(f"The run ended before it began: {dock.panel.status.text()}")
            return len(dock.viewer.layers) == layers and bool(dock.panel.curve.points)

        qtbot.waitUntil(shows, timeout=WAIT)

    return begin


@pytest.fixture
def start_stack(qtbot, press_run):
    """Start a run whose planes are fitted together, and wait until so much is reported of it."""

    def begin(dock, until, iterations=LONG):
        dock.form.more["max_iterations"].value = iterations
        press_run(dock)

        def come_to():
            if dock.panel.state in ("ready", "nothing"):
                pytest.fail(f"The run ended before it began: {dock.panel.status.text()}")
            return dock.panel.report is not None and until(dock.panel.report)

        qtbot.waitUntil(come_to, timeout=WAIT)

    return begin
