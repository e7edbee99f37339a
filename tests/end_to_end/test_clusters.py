"""Batches on a real scheduler with real workers, and what is left when one of them is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from stores import several

from napari_dip.files.formats import Metadata, Picture, read_image, write_image

pytest.importorskip("distributed")
pytest.importorskip("cryptography")
pytest.importorskip("pty", reason="signals of this kind are not there on Windows")

COMMAND = [sys.executable, "-c", "from napari_dip.cli.main import main; main()", "batch"]
QUICK = ["--task", "denoise", "--max-iterations", "12"]
ITEMS = 12
LONG = 240
"""Seconds after which a test gives up waiting; nothing is expected to take as long."""


def make_files(folder):
    (folder / "in").mkdir()
    for number in range(ITEMS):
        np.save(folder / f"in/{number:02}.npy", np.random.default_rng(number).random((24, 24)).astype("f4"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_files(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What a batch comes to that nothing happens to."""
    folder = tmp_path_factory.mktemp("unbroken")
    make_files(folder)
    subprocess.run([*COMMAND, "in/*.npy", "--out", "out", *QUICK], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return results(folder / "out")


@pytest.fixture
def start():
    """Start programs; those that are left are killed at the end."""
    started = []

    def start(command, **options):
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


class Cluster:
    def __init__(self, start, folder):
        self.start, self.file = start, folder / "scheduler.json"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        places = ["--scheduler-file", self.file, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = start([sys.executable, "-m", "distributed.cli.dask_scheduler", *places], **quiet)
        until(lambda: self.file.exists() and self.file.read_text().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]

    def worker(self):
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.file.parent)]
        return self.start(
            [sys.executable, "-m", "distributed.cli.dask_worker", self.address, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def until(what):
    end = time.monotonic() + LONG
    while not what():
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.02)


def batch(start, out, *options, files="in/*.npy"):
    return start([*COMMAND, files, "--out", out, *QUICK, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end_of(process):
    out, err = process.communicate(timeout=LONG)
    return process.returncode, out.decode(), err.decode()


def done(out):
    return len(list(Path(out, "records").glob("*.done")))


def results(out):
    return {path.name: path.read_bytes() for path in Path(out).glob("*.npy")}


def report(out):
    found = json.loads(Path(out, "records", "report.json").read_text())
    return {key: found[key] for key in ("done", "skipped", "failed", "missing")}


def test_a_batch_survives_what_happens_to_its_cluster(here, start, expected):
    cluster = Cluster(start, here)
    victim, _ = cluster.worker(), cluster.worker()

    # a worker is killed: the other does its item; a broken file ends nothing
    Path("in/broken.npy").write_bytes(b"no array")
    running = batch(start, "worker", "--scheduler", cluster.address)
    until(lambda: done("worker") >= 3)
    victim.kill()
    status, _, err = end_of(running)
    assert (status, err, report("worker")) == (1, "", {"done": 12, "skipped": 0, "failed": 1, "missing": 0})
    assert results("worker") == expected
    Path("in/broken.npy").unlink()

    # the client is killed and started again
    cluster.worker()
    running = batch(start, "client", "--scheduler", cluster.address)
    until(lambda: done("client") >= 3)
    running.kill()
    running.wait()
    status, _, err = end_of(batch(start, "client", "--scheduler", cluster.address))
    assert (status, err) == (0, "") and report("client")["skipped"] >= 3
    assert results("client") == expected

    # the scheduler goes: one sentence, and what is done is kept
    running = batch(start, "scheduler", "--scheduler", cluster.address)
    until(lambda: done("scheduler") >= 3)
    cluster.scheduler.kill()
    status, out, err = end_of(running)
    assert (status, out) == (1, "") and err.count("\n") == 1 and "scheduler is gone" in err
    kept = done("scheduler")
    assert kept >= 3
    assert end_of(batch(start, "scheduler"))[0] == 0 and report("scheduler")["skipped"] >= kept
    assert results("scheduler") == expected


def test_no_scheduler_at_an_address_is_one_sentence(here, start):
    status, out, err = end_of(batch(start, "out", "--scheduler", "nonsense://127.0.0.1:1"))
    assert (status, out) == (1, "") and err.count("\n") == 1 and "no Dask scheduler" in err


def test_local_workers_make_the_same_and_leave_nothing_behind(here, start, expected):
    first = "in/0[0-3].npy"
    assert end_of(batch(start, "two", "--workers", "2", files=first))[::2] == (0, "")
    assert results("two") == {name: expected[name] for name in sorted(expected)[:4]}
    assert not list(Path("two/records").glob(".workers*"))


@pytest.mark.parametrize("seed", range(int(os.environ.get("NAPARI_DIP_KILLS", "1"))))
def test_a_batch_that_is_ended_at_any_moment_goes_on_to_the_same(here, start, expected, seed):
    chance = random.Random(seed)
    kind = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)[seed % 4]
    files = "in/0[0-3].npy"
    running = batch(start, "out", files=files)
    time.sleep(chance.uniform(0.1, 4.5))
    running.send_signal(kind)
    _, err = end_of(running)[1:]
    assert "Traceback" not in err
    if kind != signal.SIGKILL:
        assert not list(Path("out").rglob("*.part"))
    for path in Path("out").glob("*.npy"):
        assert np.isfinite(np.load(path)).all()
    assert end_of(batch(start, "out", files=files))[0] == 0
    assert results("out") == {name: expected[name] for name in sorted(expected)[:4]}


def test_one_store_is_restored_by_all_workers_whatever_happens_to_them(here, start):
    image = np.random.default_rng(0).normal(100, 20, (8, 2, 48, 52)).astype("f4")
    write_image(here / "film.zarr", image, "TZYX", Picture(image, Metadata("TZYX")))

    def bricks(out):
        return len(list(Path(out).glob("records/film.zarr.blocks-*/brick-*.json")))

    def values(out):
        return np.asarray(read_image(Path(out, "film.zarr")).array)

    status, _, err = end_of(batch(start, "alone", "--blocks", files="film.zarr"))
    assert (status, err) == (0, "")
    cluster = Cluster(start, here)
    victim, _ = cluster.worker(), cluster.worker()

    # the images of a plate are items of their own
    several(here / "plate.zarr", "0.5", "plate")
    options = ("--series", "all", "--scheduler", cluster.address)
    status, _, err = end_of(batch(start, "plate", *options, files="plate.zarr"))
    assert (status, err) == (0, "")
    assert sorted(path.name for path in Path("plate").glob("*.zarr")) == [f"plate-{n}.zarr" for n in (1, 2, 3)]

    # a worker is killed: the other does its brick
    running = batch(start, "out", "--blocks", "--scheduler", cluster.address, files="film.zarr")
    until(lambda: bricks("out") >= 2)
    victim.kill()
    status, _, err = end_of(running)
    assert (status, err) == (0, "") and np.array_equal(values("out"), values("alone"))

    # the client is killed and started again, then the scheduler goes: what is done is kept
    running = batch(start, "again", "--blocks", "--scheduler", cluster.address, files="film.zarr")
    until(lambda: bricks("again") >= 2)
    running.kill()
    running.wait()
    running = batch(start, "again", "--blocks", "--scheduler", cluster.address, files="film.zarr")
    until(lambda: bricks("again") >= 4)
    cluster.scheduler.kill()
    status, _, err = end_of(running)
    if status:  # it may have come to its end
        assert err.count("\n") == 1 and "scheduler is gone" in err
        kept = {path: path.stat().st_mtime_ns for path in Path("again").glob("records/*.blocks-*/brick-*.json")}
        assert len(kept) >= 4
    assert end_of(batch(start, "again", "--blocks", files="film.zarr"))[0] == 0
    assert np.array_equal(values("again"), values("alone"))
    assert [path.name for path in Path("again/records").iterdir() if "blocks" in path.name] == []
