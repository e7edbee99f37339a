"""What is no regular file is refused at once, wherever a name is read; and no file is read beyond what it may hold."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import napari_dip as dip
from napari_dip.errors import InputError
from napari_dip.files.bounded import LARGEST, MOST_VALUES, parse_json, read_bytes
from napari_dip.files.formats import READ, count_images, peek, read_image, read_mask
from napari_dip.viewer.contributions import read_record

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here")
QUICK = ("--max-iterations", "1", "--threads", "1")
KINDS = ["pipe", "device", "link to a device", "socket", "folder", "nothing", "link to itself", "long name", "NUL"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", (100 + 20 * np.random.default_rng(0).random((16, 20))).astype("float32"))
    np.save("mask.npy", np.eye(16, 20))
    return tmp_path


@pytest.fixture
def run(here, in_this_process):
    return in_this_process


def make(kind, name):
    """Make what is no file, and give its name."""
    if kind == "pipe":
        os.mkfifo(name)
    elif kind == "device":
        return "/dev/zero"
    elif kind == "link to a device":
        os.symlink("/dev/zero", name)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(name)
    elif kind == "folder":
        os.mkdir(name)
    elif kind == "link to itself":
        os.symlink(name, name)
    elif kind == "long name":
        return "n" * 300 + name
    elif kind == "NUL":
        return f"\0{name}"
    return name


def one_sentence(text):
    assert text.endswith(".") and "\n" not in text and len(text) < 700, text


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_by_whatever_reads(here, kind):
    for form in READ:
        name = make(kind, f"x{form.suffixes[0]}")
        if form.folder and kind == "folder":
            continue
        for read in (read_image, read_mask):
            with pytest.raises(InputError) as refusal:
                read(Path(name))
            one_sentence(str(refusal.value))
        assert peek(Path(name)) is None and count_images(Path(name)) == 1
    name = make(kind, "other")
    for read in (
        lambda: dip.load_prior(name),
        lambda: dip.load_run(name, np.load("in.npy")),
        lambda: read_record(name),
    ):
        with pytest.raises(InputError) as refusal:
            read()
        one_sentence(str(refusal.value))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "NUL"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("denoise", "X.npy", "out.npy"),
        ("inpaint", "in.npy", "out.npy", "--mask", "X.npy"),
        ("denoise", "in.npy", "out.npy", "--prior", "X"),
        ("replay", "X"),
        ("replay", "r.json", "--input", "X.npy"),
        ("batch", "X.npy", "--task", "denoise", "--out", "out"),
        ("batch", "in.npy", "--task", "denoise", "--out", "out", "--prior", "X"),
        ("batch", "in.npy", "--task", "inpaint", "--out", "out", "--mask", "X.npy"),
        ("batch", "--task", "denoise", "--out", "out", "--list", "X"),
        ("batch", "--out", "out", "--spec", "X"),
    ],
    ids=lambda arguments: " ".join(arguments[:3]) + arguments[-2],
)
def test_a_command_refuses_what_is_no_file(run, arguments, kind):
    if "r.json" in arguments:
        assert run("denoise", "in.npy", "done.npy", "--record", "r.json", *QUICK)[0] == 0
    wanted = next(one for one in arguments if one.startswith("X"))
    name = make(kind, wanted)
    given = [name if one == wanted else one for one in arguments]
    status, out, err = run(*given, *(QUICK if arguments[0] != "replay" else ()))
    assert status == 1 and "Traceback" not in err
    assert err.count("\n") == 1 or "1 failed" in out
    assert not Path("out.npy").exists() and not Path("out/in.npy").exists()


@pytest.mark.parametrize("name", ["batch", "report.json", "in.npy.json", "in.npy.done", "in.npy.begun"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder"])
def test_a_batch_does_not_wait_for_what_lies_in_its_records(run, name, kind):
    Path("out/records").mkdir(parents=True)
    make(kind, f"out/records/{name}")
    status, out, err = run("batch", "in.npy", "--task", "denoise", "--out", "out", *QUICK)
    assert "Traceback" not in err and (status == 0 or err.count("\n") == 1 or "1 failed" in out)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_a_file_without_permission_is_one_sentence_and_no_wrong_usage():
    """As somebody else, since root may read everything; all that is imported is imported before."""
    code = (
        "import os, sys, filelock, yaml, tifffile, napari_dip.restore, napari_dip.run.fitted_prior\n"
        "import napari_dip.jobs.replay, napari_dip.jobs.file, napari_dip.jobs.batch\n"
        "import napari_dip.jobs.spec, napari_dip.jobs.once\n"
        "from napari_dip.cli import main as cli\n"
        "os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)\n"
        "for arguments in COMMANDS:\n"
        "    try:\n"
        "        cli.app(list(arguments))\n"
        "    except SystemExit as end:\n"
        "        print('status', end.code, file=sys.stderr)\n"
    )
    commands = [
        ("denoise", "x.npy", "out.npy"),
        ("inpaint", "in.npy", "out.npy", "--mask", "mask.npy"),
        ("denoise", "in.npy", "out.npy", "--prior", "x.prior"),
        ("replay", "r.json"),
        ("batch", "--task", "denoise", "--out", "out", "--list", "list.txt"),
        ("batch", "--out", "out", "--spec", "spec.yaml"),
        ("batch", "in.npy", "--task", "denoise", "--out", "out", "--prior", "x.prior"),
    ]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        for name in ("x.npy", "mask.npy", "x.prior", "r.json", "list.txt", "spec.yaml"):
            (Path(folder) / name).touch(mode=0o600)
        np.save(Path(folder) / "in.npy", np.random.default_rng(0).random((16, 20)))
        code = code.replace("COMMANDS", repr(commands))
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert lines[1::2] == ["status 1"] * len(commands), done.stderr
    assert all("Permission denied" in line for line in lines[::2]), done.stderr


def test_no_file_is_read_beyond_what_its_kind_may_have(tmp_path):
    for kind, most in LARGEST.items():
        with (tmp_path / kind).open("wb") as file:
            file.truncate(most)
        assert len(read_bytes(tmp_path / kind, kind)) == most
        with (tmp_path / kind).open("wb") as file:
            file.truncate(most + 1)
        with pytest.raises(InputError, match=f"larger than any {kind}"):
            read_bytes(tmp_path / kind, kind)


@pytest.mark.parametrize("unit", ["[],", "{},", '{"a":1},', "1,", '"a",', '"a":1,'])
def test_the_values_of_a_file_are_counted_before_they_are_parsed(unit):
    inner = unit * (MOST_VALUES + 2)
    text = f"{{{inner[:-1]}}}" if unit == '"a":1,' else f"[{inner[:-1]}]"
    with pytest.raises(ValueError, match="values"):
        parse_json(text)


def test_a_nest_is_refused_and_what_is_no_letter_survives():
    with pytest.raises(ValueError, match="deeply"):
        parse_json("[" * 100_000)
    name = os.fsdecode(b"caf\xe9.npy")
    from napari_dip.files.bounded import write_json

    assert parse_json(write_json({"name": name})) == {"name": name} == json.loads(write_json({"name": name}))
