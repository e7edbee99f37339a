"""Values on another scale than their own: angles that wrap around, and logarithms of what spans decades."""

import json

import dask.array
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import napari_dip as dip
from napari_dip.errors import InputError
from napari_dip.image.source import Source
from napari_dip.image.value_choice import circular, proportional
from napari_dip.run.run import Run
from napari_dip.run.summary import findings

QUICK = {"max_iterations": 3, "threads": 1}
TURN = 2 * np.pi


def angles(side=48, noise=0.3, seed=0):
    """Fringes in radians, -pi to pi, and the same with noise."""
    y, x = np.mgrid[:side, :side] / side
    phase = 9 * np.exp(-((y - 0.5) ** 2 + (x - 0.4) ** 2) / 0.1) + 4 * x
    noisy = phase + noise * np.random.default_rng(seed).standard_normal(phase.shape)
    return (np.angle(np.exp(1j * one)).astype(np.float32) for one in (phase, noisy))


def radiance(side=96, seed=0, noise=0.1, read=0.0):
    """Discs over five decades, and the same with noise in proportion to the value."""
    random = np.random.default_rng(seed)
    truth = 10 ** (5 * gaussian_filter(random.random((side // 12, side // 12)).repeat(12, 0).repeat(12, 1), 2.0) - 2)
    seen = truth * (1 + noise * random.standard_normal(truth.shape)) + read * random.standard_normal(truth.shape)
    return truth, seen.astype(np.float32)


def error(result, truth, period=TURN):
    """Root mean square on the circle."""
    return np.sqrt(np.mean(((result - truth + period / 2) % period - period / 2) ** 2))


def test_angles_are_restored_over_their_ends():
    truth, noisy = angles()
    result = dip.denoise(noisy, axes="YX", values="circular", uncertainty=True, max_iterations=30, threads=1)
    assert error(result.image, truth) < 0.6 * error(noisy, truth)
    assert result.image.shape == noisy.shape and result.image.dtype == np.float32
    assert -np.pi <= result.image.min() and result.image.max() < np.pi
    assert result.record["values"] == {"kind": "circular", "period": TURN, "low": -np.pi}
    found = result.record["planes"][0]["noise_variance"]["sigma"]
    assert 0.25 < found < 0.36
    assert 0.5 < np.sqrt(np.mean(result.uncertainty**2)) / error(result.image, truth) < 2
    assert "Restored as angles with a period of 6.28319" in " ".join(findings(result.record))


@pytest.mark.parametrize(
    ("low", "period", "dtype"),
    [(0.0, TURN, "float32"), (0, 360, "float64"), (-90, 180, "float32"), (0, 256, "uint8"), (0, 180, "uint8")],
)
def test_the_unit_of_angles_changes_nothing(low, period, dtype):
    _, noisy = angles()
    turns = (noisy / TURN - low / period) % 1
    given = (low + period * turns).astype(dtype)
    found = dip.denoise(given, axes="YX", values="circular", **QUICK)
    assert found.record["values"]["period"] == pytest.approx(period)
    assert low <= found.image.min() and found.image.max() < low + period
    usual = dip.denoise(noisy, axes="YX", values="circular", **QUICK)
    assert error(found.image / period * TURN, usual.image) < 0.06


@pytest.mark.parametrize(
    ("low", "high", "dtype", "expected"),
    [
        (0, np.pi, "float32", (np.pi, 0)),
        (-np.pi / 2, np.pi / 2, "float32", (np.pi, -np.pi / 2)),
        (-3, 2, "float32", (TURN, -np.pi)),
        (1, 6, "float32", (TURN, 0)),
        (0, 1, "float32", (1, 0)),
        (0, 180, "float64", (180, 0)),
        (0, 179, "uint16", (180, 0)),
        (0, 359, "uint16", (360, 0)),
        (0, 65535, "uint16", (65536, 0)),
        (-180, 170, "int16", (360, -180)),
        (-128, 127, "int8", (256, -128)),
        (10, 200, "uint8", (256, 0)),
    ],
)
def test_the_period_is_found_from_type_and_range(low, high, dtype, expected):
    image = np.linspace(low, high, 256).reshape(16, 16).astype(dtype)
    found = circular(Source(image, "YX"), None)
    assert (found.period, found.low) == pytest.approx(expected)


def test_a_period_is_believed():
    image = np.linspace(10, 60, 256).reshape(16, 16)
    found = circular(Source(image, "YX"), 90.0)
    assert (found.period, found.low) == (90.0, 0.0)
    found = circular(Source(image + 300, "YX"), 90.0)
    assert (found.period, found.low) == (90.0, 310.0)


@pytest.mark.parametrize(
    ("image", "settings", "words"),
    [
        (np.linspace(0, 1000, 256).reshape(16, 16), {}, "do not fit a period of 2 pi or 360; set the period"),
        (np.linspace(0, 7, 256).reshape(16, 16), {"period": 3.0}, "do not fit the period 3; set the period"),
        (np.zeros((16, 16, 3)) + np.arange(16)[:, None], {"axes": "YXS"}, "this is RGB; give one channel"),
        (np.eye(16), {"sigma": 0.1}, "With circular values the noise is estimated from the image; leave sigma out"),
        (np.eye(16), {"noise": "poisson"}, "the noise is estimated from the image; leave noise out"),
        (np.eye(16), {"values": "linear", "period": 3.0}, "Only circular values have a period; leave it out"),
        (np.eye(16) - 0.5, {"values": "logarithmic"}, 'which have no logarithm; set values to "linear"'),
    ],
)
def test_what_does_not_go_together_is_refused(image, settings, words):
    with pytest.raises(InputError, match=words):
        dip.restore_steps("denoise", image.astype(np.float32), **{"axes": "YX", "values": "circular"} | settings)


def test_enlarging_has_no_other_values():
    with pytest.raises(InputError, match="known in denoising and inpainting only; leave values out"):
        dip.restore_steps("super_resolve", np.eye(16), axes="YX", factor=2, values="circular")


def test_angles_are_filled_in_over_their_ends():
    truth, _ = angles()
    mask = np.zeros(truth.shape, bool)
    mask[20:24, 10:40] = True
    result = dip.inpaint(truth, mask, axes="YX", values="circular", uncertainty=True, max_iterations=40, threads=1)
    assert result.image[~mask].tobytes() == truth[~mask].tobytes()
    assert error(result.image[mask], truth[mask]) < 0.8
    assert np.all(result.uncertainty[~mask] == 0) and np.all(result.uncertainty[mask] > 0)


def test_angles_that_are_not_finite_are_filled_in():
    _, noisy = angles()
    noisy[5, 5], noisy[9, 9] = np.nan, np.inf
    assert np.isfinite(dip.denoise(noisy, axes="YX", values="circular", nonfinite="inpaint", **QUICK).image).all()
    with pytest.raises(InputError, match="The image holds 2 pixels that are NaN or inf"):
        dip.denoise(noisy, axes="YX", values="circular", **QUICK)


@pytest.mark.parametrize("values", ["circular", "logarithmic"])
def test_lazy_stacks_are_restored_like_those_in_memory(values):
    planes = [next(reversed(list(angles(seed=seed)))) for seed in range(3)]
    stack = np.stack(planes) + (4 if values == "logarithmic" else 0)
    found = dip.denoise(stack, axes="TYX", values=values, uncertainty=True, **QUICK)
    lazy = dask.array.from_array(stack, chunks=(1, 48, 48))
    again = dip.denoise(lazy, axes="TYX", values=values, uncertainty=True, **QUICK)
    assert found.image.tobytes() == again.image.tobytes()
    assert np.isfinite(found.image).all() and np.all(found.uncertainty > 0)
    assert abs(np.mean(found.image) - np.mean(stack)) < 0.5
    replayed = dip.replay(json.dumps(found.record), stack)
    assert replayed.image.tobytes() == found.image.tobytes()


@pytest.mark.parametrize("values", ["circular", "logarithmic"])
def test_a_run_is_saved_and_goes_on(tmp_path, values):
    _, noisy = angles()
    noisy = noisy + (4 if values == "logarithmic" else 0)
    run = dip.restore_steps("denoise", noisy, axes="YX", values=values, **QUICK)
    next(run)
    assert run.preview().shape == noisy.shape and abs(run.preview().mean() - noisy.mean()) < 2
    run.save(tmp_path / "run.dip")
    other = dip.load_run(tmp_path / "run.dip", noisy)
    assert other.result.image.tobytes() == run.result.image.tobytes()


@pytest.mark.parametrize("values", ["circular", "logarithmic"])
def test_a_prior_keeps_the_scale_of_its_values(tmp_path, values):
    images = [next(reversed(list(angles(seed=seed)))) + (4 if values == "logarithmic" else 0) for seed in range(2)]
    prior = dip.fit("denoise", images, axes="YX", values=values, **QUICK)
    prior.save(tmp_path / "one.prior")
    again = dip.load_prior(tmp_path / "one.prior")
    assert again.settings.values == values
    result = again.restore(images[0], axes="YX", threads=1)
    assert result.record["values"]["kind"] == values
    assert result.record["settings"]["period"] == (TURN if values == "circular" else None)
    with pytest.raises(InputError, match="there is no values to choose"):
        again.restore(images[0], axes="YX", values="linear")


def test_images_with_other_periods_are_not_fitted_together():
    _, noisy = angles()
    with pytest.raises(InputError, match=r"have the periods 6.28319 and 360; set the period"):
        dip.fit("denoise", [noisy, noisy * (360 / TURN)], axes="YX", values="circular", **QUICK)


def test_logarithms_are_chosen_where_noise_over_decades_proves_them():
    truth, seen = radiance()
    result = dip.denoise(seen, axes="YX", max_iterations=30, uncertainty=True, threads=1)
    assert result.record["values"]["kind"] == "logarithmic"
    noise = result.record["planes"][0]
    assert noise["noise"] == "multiplicative" and 0.07**2 < noise["noise_variance"]["multiplicative"] < 0.13**2
    off = np.log(result.image / truth)
    assert np.std(off) < 0.6 * 0.1
    assert 0.5 < np.median(result.uncertainty / truth) / np.std(off) < 2
    assert "on a logarithmic scale, since the noise grows" in " ".join(findings(result.record))
    assert "values" not in dip.denoise(seen, axes="YX", values="linear", **QUICK).record


def test_dark_values_in_read_noise_are_no_matter():
    truth, seen = radiance(read=0.05)
    assert seen.min() < 0
    result = dip.denoise(seen, axes="YX", **QUICK)
    assert 0.1 < result.record["values"]["scale"] < 2  # 0.05 / 0.1
    assert np.isfinite(result.image).all()
    bright = truth > 10
    assert np.abs(np.log(result.image[bright] / truth[bright])).mean() < 0.5


def _beads(seed=0):
    """Photon counts of small beads over four decades, with no light in between."""
    random = np.random.default_rng(seed)
    image = np.zeros((96, 96))
    image[tuple(random.integers(4, 92, (2, 40)))] = 10 ** random.uniform(2, 6, 40)
    return random.poisson(gaussian_filter(image, 1.5) + 0.5).astype(np.float32)


def _photons(seed=0):
    truth, _ = radiance(seed=seed)
    return np.random.default_rng(seed).poisson(30 * truth).astype(np.float32)


def _camera(seed=0):
    truth, _ = radiance(seed=seed)
    random = np.random.default_rng(seed)
    return (random.poisson(10 * truth) + 100 + 3 * random.standard_normal(truth.shape)).clip(0, 65535).astype("uint16")


def _speckle(seed=0):
    random = np.random.default_rng(seed)
    truth = 0.1 + gaussian_filter(random.random((96, 96)), 6) ** 4
    return (truth * random.exponential(size=truth.shape)).astype(np.float32)


@pytest.mark.parametrize("image", [_beads, _photons, _camera, _speckle, lambda: radiance(noise=0.0)[1]])
def test_nothing_else_is_taken_for_a_logarithmic_scale(image):
    assert proportional(Source(image(), "YX", suspects=("areas", "outliers", "lines"))) is None


def test_a_dead_pixel_has_no_logarithm():
    _, seen = radiance()
    seen[40, 40] = 0
    result = dip.denoise(seen, axes="YX", values="logarithmic", **QUICK)
    assert np.isfinite(result.image).all() and result.image[40, 40] > 0


def test_a_part_is_fitted_like_the_whole():
    _, seen = radiance()
    for image, settings in ((seen, {}), (np.linspace(0, 180, 2304).reshape(48, 48), {"values": "circular"})):
        whole, part = (
            dip.restore_steps("denoise", one, axes="YX", **settings, **QUICK).request
            for one in (image, image[:24, :24])
        )
        assert part.source.values != whole.source.values  # too little of it is seen
        found = Run(part.part_of(whole.source)).result
        assert found.record["values"] == whole.source.values.found()
        assert np.isfinite(found.image).all()


def test_constant_planes_of_a_stack_keep_their_value():
    _, seen = radiance(side=48)
    stack = np.stack([seen, np.full_like(seen, 7.0)])
    result = dip.denoise(stack, axes="TYX", values="logarithmic", **QUICK)
    assert np.allclose(result.image[1], 7.0)
    mask = np.zeros((48, 48), bool)
    mask[10:14, 10:14] = True
    filled = dip.inpaint(stack, mask, axes="TYX", values="logarithmic", **QUICK)
    assert np.allclose(filled.image[1], 7.0) and np.isfinite(filled.image).all()
