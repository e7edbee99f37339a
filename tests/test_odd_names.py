"""Names that are no UTF-8, names that cannot be, places that cannot be replaced: written, or refused before work."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import napari_dip as dip
from napari_dip.errors import InputError
from napari_dip.files.formats import write_image
from napari_dip.files.metadata import Metadata, Picture

QUICK = ("--max-iterations", "1", "--threads", "1")
ODD = os.fsdecode(b"caf\xe9 \xff")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        Path(ODD).touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    Path(ODD).unlink()
    image = np.random.default_rng(0).integers(0, 200, (16, 20)).astype(np.uint8)
    for suffix in (".tif", ".npy", ".png"):
        write_image(Path(f"{ODD}{suffix}"), image.astype("float32"), "YX", Picture(image, Metadata("YX")), same=True)
    return tmp_path


@pytest.fixture
def run(here, in_this_process):
    return in_this_process


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".png", ".ome.zarr"])
def test_a_file_name_that_is_no_utf_8_is_written_and_repeated(run, suffix):
    if suffix == ".ome.zarr":
        pytest.importorskip("zarr")
    source = f"{ODD}.npy" if suffix == ".ome.zarr" else f"{ODD}{suffix}"
    given = ("--record", f"{ODD}.json", "--uncertainty", "--save-prior", f"{ODD}.prior")
    assert run("denoise", source, f"{ODD}-out{suffix}", *given, *QUICK) == (0, "", "")
    record = json.loads(Path(f"{ODD}.json").read_bytes())
    assert record["files"]["input"] == source and Path(record["files"]["output"]).exists()
    Path(f"{ODD}.json").read_bytes().decode("utf-8")
    status, out, err = run("replay", f"{ODD}.json", "-o", f"{ODD}-again{suffix}")
    assert status == 0 and "is the same" in out + err
    status, out, err = run("denoise", source, f"{ODD}-third{suffix}", "--prior", f"{ODD}.prior", "--threads", "1")
    assert (status, out, err) == (0, "", "")


def test_a_batch_tells_of_such_names(run):
    status, out, err = run("batch", "*.npy", "*.tif", "--task", "denoise", "--out", f"out {ODD}", *QUICK)
    assert (status, err) == (0, "") and "2 done" in out
    report = json.loads((Path(f"out {ODD}") / "records" / "report.json").read_bytes().decode("utf-8"))
    assert {Path(one["source"]).exists() for one in report["items"]} == {True}
    assert "2 skipped" in run("batch", "*.npy", "*.tif", "--task", "denoise", "--out", f"out {ODD}", *QUICK)[1]


def test_a_specification_can_name_them(run):
    Path("spec.yaml").write_bytes(b'task: denoise\nfiles: ["caf*.npy"]\n')
    status, out, _ = run("batch", "--spec", "spec.yaml", "--out", "out", *QUICK)
    assert status == 0 and "1 done" in out and Path(f"out/{ODD}.npy").exists()


@pytest.mark.parametrize("name", ["a\0b.npy", "n" * 300 + ".npy", "a/" * 3000 + "b.npy"])
@pytest.mark.parametrize("role", ["target", "record", "save_prior", "source", "prior", "mask"])
def test_a_name_that_no_file_can_have_is_refused_before_any_work(here, name, role):
    given = {"source": f"{ODD}.npy", "target": "out.npy", "settings": {"max_iterations": 1, "threads": 1}}
    task = "inpaint" if role == "mask" else "denoise"
    given |= {"inputs": {"mask": name}} if role == "mask" else {role: name}
    before = sorted(os.listdir("."))
    with pytest.raises(InputError) as refusal:
        dip.restore_file(task, **given, watch=lambda progress: pytest.fail("it was begun"))
    text = str(refusal.value)
    assert text.endswith(".") and "\n" not in text and "\0" not in text
    assert sorted(os.listdir(".")) == before


IN_SOMEBODY_ELSES = """
import os, sys, filelock, numpy as np, napari_dip as dip, napari_dip.restore, napari_dip.jobs.batch
import napari_dip.jobs.file, napari_dip.run.fitted_prior, encodings.ascii
folder, name = sys.argv[1:]
os.chdir(folder)
os.setresgid(12345, 12345, 12345), os.setresuid(12345, 12345, 12345)
given = {"target": "out.npy", "record": "r.json", "save_prior": "p.prior"}
def fail(progress):
    raise SystemExit("it was begun")
try:
    dip.restore_file("denoise", "in.npy", **given, force=True, settings={"max_iterations": 1, "threads": 1}, watch=fail)
except dip.InputError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("name", ["out.npy", "r.json", "p.prior"])
def test_what_somebody_else_has_in_a_sticky_folder_is_refused_before_any_work(name):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o1777)
        np.save(Path(folder) / "in.npy", np.random.default_rng(0).random((16, 20)))
        (Path(folder) / name).write_bytes(b"theirs")
        (Path(folder) / name).chmod(0o666)
        command = [sys.executable, "-c", IN_SOMEBODY_ELSES, folder, name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert repr(name) in done.stdout and "somebody else" in done.stdout and done.stdout.count("\n") == 1
        assert (Path(folder) / name).read_bytes() == b"theirs"
        assert sorted(os.listdir(folder)) == sorted({"in.npy", name})
