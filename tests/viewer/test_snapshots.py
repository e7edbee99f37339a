"""One can go back to what a run showed earlier, and keep it."""

import numpy as np
import pytest

from napari_dip.viewer.form.preferences import Preferences
from napari_dip.viewer.messages import Picture, Report
from napari_dip.viewer.run.snapshots import Snapshots


def report(iteration, picture, stage="fit"):
    told = dict.fromkeys(Report.__annotations__, 0)
    return Report(**{**told, "iteration": iteration, "stage": stage, "pictures": [picture] if picture else []})


def square(value=0.0, index=(), size=8):
    return Picture(index, np.full((size, size), value, np.float32))


@pytest.mark.parametrize("shown", [1, 5, 16, 17, 33, 200])
def test_stages_are_spread_over_the_whole_run(shown):
    snapshots = Snapshots()
    for n in range(shown):
        snapshots.note(report(10 * n, square(n)))
        snapshots.note(report(10 * n, None))
    done = [stage.iterations for stage in snapshots.stages]
    assert done[0] == 0 and len(done) <= 16 and done[-1] >= 0.8 * 10 * (shown - 1)
    assert len(set(np.diff(done))) <= 1 and len(done) >= min(shown, 8)
    assert all(stage.picture.plane[0, 0] * 10 == stage.iterations for stage in snapshots.stages)


def test_only_the_plane_in_view_is_kept_and_no_more_than_memory_allows(monkeypatch):
    monkeypatch.setattr("napari_dip.viewer.run.snapshots.BYTES", 4 * 8 * 8 * 3)
    snapshots = Snapshots()
    for n in range(20):
        snapshots.note(report(n, square(n, (0,))))
    assert len(snapshots.stages) <= 3
    snapshots.note(report(30, square(1, (2,)), stage="apply"))
    assert snapshots.stages[-1].picture.index == (0,)
    snapshots.note(report(31, square(1, (2,))))
    assert [stage.picture.index for stage in snapshots.stages] == [(2,)]


@pytest.fixture
def often(monkeypatch):
    """Show a picture of each iteration."""
    monkeypatch.setattr("napari_dip.viewer.run.runner.REPORT_EVERY", 0)
    monkeypatch.setattr("napari_dip.viewer.run.runner.FIRST_PREVIEW", 1)
    monkeypatch.setattr("napari_dip.viewer.run.runner.PREVIEW_SHARE", 1e9)
    monkeypatch.setattr("napari_dip.viewer.form.form.preferences", lambda: Preferences({}, 0.0))


@pytest.mark.parametrize("planes", [1, 3])
def test_a_stage_is_shown_where_it_lies_and_kept(viewer, open_dock, run_to_end, picture, often, planes):
    data = picture if planes == 1 else np.stack([np.roll(picture, n, 0) for n in range(planes)])
    image = viewer.add_image(data, name="cells", scale=(2, 0.5, 0.25)[-data.ndim :], translate=(3, 5, 7)[-data.ndim :])
    dock = open_dock("Denoise", iterations=30)
    run_to_end(dock)
    result, stages = viewer.layers["cells denoised"], dock.results.stages
    before, count = result.data.copy(), len(viewer.layers)
    assert not stages.isVisibleTo(dock) and len(stages.stages) > 1
    toggle = dock.results.views.buttons["Stages"]
    toggle.click()
    assert stages.isVisibleTo(dock) and stages.button.isEnabled() and len(viewer.layers) == count + 1
    stages.slider.setValue(stages.slider.maximum())
    assert stages.label.text() == "result" and not stages.button.isEnabled() and len(viewer.layers) == count
    stages.slider.setValue(1)
    stages.slider.setValue(0)
    assert len(viewer.layers) == count + 1 and viewer.layers.index("cells denoised (earlier)") == 2
    early = viewer.layers["cells denoised (earlier)"]
    first = stages.stages[0]
    at = tuple(first.picture.index) if planes > 1 else ()
    assert early.data.shape == (*(1,) * len(at), *picture.shape)
    np.testing.assert_allclose(early.data_to_world([0] * early.ndim), image.data_to_world([*at, 0, 0]))
    assert not np.array_equal(early.data.reshape(picture.shape), before[at])
    assert stages.label.text() == f"iteration {first.iterations}"
    assert dock.form.image.value == image and dock.results.result == result
    stages.slider.setValue(stages.slider.maximum())
    assert len(viewer.layers) == count
    stages.slider.setValue(1)
    stages.button.click()
    assert stages.label.text() == "result" and len(viewer.layers) == count + 1
    kept = viewer.layers[f"cells denoised after {stages.stages[1].iterations}"]
    assert np.array_equal(kept.data.reshape(picture.shape), stages.stages[1].picture.plane)
    assert np.array_equal(result.data, before)
    stages.slider.setValue(0)
    viewer.layers.remove(result)
    assert "cells denoised (earlier)" not in viewer.layers


def test_short_runs_have_no_stages(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise", iterations=1)
    run_to_end(dock)
    assert not dock.results.views.buttons["Stages"].isEnabled()
