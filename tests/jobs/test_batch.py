import json
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

import napari_dip as dip
from napari_dip.errors import InputError
from napari_dip.files.formats import NAMES, read_image
from napari_dip.image.arrays import digest_of
from napari_dip.jobs.file import restore_file

QUICK = {"max_iterations": 3, "threads": 1}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with an image and a mask, to work in."""
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", (100 + 20 * np.random.default_rng(0).random((16, 20))).astype("float32"))
    np.save("mask.npy", np.eye(16, 20))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_becomes_what_the_array_becomes(here, capfd):
    done = restore_file("denoise", "in.npy", "out.npy", settings={"seed": 4, **QUICK})
    expected = dip.denoise(np.load("in.npy"), seed=4, **QUICK)
    assert np.load("out.npy").tobytes() == expected.image.tobytes() == done.restoration.image.tobytes()
    assert (done.image, done.uncertainty, done.record) == (Path("out.npy"), None, None)
    assert names(here) == ["in.npy", "mask.npy", "out.npy"]
    assert capfd.readouterr() == ("", "")


def test_uncertainty_and_record_are_written_beside_it(here):
    image = np.random.default_rng(0).integers(0, 99, (16, 20)).astype("uint16")
    tifffile.imwrite("in.tif", image, imagej=True, resolution=(10, 5), metadata={"unit": "micron", "axes": "YX"})
    done = restore_file("denoise", "in.tif", here / "out.tif", record="r.json", settings={"uncertainty": True, **QUICK})
    assert (done.uncertainty, done.record) == (here / "out-uncertainty.tif", Path("r.json"))
    assert tifffile.imread("out-uncertainty.tif").tobytes() == done.restoration.uncertainty.tobytes()
    with tifffile.TiffFile("out.tif") as file:
        assert [file.pages[0].tags[f"{a}Resolution"].value for a in "XY"] == [(10, 1), (5, 1)]
    record = json.loads(Path("r.json").read_text())
    assert record.pop("files") == {
        "input": "in.tif",
        "output": str(here / "out.tif"),
        "uncertainty": str(here / "out-uncertainty.tif"),
    }
    assert record.pop("command") == f"napari-dip {dip.__version__}"
    assert set(record.pop("result")) == {"image", "uncertainty"}
    assert record == json.loads(json.dumps(done.restoration.record))


def test_a_mask_is_read_from_its_file(here):
    restore_file("inpaint", "in.npy", "out.npy", inputs={"mask": "mask.npy"}, record="r.json", settings=QUICK)
    expected = dip.inpaint(np.load("in.npy"), np.load("mask.npy"), **QUICK)
    assert np.load("out.npy").tobytes() == expected.image.tobytes()
    assert json.loads(Path("r.json").read_text())["files"]["mask"] == "mask.npy"


@pytest.mark.parametrize("inputs", [None, {"factor": 2}])
def test_a_number_may_be_left_out(here, inputs):
    metadata = {"unit": "micron", "axes": "YX"}
    tifffile.imwrite("in.tif", np.load("in.npy"), imagej=True, resolution=(10, 5), metadata=metadata)
    restore_file("super_resolve", "in.tif", "out.tif", inputs=inputs, settings=QUICK)
    factor = (inputs or {"factor": 4})["factor"]
    with tifffile.TiffFile("out.tif") as file:
        assert file.series[0].shape == (16 * factor, 20 * factor)
        assert file.pages[0].tags["XResolution"].value == (10 * factor, 1)


def test_axes_may_be_told(here):
    np.save("stack.npy", np.random.default_rng(0).random((2, 8, 9)))
    done = restore_file("denoise", "stack.npy", "out.npy", axes="tyx", settings=QUICK)
    assert done.restoration.axes == "TYX" and done.restoration.record["planes_in_image"] == 2


STACK_OF = {"unit": "micron", "spacing": 2.0, "axes": "ZYX"}


@pytest.mark.parametrize(
    ("options", "settings", "step"),
    [
        ({}, {}, 10.0),
        ({"axes": "zyx"}, {}, 10.0),
        ({"axes": "TYX"}, {}, None),
        ({}, {"z_step": 3.5}, 3.5),
        ({}, {"preset": "paper"}, None),
    ],
)
def test_the_distance_of_planes_is_what_the_file_says(here, options, settings, step):
    stack = np.random.default_rng(0).random((2, 16, 16)).astype("float32")
    tifffile.imwrite("in.tif", stack, imagej=True, resolution=(10, 5), metadata=STACK_OF)
    done = restore_file("denoise", "in.tif", "out.tif", settings={**settings, **QUICK}, **options)
    assert done.restoration.record["settings"]["z_step"] == step
    with tifffile.TiffFile("out.tif") as file:
        assert (file.imagej_metadata or {}).get("spacing") == 2.0


def test_what_does_not_look_at_other_planes_is_not_told_of_them(here):
    stack = np.random.default_rng(0).random((2, 16, 16)).astype("float32")
    tifffile.imwrite("in.tif", stack, imagej=True, resolution=(10, 5), metadata=STACK_OF)
    done = restore_file("super_resolve", "in.tif", "out.tif", inputs={"factor": 2}, settings=QUICK)
    assert done.restoration.record["settings"]["z_step"] is None


def test_who_watches_sees_each_iteration(here):
    seen = []
    restore_file("denoise", "in.npy", "out.npy", settings=QUICK, watch=seen.append)
    assert [progress.iteration for progress in seen] == [1, 2, 3]
    assert seen[-1].done == 1


def test_what_will_be_restored_is_said_before_the_work(here):
    said = []
    told = {"watch": said.append, "announce": said.append}
    restore_file("super_resolve", "in.npy", "out.npy", inputs={"factor": 2}, settings=QUICK, **told)
    assert said[0].startswith("one plane of 16 x 20, enlarged to 32 x 40; takes about ")
    assert [now.iteration for now in said[1:]] == [1, 2, 3]


def test_who_watches_may_end_the_run(here):
    settings = {"max_iterations": 1000, "threads": 1}
    done = restore_file("denoise", "in.npy", "out.npy", settings=settings, watch=lambda now: now.iteration >= 2)
    assert done.restoration.record["stopped_by"] == "asked" and done.restoration.record["iterations"] == 2
    assert np.load("out.npy").shape == (16, 20)


@pytest.mark.parametrize(
    ("asks", "stages", "restored"),
    [
        (lambda now: now.iteration == 2 and now.stage == "fit", "ffaaaa", 6),
        (lambda now: now.stage == "apply" and not now.restored and not now.finished, "fffaaaa", 6),
        (lambda now: now.restored > 0, "fffaa", 2),
        (lambda now: now.iteration >= 2, "ffaa", 2),
    ],
)
def test_who_watches_a_stack_may_end_its_fit_or_all_of_it(here, asks, stages, restored):
    np.save("stack.npy", np.random.default_rng(0).random((3, 2, 16, 20), np.float32))
    seen = []
    done = restore_file(
        "denoise",
        "stack.npy",
        "out.npy",
        axes="TZYX",
        settings=QUICK,
        watch=lambda now: seen.append(now.stage[0]) or asks(now),
    )
    image = np.load("out.npy")
    assert "".join(seen) == stages
    assert np.isfinite(image).all((-2, -1)).sum() == restored
    assert len(done.restoration.record["unreached"]) == 6 - restored


def test_a_store_is_written_plane_by_plane_while_it_is_restored(here):
    np.save("stack.npy", np.random.default_rng(0).random((2, 3, 16, 20), np.float32))
    asked = {"settings": {"uncertainty": True, **QUICK}, "axes": "ZTYX"}
    seen = []

    def watch(now):
        parts = {path: zarr.open_array(path / "0", mode="r") for path in here.glob(".napari-dip-*.part")}
        assert len(parts) == 2 and not any((path / ".zattrs").exists() for path in parts)
        seen.append(min(int(np.isfinite(array[...]).all((-2, -1)).sum()) for array in parts.values()))
        assert seen[-1] >= now.restored

    done = restore_file("denoise", "stack.npy", "out.zarr", record="r.json", watch=watch, **asked)
    assert seen[0] == 0 and any(0 < restored < 6 for restored in seen)
    expected = restore_file("denoise", "stack.npy", "out.npy", **asked)
    for name, found in (("out", done.restoration.image), ("out-uncertainty", done.restoration.uncertainty)):
        np.testing.assert_array_equal(found, np.load(f"{name}.npy"))
        stored = read_image(Path(f"{name}.zarr"))
        assert stored.axes == "TZYX"
        np.testing.assert_array_equal(np.moveaxis(np.asarray(stored.array), 0, 1), np.load(f"{name}.npy"))
    whole = expected.restoration
    assert json.loads(Path("r.json").read_text())["result"] == {
        "image": digest_of(whole.image),
        "uncertainty": digest_of(whole.uncertainty),
    }


def test_a_store_that_was_stopped_says_what_is_missing_and_one_that_was_dropped_is_not_there(here):
    np.save("stack.npy", np.random.default_rng(0).random((3, 2, 16, 20), np.float32))
    asked = {"settings": QUICK, "axes": "TZYX"}
    restore_file("denoise", "stack.npy", "out.zarr", watch=lambda now: now.restored > 0, **asked)
    found = read_image(Path("out.zarr"))
    assert np.isfinite(np.asarray(found.array)).all((-2, -1)).sum() == 2
    assert found.notes == ()  # all of its chunks are there

    def give_up(progress):
        if progress.restored:
            raise KeyboardInterrupt

    before = names(here)
    with pytest.raises(KeyboardInterrupt):
        restore_file("denoise", "stack.npy", "out.zarr", watch=give_up, force=True, **asked)
    assert names(here) == before
    np.testing.assert_array_equal(read_image(Path("out.zarr")).array, found.array)


def test_a_full_disk_is_told_while_a_store_is_written_and_leaves_nothing(here):
    resource = pytest.importorskip("resource", reason="limits of this kind are not there on Windows")
    np.save("stack.npy", np.random.default_rng(0).random((3, 64, 64), np.float32))
    before, (soft, hard) = names(here), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(InputError, match=r"^The file 'out\.zarr' cannot be written: "):
            restore_file("denoise", "stack.npy", "out.zarr", axes="ZYX", settings=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert names(here) == before


def test_who_raises_while_watching_drops_the_run(here):
    def give_up(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_file("denoise", "in.npy", "out.npy", record="r.json", settings=QUICK, watch=give_up)
    assert names(here) == ["in.npy", "mask.npy"]


def test_it_runs_in_any_thread(here):
    """Python takes signals in the main thread only, so this would fail if it set a handler."""
    thread = threading.Thread(target=restore_file, args=("denoise", "in.npy", "out.npy"), kwargs={"settings": QUICK})
    thread.start()
    thread.join()
    assert np.load("out.npy").shape == (16, 20)


REFUSED = {
    "unknown task": (("sharpen", "in.npy", "out.npy"), {}, "no task named 'sharpen'"),
    "unknown setting": (("denoise", "in.npy", "out.npy"), {"settings": {"speed": 1}}, "no setting named 'speed'"),
    "useless setting": (
        ("inpaint", "in.npy", "out.npy"),
        {"inputs": {"mask": "mask.npy"}, "settings": {"sigma": 1}},
        "sigma",
    ),
    "no mask": (("inpaint", "in.npy", "out.npy"), {}, "needs a mask"),
    "a mask too many": (("denoise", "in.npy", "out.npy"), {"inputs": {"mask": "mask.npy"}}, "takes no mask"),
    "missing mask": (("inpaint", "in.npy", "out.npy"), {"inputs": {"mask": "no.npy"}}, "no file 'no.npy'"),
    "factor": (("super_resolve", "in.npy", "out.npy"), {"inputs": {"factor": 9}}, "2 to 8"),
    "missing image": (("denoise", "no.npy", "out.npy"), {}, "no file 'no.npy'"),
    "no format": (("denoise", "in.npy", "out.jpg"), {}, NAMES),
    "no room in the format": (("denoise", "in.npy", "out.png"), {}, "whole numbers"),
    "no folder": (("denoise", "in.npy", "no/out.npy"), {}, "no folder"),
    "exists": (("denoise", "in.npy", "mask.npy"), {}, "exists"),
    "still needed": (
        ("inpaint", "in.npy", "mask.npy"),
        {"inputs": {"mask": "mask.npy"}, "force": True},
        "written over",
    ),
    "record is the uncertainty": (
        ("denoise", "in.npy", "out.npy"),
        {"record": "out-uncertainty.npy", "settings": {"uncertainty": True}},
        "written over",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_before_any_work(here, case):
    arguments, options, words = REFUSED[case]
    begun = []
    with pytest.raises(dip.InputError, match=words):
        restore_file(*arguments, **options, watch=begun.append)
    assert not begun
    assert names(here) == ["in.npy", "mask.npy"]


def test_force_replaces_what_is_there(here):
    restore_file("denoise", "in.npy", "mask.npy", force=True, settings=QUICK)
    assert np.load("mask.npy").max() > 100


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_a_result_has_the_type_of_its_source_if_that_is_asked(tmp_path, dtype, suffix):
    image = np.random.default_rng(1).integers(0, 200, (16, 16)).astype(dtype)
    np.save(tmp_path / "a.npy", image)
    given = {"settings": {"max_iterations": 2}, "record": tmp_path / "a.json"}
    plain = restore_file("denoise", tmp_path / "a.npy", tmp_path / f"plain{suffix}", **given)
    found = restore_file("denoise", tmp_path / "a.npy", tmp_path / f"same{suffix}", dtype="same", force=True, **given)
    written = read_image(tmp_path / f"same{suffix}").array
    if dtype == "int16":
        assert written.dtype == np.float32 and "int16" in found.notes[-1]
        return
    assert plain.notes == () and f"clipped to {dtype}" in found.notes[-1]
    assert written.dtype == dtype
    np.testing.assert_array_equal(written, np.rint(read_image(tmp_path / f"plain{suffix}").array))
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["same_type"] and record["notes"] == list(found.notes)


def test_an_uncertainty_of_before_is_told_of(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((16, 16)))
    how = {"max_iterations": 2, "threads": 1}
    first = restore_file("denoise", tmp_path / "a.npy", tmp_path / "b.npy", settings={**how, "uncertainty": True})
    again = restore_file("denoise", tmp_path / "a.npy", tmp_path / "b.npy", settings=how, force=True)
    assert first.notes == () and first.uncertainty.exists()
    assert again.notes == (f"The file {str(first.uncertainty)!r} is of an earlier result, and is left as it is.",)
