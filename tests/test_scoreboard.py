"""The scoreboard on images made here: tasks seen from the files, the protocol, the table and the JSON."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter
from skimage.io import imsave

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ORACLES = ["gaussian", "median"]


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


def write_volume(folder, axes, **others):
    """Write spots that get brighter from plane to plane, with photon and read noise, as a camera has them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    z, y, x = np.mgrid[:6, :24, :20]
    truth = (110 + 20 * (1 + z) * np.sin(y / 4) ** 2 * np.sin(x / 4) ** 2).astype(np.float32)
    noisy = np.round(100 + 2 * rng.poisson((truth - 100) / 2) + rng.normal(0, 2, truth.shape)).astype(np.uint16)
    for name, array in {"input": noisy, "truth": truth, **others}.items():
        tifffile.imwrite(
            folder / f"{name}.tif", array, metadata={"axes": axes}, compression="zlib", photometric="minisblack"
        )


@pytest.fixture
def volumes(tmp_path):
    write_volume(tmp_path / "volume" / "spots", "ZYX")
    write_volume(tmp_path / "series" / "spots", "TYX")
    write_volume(tmp_path / "blurred" / "spots", "ZYX", psf=np.ones((3, 3, 3), np.float32) / 27)
    return tmp_path


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


def test_scores_volumes_and_series(scoreboard, volumes, capsys):
    report = volumes / "report.json"
    command = [str(volumes), "--methods", "fast", "nlm", "--set", "max_iterations=2", "--planes", "2", "--crop", "16"]
    assert scoreboard.main([*command, "--threads", "1", "--json", str(report)]) == 0
    told = capsys.readouterr()
    assert "spots 2x16x16" in told.out
    assert "blurred/spots: no task takes psf. It is left out." in told.err
    written = json.loads(report.read_text())
    found = [(one["suite"], one["method"], one["size"]) for one in written["results"]]
    assert found == [(suite, method, "2x16x16") for suite in ("series", "volume") for method in ("input", "fast")]
    assert [one["notes"]["axes"] for one in written["results"] if one["notes"]] == ["TYX", "ZYX"]
    assert (written["crop"], written["planes"]) == (16, 2)


def test_protocol_of_volumes(scoreboard, volumes):
    case = scoreboard.load(volumes / "volume" / "spots", None)
    assert case.input.dtype == np.uint16 and case.axes == "ZYX" and case.size == "6x24x20"
    span = np.ptp(case.truth)
    assert scoreboard.measure(case.truth + span / 10, case)[0] == pytest.approx(20, abs=1e-4)
    assert scoreboard.measure(case.truth, case) == (np.inf, pytest.approx(1))
    error = np.mean((case.input.astype(float) - case.truth) ** 2)
    assert scoreboard.score("input", case, {}).psnr == pytest.approx(10 * np.log10(span**2 / error))


def test_crop_and_planes_of_a_volume(scoreboard, volumes):
    whole = scoreboard.load(volumes / "volume" / "spots", None)
    cropped = scoreboard.load(volumes / "volume" / "spots", 16, 3)
    assert np.array_equal(cropped.truth, whole.truth[:3, 4:20, 2:18])
    assert np.array_equal(cropped.input, whole.input[:3, 4:20, 2:18])


def test_a_volume_that_is_larger_than_its_input_is_super_resolution(scoreboard, tmp_path):
    write_volume(tmp_path / "small" / "spots", "ZYX")
    truth = tifffile.imread(tmp_path / "small" / "spots" / "truth.tif")
    tifffile.imwrite(tmp_path / "small" / "spots" / "input.tif", truth[:, ::2, ::2], metadata={"axes": "ZYX"})
    case = scoreboard.load(tmp_path / "small" / "spots", 12)
    assert (case.task, case.factor) == ("super_resolve", 2)
    assert np.array_equal(case.input, case.truth[:, ::2, ::2])
    assert scoreboard.score("input", case, {}).psnr > 10


def test_axes_that_differ_are_refused(scoreboard, tmp_path):
    write_volume(tmp_path / "volume" / "spots", "ZYX")
    truth = tifffile.imread(tmp_path / "volume" / "spots" / "truth.tif")
    tifffile.imwrite(tmp_path / "volume" / "spots" / "truth.tif", truth, metadata={"axes": "TYX"})
    with pytest.raises(SystemExit, match="axes ZYX and TYX are not alike"):
        scoreboard.load(tmp_path / "volume" / "spots", None)


def test_methods_for_volumes_and_images_are_apart(scoreboard, volumes, folder, monkeypatch, capsys):
    for package in ("bm3d", "bm4d"):  # as if they were installed
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    volume = scoreboard.load(volumes / "volume" / "spots", None)
    assert scoreboard.usable(scoreboard.DEFAULT, volume) == ["input", "fast", *ORACLES, "bm3d-planes", "bm4d"]
    image = scoreboard.load(folder / "noise-sigma25" / "waves", None)
    classical = ["nlm", "bm3d", "vst-bm3d", "bm3d-told"]
    assert scoreboard.usable(scoreboard.DEFAULT, image) == ["input", "fast", *ORACLES, *classical]
    monkeypatch.setitem(sys.modules, "bm4d", None)
    assert scoreboard.usable(scoreboard.DEFAULT, volume) == ["input", "fast", *ORACLES, "bm3d-planes"]
    assert "BM4D is left out" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "bm3d", None)
    assert scoreboard.usable(scoreboard.DEFAULT, image) == ["input", "fast", *ORACLES, "nlm"]
    assert "BM3D is left out" in capsys.readouterr().err


def test_filters_have_the_width_that_is_best_by_the_truth(scoreboard, folder, volumes):
    for where in (folder / "noise-sigma25" / "waves", volumes / "volume" / "spots"):
        case = scoreboard.load(where, None)
        same = (0,) * (case.input.ndim - 2)
        tried = [gaussian_filter(case.scaled, (*same, sigma, sigma)) for sigma in (0.5, 0.75, 1, 1.5, 2.25, 3.4)]
        best = max(scoreboard.measure(one, case)[0] for one in tried)
        found = scoreboard.score("gaussian", case, {})
        assert found.psnr == pytest.approx(best) and found.notes["chosen by"] == "the truth"
        assert found.psnr > scoreboard.score("input", case, {}).psnr + 2


def test_a_filter_is_judged_by_the_pixels_that_count(scoreboard):
    flat = np.broadcast_to(np.arange(40) >= 20, (40, 40))
    truth = np.where(flat, 0.5, np.arange(40) // 2 % 2)
    noisy = truth + flat * np.random.default_rng(0).normal(0, 0.1, truth.shape)
    for method, finest, widest in ((scoreboard.baselines.gaussian, 0.5, 3.4), (scoreboard.baselines.median, 3, 5)):
        assert method(noisy, truth, scored=~flat)[1]["pixels"] == finest
        assert method(noisy, truth, scored=flat)[1]["pixels"] == widest


def test_colours_are_filtered_one_by_one(scoreboard, folder):
    case = scoreboard.load(folder / "noise-sigma25" / "waves", None)
    gray, colour = case.scaled, np.stack([case.scaled] * 3, -1)
    for name in ORACLES:
        method = getattr(scoreboard.baselines, name)
        expected, _ = method(gray, case.scaled_truth)
        found, _ = method(colour, np.stack([case.scaled_truth] * 3, -1))
        assert np.array_equal(found, np.stack([expected] * 3, -1))


@pytest.mark.parametrize("gain, read, offset", [(2.0, 2.0, 100.0), (0.5, 3.0, 0.0), (10.0, 0.0, 20.0)])
def test_variance_is_stabilised_and_the_mean_comes_back(scoreboard, gain, read, offset):
    rng, intercept = np.random.default_rng(0), read**2 - gain * offset
    for photons in (1, 3, 10, 100):
        values = offset + gain * rng.poisson(photons, 40_000) + rng.normal(0, read, 40_000)
        stable = scoreboard.baselines.anscombe(values, gain, intercept)
        assert stable.var() == pytest.approx(1, abs=0.1 if photons > 1 else 0.3)
        back = scoreboard.baselines.inverse_anscombe(stable.mean(keepdims=True), gain, intercept)
        assert back[0] == pytest.approx(offset + gain * photons, abs=0.03 * gain * photons + 0.05 * read)


def test_a_mean_of_planes_is_better_in_stabilised_units_too(scoreboard, volumes):
    case = scoreboard.load(volumes / "volume" / "spots", None)
    same, notes = scoreboard.baselines.stabilised(case.scaled, lambda planes, _: planes)
    assert same.shape == case.input.shape and notes["gain"] > 0
    noise = notes["gain"] * case.truth.mean() + notes["intercept"]
    assert noise == pytest.approx(np.var(case.input - case.truth), rel=0.5)

    def blurred(planes, sigma):
        assert planes.shape == case.input.shape and sigma == pytest.approx(1, abs=0.2)
        return gaussian_filter(planes, 1)

    better, _ = scoreboard.baselines.stabilised(case.scaled, blurred)
    assert scoreboard.measure(better, case)[0] > scoreboard.score("input", case, {}).psnr + 2
    assert better.mean() == pytest.approx(case.truth.mean(), rel=0.02)


def test_noise_that_is_the_same_everywhere_can_be_stabilised(scoreboard):
    rng = np.random.default_rng(0)
    volume = 50 + rng.normal(0, 4, (3, 40, 40))
    gain, intercept = scoreboard.baselines.estimate_line(volume)
    stable = scoreboard.baselines.anscombe(volume, gain, intercept)
    assert stable.var() == pytest.approx(1, abs=0.2)
    assert scoreboard.baselines.inverse_anscombe(stable, gain, intercept) == pytest.approx(volume, abs=gain)
    flat, _ = scoreboard.baselines.stabilised(np.full((2, 16, 16), 7.0), lambda planes, _: planes)
    assert flat == pytest.approx(7, abs=0.01)


def test_images_are_stabilised_with_one_line_for_all_colours(scoreboard, folder, monkeypatch):
    """With a filter in the place of BM3D, whose package may not be there."""
    told = []

    def filtered(image, sigma, _profile):
        told.append((image.shape, sigma))
        return gaussian_filter(image, [2, 2, 0][: image.ndim])

    package = ModuleType("bm3d")
    package.bm3d = package.bm3d_rgb = filtered
    package.BM3DProfile = SimpleNamespace
    monkeypatch.setitem(sys.modules, "bm3d", package)
    case = scoreboard.load(folder / "noise-sigma25" / "waves", None)
    gray = scoreboard.score("vst-bm3d", case, {"threads": 1})
    assert gray.psnr > scoreboard.score("input", case, {}).psnr + 2
    same, _ = scoreboard.baselines.vst_bm3d(np.stack([case.scaled] * 3, -1))
    assert same.shape == (48, 48, 3) and same[..., 0] == pytest.approx(same[..., 2])
    assert np.mean((same[..., 0] - case.scaled_truth) ** 2) == pytest.approx(10 ** (-gray.psnr / 10), rel=0.1)
    assert [shape for shape, _ in told] == [(48, 48), (48, 48, 3)]
    assert all(sigma == pytest.approx(1, abs=0.2) for _, sigma in told)


def test_rivals_for_images_improve_on_the_input(scoreboard, folder):
    pytest.importorskip("bm3d")
    case = scoreboard.load(folder / "noise-sigma25" / "waves", None)
    assert scoreboard.score("vst-bm3d", case, {"threads": 1}).psnr > scoreboard.score("input", case, {}).psnr + 5
    colour = np.stack([case.scaled] * 3, -1)
    restored, _ = scoreboard.baselines.vst_bm3d(colour, threads=1)
    assert np.mean((restored - case.scaled_truth[..., None]) ** 2) < np.var(colour - case.scaled_truth[..., None]) / 3


def test_rivals_for_volumes_improve_on_the_input(scoreboard, volumes):
    pytest.importorskip("bm3d")
    pytest.importorskip("bm4d")
    case = scoreboard.load(volumes / "volume" / "spots", None)
    for method in ("bm3d-planes", "bm4d"):
        assert scoreboard.score(method, case, {"threads": 1}).psnr > scoreboard.score("input", case, {}).psnr + 2
