"""What the user prefers is what forms begin with."""

import json

import pytest

from napari_dip.tasks import task_named
from napari_dip.viewer.form import preferences as kept
from napari_dip.viewer.form.form import Form
from napari_dip.viewer.form.preferences import FILE, Preferences

settings = pytest.importorskip("napari.settings")
if not hasattr(settings, "get_plugin_settings"):
    pytest.skip("this napari has no page for plugins", allow_module_level=True)


@pytest.fixture
def page(viewer):
    """The page as it is at first."""
    return settings.get_plugin_settings("napari-dip").runs


def test_forms_begin_with_what_is_preferred(viewer, page, open_dock, picture):
    page.preset, page.device, page.threads, page.seconds_between_pictures = "best", "cpu", 3, 7.5
    viewer.add_image(picture, name="cells")
    for name in ("denoise", "inpaint", "super_resolve"):
        form = Form(viewer, task_named(name))
        assert form.everyday["preset"].value == "best", name
        assert form.settings()["device"] == "cpu" and form.settings()["threads"] == 3, name
    dock = open_dock("Denoise")
    assert dock.form.job()[0].picture_every == 7.5


def test_nothing_is_said_nothing_is_changed(viewer, page, open_dock):
    form = Form(viewer, task_named("denoise"))
    assert (
        form.everyday["preset"].value == "fast"
        and "threads" not in form.settings()
        and form.settings()["device"] == "auto"
    )


def test_the_last_settings_of_each_task_come_back(viewer, page, open_dock, picture, run_to_end, monkeypatch, tmp_path):
    page.remember_settings = True
    file = settings.get_plugin_settings("napari-dip").config_path.with_name(FILE)
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise", iterations=3)
    dock.form.everyday["noise"].value = "gaussian"
    dock.form.everyday["uncertainty"].value = True
    dock.form.more["sigma"].value = "60"
    run_to_end(dock)
    assert "sigma" not in json.loads(file.read_text())["denoise"]
    form = Form(viewer, task_named("denoise"))
    assert form.everyday["noise"].value == "gaussian" and form.everyday["uncertainty"].value is True
    assert "sigma" not in form.settings()
    other = Form(viewer, task_named("inpaint"))
    assert "max_iterations" not in other.settings()
    page.remember_settings = False
    fresh = Form(viewer, task_named("denoise"))
    assert fresh.everyday["noise"].value == "auto"


def test_what_was_remembered_by_another_version_stops_nothing(viewer, page, monkeypatch, tmp_path):
    file = tmp_path / FILE
    file.write_text(json.dumps({"denoise": {"preset": "gone", "noise": 7, "unheard": 1, "seed": "x"}, "inpaint": 3}))
    monkeypatch.setattr("napari_dip.viewer.form.form.preferences", lambda: Preferences({}, file=file))
    form = Form(viewer, task_named("denoise"))
    assert form.everyday["preset"].value == "fast" and form.everyday["noise"].value == "auto"
    file.write_text("{half")
    assert Preferences({}, file=file).last("denoise") == {}
    Preferences({}, file=tmp_path / "nowhere" / FILE).remember("denoise", {"seed": 3})


def test_an_older_napari_has_no_page(monkeypatch):
    monkeypatch.delattr("napari.settings.get_plugin_settings")
    assert kept.preferences() == Preferences({})


def test_a_damaged_file_is_no_reason_not_to_open(viewer, page, caplog):
    file = settings.get_plugin_settings("napari-dip").config_path
    file.write_text("runs: {preset: 7, threads: -3}\n")
    settings._PLUGIN_SETTINGS.clear()
    form = Form(viewer, task_named("denoise"))
    assert form.everyday["preset"].value == "fast"
