"""Runs from file to file are repeated from their records, by the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

QUICK = ("--max-iterations", "2", "--threads", "1")


@pytest.fixture
def run(tmp_path, monkeypatch, in_this_process):
    """Run the command line in a folder of its own; give exit status, output and errors."""
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", (100 + 20 * np.random.default_rng(0).random((16, 20))).astype("float32"))
    np.save("mask.npy", np.eye(16, 20))

    return in_this_process


def change(name, **values):
    Path(name).write_text(json.dumps(json.loads(Path(name).read_text()) | values))


def test_a_run_is_repeated_to_the_same_bytes_and_written(run):
    assert run("denoise", "in.npy", "out.npy", "--uncertainty", "--seed", 5, "--record", "r.json", *QUICK)[0] == 0
    status, out, err = run("replay", "r.json", "-o", "again.npy")
    assert (status, err) == (0, "") and "same as that of the record" in out and "'again.npy'" in out
    for name in ("{}.npy", "{}-uncertainty.npy"):
        assert Path(name.format("out")).read_bytes() == Path(name.format("again")).read_bytes()
    assert not list(Path().glob(".*"))
    assert "exists; give --force" in run("replay", "r.json", "-o", "out.npy")[2]


def test_files_are_found_beside_the_record_or_given(run):
    assert run("inpaint", "in.npy", "out.npy", "--mask", "mask.npy", "--record", "r.json", *QUICK)[0] == 0
    Path("there").mkdir()
    for name in ("in.npy", "mask.npy", "r.json"):
        Path(name).rename(Path("there") / name)
    assert run("replay", "there/r.json")[0] == 0
    (Path("there") / "mask.npy").rename("moved.npy")
    assert "no file" in run("replay", "there/r.json")[2]
    assert run("replay", "there/r.json", "--mask", "moved.npy")[0] == 0
    assert sorted(path.name for path in Path().iterdir()) == ["moved.npy", "out.npy", "there"]


def test_a_prior_is_found_too(run):
    assert run("denoise", "in.npy", "out.npy", "--save-prior", "p.prior", "--record", "first.json", *QUICK)[0] == 0
    assert run("replay", "first.json")[0] == 0
    assert run("denoise", "in.npy", "second.npy", "--prior", "p.prior", "--record", "second.json")[0] == 0
    assert run("replay", "second.json")[0] == 0


def test_another_result_and_other_versions_are_said(run):
    assert run("denoise", "in.npy", "out.npy", "--record", "r.json", *QUICK)[0] == 0
    record = json.loads(Path("r.json").read_text())
    change("r.json", result={"image": "sha256:0"}, versions=record["versions"] | {"torch": "1.0"})
    status, out, err = run("replay", "r.json")
    assert (status, out) == (1, "") and f"torch 1.0 (here {torch.__version__}" in err and "is another one" in err
    del record["result"]
    Path("r.json").write_text(json.dumps(record))
    assert run("replay", "r.json")[::2] == (
        0,
        "napari-dip: The record does not tell its result, so it cannot be compared.\n",
    )


def test_what_cannot_be_repeated_is_one_sentence(run):
    assert run("denoise", "in.npy", "out.npy", "--record", "r.json", *QUICK)[0] == 0
    Path("deep.json").write_text("[" * 200_000)
    with Path("large.json").open("wb") as file:
        file.truncate(1 << 33)
    Path("number.json").write_text('{"schema": ' + "9" * 10_000 + "}")
    for name, words in (
        ("missing.json", "no file"),
        ("in.npy", "no record"),
        ("deep.json", "no record"),
        ("large.json", "larger than any record"),
        ("number.json", "no record"),
    ):
        status, out, err = run("replay", name)
        assert (status, out, err.count("\n")) == (1, "", 1) and words in err
    np.save("in.npy", np.load("in.npy") + 1)
    assert "not the one of the record" in run("replay", "r.json")[2]
    assert "would be written over" in run("replay", "r.json", "-o", "in.npy", "--force")[2]


def test_the_same_image_of_a_file_and_the_same_type_are_taken_again(run):
    image = np.random.default_rng(2).integers(0, 200, (16, 20)).astype(np.uint8)
    with tifffile.TiffWriter("two.tif") as file:
        file.write(image)
        file.write(np.zeros((32, 40), np.uint8))
    given = ("--series", 1, "--dtype", "same", "--record", "r.json")
    status, _, err = run("denoise", "two.tif", "out.npy", *given, *QUICK)
    assert status == 0 and "clipped to uint8" in err
    assert run("replay", "r.json", "-o", "again.npy")[0] == 0
    assert np.load("out.npy").shape == image.shape and Path("out.npy").read_bytes() == Path("again.npy").read_bytes()
    status, _, err = run("denoise", "two.tif", "out.npy", "--series", 3, "--force", *QUICK)
    assert status == 1 and "no image number 3; it holds 2" in err
