import json
import os
import re
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from stores import several

import napari_dip as dip
from napari_dip.cli import main as cli
from napari_dip.errors import InputError
from napari_dip.files.formats import Metadata, Picture, read_image, write_image
from napari_dip.files.replace import together
from napari_dip.jobs import work
from napari_dip.jobs.items import Asked, find_items
from napari_dip.jobs.job import Item, Job, Outcome
from napari_dip.jobs.pace import Pace
from napari_dip.jobs.spec import Entry

resource = pytest.importorskip("resource", reason="limits of this kind are not there on Windows")

QUICK = {"max_iterations": 2}


def image(seed):
    return (100 + 20 * np.random.default_rng(seed).random((16, 20))).astype("float32")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for number in range(3):
        np.save(f"in/{number}.npy", image(number))
    return tmp_path


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.npy")}


def restore(files="in/*.npy", out="out", **how):
    return dip.map_restore("denoise", files, out, **{**QUICK, **how})


def statuses(report):
    return {Path(one.source).name: one.status for one in report.outcomes}


def test_each_file_becomes_what_it_becomes_alone_and_is_done_once(here):
    report = restore()
    assert report.ok and set(statuses(report).values()) == {"done"}
    for number in range(3):
        alone = dip.denoise(image(number), threads=1, **QUICK).image
        assert np.load(f"out/{number}.npy").tobytes() == alone.tobytes()
        assert json.loads(Path(f"out/records/{number}.npy.json").read_text())["task"] == "denoise"
    times = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.npy")}
    again = restore()
    assert again.ok and set(statuses(again).values()) == {"skipped"}
    assert times == {path: path.stat().st_mtime_ns for path in Path("out").glob("*.npy")}
    assert json.loads(Path("out/records/report.json").read_text())["skipped"] == 3


def test_only_what_is_missing_or_was_changed_is_done_again(here):
    restore()
    before = bytes_of("out")
    os.utime("in/0.npy", (1, 1))  # touched, and the same still
    assert set(statuses(restore()).values()) == {"skipped"}
    Path("out/0.npy").unlink()
    np.save("in/1.npy", image(9))
    Path("out/2.npy").write_bytes(b"half a fi")
    assert set(statuses(restore()).values()) == {"done"}
    after = bytes_of("out")
    assert after["0.npy"] == before["0.npy"] and after["2.npy"] == before["2.npy"] and after["1.npy"] != before["1.npy"]
    assert set(statuses(restore(seed=5)).values()) == {"done"}
    assert set(statuses(restore(seed=5, threads=2)).values()) == {"skipped"}


def test_stores_are_files_like_others(here):
    for number in range(2):
        source = Picture(image(number), Metadata("YX", {"Y": 0.5, "X": 0.5}, "µm"))
        write_image(Path(f"in/{number}.zarr"), source.array, "YX", source)
    (here / "in" / "no.zarr").mkdir()
    report = restore(files="in/*.zarr")
    assert report.ok and statuses(report) == {"0.zarr": "done", "1.zarr": "done"}
    for number in range(2):
        found = read_image(Path(f"out/{number}.zarr"))
        np.testing.assert_array_equal(found.array, dip.denoise(image(number), threads=1, **QUICK).image)
        assert found.metadata.step == {"Y": 0.5, "X": 0.5}
    assert set(statuses(restore(files="in/*.zarr")).values()) == {"skipped"}
    chunk = next(path for path in Path("in/0.zarr/0").rglob("*") if path.is_file() and path.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes())  # touched, and the same
    next(Path("out/1.zarr/0").rglob("0")).rename("out/1.zarr/0/gone")
    assert statuses(restore(files="in/*.zarr")) == {"0.zarr": "skipped", "1.zarr": "done"}
    assert not Path("out/1.zarr/0/gone").exists()
    once = restore(files="in/**/*.zarr", out="once", fit_once=True)
    assert once.ok and set(statuses(once)) == {"0.zarr", "1.zarr"}


def test_a_broken_file_ends_nothing_else(here):
    Path("in/1.npy").write_bytes(b"no array")
    report = restore()
    assert statuses(report) == {"0.npy": "done", "1.npy": "failed", "2.npy": "done"} and not report.ok
    assert "cannot be read as NPY" in report.of("failed")[0].why
    np.save("in/1.npy", image(1))
    assert statuses(restore()) == {"0.npy": "skipped", "1.npy": "done", "2.npy": "skipped"}


def test_a_file_that_no_batch_has_made_is_kept(here):
    Path("out").mkdir()
    Path("out/0.npy").write_bytes(b"precious")
    report = restore()
    assert statuses(report)["0.npy"] == "failed" and "--force" in report.of("failed")[0].why
    assert Path("out/0.npy").read_bytes() == b"precious"
    assert statuses(restore())["0.npy"] == "failed"
    assert statuses(restore(force=True)) == {"0.npy": "done", "1.npy": "skipped", "2.npy": "skipped"}


def test_a_full_disk_fails_the_items_and_leaves_nothing_half(here):
    restore()
    whole = bytes_of("out")
    for path in Path("out").glob("*.npy"):
        path.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(InputError, match="cannot be written"):  # the report does not fit, either
            restore()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not bytes_of("out") and not list(Path("out").rglob("*.part"))
    assert restore().ok and bytes_of("out") == whole


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"workers": 0}, "workers 0"),
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, "workers of its own"),
        ({"prior": "none.prior"}, "no file 'none.prior'"),
        ({"fit_once": True, "preset": "paper"}, "paper fits"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(here, how, words):
    with pytest.raises(InputError, match=words):
        restore(**how)
    assert not Path("out").exists()


def test_one_fit_serves_the_whole_folder_and_is_kept(here):
    assert restore(fit_once=True).ok
    prior = dip.load_prior("out/records/fitted.prior")
    expected = prior.restore(image(1), threads=1).image
    assert np.load("out/1.npy").tobytes() == expected.tobytes()
    np.save("in/7.npy", image(7))
    assert statuses(restore(fit_once=True)) == {f"{n}.npy": "skipped" for n in range(3)} | {"7.npy": "done"}
    np.save("in/0.npy", image(8))
    assert set(statuses(restore(fit_once=True)).values()) == {"done"}


@pytest.fixture
def run(here, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.app([str(a) for a in ("batch", *arguments)])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_the_command_tells_what_came_of_each_file(run, here):
    Path("in/1.npy").write_bytes(b"no array")
    status, out, err = run("in/*.npy", "--task", "denoise", "--out", "out", "--max-iterations", "2")
    assert (status, err) == (1, "")
    assert re.findall(r"^(done|failed) +.*/(\d).npy", out, re.MULTILINE) == [
        ("done", "0"),
        ("failed", "1"),
        ("done", "2"),
    ]
    assert out.endswith("2 done, 0 skipped, 1 failed; in 'out'.\n")


def test_what_was_left_out_of_a_file_is_told(run, here):
    with tifffile.TiffWriter("in/two.tif") as file:
        for number in range(2):
            file.write(image(number), metadata={"axes": "YX"})
    status, out, _ = run("in/two.tif", "--task", "denoise", "--out", "out", "--max-iterations", "2")
    notes = json.loads(Path("out/records/report.json").read_text())["items"][0]["notes"]
    assert status == 0 and notes and all(note in out for note in notes)


def test_the_command_takes_lists_and_specifications(run, here):
    Path("files.txt").write_text("in/0.npy\nin/1.npy\n")
    Path("spec.yaml").write_text(
        "files:\n- {source: in/1.npy, task: super-resolve, inputs: {factor: 2}, target: l.npy}\n"
    )
    common = ("--task", "denoise", "--out", "out", "--max-iterations", "2")
    assert run("--list", "files.txt", "--spec", "spec.yaml", *common)[0] == 0
    assert sorted(bytes_of("out")) == ["0.npy", "l.npy"] and np.load("out/l.npy").shape == (32, 40)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "denoise"], "no files to restore"),
        (["none*.npy", "--task", "denoise"], "no file"),
        (["in/*.npy", "--task", "inpaint"], "needs a mask"),
        (["in/*.npy"], "give a task"),
        (["--spec", "none.yaml"], "no file"),
    ],
)
def test_the_command_refuses_in_one_sentence(run, arguments, words):
    status, out, err = run(*arguments, "--out", "out")
    assert (status, out) == (1, "") and words in err and err.count("\n") == 1
    assert not Path("out").exists()


def test_the_time_left_goes_by_what_files_weigh(here):
    np.save("large.npy", np.zeros((160, 200), "f4"))
    items = [Item(Path(name), Path(f"out/{name}"), name, "denoise") for name in ("large.npy", "in/0.npy")]
    pace = Pace(items)
    assert pace.left is None and pace.done == 0
    small = pace.done
    pace.tell(Outcome("in/0.npy", "out/in/0.npy", "done", "", 2.0))
    assert small < pace.done < 0.4 and pace.left > 6
    pace.tell(Outcome("large.npy", "out/large.npy", "failed"))
    assert pace.done == 1 and pace.left == 0


def test_what_a_worker_did_before_it_died_was_done_by_this_batch(here):
    (item,) = find_items([Entry(source="in/1.npy")], Asked("denoise", settings=QUICK), Path("out"), Path.cwd())
    job = Job(item, Path("out").absolute(), "one", dip.__version__)
    token = Path("out/records/batch")
    token.parent.mkdir(parents=True)
    token.write_text("one")
    assert work.do(job).status == "done"
    assert work.do(job).status == "done"  # told by another worker, since the first could not
    token.write_text("two")
    assert work.do(replace(job, token="two")).status == "skipped"


def series(name, count=3):
    with tifffile.TiffWriter(name) as file:
        for number in range(count):
            file.write(image(number), contiguous=False)


def test_all_images_of_a_file_are_items(here):
    series("in/plate.tif")
    tifffile.imwrite("in/alone.tif", image(7))
    report = dip.map_restore("denoise", "in/*.tif", "out", series="all", **QUICK)
    assert report.ok and len(report.outcomes) == 4
    assert sorted(path.name for path in Path("out").glob("*.tif")) == [
        "alone.tif",
        "plate-1.tif",
        "plate-2.tif",
        "plate-3.tif",
    ]
    for number in range(3):
        alone = dip.denoise(image(number), threads=1, **QUICK).image
        np.testing.assert_array_equal(tifffile.imread(f"out/plate-{number + 1}.tif"), alone)
        assert json.loads(Path(f"out/records/plate-{number + 1}.tif.json").read_text())["series"] == number + 1
    assert f"{here / 'in/plate.tif'} [2]" in {one.source for one in report.outcomes}
    again = dip.map_restore("denoise", "in/*.tif", "out", series="all", **QUICK)
    assert set(statuses(again).values()) == {"skipped"}
    second = dip.map_restore("denoise", "in/plate.tif", "second", series=2, **QUICK)
    assert second.ok and [path.name for path in Path("second").glob("*.tif")] == ["plate-2.tif"]


def test_images_of_a_file_are_named_in_a_command_and_a_specification(here):
    series("in/plate.tif", 2)
    entry = "{source: in/plate.tif, series: all, target: 'p{series}.tif'}"
    Path("spec.yaml").write_text(f"task: denoise\nfiles:\n  - {entry}\n")
    by_command = ["in/plate.tif", "--series", "2"]
    for more, names in ((["--spec", "spec.yaml"], ["p1.tif", "p2.tif"]), (by_command, ["plate-2.tif"])):
        out = f"out{len(more)}"
        with pytest.raises(SystemExit) as end:
            cli.app(["batch", "--out", out, "--task", "denoise", "--max-iterations", "2", *more])
        assert end.value.code == 0
        assert sorted(path.name for path in Path(out).glob("*.tif")) == names
    with pytest.raises(SystemExit) as end:
        cli.app(["batch", "--out", "out", "--task", "denoise", "in/plate.tif", "--series", "none"])
    assert end.value.code == 2


def test_an_ome_zarr_is_an_item_and_so_are_its_images(here):
    pytest.importorskip("zarr")
    import shutil

    from napari_dip.files.formats import Picture, read_image, write_image

    write_image(Path("in/a.zarr"), image(0), "YX", Picture(image(0)))
    report = dip.map_restore("denoise", "in/*.zarr", "out", **QUICK)
    assert report.ok and len(report.outcomes) == 1
    alone = dip.denoise(image(0), threads=1, **QUICK).image
    np.testing.assert_array_equal(np.asarray(read_image(Path("out/a.zarr")).array), alone)
    assert set(statuses(dip.map_restore("denoise", "in/*.zarr", "out", **QUICK)).values()) == {"skipped"}
    shutil.rmtree("in/a.zarr")
    write_image(Path("in/a.zarr"), image(5), "YX", Picture(image(5)))
    assert set(statuses(dip.map_restore("denoise", "in/*.zarr", "out", **QUICK)).values()) == {"done"}


@pytest.mark.parametrize(
    ("version", "layout"), [("0.4", "plate"), ("0.5", "series"), ("0.5", "plate"), ("0.4", "well")]
)
def test_the_images_of_a_plate_or_a_converted_file_are_items(here, version, layout):
    several(Path("in/several.zarr"), version, layout)
    report = restore("in/several.zarr", series="all")
    assert report.ok and sorted(path.name for path in Path("out").glob("*.zarr")) == [
        f"several-{n}.zarr" for n in (1, 2, 3)
    ]
    alone = dip.denoise(np.asarray(read_image(Path("in/several.zarr"), 2).array), threads=1, **QUICK).image
    assert np.array_equal(np.asarray(read_image(Path("out/several-2.zarr")).array), alone)
    assert [one.status for one in restore("in/several.zarr", series="all").outcomes] == ["skipped"] * 3


def test_an_item_that_another_run_is_at_is_waited_for(here, monkeypatch):
    (item,) = find_items([Entry(source="in/1.npy")], Asked("denoise", settings=QUICK), Path("out"), Path.cwd())
    job = Job(item, Path("out").absolute(), "one", dip.__version__)
    Path("out/records").mkdir(parents=True)
    Path("out/records/batch").write_text("one")
    found = []
    with together([item.target, job.beside("json")]):
        waiting = threading.Thread(target=lambda: found.append(work.do(job)))
        waiting.start()
        waiting.join(2)
        assert waiting.is_alive() and not found
        assert Path("out/records/1.npy.begun").exists()  # so that what the other leaves is known to be of a batch
    waiting.join(60)
    assert found[0].status == "done"
    monkeypatch.setattr(work, "PATIENCE", 0)
    for name in ("out/records/1.npy.done", "out/1.npy"):
        Path(name).unlink()
    with together([item.target, job.beside("json")]):
        outcome = work.do(job)
    assert outcome.status == "failed" and "Another run is writing" in outcome.why
