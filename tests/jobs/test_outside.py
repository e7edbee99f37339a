"""Nothing is written outside of the output folder, whatever links and names lie in it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from stores import make

import napari_dip as dip
from napari_dip.errors import InputError
from napari_dip.jobs.items import Asked, find_items
from napari_dip.jobs.spec import Entry

QUICK = {"max_iterations": 1}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("in/sub", "out", "elsewhere"):
        Path(folder).mkdir(parents=True)
    np.save("in/sub/a.npy", (100 + 20 * np.random.default_rng(0).random((16, 20))).astype("float32"))
    Path("elsewhere/mine").write_text("mine")
    return tmp_path


def elsewhere():
    return {str(path): path.is_file() and path.read_bytes() for path in Path("elsewhere").rglob("*")}


def restore(**how):
    return dip.map_restore("denoise", "in/*/*.npy", "out", **{**QUICK, **how})


def link(name, to="elsewhere"):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(Path(to).absolute(), name)


FOLDERS = ["out/records", "out/records/sub", "out/sub"]
FILES = [
    "out/records/batch",
    "out/records/report.json",
    "out/records/sub/a.npy.json",
    "out/records/sub/a.npy.begun",
    "out/records/sub/a.npy.done",
    "out/records/fitted.prior",
    "out/records/fitted.prior.done",
    "out/sub/a.npy",
    "out/sub/a-uncertainty.npy",
]
LINKS = [(name, "elsewhere") for name in FOLDERS]
LINKS += [(name, f"elsewhere/{to}") for name in FILES for to in ("mine", "new")]


@pytest.mark.parametrize(("name", "to"), LINKS)
def test_a_link_out_of_the_output_folder_is_not_followed(here, name, to):
    link(name, to)
    before = elsewhere()
    with pytest.raises(InputError, match="outside") as refusal:
        restore(uncertainty=True, fit_once=True, force=True)
    assert str(refusal.value).endswith(".") and "\n" not in str(refusal.value)
    assert elsewhere() == before and Path(name).is_symlink()


@pytest.mark.parametrize("name", ["out/records", "out/records/batch", "out/records/s.zarr.prior", "out/s.zarr"])
def test_a_link_is_not_followed_by_blocks_either(here, name):
    pytest.importorskip("zarr")
    make(Path("in/s.zarr"), np.load("in/sub/a.npy"), "YX", "0.5")
    link(name)
    before = elsewhere()
    with pytest.raises(InputError, match="outside"):
        dip.map_restore("denoise", "in/s.zarr", "out", blocks=True, force=True, **QUICK)
    assert elsewhere() == before


def test_links_inside_of_the_output_folder_and_to_it_are_followed(here):
    shutil.rmtree("out")
    Path("disk/there").mkdir(parents=True)
    os.symlink(here / "disk", "out")
    os.symlink("there", "disk/sub")
    assert restore().ok and np.load("disk/there/a.npy").shape == (16, 20)
    assert restore().of("skipped")


@pytest.mark.parametrize("name", ["../elsewhere/mine", "/etc/hostname", "sub/../../elsewhere/mine"])
def test_a_seal_that_names_files_elsewhere_does_not_hold(here, name):
    assert restore().ok
    seal = Path("out/records/sub/a.npy.done")
    found = json.loads(seal.read_text())
    found["outputs"] = {name: next(iter(found["outputs"].values()))}
    seal.write_text(json.dumps(found))
    assert restore().of("done")


@pytest.mark.parametrize("stem", ["..", "x/../..", "a\0b"])
def test_parts_of_a_name_do_not_lead_outside(here, stem):
    with pytest.raises(InputError, match="outside of the output folder"):
        find_items([Entry(source="in/sub/a.npy", target=f"{stem}/../b.npy")], Asked("denoise"), Path("out"), here)
