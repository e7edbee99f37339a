"""The benchmark scripts on tiny images made here: each runs as a process of its own, and its tables can be read."""

import ast
import json
import re
import runpy
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PRIOR = Path(__file__).parents[1] / "src" / "napari_dip" / "prior"
MODULES = (
    "cases",
    "scoreboard",
    "baselines",
    "report",
    "opened",
    "simulate",
    "stopping",
    "vary",
    "constants",
    "scale",
    "scale_process",
    "field_cases",
)
SCRIPTS = (
    "scoreboard",
    "speed",
    "stopping",
    "likelihoods",
    "calibration",
    "seeds",
    "ablation",
    "compression",
    "constants",
    "scale",
    "scale_batches",
    "scale_blocks",
    "field_cases",
)


def write(folder, **arrays):
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        imsave(folder / f"{name}.png", array, check_contrast=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("scoreboard")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :40]
    truth = (127 + 80 * np.sin(x / 7) * np.cos(y / 5)).astype(np.uint8)
    noisy = (truth + rng.normal(0, 50, truth.shape)).clip(0, 255).astype(np.uint8)
    mask = (rng.random(truth.shape) < 0.5).astype(np.uint8) * 255
    write(top / "denoise-sigma50" / "waves", input=noisy, truth=truth)
    colour = np.stack([truth, truth.T, 255 - truth], -1)
    coloured = (colour + rng.normal(0, 50, colour.shape)).clip(0, 255).astype(np.uint8)
    write(top / "denoise-sigma50" / "colour", input=coloured, truth=colour)
    write(top / "inpaint-50" / "waves", input=np.where(mask, 0, truth), truth=truth, mask=mask)
    large = np.tile(np.linspace(20, 200, 72), (72, 1))  # enough blocks to see how noise depends on brightness
    counted = (4 * rng.poisson(large / 4)).clip(0, 255).astype(np.uint8)
    write(top / "photons" / "ramp", input=counted, truth=large.astype(np.uint8))
    return top


@pytest.fixture
def modules(monkeypatch):
    """Let the scripts be imported, and forget them afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def run(script, *arguments):
    command = [sys.executable, BENCHMARKS / f"{script}.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


def measured(script, *arguments):
    """Give the tables of a script, by title, each as rows by their first cell; and what it said beside them."""
    done = run(script, *arguments, "--threads", 1)
    assert done.returncode == 0, done.stderr
    tables = {}
    for title, text in re.findall(r"^## (.*)\n\n((?:\|.*\n)+)", done.stdout, re.M):
        header, line, *rows = ([cell.strip() for cell in row.strip("|").split(" | ")] for row in text.splitlines())
        assert set("".join(line)) <= set("-|")
        assert rows and all(len(row) == len(header) for row in rows), text
        tables[title] = [dict(zip(header, row, strict=True)) for row in rows]
    return tables, done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script, modules, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / f"{script}.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert f"python benchmarks/{script}.py" in told and "--json" in told and "--threads" in told


def test_stopping_and_resuming(folder, tmp_path):
    file = tmp_path / "stopping.json"
    command = [folder, "--images", "waves", "--crop", 32, "--iterations", 10, "--every", 5, "--json", file, "--resume"]
    narrow = ["--sigma", 25, "--kinds", "poisson", "speckle"]
    tables, told = measured("stopping", *command, *narrow)
    rules, runs = tables.values()
    assert rules[0]["rule"].startswith("held-out") and len(rules) >= 6
    assert [(one["noise"], one["image"]) for one in runs] == [("poisson", "waves"), ("speckle", "waves")]
    assert all(float(one["gap (dB)"]) >= 0 for one in runs) and told.count("best") == 2

    again, told = measured("stopping", *command, *narrow)
    assert again == tables and not told  # nothing was fitted again
    written = json.loads(file.read_text())
    assert len(written["results"]) == 2 and {"command", "versions", "machine"} <= written.keys()
    assert [at for at, _ in written["results"][0]["looks"]] == [5, 10]


def test_speed(folder, tmp_path):
    file = tmp_path / "speed.json"
    image = folder / "denoise-sigma50" / "colour"
    tables, _ = measured("speed", image, "--crop", 32, "--iterations", 6, "--rounds", 1, "--json", file)
    presets = {one["preset"].split(",")[0]: one for one in tables["Time to finish"]}
    assert presets.keys() == {"fast", "paper", "best"} and presets["fast"]["iterations"] == "6 (iterations)"
    assert float(presets["fast"]["PSNR (dB)"]) > 15
    assert len(tables["Previews"]) == 2
    assert json.loads(file.read_text())["results"][0]["paper"]["planned"] == 1800


def test_likelihoods(folder, tmp_path):
    file = tmp_path / "likelihoods.json"
    command = [folder, "--images", "waves", "--crop", 32, "--iterations", 2, "--peaks", 5, "--json", file]
    (rows,) = measured("likelihoods", *command)[0].values()
    assert [one["image"] for one in rows] == ["waves", "mean"]
    models = [one["model"] for one in json.loads(file.read_text())["results"]]
    assert [model.split("(")[0] for model in models] == ["Gaussian", "Poisson"] * 2 + ["Gaussian"] * 2


def test_compression(folder, tmp_path):
    command = [folder, "--images", "colour", "--qualities", 20, "--crop", 40, "--iterations", 2]
    (rows,) = measured("compression", *command, "--json", tmp_path / "compression.json")[0].values()
    assert [(one["image"], one["quality"]) for one in rows] == [("colour", "20")]


def test_calibration(folder, tmp_path):
    file = tmp_path / "calibration.json"
    command = [folder, "--images", "waves", "--kinds", "gauss", "--crop", 32, "--iterations", 3, "--json", file]
    coverage, reliability = measured("calibration", *command)[0].values()
    suites = ["denoise-sigma50", "inpaint-50", "simulated gauss 25"]
    assert [one["suite"] for one in coverage] == [one["suite"] for one in reliability] == suites
    results = json.loads(file.read_text())["results"]
    assert all(one["same_image"] for one in results)
    for one in results:
        assert sorted(one["coverage"].values()) == list(one["coverage"].values())


def test_seeds(folder, tmp_path):
    file = tmp_path / "seeds.json"
    command = [folder, "--suite", "denoise-sigma50", "--seeds", 2, "--crop", 32, "--iterations", 6, "--json", file]
    (rows,) = measured("seeds", *command)[0].values()
    assert [one["image"] for one in rows] == ["colour", "waves"]
    assert all(float(one["min"]) <= float(one["mean (dB)"]) <= float(one["max"]) for one in rows)
    assert [one["seed"] for one in json.loads(file.read_text())["results"]] == [0, 1, 0, 1]


def test_seeds_tells_of_failures(folder):
    done = run("seeds", folder, "--suite", "denoise-sigma50", "--images", "waves", "--seeds", 1, "--iterations", -1)
    assert done.returncode == 1 and "seed 0: InputError" in done.stdout


def test_ablation_of_every_trick(folder, tmp_path):
    file = tmp_path / "ablation.json"
    command = [folder, "--images", "photons/ramp", "--iterations", 3, "--json", file]
    (rows,) = measured("ablation", *command)[0].values()
    assert len(rows) == 15 and "(+0.00)" in rows[0]["photons/ramp"]
    found = {one["change"]: one["psnr"] for one in json.loads(file.read_text())["results"]}
    assert found["neighbours of correlated noise seen"] is None  # the noise is white
    same = {name for name, value in found.items() if value == found["all tricks"]}
    # three iterations are too few to stop or to leave only noise, and not every processor has bfloat16
    few = {"no stop by held-out pixels", "noise not corrected by residuals"}
    assert same <= {"all tricks", "float32 instead of bfloat16", *few}


def test_constants_and_resuming(folder, tmp_path):
    file = tmp_path / "constants.json"
    command = [folder, "--images", "denoise-sigma50/colour", "inpaint-50/waves", "holes/waves", "--crop", 32]
    command += ["--iterations", 2, "--json", file, "--resume", "--rows"]
    numbers = ["Refined.apart_over", "PatchGroups.stride", "MUON.rate", "MaskedPreset.deep_gap"]
    tables, told = measured("constants", *command, *numbers)
    assert [one["number"] for one in tables["PSNR"]] == numbers[1:] and len(tables["Uncertainty"]) == 1
    (stride, rate, gap), (apart,) = tables["PSNR"], tables["Uncertainty"]
    assert (stride["today"], stride["images"]) == ("4", "1") and (rate["today"], rate["images"]) == ("0.01", "2")
    assert (gap["today"], gap["images"]) == ("4", "1") and apart["today"] == "9"
    assert told.count("\n") == 3 + 2 * (1 + 1 + 2 + 1)

    again, told = measured("constants", *command, *numbers)
    assert again == tables and not told  # nothing was computed again
    shown, told = measured("constants", *command, *numbers, "--show")
    assert shown == tables and not told
    values = {(one["number"], one["which"]): one["value"] for one in json.loads(file.read_text())["results"][1:5]}
    assert values == {
        ("Refined.apart_over", "half"): 5,
        ("Refined.apart_over", "double"): 19,
        ("PatchGroups.stride", "half"): 2,
        ("PatchGroups.stride", "double"): 8,
    }


@pytest.fixture
def troubled(tmp_path):
    """Make images with a trouble each: hot pixels, missing ones, one dye as RGB, a hot pixel to be enlarged."""
    random, (y, x) = np.random.default_rng(0), np.mgrid[:48, :48]
    truth = 200 + 100 * np.sin(x / 7) * np.cos(y / 5)
    noisy = (truth + random.normal(0, 20, truth.shape)).round().astype(np.uint16)
    hot, small = noisy.copy(), truth.reshape(12, 4, 12, 4).mean((1, 3)).round().astype(np.uint16)
    hot[10, 10] = hot[30, 5] = 65535
    mask = np.ones(truth.shape, bool)
    mask[::2, ::2] = False
    too_hot = small.copy()
    too_hot[6, 6] = 65535
    images = {"hot-pixels-65535": hot, "sparse-grid": np.where(mask, 0, truth).astype(np.float32)}
    images |= {"drawn-edges": images["sparse-grid"], "small-clean": small, "small-hot": too_hot}
    for name, image in images.items():
        imsave(tmp_path / f"{name}.tif", image, check_contrast=False)
    holes = 255 * mask.astype(np.uint8)
    green = np.stack([0 * noisy, noisy // 2, 0 * noisy], -1).astype(np.uint8)
    write(tmp_path / "png", **{"green-dye": green, "sparse-grid-mask": holes, "drawn-edges-mask": holes})
    for path in (tmp_path / "png").iterdir():
        path.rename(tmp_path / path.name)
    for name in ("hot-pixels", "sparse", "drawn-edges", "small", "dye"):
        np.save(tmp_path / f"{name}-truth.npy", truth / 2 if name == "dye" else truth)
    return tmp_path


def percent(text):
    return float(text.removesuffix(" %"))


def test_field_cases(troubled):
    file = troubled / "scores.json"
    tables, told = measured("field_cases", troubled, "--set", "max_iterations=3", "--json", file)
    (rows,) = tables.values()
    of = [(one["case"], one["scored"]) for one in rows]
    assert of == [
        ("green-dye", "whole"),
        ("hot-pixels-65535", "no outliers"),
        ("sparse-grid", "missing"),
        ("drawn-edges", "whole"),
        ("drawn-edges", "missing"),
        ("small-hot", "no outliers"),
    ]
    written = json.loads(file.read_text())
    found = {(one["case"], one["scored"]): one for one in written["results"]}
    assert written["settings"] == {"max_iterations": "3", "threads": 1}
    assert all(one["notes"]["settings"]["max_iterations"] == 3 for one in written["results"])
    for name in ("green-dye", "hot-pixels-65535"):  # 20 in a range of 200, wherever it is scored
        assert found[name, "whole" if name == "green-dye" else "no outliers"]["psnr"]["input"] == pytest.approx(
            20, abs=1
        )
    whole, missing = (found["drawn-edges", part]["psnr"] for part in ("whole", "missing"))
    for method in ("input", "biharmonic", "ours"):  # what is there is exact
        assert whole[method] - missing[method] == pytest.approx(10 * np.log10(4 / 3), abs=0.2)
    assert found["drawn-edges", "missing"]["asked"] is None
    small = found["small-hot", "no outliers"]
    assert small["asked"] > small["psnr"]["input"] + 2
    good = sum(one["verdict"] == "good" for one in rows)
    assert f"{good} of 6 are good" in told


def test_uncertainty_of_field_cases(troubled):
    tables, _ = measured(
        "field_cases", troubled, "--cases", "green-dye", "small-hot", "--set", "max_iterations=3", "uncertainty=true"
    )
    _, rows = tables.values()
    assert [one["case"] for one in rows] == ["green-dye", "small-hot"]
    assert all(0 < percent(one["within 90 %"]) <= 100 for one in rows)


def test_coverage_of_field_cases(modules):
    from field_cases import coverage

    error = np.random.default_rng(0).normal(0, 1, (100, 100)) * np.linspace(1, 3, 100)
    scored = np.ones(error.shape, bool)
    scored[0] = False
    error[0] = 99
    said = np.broadcast_to(np.linspace(1, 3, 100), error.shape)
    assert coverage(error, said, scored) == pytest.approx([0.9, 0.9, 1], abs=0.02)
    assert coverage(2 * error, said, scored)[2] == pytest.approx(2, abs=0.04)
    assert coverage(error, 0 * said, scored) == []


def test_a_field_case_that_is_not_there(troubled):
    done = run("field_cases", troubled, "--cases", "sem-data-bar", "sparse-grid", "--set", "max_iterations=1")
    assert done.returncode == 1 and "sem-data-bar failed" in done.stderr and "no file" in done.stderr
    assert "| sparse-grid |" in done.stdout


def test_verdicts_of_field_cases(modules):
    from field_cases import judge

    assert judge(30.0, cheap=30.05, asked=30.0) == judge(30.0, cheap=20.0, asked=None) == "good"
    assert judge(30.0, cheap=30.2, asked=25.0) == "below cheap"
    assert judge(30.0, cheap=25.0, asked=30.01) == "below asked"
    assert judge(30.0, cheap=31.0, asked=32.0) == "below cheap and asked"


def test_what_is_no_measurement_is_not_scored(modules):
    from field_cases import PARTS, Loaded

    truth = np.full((30, 20), 100.0)
    truth[-4:] = [[0], [255], [0], [0]]
    truth[:, 0] = np.where(truth[:, 0] == 100, 0, truth[:, 0])
    image = truth.copy()
    image[10, 10] = 65535
    case = Loaded(image, "YX", image, truth, None)
    assert np.array_equal(PARTS["no bar"](case).any(1), np.arange(30) < 26)
    assert (~PARTS["no outliers"](case)).sum() == 25 and not PARTS["no outliers"](case)[8:13, 8:13].any()
    assert PARTS["not zero"](case).sum() == 26 * 19 + 20
    enlarged = Loaded(image, "YX", image, truth.repeat(4, 0).repeat(4, 1), None)
    assert (~PARTS["no outliers"](enlarged)).sum() == 25 * 16


def said_to_be_measured(text, owner):
    """Give the fields of whose description a docstring says so, as Class.field, and the owner if it is of no field."""
    phrase, entry = "easured: benchmarks/constants.py", r"^(\w+(?:, \w+)*)(?: : .*)?\n((?:    .*\n?)+)"
    of_fields = [
        f"{owner}.{name}"
        for names, about in re.findall(entry, text, re.M)
        if phrase in " ".join(about.split())
        for name in names.split(", ")
    ]
    return of_fields + [owner] * (phrase in " ".join(re.sub(entry, "", text, flags=re.M).split()))


def test_every_number_that_is_said_to_be_measured_is_a_row(modules):
    from constants import ROWS

    told = set()
    for path in PRIOR.rglob("*.py"):
        found, before = [], None
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found.append(said_to_be_measured(ast.get_docstring(node) or "", node.name))
            elif isinstance(node, ast.Expr) and isinstance(before, ast.Assign):
                found.append(said_to_be_measured(ast.literal_eval(node.value), ast.unparse(before.targets[0])))
            before = node
        if "benchmarks/constants.py" in path.read_text():
            assert any(found), path
        told |= {name for names in found for name in names}
    assert len(told) > 40 and {"HeldOut.tolerance", "VarianceHead.shift", "FASTER_MUON", "SlimPrior"} <= told
    rows = {name.split(" (")[0] for name in ROWS}
    assert not {name for name in told if not any(f"{row}.".startswith(f"{name}.") for row in rows)}


def test_every_row_changes_a_number_of_a_preset(modules):
    from constants import ROWS
    from vary import Setup

    from napari_dip.prior.presets import FAST

    for name, row in ROWS.items():
        changed = 0
        for preset in FAST.values():
            setup = Setup(preset)
            with suppress(AttributeError):  # not a number of this preset
                today = row.today(setup)
                for value in row.others(today) if today is not None else ():
                    assert row.today(row.at(setup, value)) == value, name
                    changed += value != today
        assert changed > 1, name


def test_noise_that_is_not_corrected_is_the_estimated_one():
    """What the ablation hands in for that."""
    import torch

    from napari_dip.prior.noise.config import Estimation
    from napari_dip.prior.noise.corrected import corrected_noise
    from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance

    values = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    likelihood = Gaussian(NoiseVariance(1e-3, gain=1e-3))
    image, observed = values.sqrt(), torch.ones(1, 1, 64, 64)
    found = corrected_noise(likelihood, image, values, observed, Estimation(most_correction=1.0))
    assert torch.equal(found, likelihood.noise_variance(image))
    assert not torch.equal(corrected_noise(likelihood, image, values, observed), found)


def test_images_that_are_not_there(folder):
    done = run("stopping", folder, "--images", "nowhere")
    assert done.returncode == 1 and "nowhere" in done.stderr and "there: colour, ramp, waves" in done.stderr
    assert "Traceback" not in done.stderr


def test_simulated_noise_is_as_strong_as_told(modules):
    from simulate import KINDS, compressed, noisy, photons

    truth = np.tile(np.linspace(0.1, 0.9, 256, dtype=np.float32), (256, 1))
    for kind in KINDS:
        image = noisy(truth, kind, 25, seed=1)
        assert image.dtype == np.float32 and np.array_equal(image, noisy(truth, kind, 25, seed=1))
        assert not np.array_equal(image, noisy(truth, kind, 25, seed=2))
        assert 255 * np.std(image - truth) == pytest.approx(25, rel=0.03)
        assert np.mean(image - truth) == pytest.approx(0, abs=2e-3)
    bright = truth > 0.5
    deviation = {
        k: np.std((noisy(truth, k, 25) - truth)[bright]) / np.std((noisy(truth, k, 25) - truth)[~bright]) for k in KINDS
    }
    assert deviation["gauss"] < 1.02 < deviation["poisson-gaussian"] < deviation["poisson"] < deviation["speckle"]
    counts = photons(truth, 5)
    assert np.allclose(5 * counts, np.round(5 * counts), atol=1e-5) and counts.mean() == pytest.approx(0.5, abs=0.01)
    assert 0 < np.abs(compressed(truth, 10) - truth).mean() < 0.05


def test_rules_are_judged_by_what_they_lose(modules):
    from stopping import PRODUCT, judge

    from napari_dip.prior.fitting.stopping import HeldOut

    looks = [(10, 20.0), (20, 24.0), (30, 24.97), (40, 25.0), (50, 23.0), (160, 12.0)]
    flat = [(at, 1.0) for at in range(5, 165, 5)]
    result = {"looks": looks, "seen": {"held-out": flat, "variance": flat, "discrepancy": flat}}
    verdicts = judge(result, HeldOut(least=45))
    assert verdicts[PRODUCT]["stop_at"] == 45 and verdicts[PRODUCT]["gap"] == pytest.approx(1)
    assert verdicts[PRODUCT]["best"] == 25 and verdicts[PRODUCT]["best_at"] == 30
    assert not verdicts[PRODUCT]["late"] and verdicts["60 iterations"]["late"]
    assert verdicts["60 iterations"]["gap"] == pytest.approx(3)
    assert verdicts["never"]["stop_at"] == 160 and verdicts["never"]["gap"] == 13


VERSION = """
import os
from types import SimpleNamespace
import numpy as np
from napari_dip.prior import apply

def denoise(image, axes, threads, device, max_iterations=None, trouble=None):
    if image.shape[-1] == 48 and trouble == "error":
        raise ValueError("no such luck")
    if image.shape[-1] == 48 and trouble == "killed":
        os.kill(os.getpid(), 9)
    y, x = np.indices(image.shape[-2:]) // apply.SIDE
    slope = np.indices(image.shape[-2:]).sum(0)
    return SimpleNamespace(image=image * 0.0 + slope + 2 * (y + x))

def load_prior(file):
    return SimpleNamespace(restore=lambda image: SimpleNamespace(image=image.astype(float)))
"""


@pytest.fixture
def version(tmp_path):
    """Make another version of the package, as far as the measurement needs one."""
    package = tmp_path / "version" / "napari_dip"
    (package / "prior").mkdir(parents=True)
    (package / "__init__.py").write_text(VERSION)
    (package / "prior" / "__init__.py").touch()
    (package / "prior" / "apply.py").write_text("SIDE = 1000\n")
    return package.parent


def scaled(*arguments):
    done = run("scale", "--threads", 1, "--repeat", 1, *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in done.stdout.splitlines() if "|" in line]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]], done


def test_scale(version, tmp_path):
    file, figure = tmp_path / "scale.json", tmp_path / "scale.png"
    command = ["--sizes", 16, "--planes", 2, "--plane-side", 16, "--settings", "max_iterations=2", "--against", version]
    rows, done = scaled(*command, "--json", file, "--figure", figure)
    assert done.returncode == 0, done.stderr
    of = [(one["image"], one["call"]) for one in rows]
    assert of == [(image, call) for image in ("16 x 16", "2 x 16 x 16") for call in ("this", "against")]
    for ours, other in (rows[:2], rows[2:]):  # torch is in one of them only
        assert float(ours["peak (GiB)"]) >= float(ours["before (GiB)"]) > float(other["peak (GiB)"]) > 0
        assert float(ours["PSNR (dB)"]) > float(other["PSNR (dB)"])
    assert figure.exists() or "matplotlib is not installed" in done.stderr
    written = json.loads(file.read_text())
    assert [one["shape"] for one in written["results"]] == [[16, 16]] * 2 + [[2, 16, 16]] * 2
    assert {"command", "versions", "machine"} <= written.keys()


def test_scale_of_seams_and_of_a_warm_start(version, tmp_path):
    command = ["--sizes", 48, "--planes", "--seams", 16, "--prior", tmp_path / "prior.npz", "--against", version]
    rows, done = scaled(*command, "--settings", "max_iterations=1")
    assert done.returncode == 1  # for this version has neither
    jumps = {one["call"]: one["jump at borders"] for one in rows}
    assert jumps["against, whole for 16"] == "1.00" and jumps["against, tiles of 16"] == "3.00"
    assert float(next(one for one in rows if one["call"] == "against, warm")["PSNR (dB)"]) > 15


@pytest.mark.parametrize("trouble, told", [("error", "ValueError: no such luck"), ("killed", "ended by signal 9")])
def test_scale_tells_what_failed_and_goes_on(version, trouble, told):
    command = ["--sizes", 48, 32, "--planes", "--settings", f"trouble={trouble}", "--against", version]
    rows, done = scaled(*command)
    assert done.returncode == 1
    seconds = {(one["image"], one["call"]): one["s (min - max)"] for one in rows}
    assert seconds["48 x 48", "against"] == told
    assert "no setting named 'trouble'" in seconds["32 x 32", "this"]
    assert float(seconds["32 x 32", "against"].split()[0]) >= 0


def test_scale_gives_up_after_a_while(version):
    rows, _ = scaled("--sizes", 16, "--planes", "--against", version, "--timeout", 0.01)
    assert [one["s (min - max)"] for one in rows] == ["took more than 0.01 s"] * 2


def test_jumps_across_the_borders_of_tiles(modules):
    from scale_process import seam_ratio

    smooth = np.random.default_rng(0).normal(0, 1, (2, 40, 60))
    assert seam_ratio(smooth, 20) == pytest.approx(1, abs=0.1)
    assert seam_ratio(np.add.outer(np.arange(40), 2.0 * np.arange(60)), 20) == pytest.approx(1, abs=0.2)
    y, x = np.indices((40, 60)) // 20
    assert seam_ratio(smooth + 100 * ((y + x) % 2), 20) > 50
    assert 0.9 < seam_ratio(smooth, 19) < 1.1
    assert np.isnan(seam_ratio(smooth, 60))


def test_medians_and_curves_of_scale(modules):
    from scale import Measured, curves, medians

    seconds = [1.0, 9.0, 2.0]
    found = [Measured("this", (8, 8), 2, one, peak=one / 2, before=0.1, psnr=30) for one in seconds]
    found += [Measured("this", (4, 4), 2, 0.5, peak=0.2, before=0.1, psnr=30)]
    found += [Measured("this", (2, 8, 8), 1, failed="ended by signal 9")]
    rows = medians(found)
    assert rows[0] == ["8 x 8", "this", 2, "2 (1 - 9)", 3, 1.0, 0.1, 30.0, "-"]
    assert rows[2] == ["2 x 8 x 8", "this", 1, "ended by signal 9", *["-"] * 5]
    assert curves(found, "seconds", 2) == {"this, 2 threads": [(16, 0.5), (64, 2.0)]}
    assert curves(found, "peak", 3) == {}


def test_curves_are_drawn(modules, tmp_path):
    pytest.importorskip("matplotlib")
    from scale import Measured, draw

    draw([Measured("this", (8 * n, 8), 1, float(n), peak=0.1 * n) for n in (1, 2)], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_simulated_cells_are_taken_by_a_camera(modules):
    from simulate import camera, cells

    for shape in ((64, 48), (4, 32, 32)):
        truth = cells(shape)
        assert truth.shape == shape and truth.dtype == np.float32 and np.array_equal(truth, cells(shape))
        assert truth.min() >= 0 and 0.2 < truth.max() <= 1 and np.median(truth) < 0.2
        image, in_units = camera(truth, 50)
        assert image.dtype == np.uint16
        left = image - in_units
        assert left.mean() == pytest.approx(0, abs=0.3)
        assert left.var() == pytest.approx(2 * np.mean(in_units - 100) + 4, rel=0.2)


def test_scale_of_blocks(tmp_path):
    file = tmp_path / "blocks.json"
    small = ("--planes", 6, "--side", 48, "--depth", 4, "--brick", 32, "--iterations", 2)
    done = run("scale_blocks", *small, "--json", file)
    assert done.returncode == 0, done.stderr
    blocks, whole = json.loads(file.read_text())["results"]
    assert (blocks["way"], whole["way"], blocks["bricks"]) == ("blocks", "whole", 8)
    assert blocks["psnr"] > blocks["noisy"] + 3 and abs(blocks["psnr"] - whole["psnr"]) < 3
    assert 0.3 < blocks["seams"] < 3 and 0 < blocks["before"] <= blocks["peak"]


def test_gui_gaps(qapp, tmp_path):  # which sees to a screen
    file = tmp_path / "gaps.json"
    done = run("gui_gaps", "--side", 32, "--iterations", 3, "--json", file)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(file.read_text())["results"]
    assert 0 < found["p50"] <= found["p95"] <= found["p99"] <= found["longest"] and found["turns"] > 50
