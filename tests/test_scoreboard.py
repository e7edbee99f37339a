"""The scoreboard on images made here: tasks seen from the files, the protocol, the table and the JSON."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def scoreboard(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scoreboard

    yield scoreboard
    for name in ("scoreboard", "cases", "baselines"):
        sys.modules.pop(name, None)


def write(folder, **arrays):
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        imsave(folder / f"{name}.png", array, check_contrast=False)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :48]
    truth = (127 + 80 * np.sin(x / 7) * np.cos(y / 5)).astype(np.uint8)
    noisy = (truth + rng.normal(0, 25, truth.shape)).clip(0, 255).astype(np.uint8)
    mask = (rng.random(truth.shape) < 0.5).astype(np.uint8) * 255
    write(tmp_path / "noise-sigma25" / "waves", input=noisy, truth=truth)
    write(tmp_path / "holes" / "waves", input=np.where(mask, 0, truth), truth=truth, mask=mask)
    shrunk = truth.reshape(12, 4, 12, 4).mean((1, 3)).astype(np.uint8)
    write(tmp_path / "small" / "waves", input=shrunk, truth=truth)
    colour = np.stack([truth] * 3, -1)
    write(tmp_path / "small" / "colour", input=colour[::4, ::4], truth=colour)
    (tmp_path / "published.csv").write_text(
        "suite,image,method,size,psnr,ssim\nholes,waves,voronoi,48x48,27.51,0.9\nother,waves,none,48x48,1,0\n"
    )
    return tmp_path


def test_scores_every_task_with_its_own_methods(scoreboard, folder, capsys):
    report = folder / "report.json"
    command = [str(folder), "--methods", "fast", "nlm", "bicubic", "biharmonic", "--set", "max_iterations=3"]
    assert scoreboard.main([*command, "--json", str(report)]) == 0

    table = capsys.readouterr().out
    assert "published voronoi" in table and "27.51 / 0.900" in table and "published none" not in table
    written = json.loads(report.read_text())
    methods = {}
    for one in written["results"]:
        methods.setdefault((one["suite"], one["image"]), []).append(one["method"])
    assert methods == {
        ("noise-sigma25", "waves"): ["input", "fast", "nlm"],
        ("holes", "waves"): ["input", "fast", "biharmonic"],
        ("small", "waves"): ["input", "fast", "bicubic"],
        ("small", "colour"): ["input", "fast", "bicubic"],
    }
    ours = next(one for one in written["results"] if one["method"] == "fast")
    assert ours["notes"]["iterations"] == 3 and ours["seconds"] > 0
    assert {"command", "date", "settings", "versions", "machine"} <= written.keys()


def test_classical_methods_improve_on_the_input(scoreboard, folder):
    for suite, method in [("noise-sigma25", "nlm"), ("holes", "biharmonic"), ("small", "bicubic")]:
        case = scoreboard.load(folder / suite / "waves", None)
        assert scoreboard.score(method, case, {}).psnr > scoreboard.score("input", case, {}).psnr + 2


def test_a_crop_keeps_input_and_truth_together(scoreboard, folder):
    case = scoreboard.load(folder / "small" / "colour", 32)
    assert case.input.shape == (8, 8, 3) and case.truth.shape == (32, 32, 3) and case.factor == 4
    assert np.array_equal(case.input, case.truth[::4, ::4])
    with pytest.raises(SystemExit, match="no multiple of 4"):
        scoreboard.load(folder / "small" / "colour", 30)


def test_protocol(scoreboard, folder):
    case = scoreboard.load(folder / "noise-sigma25" / "waves", None)
    truth = case.truth / 255
    assert scoreboard.measure(truth + 0.1, case)[0] == pytest.approx(20, abs=1e-6)
    assert scoreboard.measure(truth, case) == (np.inf, pytest.approx(1))
    enlarged = scoreboard.load(folder / "small" / "waves", None)
    framed = enlarged.truth / 255
    framed[:4] = framed[:, -4:] = 0  # within the border that is left out
    assert scoreboard.measure(framed, enlarged)[0] == np.inf


def test_noise_is_estimated_as_told(scoreboard):
    noise = np.random.default_rng(1).normal(0.5, 25 / 255, (128, 128, 3))
    assert scoreboard.baselines.estimate_sigma(noise) * 255 == pytest.approx(25, rel=0.05)
    assert scoreboard.told_sigma("denoise-sigma25") == 25 / 255
    assert scoreboard.told_sigma("fluorescence") is None


def test_a_failing_method_is_said_and_the_rest_goes_on(scoreboard, folder, capsys):
    command = [str(folder), "--suite", "small", "--images", "waves", "--methods", "fast", "bicubic"]
    assert scoreboard.main([*command, "--set", "max_iterations=-1"]) == 1
    told = capsys.readouterr()
    assert "fast failed" in told.err and "max_iterations" in told.err
    assert told.out.count(" | - ") == 2


def test_nothing_to_score(scoreboard, tmp_path, capsys):
    assert scoreboard.main([str(tmp_path)]) == 1
    assert "no image to score" in capsys.readouterr().err
