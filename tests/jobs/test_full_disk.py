"""A disk with next to nothing left, or nothing: the message names the file that did not fit, and the old ones stay."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile

QUICK = ("--max-iterations", "1", "--threads", "1")
SIZE = 12 << 20


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A small disk of its own, to work in."""
    folder = tmp_path / "disk"
    folder.mkdir()
    image = np.random.default_rng(0).random((40, 40)).astype("f4")
    np.save(tmp_path / "in.npy", image)
    tifffile.imwrite(tmp_path / "in.tif", image)
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    monkeypatch.chdir(folder)
    yield folder
    os.chdir("/")
    subprocess.run(["umount", str(folder)], check=True, capture_output=True, timeout=60)


def leave(size):
    state = os.statvfs(".")
    with Path("filler").open("wb") as file:
        file.write(bytes(state.f_bavail * state.f_frsize - size))


@pytest.mark.parametrize(
    ("left", "name"),
    [(4096, "out.npy"), (12288, "out-uncertainty.npy"), (16384, "r.json"), (20480, ".journal"), (28672, "")],
)
def test_what_does_not_fit_is_named(disk, in_this_process, left, name):
    for old in ("out.npy", "out-uncertainty.npy", "r.json"):
        Path(old).touch()
    leave(left)
    given = ("--uncertainty", "--record", "r.json", "--force", *QUICK)
    status, out, err = in_this_process("denoise", "../in.npy", "out.npy", *given)
    if not name:
        assert (status, out, err) == (0, "", "")
        return
    assert (status, out, err.count("\n")) == (1, "", 1) and f"{name}' cannot be written: No space left" in err
    assert sorted(os.listdir(".")) == ["filler", "out-uncertainty.npy", "out.npy", "r.json"]
    assert not any(Path(old).stat().st_size for old in ("out.npy", "out-uncertainty.npy", "r.json"))


@pytest.mark.parametrize(("left", "name"), [(4096, "out.tif"), (1 << 16, "p.prior"), (1 << 20, "p.prior")])
def test_a_prior_that_does_not_fit_is_said_in_words(disk, in_this_process, left, name):
    leave(left)
    status, out, err = in_this_process("denoise", "../in.tif", "out.tif", "--save-prior", "p.prior", *QUICK)
    assert (status, out, err.count("\n")) == (1, "", 1) and f"'{name}' cannot be written: " in err
    assert "No space left" in err or "disk may be full" in err
    assert os.listdir(".") == ["filler"]


@pytest.mark.parametrize("left", [0, 4096, 8192, 12288, 16384])
def test_a_batch_on_a_full_disk_ends_in_sentences(disk, in_this_process, left):
    leave(left)
    status, out, err = in_this_process("batch", "../in.npy", "--task", "denoise", "--out", "out", *QUICK)
    assert status == 1 and "No space left" in out + err and "Traceback" not in err
    assert not Path("out/in.npy").exists() and not list(Path("out").rglob("*.part"))
