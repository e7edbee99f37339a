import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

import napari_dip as dip
from napari_dip.cli import terminal
from napari_dip.files.formats import NAMES, READ_NAMES
from napari_dip.settings import Settings, field
from napari_dip.tasks import task_named

QUICK = ("--max-iterations", "3", "--threads", "1")
COMMANDS = ["denoise", "inpaint", "super-resolve"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with an image and a mask, to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    rng = np.random.default_rng(0)
    np.save("in.npy", (100 + 20 * rng.random((16, 20))).astype("float32"))
    Image.fromarray(rng.integers(0, 255, (16, 20)).astype("uint8")).save("in.png")
    mask = np.zeros((16, 20), bool)
    mask[4:6, 7:9] = True
    np.save("mask.npy", mask)
    return tmp_path


@pytest.fixture
def run(here, in_this_process):
    """Run the command line in this process; give its exit status, output and errors."""

    return in_this_process


def refused(answer):
    """Check that a run ended with status 1 and one sentence; give that sentence."""
    status, out, err = answer
    assert (status, out) == (1, "")
    assert err.startswith("napari-dip: ") and err.endswith(".\n") and err.count("\n") == 1
    return err


def test_version(run):
    assert run("--version") == (0, f"napari-dip {dip.__version__}\n", "")


def test_help_names_the_commands(run):
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert all(command in out for command in COMMANDS)
    assert run("super-resolve", "--help")[1].count("--factor") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_of_every_setting_what_the_settings_say(run, command):
    status, out, _ = run(command, "--help")
    words = " ".join(out.split())
    assert status == 0
    for name in Settings.model_fields:
        option, info = f"--{name.replace('_', '-')}", field(name)
        if not task_named(command.replace("-", "_")).uses(name):
            assert f"{option} " not in words
            continue
        assert option in words and info.description in words
        if info.default not in (None, False):
            assert re.search(rf"{re.escape(info.description)} \[default: {info.default}", words)
    assert "fast|best|paper" in words and "PNG holds whole numbers" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Usage"),
        (("sharpen",), "sharpen"),
        (("denoise",), "IN"),
        (("denoise", "in.npy"), "OUT"),
        (("inpaint", "in.npy", "out.npy"), "--mask"),
        (("denoise", "in.npy", "out.npy", "--preset", "good"), "paper"),
        (("denoise", "in.npy", "out.npy", "--seed", "-1"), "--seed"),
        (("denoise", "in.npy", "out.npy", "--max-iterations", "0"), "--max-iterations"),
        (("denoise", "in.npy", "out.npy", "--max-seconds", "0"), "greater than 0"),
        (("denoise", "in.npy", "out.npy", "--max-seconds", "soon"), "--max-seconds"),
        (("denoise", "in.npy", "out.npy", "--device", "tpu"), "--device"),
        (("denoise", "in.npy", "out.npy", "--noise", "pink"), "poisson-gaussian"),
        (("denoise", "in.npy", "out.npy", "--sigma", "0"), "greater than 0"),
        (("denoise", "in.npy", "out.npy", "--gain", "-2"), "greater than 0"),
        (("denoise", "in.npy", "out.npy", "--offset", "dark"), "--offset"),
        (("denoise", "in.npy", "out.npy", "--z-step", "0"), "greater than 0"),
        (("denoise", "in.npy", "out.npy", "--period", "0"), "greater than 0"),
        (("denoise", "in.npy", "out.npy", "--values", "square"), "logarithmic"),
        (("super-resolve", "in.npy", "out.npy", "--values", "circular"), "--values"),
        (("denoise", "in.npy", "out.npy", "--neighbours", "5"), "--neighbours"),
        (("denoise", "in.npy", "out.npy", "--channels", "all"), "together"),
        (("super-resolve", "in.npy", "out.npy", "--z-step", "2"), "--z-step"),
        (("denoise", "in.npy", "out.npy", "--stop-at", "3"), "--stop-at"),
        (("denoise", "in.npy", "out.npy", "--mask", "mask.npy"), "--mask"),
        (("inpaint", "in.npy", "out.npy", "--mask", "mask.npy", "--noise", "gaussian"), "--noise"),
        (("super-resolve", "in.npy", "out.npy", "--sigma", "3"), "--sigma"),
        (("super-resolve", "in.npy", "out.npy", "--factor", "9"), "--factor"),
        (("super-resolve", "in.npy", "out.npy", "--factor", "2.5"), "--factor"),
    ],
)
def test_wrong_usage_ends_with_status_2(run, here, arguments, words):
    status, out, err = run(*arguments)
    assert status == 2 and words in out + err
    assert not (here / "out.npy").exists()


def test_denoise_does_what_python_does(run):
    assert run("denoise", "in.npy", "out.npy", "--seed", 4, *QUICK) == (0, "", "")
    result = dip.denoise(np.load("in.npy"), seed=4, max_iterations=3, threads=1).image
    assert np.load("out.npy").tobytes() == result.tobytes()


def test_inpaint_does_what_python_does(run):
    assert run("inpaint", "in.npy", "out.npy", "--mask", "mask.npy", *QUICK) == (0, "", "")
    image, mask = np.load("in.npy"), np.load("mask.npy")
    result = np.load("out.npy")
    assert result.tobytes() == dip.inpaint(image, mask, max_iterations=3, threads=1).image.tobytes()
    assert result[~mask].tobytes() == image[~mask].tobytes()


@pytest.mark.parametrize("factor", [None, 3])
def test_super_resolve_does_what_python_does(run, factor):
    option = () if factor is None else ("--factor", factor)
    assert run("super-resolve", "in.npy", "out.npy", *option, *QUICK) == (0, "", "")
    result = dip.super_resolve(np.load("in.npy"), factor or 4, max_iterations=3, threads=1).image
    assert np.load("out.npy").tobytes() == result.tobytes()


def test_every_setting_reaches_the_run(run):
    options = {
        "preset": "best",
        "noise": "poisson-gaussian",
        "sigma": 4.5,
        "gain": 0.25,
        "offset": -1.5,
        "reach": 1,
        "values": "linear",
        "seed": 9,
        "device": "cpu",
        "max_iterations": 2,
        "max_seconds": 1000.0,
        "uncertainty": True,
        "threads": 1,
        "nonfinite": "inpaint",
        "waves": "keep",
        "z_step": 2.5,
        "neighbours": 0,
        "channels": "together",
    }
    assert set(options) == set(Settings.model_fields) - {"period"}  # of circular values, whose noise is not told
    words = [(f"--{name.replace('_', '-')}", value) for name, value in options.items()]
    arguments = [word for pair in words for word in (pair[:1] if pair[1] is True else pair)]
    assert run("denoise", "in.npy", "out.npy", "--record", "r.json", *arguments)[0] == 0
    found = json.loads(Path("r.json").read_text())["settings"]
    del options["max_seconds"]  # a record leaves the clock out
    assert {name: found[name] for name in options} == options


def test_angles_reach_the_run_with_their_period(run):
    options = ("--values", "circular", "--period", 1000, "--record", "r.json")
    assert run("denoise", "in.npy", "out.npy", *QUICK, *options)[0] == 0
    assert json.loads(Path("r.json").read_text())["values"] == {"kind": "circular", "period": 1000.0, "low": 0.0}
    result = dip.denoise(np.load("in.npy"), values="circular", period=1000, max_iterations=3, threads=1).image
    assert np.load("out.npy").tobytes() == result.tobytes()


def denoise_on_terminal(*, there=True):
    """Restore in.npy in a process of its own, and give what it says; `there` is whether its stderr is a terminal.

    On a real one: the bar puts something that is none in the place of stderr.
    """
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-c",
        "from napari_dip.cli.main import main; main()",
        "denoise",
        "in.npy",
        "out.npy",
        *QUICK,
    ]
    with subprocess.Popen(command, stderr=theirs if there else subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        os.close(theirs)
        said = b"" if there else process.stderr.read()
        with suppress(OSError):  # a terminal whose other end is closed
            while there and (part := os.read(ours, 4096)):
                said += part
    os.close(ours)
    assert process.returncode == 0
    return said


@pytest.mark.parametrize("there", [True, False])
def test_what_will_be_restored_is_said_on_a_terminal_alone(here, there):
    assert (b"Restoring one plane of 16 x 20; takes about" in denoise_on_terminal(there=there)) is there


def test_what_stays_undecided_is_said_on_a_terminal_with_its_option(here):
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((96, 96)), 0.8, mode="wrap")
    np.save("in.npy", data.gravel()[160:256, 160:256] + 15 * noise / noise.std())
    assert b"told apart here; both were left. If it is noise, choose --reach 1." in denoise_on_terminal()


def test_the_record_repeats_the_run(run, here):
    assert run("denoise", "in.npy", "out.npy", "--seed", 3, "--record", "r.json", *QUICK)[0] == 0
    text = (here / "r.json").read_text(encoding="utf-8")
    record = json.loads(text)
    assert record["files"] == {"input": "in.npy", "output": "out.npy"}
    assert record["command"] == f"napari-dip {dip.__version__}" == f"napari-dip {record['versions']['napari-dip']}"
    assert text.startswith("{\n  ") and text.endswith("}\n")
    again = dip.denoise(np.load("in.npy"), **record["settings"]).image
    assert again.tobytes() == np.load("out.npy").tobytes()
    assert run("inpaint", "in.npy", "o.npy", "--mask", "mask.npy", "--record", "i.json", *QUICK)[0] == 0
    assert json.loads((here / "i.json").read_text())["files"]["mask"] == "mask.npy"


def test_uncertainty_is_a_second_file_beside_the_first(run):
    image = np.random.default_rng(0).integers(0, 99, (2, 16, 20)).astype("uint16")
    metadata = {"unit": "micron", "spacing": 3.0, "axes": "ZYX"}
    tifffile.imwrite("in.tif", image, imagej=True, resolution=(10, 5), metadata=metadata)
    assert run("denoise", "in.tif", "out.tif", "--uncertainty", "--record", "r.json", *QUICK) == (0, "", "")
    expected = dip.denoise(image, axes="ZYX", uncertainty=True, z_step=15, max_iterations=3, threads=1)
    assert tifffile.imread("out.tif").tobytes() == expected.image.tobytes()
    assert tifffile.imread("out-uncertainty.tif").tobytes() == expected.uncertainty.tobytes()
    assert (expected.uncertainty > 0).all()
    with tifffile.TiffFile("out-uncertainty.tif") as file:
        tags, found = file.pages[0].tags, file.imagej_metadata
        assert file.series[0].axes == "ZYX" and file.series[0].dtype == np.float32
    assert [tags[f"{a}Resolution"].value for a in "XY"] == [(10, 1), (5, 1)]
    assert (found["unit"], found["spacing"]) == ("micron", 3.0)
    assert json.loads(Path("r.json").read_text())["files"] == {
        "input": "in.tif",
        "output": "out.tif",
        "uncertainty": "out-uncertainty.tif",
    }


def test_uncertainty_keeps_what_it_is_named_after(run, here):
    assert run("denoise", "in.png", "out.png", "--uncertainty", *QUICK) == (0, "", "")
    deviation = tifffile.imread("out-uncertainty.tif")  # in whole numbers there would be nothing to see
    assert deviation.dtype == np.float32 and deviation.shape == (16, 20)
    assert run("denoise", "in.npy", "out.v1.npy", "--uncertainty", *QUICK) == (0, "", "")
    assert np.load("out.v1-uncertainty.npy").shape == (16, 20)
    assert run("denoise", "in.npy", "cells.ome.tif", "--uncertainty", *QUICK) == (0, "", "")
    with tifffile.TiffFile("cells-uncertainty.ome.tif") as file:
        assert file.is_ome
    assert run("inpaint", "in.npy", "whole.npy", "--mask", "mask.npy", "--uncertainty", *QUICK) == (0, "", "")
    mask, deviation = np.load("mask.npy"), np.load("whole-uncertainty.npy")
    assert (deviation[mask] > 0).all() and not deviation[~mask].any()


def test_without_being_asked_there_is_no_second_file(run, here):
    assert run("denoise", "in.npy", "out.npy", *QUICK) == (0, "", "")
    assert not list(here.glob("*uncertainty*"))


def test_axes_come_from_the_file_and_can_be_overruled(run):
    stack = np.random.default_rng(0).random((3, 16, 20)).astype("float32")
    tifffile.imwrite("stack.tif", stack, imagej=True, metadata={"axes": "TYX"})
    assert run("denoise", "stack.tif", "a.npy", "--record", "a.json", *QUICK)[0] == 0
    assert json.loads(Path("a.json").read_text())["axes"] == "TYX"
    assert run("denoise", "stack.tif", "b.npy", "--record", "b.json", "--axes", "syx", *QUICK)[0] == 0
    record = json.loads(Path("b.json").read_text())
    assert record["axes"] == "SYX" and record["planes_in_image"] == 1
    assert run("denoise", "in.npy", "c.npy", "--record", "c.json", *QUICK)[0] == 0
    assert json.loads(Path("c.json").read_text())["axes_guessed"]
    assert "names" not in refused(run("denoise", "in.npy", "d.npy", "--axes", "YQ"))


def test_super_resolution_divides_the_pixel_size(run):
    image = np.random.default_rng(0).integers(0, 99, (2, 16, 20)).astype("uint16")
    metadata = {"unit": "micron", "spacing": 3.0, "axes": "ZYX"}
    tifffile.imwrite("in.tif", image, imagej=True, resolution=(10, 5), metadata=metadata)
    assert run("super-resolve", "in.tif", "out.tif", "--factor", 2, *QUICK) == (0, "", "")
    with tifffile.TiffFile("out.tif") as file:
        tags, found = file.pages[0].tags, file.imagej_metadata
        assert file.series[0].axes == "ZYX" and file.series[0].shape == (2, 32, 40)
        assert file.series[0].dtype == np.float32
    assert [tags[f"{a}Resolution"].value for a in "XY"] == [(20, 1), (10, 1)]
    assert (found["unit"], found["spacing"]) == ("micron", 3.0)


def test_colours_stay_colours(run):
    image = np.random.default_rng(0).integers(0, 255, (16, 20, 4)).astype("uint8")
    Image.fromarray(image).save("colour.png")
    assert run("denoise", "colour.png", "out.png", *QUICK) == (0, "", "")
    assert run("denoise", "colour.png", "out.tif", *QUICK) == (0, "", "")
    result = np.array(Image.open("out.png"))
    assert result.shape == image.shape and (result[..., 3] == image[..., 3]).all()
    exact = tifffile.imread("out.tif")
    assert exact.dtype == np.float32 and (np.rint(exact.clip(0, 255)) == result).all()


def test_16_bits_stay_16_bits_in_png(run):
    image = np.random.default_rng(0).integers(0, 60000, (16, 20)).astype("uint16")
    Image.fromarray(image).save("deep.png")
    assert run("denoise", "deep.png", "out.png", *QUICK) == (0, "", "")
    result = np.array(Image.open("out.png"))
    assert result.max() > 255 and result.shape == image.shape


def test_force_replaces_what_is_there(run, here):
    (here / "out.npy").write_bytes(b"old")
    assert "--force" in refused(run("denoise", "in.npy", "out.npy", *QUICK))
    assert (here / "out.npy").read_bytes() == b"old"
    assert run("denoise", "in.npy", "out.npy", "--force", *QUICK) == (0, "", "")
    assert np.load("out.npy").shape == (16, 20)


def spoilt(**values):
    image = np.load("in.npy")
    for place, value in values.items():
        image[tuple(int(i) for i in re.findall(r"\d+", place))] = value
    return image


REFUSED = {
    "missing file": (lambda: None, ("denoise", "no.tif", "out.tif"), "no file 'no.tif'"),
    "missing mask": (lambda: None, ("inpaint", "in.npy", "out.npy", "--mask", "no.png"), "no file 'no.png'"),
    "folder": (lambda: Path("dir.tif").mkdir(), ("denoise", "dir.tif", "out.tif"), "is a folder"),
    "corrupt": (lambda: Path("bad.tif").write_bytes(b"II*\0 no"), ("denoise", "bad.tif", "out.tif"), "cannot be read"),
    "unknown input": (lambda: None, ("denoise", "in.gif", "out.tif"), READ_NAMES),
    "unknown output": (lambda: None, ("denoise", "in.npy", "out.jpg"), NAMES),
    "no output folder": (lambda: None, ("denoise", "in.npy", "no/out.npy"), "no folder"),
    "output is the input": (lambda: None, ("denoise", "in.npy", "in.npy", "--force"), "written over"),
    "output is the mask": (
        lambda: None,
        ("inpaint", "in.npy", "mask.npy", "--mask", "mask.npy", "--force"),
        "written over",
    ),
    "record is the output": (lambda: None, ("denoise", "in.npy", "out.npy", "--record", "./out.npy"), "written over"),
    "record is the input": (
        lambda: None,
        ("denoise", "in.npy", "out.npy", "--record", "in.npy", "--force"),
        "written over",
    ),
    "record exists": (
        lambda: Path("r.json").touch(),
        ("denoise", "in.npy", "out.npy", "--record", "r.json"),
        "exists",
    ),
    "uncertainty exists": (
        lambda: Path("out-uncertainty.npy").touch(),
        ("denoise", "in.npy", "out.npy", "--uncertainty"),
        "'out-uncertainty.npy' exists",
    ),
    "uncertainty is the input": (
        lambda: Path("in.npy").rename("out-uncertainty.npy"),
        ("denoise", "out-uncertainty.npy", "out.npy", "--uncertainty", "--force"),
        "written over",
    ),
    "record is the uncertainty": (
        lambda: None,
        ("denoise", "in.npy", "out.npy", "--uncertainty", "--record", "out-uncertainty.npy"),
        "written over",
    ),
    "uncertainty of the published method": (
        lambda: None,
        ("denoise", "in.npy", "out.npy", "--uncertainty", "--preset", "paper"),
        "uncertainty",
    ),
    "record without folder": (lambda: None, ("denoise", "in.npy", "out.npy", "--record", "no/r.json"), "no folder"),
    "float to PNG": (lambda: None, ("denoise", "in.npy", "out.png"), "whole numbers"),
    "mask of another shape": (
        lambda: np.save("m.npy", np.ones((16, 21))),
        ("inpaint", "in.npy", "out.npy", "--mask", "m.npy"),
        "mask has shape (16, 21)",
    ),
    "empty mask": (
        lambda: np.save("m.npy", np.zeros((16, 20))),
        ("inpaint", "in.npy", "out.npy", "--mask", "m.npy"),
        "mask is empty",
    ),
    "full mask": (
        lambda: np.save("m.npy", np.ones((16, 20))),
        ("inpaint", "in.npy", "out.npy", "--mask", "m.npy"),
        "covers the whole image",
    ),
    "NaN": (lambda: np.save("x.npy", spoilt(p3_4=np.nan)), ("denoise", "x.npy", "out.npy"), "y=3, x=4"),
    "inf": (lambda: np.save("x.npy", spoilt(p3_4=np.inf)), ("denoise", "x.npy", "out.npy"), "NaN or inf"),
    "constant": (lambda: np.save("x.npy", np.ones((16, 20))), ("denoise", "x.npy", "out.npy"), "constant"),
    "1 x N": (lambda: np.save("x.npy", spoilt()[:1]), ("denoise", "x.npy", "out.npy"), "1 x 20 pixels"),
    "no pixels": (lambda: np.save("x.npy", np.zeros((0, 20))), ("denoise", "x.npy", "out.npy"), "no pixels"),
    "complex": (lambda: np.save("x.npy", spoilt() * 1j), ("denoise", "x.npy", "out.npy"), "complex64"),
    "unknown axes": (lambda: None, ("denoise", "in.npy", "out.npy", "--axes", "QX"), "'Q'"),
    "too many axes": (lambda: None, ("denoise", "in.npy", "out.npy", "--axes", "ZYX"), "3 dimensions"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_gets_one_sentence_and_leaves_no_file(run, here, case):
    prepare, arguments, words = REFUSED[case]
    prepare()
    before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
    assert words in refused(run(*arguments, *QUICK))
    assert {path: path.read_bytes() for path in here.iterdir() if path.is_file()} == before


def test_nan_is_filled_in_where_asked(run):
    np.save("x.npy", spoilt(p3_4=np.nan))
    assert run("denoise", "x.npy", "out.npy", "--nonfinite", "inpaint", *QUICK) == (0, "", "")
    assert np.isfinite(np.load("out.npy")).all()


def test_a_device_that_is_not_there_is_refused(run):
    import torch

    if torch.backends.mps.is_available():
        pytest.skip("this machine has the device")
    assert "no device 'mps'" in refused(run("denoise", "in.npy", "out.npy", "--device", "mps"))


def test_signals_are_given_back(run):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert run("denoise", "in.npy", "out.npy", *QUICK)[0] == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_prior_is_written_and_applied_to_another_file(run, here):
    assert run("denoise", "in.npy", "out.npy", *QUICK, "--save-prior", "cells.prior", "--record", "first.json")[0] == 0
    prior = dip.load_prior("cells.prior")
    assert "3 iterations" in repr(prior)
    first = json.loads(Path("first.json").read_text())
    assert first["files"]["saved prior"] == "cells.prior"
    assert (dip.replay(first, np.load("in.npy")).image == np.load("out.npy")).all()
    one = ("--threads", "1")
    assert run("denoise", "in.npy", "again.npy", *one, "--prior", "cells.prior", "--record", "second.json")[0] == 0
    assert (np.load("again.npy") == np.load("out.npy")).all()
    second = json.loads(Path("second.json").read_text())
    assert second["prior"] == {"sha256": prior.weights.digest, "iterations": 0}
    assert (here / second["files"]["prior"]).exists()
    update = ("--prior", "cells.prior", "--update", "2", "--save-prior", "newer.prior")
    assert run("denoise", "in.npy", "third.npy", *one, *update)[0] == 0
    assert dip.load_prior("newer.prior").weights.digest != prior.weights.digest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prior", "none.prior"], "no file"),
        (["--prior", "in.npy"], "written over|holds no prior"),
        (["--prior", "foreign.prior"], "holds no prior"),
        (["--update", "3"], "no prior to bring up to date"),
        (["--save-prior", "out.npy"], "written over"),
        (["--save-prior", "mask.npy"], "exists"),
        (["--save-prior", "new.prior", "--preset", "paper"], "paper fits to one image"),
    ],
)
def test_a_prior_that_cannot_be_used_or_written_is_refused_before_any_work(run, here, options, words):
    Path("foreign.prior").write_bytes(b"no prior")
    assert re.search(words, refused(run("denoise", "in.npy", "out.npy", *QUICK, *options)))
    assert not Path("out.npy").exists() and not Path("new.prior").exists()


def test_only_commands_that_can_keep_a_prior_have_its_options(run):
    assert all(option in run("denoise", "--help")[1] for option in ("--prior", "--update", "--save-prior"))
    assert "prior" not in run("inpaint", "--help")[1].replace("deep image prior", "")


@pytest.fixture
def run_stack(run, monkeypatch):
    """Restore a stack, with a signal at each step where `when` says so; give status, errors and result."""

    def run_it(when):
        @contextmanager
        def bar():
            yield lambda now: signal.raise_signal(signal.SIGINT) if now is not None and when(now) else None

        monkeypatch.setattr(terminal, "bar", bar)
        np.save("stack.npy", np.random.default_rng(0).random((3, 2, 16, 20), np.float32))
        status, out, err = run("denoise", "stack.npy", "out.npy", "--axes", "TZYX", *QUICK)
        assert out == ""
        return status, err, np.load("out.npy") if Path("out.npy").exists() else None

    # a shell that starts tests in the background has them ignore Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield run_it
    signal.signal(signal.SIGINT, before)  # who gives up the result leaves it ignored


def test_a_signal_while_it_learns_lets_all_planes_be_restored(run_stack):
    status, err, image = run_stack(lambda now: now.iteration == 2 and now.stage == "fit")
    assert status == 130 and np.isfinite(image).all()
    assert "restoring the planes. Ctrl-C once more keeps only" in err
    assert "Interrupted after 2 iterations" in err and "empty" not in err


def test_a_second_signal_keeps_the_planes_that_are_restored(run_stack):
    status, err, image = run_stack(lambda now: now.iteration == 2 and not now.restored)
    assert status == 130 and np.isfinite(image).all((-2, -1)).sum() == 2
    assert err.count("restoring the planes") == 1 and err.count("gives up the result") == 1
    assert "2 of 6 planes are restored; the others are empty." in err


def test_a_signal_while_planes_are_restored_keeps_those(run_stack):
    status, err, image = run_stack(lambda now: now.restored == 2)
    assert status == 130 and np.isfinite(image).all((-2, -1)).sum() == 2
    assert "restoring the planes" not in err and "gives up the result" in err


def test_a_third_signal_gives_up_the_result(run_stack):
    status, err, image = run_stack(lambda now: now.iteration == 2)
    assert status == 130 and image is None
    assert err.endswith("Interrupted; there is no result.\n")


@pytest.mark.parametrize("dtype", ["bool", "float16", "longdouble", ">u2"])
def test_every_type_of_value_is_restored(in_this_process, tmp_path, dtype):
    image = (5 * (np.random.default_rng(0).random((16, 20)) > 0.4)).astype(dtype)
    np.save(tmp_path / "in.npy", image)
    if dtype != "longdouble":  # TIFF holds no such values
        tifffile.imwrite(tmp_path / "in.tif", image)
    for source in tmp_path.glob("in.*"):
        target = tmp_path / "out.tif"
        status, _, errors = in_this_process("denoise", source, target, "--force", "--max-iterations", 1, "--threads", 1)
        assert status == 0, errors
        assert np.isfinite(tifffile.imread(target)).all()


def test_complex_values_are_refused_in_one_sentence(in_this_process, tmp_path):
    np.save(tmp_path / "in.npy", np.ones((16, 20), complex))
    status, _, errors = in_this_process("denoise", tmp_path / "in.npy", tmp_path / "out.tif")
    assert status == 1 and "complex128 values cannot be restored" in errors and "Traceback" not in errors
