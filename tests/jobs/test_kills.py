"""Signals at random moments: all of the old files, or all of the new ones, and nothing else in the folder.

NAPARI_DIP_KILLS is how many; some hundreds take half an hour.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest

import napari_dip as dip
from napari_dip.files.formats import read_image
from napari_dip.image.arrays import digest_of

if not hasattr(signal, "SIGHUP"):
    pytest.skip("there are no such signals on Windows", allow_module_level=True)

COUNT = int(os.environ.get("NAPARI_DIP_KILLS", "6"))
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
COMMAND = [sys.executable, "-c", "from napari_dip.__main__ import main; main()"]
BESIDE = ["in.npy", "out.prior", "record.json"]


def listen():
    for number in SIGNALS[:3]:
        signal.signal(number, signal.SIG_DFL)  # a shell may have started the tests without


def ending_of(folder):
    """Give what results end in there: a file, or a folder."""
    return f".{folder.name.rstrip('0123456789')}"


def whole(folder):
    ending = ending_of(folder)
    return sorted([*BESIDE, f"out{ending}", f"out-uncertainty{ending}"])


def started(folder, seed):
    files = [
        "in.npy",
        f"out{ending_of(folder)}",
        "--uncertainty",
        "--record",
        "record.json",
        "--save-prior",
        "out.prior",
        "--force",
    ]
    few = ["--max-iterations", "2", "--threads", "1", "--seed", str(seed)]
    return subprocess.Popen(
        [*COMMAND, "denoise", *files, *few],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen,
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def seed_of(folder):
    """Give the seed of the run that all files in a folder are of."""
    record = json.loads((folder / "record.json").read_bytes())
    ending = ending_of(folder)
    image, deviation = (np.asarray(read_image(folder / f"{name}{ending}").array) for name in ("out", "out-uncertainty"))
    assert record["result"] == {"image": digest_of(image), "uncertainty": digest_of(deviation)}
    assert dip.load_prior(folder / "out.prior").settings.seed == record["seed"]
    return record["seed"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Give folders with the files of a whole run, and how long that took: of results that are files, and folders."""
    return [place_of(tmp_path_factory.mktemp(kind)) for kind in ("npy", "zarr")]


def place_of(folder):
    np.save(folder / "in.npy", (100 + 20 * np.random.default_rng(0).random((16, 16))).astype("float32"))
    begin = time.monotonic()
    process = started(folder, 0)
    _, said = process.communicate(timeout=300)
    assert (process.returncode, said, names(folder)) == (0, "", whole(folder))
    return folder, time.monotonic() - begin


def writes(folder):
    """Whether a result is being written; before any work, there is an empty file for a moment, and then a folder."""
    with suppress(FileNotFoundError):
        parts = list(folder.glob(".napari-dip-*.part"))
        files = [path / "zarr.json" if path.is_dir() else path for path in parts]
        return any(
            path.stat().st_size if path.suffix == ".part" else b"multiscales" in path.read_bytes() for path in files
        )
    return False


def wait(chance, process, folder, seconds):
    """Wait for a random moment: of the whole run, or, for two of three, of that in which it writes."""
    if chance.random() < 1 / 3:
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, seconds))
        return
    while process.poll() is None and not writes(folder):
        time.sleep(0.0005)
    time.sleep(chance.choice([0, chance.uniform(0, 0.02), chance.uniform(0, 0.3)]))


@pytest.mark.parametrize("number", range(COUNT))
def test_a_kill_leaves_all_of_the_old_or_all_of_the_new(places, number):
    folder, seconds = places[number % 3 == 1]
    chance, kind = random.Random(number), SIGNALS[number % 4]
    left, seed = names(folder) != whole(folder), number + 1
    before = None if left else seed_of(folder)
    process = started(folder, seed)
    wait(chance, process, folder, seconds)
    process.send_signal(kind)
    _, said = process.communicate(timeout=300)
    print(kind.name, process.returncode, "new" if "best so far" in said else "", said.strip()[-90:], names(folder)[:2])
    if kind == signal.SIGKILL:
        clean = started(folder, seed + 1000)  # the next run
        assert clean.communicate(timeout=300)[1] == "" and clean.returncode == 0
        assert names(folder) == whole(folder) and seed_of(folder) == seed + 1000
        return
    assert process.returncode in (0, 128 + kind, -kind), said
    assert names(folder) == whole(folder)
    after = seed_of(folder)
    assert after in (before, seed)
    assert "there is no result" not in said or after == before
    assert "napari_dip" not in said.replace("napari-dip: ", "").replace("from napari_dip.__main__", ""), said
    if process.returncode == 0 or "best so far" in said:
        assert after == seed
