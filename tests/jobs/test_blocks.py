"""Stores that are restored brick by brick, small ones with small bricks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

import napari_dip as dip
from napari_dip.errors import InputError
from napari_dip.files.formats import Metadata, Picture, read_image, write_image
from napari_dip.image import bricks
from napari_dip.jobs import block_steps, blocks, engines
from napari_dip.run import record

QUICK = {"max_iterations": 3}
SMALL = {"DEPTH": 6, "SIDE": 32, "SIDE_ALONE": 32}


@pytest.fixture(autouse=True)
def small_bricks(monkeypatch):
    make_small(monkeypatch)


def make_small(patch):
    """Have bricks of at most 6 planes and 32 x 32 pixels."""
    for name, value in SMALL.items():
        patch.setattr(bricks, name, value)


def stack(seed=0, shape=(9, 40, 44)):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    clean = 100 + 40 * np.sin(x / 4) * np.cos(y / 5) + np.zeros(shape)
    return rng.normal(clean, 8).astype("float32")


def store(path, image, axes, **said):
    write_image(path, image, axes, Picture(image, Metadata(axes, **said)))
    return path


def restore(source, out, **how):
    return dip.map_restore("denoise", source, out, **{"blocks": True, **QUICK, **how})


def values(path):
    return np.asarray(read_image(Path(path)).array)


def files_of(folder):
    """All files of a store; what a record says of time and place is none of its bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store and what becomes of it, unbroken."""
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        source = store(home / "in.zarr", stack(), "ZYX", step={"Z": 0.5, "Y": 0.1, "X": 0.1})
        report = restore(source, home / "out", uncertainty=True)
    assert report.ok, report
    return home


def test_a_store_is_restored_and_looks_like_one_that_is_restored_whole(whole):
    noisy, result = stack(), values(whole / "out/in.zarr")
    assert result.shape == noisy.shape and np.isfinite(result).all()
    clean = stack() - (np.random.default_rng(0).normal(0, 8, noisy.shape)).astype("float32")
    assert np.mean((result - clean) ** 2) < np.mean((noisy - clean) ** 2) / 2
    assert values(whole / "out/in-uncertainty.zarr").min() > 0
    found = zarr.open_group(whole / "out/in.zarr", mode="r").attrs["ome"]["multiscales"][0]
    was = zarr.open_group(whole / "in.zarr", mode="r").attrs["ome"]["multiscales"][0]
    assert found["axes"] == was["axes"]
    assert found["datasets"][0]["coordinateTransformations"] == was["datasets"][0]["coordinateTransformations"]


def test_no_border_of_a_brick_can_be_seen(whole):
    """What one brick makes of a pixel is what another makes of it."""
    noisy, result = stack(), values(whole / "out/in.zarr").astype(float)
    off = np.abs(np.diff(result - np.asarray(noisy).mean(0), axis=-1)).mean((0, 1))
    assert off[31] < 1.5 * np.median(off)  # between columns 31 and 32
    deep = np.abs(np.diff(result, axis=0)).mean((1, 2))
    assert deep[4] < 1.5 * np.median(deep)  # bricks of 5 and 4 planes


def test_it_is_done_once_and_nothing_else_is_left(whole):
    out = whole / "out"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "report.json"}
    report = restore(whole / "in.zarr", out, uncertainty=True)
    assert [one.status for one in report.outcomes] == ["skipped"]
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "report.json"}
    assert after == before
    names = sorted(path.name for path in (out / "records").iterdir())
    assert names == ["in.zarr.done", "in.zarr.json", "in.zarr.prior", "report.json"]


def test_the_record_says_how_and_is_refused_in_words_where_it_cannot_be_repeated(whole, in_this_process):
    path = whole / "out/records/in.zarr.json"
    found = json.loads(path.read_bytes())
    assert found["kind"] == "blocks" and found["bricks"] == 8 and found["axes"] == "ZYX"
    assert 0.3 < found["residual"]["variance"] < 1.5
    with pytest.raises(InputError, match="by blocks; repeat that with batch --blocks"):
        record.read(path.read_bytes())
    status, _, err = in_this_process("replay", path, "-o", whole / "again.zarr")
    assert status == 1 and "by blocks" in err and err.count("\n") == 1


@pytest.mark.parametrize("step", ["plan-0", "brick-0", "brick-5", "slab-1"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_broken_off_it_goes_on_and_the_bytes_are_the_same(whole, tmp_path, monkeypatch, step, when):
    source = shutil.copytree(whole / "in.zarr", tmp_path / "in.zarr")
    kind, number = step.split("-")
    act, count = getattr(block_steps, f"_{kind}"), 0

    def cut(own):
        nonlocal count
        count += 1
        if own.number == int(number):
            if when == "after":
                act(own)
            raise KeyboardInterrupt
        return act(own)

    monkeypatch.setattr(block_steps, f"_{kind}", cut)
    with pytest.raises(KeyboardInterrupt):
        restore(source, tmp_path / "out", uncertainty=True)
    assert not list((tmp_path / "out").glob("*.zarr"))
    first = count
    monkeypatch.setattr(block_steps, f"_{kind}", lambda own: (calls.append(own.number), act(own))[1])
    calls = []
    assert restore(source, tmp_path / "out", uncertainty=True).ok
    assert calls[0] == int(number) == first - 1  # what was done before is not done again
    for name in ("in.zarr", "in-uncertainty.zarr"):
        assert files_of(tmp_path / "out" / name) == files_of(whole / "out" / name)


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_broken_off_while_it_takes_its_place_it_goes_on(whole, tmp_path, monkeypatch, moved):
    source, count = shutil.copytree(whole / "in.zarr", tmp_path / "in.zarr"), 0
    replace = blocks._replace

    def cut(*given):
        nonlocal count
        if count == moved:
            raise KeyboardInterrupt
        count += 1
        replace(*given)

    monkeypatch.setattr(blocks, "_replace", cut)
    if moved == 2:  # both stores are there, and no seal
        monkeypatch.setattr(blocks.seal, "write", lambda *given, **named: cut())
    with pytest.raises(KeyboardInterrupt):
        restore(source, tmp_path / "out", uncertainty=True)
    monkeypatch.undo()
    monkeypatch.setattr(block_steps, "_brick", lambda step: pytest.fail("restored again"))
    assert restore(source, tmp_path / "out", uncertainty=True).ok
    for name in ("in.zarr", "in-uncertainty.zarr"):
        assert files_of(tmp_path / "out" / name) == files_of(whole / "out" / name)
    assert not list((tmp_path / "out/records").glob("*.blocks-*"))


def test_other_settings_or_another_image_begin_anew(whole, tmp_path, monkeypatch):
    source = shutil.copytree(whole / "in.zarr", tmp_path / "in.zarr")

    def end(step):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(block_steps, "_slab", end)
        for settings in ({}, {"seed": 3}):
            with pytest.raises(KeyboardInterrupt):
                restore(source, tmp_path / "out", **settings)
            assert len(list((tmp_path / "out/records").glob("*.blocks-*"))) == 1
    assert restore(source, tmp_path / "out", seed=3).ok
    assert values(tmp_path / "out/in.zarr").tobytes() != values(whole / "out/in.zarr").tobytes()
    shutil.rmtree(source)
    store(source, stack(5), "ZYX")
    again = restore(source, tmp_path / "out", seed=3)
    assert [one.status for one in again.outcomes] == ["done"]


def test_two_workers_write_the_same_bytes(whole, tmp_path):
    script = (
        "import sys, napari_dip as dip, small_bricks\n"
        "if __name__ == '__main__':\n"
        "    report = dip.map_restore('denoise', sys.argv[1], sys.argv[2], blocks=True, workers=2, uncertainty=True,\n"
        "        max_iterations=3)\n    assert report.ok, report\n"
    )
    # spawned workers make their bricks as small, since they import what the script imports
    (tmp_path / "small_bricks.py").write_text(f"from napari_dip.image import bricks\nvars(bricks).update({SMALL})\n")
    (tmp_path / "run.py").write_text(script)
    source = shutil.copytree(whole / "in.zarr", tmp_path / "in.zarr")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(tmp_path / "run.py"), str(source), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/records/in.zarr.json").read_text())["bricks"] == 8
    for name in ("in.zarr", "in-uncertainty.zarr"):
        assert files_of(tmp_path / "out" / name) == files_of(whole / "out" / name)


def test_channels_times_and_parts_without_anything(tmp_path):
    image = np.stack([np.stack([stack(n, (4, 36, 40)), 50 + stack(n + 7, (4, 36, 40))]) for n in range(2)])
    image[0, 0, :, :, 32:] = 20.0  # constant in a whole brick
    image[1, 1, 3, 5, 6] = np.nan  # T C Z Y X
    image[1, 0, 2, 8, 9] = 5000.0  # beyond all that is in the views
    source = store(tmp_path / "in.zarr", image, "TCZYX")
    report = restore(source, tmp_path / "out", nonfinite="inpaint")
    assert report.ok, report
    result = values(tmp_path / "out/in.zarr")
    assert result.shape == image.shape and np.isfinite(result).all()
    assert (result[0, 0, :, :, 34:] == 20).mean() > 0.5
    assert result[1, 1, 3, 5, 6] < 200
    assert abs(result[:, 1].mean() - result[:, 0, :, :, :30].mean() - 50) < 8


def test_films_and_single_planes(tmp_path):
    for axes, shape in (("TYX", (7, 40, 44)), ("YX", (70, 50)), ("CYX", (2, 40, 36))):
        source = store(tmp_path / f"{axes}.zarr", stack(1, shape), axes)
        assert restore(source, tmp_path / "out").ok
        assert values(tmp_path / "out" / source.name).shape == shape


def test_a_prior_that_is_given_is_used(whole, tmp_path):
    prior = dip.fit("denoise", stack(3), axes="ZYX", **QUICK)
    prior.save(tmp_path / "own.prior")
    assert restore(whole / "in.zarr", tmp_path / "out", prior=tmp_path / "own.prior").ok
    found = json.loads((tmp_path / "out/records/in.zarr.json").read_text())
    assert found["prior"]["fitted"] is False and found["files"]["prior"] == str(tmp_path / "own.prior")
    assert not (tmp_path / "out/records/in.zarr.prior").exists()
    two = store(tmp_path / "two.zarr", np.stack([stack(1), stack(2)]), "CZYX")
    failed = restore(two, tmp_path / "out", prior=tmp_path / "own.prior")
    assert "channel" in failed.of("failed")[0].why
    dip.fit("denoise", stack(3), axes="ZYX", values="logarithmic", **QUICK).save(tmp_path / "other.prior")
    failed = restore(whole / "in.zarr", tmp_path / "other", prior=tmp_path / "other.prior")
    assert "fitted to logarithmic values" in failed.of("failed")[0].why


def test_what_cannot_be_done_by_blocks_is_refused_before_any_work(whole, tmp_path, in_this_process):
    np.save(tmp_path / "in.npy", stack())
    rgb = store(tmp_path / "rgb.zarr", np.zeros((9, 8, 3), "uint8"), "YXS")
    source = whole / "in.zarr"
    for given, named, words in (
        (tmp_path / "in.npy", {}, "only a Zarr store can be restored"),
        (source, {"channels": "together"}, "each channel is restored by itself"),
        (source, {"values": "circular"}, "values are fitted as they are; leave values out"),
        (source, {"preset": "paper"}, "paper"),
        (source, {"fit_once": True}, "fitted to each store by itself"),
        (source, {"axes": "YXS"}, "has samples"),
    ):
        with pytest.raises(InputError, match=words):
            restore(given, tmp_path / "out", **named)
    with pytest.raises(InputError, match="only be denoised, and not super_resolve"):
        dip.map_restore("super_resolve", source, tmp_path / "out", blocks=True)
    assert not (tmp_path / "out").exists()
    out = tmp_path / "out"
    status, _, err = in_this_process("batch", rgb, "--task", "denoise", "--out", out, "--blocks")
    assert status == 1 and "has samples" in err and err.count("\n") == 1
    constant = store(tmp_path / "flat.zarr", np.full((9, 40, 44), 7, "float32"), "ZYX")
    assert "constant" in restore(constant, tmp_path / "out").of("failed")[0].why
    assert not list((tmp_path / "out").glob("*.zarr"))


def test_a_file_that_no_batch_has_made_stays(whole, tmp_path):
    (tmp_path / "out").mkdir()
    other = store(tmp_path / "out/in.zarr", stack(8), "ZYX")
    before = files_of(other)
    report = restore(whole / "in.zarr", tmp_path / "out")
    assert "no batch has made it" in report.of("failed")[0].why and files_of(other) == before
    assert restore(whole / "in.zarr", tmp_path / "out", force=True).ok
    assert not list((tmp_path / "out/records").glob("*.blocks-*"))


def test_a_store_that_is_changed_meanwhile_is_told(whole, tmp_path, monkeypatch):
    source = shutil.copytree(whole / "in.zarr", tmp_path / "in.zarr")
    slab = block_steps._slab

    def change(step):
        os.utime(source / "zarr.json")
        return slab(step)

    monkeypatch.setattr(block_steps, "_slab", change)
    assert "was changed while" in restore(source, tmp_path / "out").of("failed")[0].why
    assert not (tmp_path / "out/in.zarr").exists()


def test_a_brick_that_fails_keeps_the_others(whole, tmp_path, monkeypatch):
    source = shutil.copytree(whole / "in.zarr", tmp_path / "in.zarr")
    act, done = block_steps._brick, []

    def some(step):
        if step.number == 3 and 3 not in done:
            done.append(3)
            raise OSError(28, "No space left on device", "here")
        done.append(step.number)
        return act(step)

    monkeypatch.setattr(block_steps, "_brick", some)
    why = restore(source, tmp_path / "out", uncertainty=True).of("failed")[0].why
    assert "1 of 8 blocks failed" in why and "o space" in why
    done[:] = [3]
    assert restore(source, tmp_path / "out", uncertainty=True).ok
    assert done == [3, 3]
    assert files_of(tmp_path / "out/in.zarr") == files_of(whole / "out/in.zarr")


def test_killed_it_goes_on(whole, tmp_path):
    """A real process, killed at one moment after the other, comes to its end with the same bytes."""
    source = shutil.copytree(whole / "in.zarr", tmp_path / "in.zarr")
    (tmp_path / "run.py").write_text(
        f"import sys, napari_dip as dip\nfrom napari_dip.image import bricks\nvars(bricks).update({SMALL})\n"
        "dip.map_restore('denoise', sys.argv[1], sys.argv[2], blocks=True, uncertainty=True, max_iterations=3)\n"
    )
    command, out = [sys.executable, str(tmp_path / "run.py"), str(source), str(tmp_path / "out")], tmp_path / "out"

    def seals():
        return len(list(out.glob("records/*.blocks-*/*.json")))

    for wanted in (1, 4, 9, 10):
        process = subprocess.Popen(command)
        end = time.monotonic() + 120
        while seals() < wanted and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert seals() >= wanted or (out / "in.zarr").exists()
    assert subprocess.run(command, timeout=120).returncode == 0
    for name in ("in.zarr", "in-uncertainty.zarr"):
        assert files_of(out / name) == files_of(whole / "out" / name)
    assert [path.name for path in out.glob(".*")] == []


def test_a_scheduler_that_is_gone_is_told_and_not_taken_for_a_failure(whole, tmp_path, monkeypatch):
    def gone(*given):
        raise engines.Gone("The Dask scheduler is gone.")

    monkeypatch.setattr(blocks, "do", gone)
    with pytest.raises(InputError, match="scheduler is gone"):
        restore(whole / "in.zarr", tmp_path / "out")
