"""What a record is written as does the same once more, in a process of its own."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_dip as dip
from napari_dip.run.recipe import as_command, as_python, told_settings

QUICK = {"max_iterations": 3, "threads": 1}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, x = np.mgrid[:24, :30]
    image = np.random.default_rng(0).normal(100 + 30 * np.sin(x / 5), 9, (3, 24, 30)).astype("float32")
    tifffile.imwrite("my cells.tif", image, imagej=True, metadata={"axes": "ZYX", "spacing": 2.0})
    tifffile.imwrite("plane.tif", image[0])
    mask = np.zeros((24, 30), np.uint8)
    mask[4:9, 7:12] = 1
    tifffile.imwrite("dust.tif", mask)
    return tmp_path


CASES = {
    "denoise": ("my cells.tif", {}, {"noise": "gaussian", "sigma": 9.0, "uncertainty": True, "seed": 5}),
    "inpaint": ("plane.tif", {"mask": "dust.tif"}, {}),
    "super_resolve": ("plane.tif", {"factor": 2}, {}),
}


@pytest.mark.parametrize("written", ["python", "command"])
@pytest.mark.parametrize("task", list(CASES))
def test_the_text_comes_to_the_same_bytes_in_a_fresh_process(here, task, written):
    source, inputs, settings = CASES[task]
    dip.restore_file(task, source, "first.tif", inputs=inputs, record="first.json", settings={**QUICK, **settings})
    record = json.loads(Path("first.json").read_text())
    if written == "python":
        text = as_python(record)
        command = [sys.executable, "-c", text]
    else:
        text = as_command(record)
        command = [sys.executable, "-m", *shlex.split(text.replace("napari-dip", "napari_dip", 1))]
    assert "first" not in text
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    ending = {"denoise": "denoised", "inpaint": "inpainted", "super_resolve": "x2"}[task]
    again = Path(f"{Path(source).stem}-{ending}.tif")
    assert again.read_bytes() == Path("first.tif").read_bytes()


def test_only_what_is_not_as_it_is_by_itself_is_said():
    record = dip.denoise(np.random.default_rng(0).random((16, 20)), seed=7, **QUICK).record
    assert told_settings(record) == {"seed": 7, "device": "cpu", "max_iterations": 3, "threads": 1}
    assert "IMAGE.tif" in as_python(record) and "IMAGE.tif" in as_command(record)


def test_an_image_without_a_file_is_taken_from_napari():
    image = np.random.default_rng(0).random((16, 20))
    record = dip.denoise(image, seed=7, **QUICK).record
    text = as_python(record, layer='my "cells"')
    space = {"viewer": type("Viewer", (), {"layers": {'my "cells"': type("Layer", (), {"data": image})}})}
    exec(text, space)
    assert np.array_equal(space["result"].image, dip.denoise(image, seed=7, **QUICK).image)


def test_a_prior_and_an_image_of_several_are_named(here):
    dip.fit("denoise", tifffile.imread("plane.tif"), **QUICK).save("own.prior")
    dip.restore_file("denoise", "plane.tif", "a.tif", record="a.json", prior="own.prior", series=1)
    record = json.loads(Path("a.json").read_text())
    assert "--prior own.prior" in as_command(record) and "--series 1" in as_command(record)
    exec(as_python(record), {})
    assert Path("plane-denoised.tif").read_bytes() == Path("a.tif").read_bytes()
