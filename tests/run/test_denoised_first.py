"""Images that are enlarged: noise that they surely have is removed first, in the same run."""

import numpy as np
import pytest

import napari_dip as dip
from napari_dip.prior.presets import PAPER
from napari_dip.run.summary import noise_found

FIRST, REST = 20, 60
"""Iterations for the noise, and for the rest."""
QUICK = {"max_iterations": FIRST + REST, "threads": 1, "device": "cpu"}


def clean(size=40, factor=1):
    y, x = (np.mgrid[: size * factor, : size * factor] + 0.5) / factor
    return 100 + 60 * np.sin(y / 5) * np.cos(x / 4)


def noisy(seed=0):
    return clean() + np.random.default_rng(seed).normal(0, 15, (40, 40))


def textured():
    """Half of it is flat with a little noise, the other half no noise, but as rough as any."""
    rng = np.random.default_rng(0)
    image = 100 + rng.normal(0, 4, (40, 40))
    image[:, 20:] = 200 * (rng.random((40, 20)) < 0.5)
    return image


def steps(image=None, **settings):
    return dip.restore_steps("super_resolve", noisy() if image is None else image, factor=2, **QUICK | settings)


def after(count, **settings):
    """A run that has done so many iterations."""
    run = steps(**settings)
    for _ in range(count):
        next(run)
    return run


@pytest.fixture(scope="module")
def whole():
    return steps().result


def test_noise_is_found_and_removed_and_that_is_said(whole):
    (plane,) = whole.record["planes"]
    assert plane["noise"] == "gaussian" and 12 < plane["noise_variance"]["sigma"] < 18
    assert plane["denoised_after"] == FIRST and plane["iterations"] == FIRST + REST
    assert noise_found(whole.record).startswith("Found Gaussian noise: standard dev")
    assert noise_found(whole.record).endswith("The noise was removed before the image was enlarged.")
    plain = steps(max_iterations=REST).result  # so few that there is no time for it
    assert "noise" not in plain.record["planes"][0] and noise_found(plain.record) == ""
    error, before = (np.std(found.image - clean(factor=2)) for found in (whole, plain))
    assert error < 0.85 * before


def test_a_clean_image_is_enlarged_as_it_is():
    found = steps(clean()).result
    assert found.record["iterations"] == FIRST + REST and "denoised_after" not in found.record["planes"][0]
    assert noise_found(found.record) == ""


def test_texture_is_no_noise():
    found = steps(textured()).result
    assert found.record["planes"][0]["denoised_after"] == FIRST and "noise" not in found.record["planes"][0]
    assert found.image.tobytes() == steps(textured(), max_iterations=REST).result.image.tobytes()
    assert noise_found(found.record) == ""


def test_progress_counts_on_and_previews_are_of_the_size_that_is_sought():
    seen = [(now.iteration, now.iterations, now.done, now.preview().shape) for now in steps()]
    assert [iteration for iteration, *_ in seen] == list(range(1, FIRST + REST + 1))
    assert [done for _, _, done, _ in seen] == sorted(done for _, _, done, _ in seen) and seen[-1][2] == 1
    assert {shape for *_, shape in seen} == {(80, 80)}


@pytest.mark.parametrize("count", [3, FIRST, 30])
def test_a_run_that_is_stopped_saved_or_looked_at_anywhere_is_repeated(count, whole, tmp_path):
    run = after(count)
    run.save(tmp_path / "half.run")
    snapshot = run.snapshot()
    run.stop()
    stopped = run.result
    assert stopped.record["iterations"] == count and stopped.record["stopped_by"] == "asked"
    assert np.isfinite(stopped.image).all() and stopped.image.tobytes() == snapshot.image.tobytes()
    assert dip.replay(stopped.record, noisy()).image.tobytes() == stopped.image.tobytes()
    assert dip.load_run(tmp_path / "half.run", noisy()).result.image.tobytes() == whole.image.tobytes()


@pytest.mark.parametrize("count", [3, 30])
def test_a_run_that_was_stopped_goes_on(count, whole, tmp_path):
    run = after(count)
    run.stop()
    first = run.result.image.copy()
    run.extend(FIRST + REST - count)
    assert run.result.image.tobytes() == whole.image.tobytes() and (run.result.image != first).any()
    assert dip.replay(run.result.record, noisy()).image.tobytes() == whole.image.tobytes()


def test_time_is_of_both():
    found = steps(max_iterations=100_000, max_seconds=0.3).result
    assert found.record["stopped_by"] == "seconds" and np.isfinite(found.image).all()
    assert dip.replay(found.record, noisy()).image.tobytes() == found.image.tobytes()


def test_a_record_that_knows_nothing_of_it_is_repeated_without(whole):
    plain = steps(max_iterations=REST).result
    record = plain.record | {"settings": plain.record["settings"] | {"max_iterations": FIRST + REST}}
    assert "denoised_after" not in dip.replay(record, noisy()).record["planes"][0]


def test_the_published_method_stays_as_it_is():
    assert all(preset.denoising is None for preset in PAPER.values())


def test_pixels_that_were_not_measured_and_colours_are_no_trouble():
    image = np.stack([noisy(), noisy(1), 200 - noisy(2)], -1)
    image[4, 5] = np.nan
    found = steps(image, nonfinite="inpaint", axes="YXS").result
    assert found.image.shape == (80, 80, 3) and np.isfinite(found.image).all()
    assert "noise" in found.record["planes"][0]
