"""A reading of the noise that turns out to be wrong is followed by another one, and the record says so."""

import numpy as np
import pytest
from scipy.ndimage import zoom

import napari_dip as dip
from napari_dip.prior.noise.estimation import estimate_noise
from napari_dip.run import summary


def enlarged(contrast, seed=1, side=64):
    """Give grain that was enlarged twice, with a contrast of its own at each place."""
    random = np.random.default_rng(seed)
    return (zoom(5 * contrast * random.normal(size=(side, side)), 2, order=1) + 100).astype(np.float32)


GRAIN = enlarged(np.where(np.arange(64) < 32, 0.4, 2.0)[None])
"""Structure: half of the image has five times the contrast of the other half."""


@pytest.fixture(scope="module")
def result():
    return dip.denoise(GRAIN, axes="YX")


def test_grain_looks_like_noise_before_a_fit():
    scaled = ((GRAIN - GRAIN.min()) / np.ptp(GRAIN))[None]
    assert estimate_noise(scaled, np.ones(scaled.shape, bool)).correlation_radius == 2


def test_grain_that_was_taken_for_noise_is_left(result):
    assert np.std(result.image - GRAIN) < 0.1 * GRAIN.std()


def test_the_record_and_the_summary_say_so(result):
    plane = result.record["planes"][0]
    assert plane["rejected_radius"] == 2
    assert 0 < plane["rejected_after"] < plane["iterations"]
    assert plane["correlation_radius"] == 0
    assert any("structure was first taken for noise" in one.lower() for one in summary.findings(result.record))


def test_a_replay_comes_to_the_same_bytes(result):
    again = dip.replay(result.record, GRAIN)
    assert np.array_equal(again.image, result.image)


def test_noise_that_is_everywhere_alike_is_removed():
    noise = enlarged(1.0)
    found = dip.denoise(noise, axes="YX")
    assert "rejected_radius" not in found.record["planes"][0]
    assert np.std(found.image) < 0.4 * noise.std()


def test_a_run_in_its_second_reading_goes_on_after_it_was_saved(result, tmp_path):
    run = dip.restore_steps("denoise", GRAIN, axes="YX")
    for progress in run:
        if progress.iteration == result.record["planes"][0]["rejected_after"] + 10:
            break
    run.save(tmp_path / "begun.run")
    run.close()
    assert np.array_equal(dip.load_run(tmp_path / "begun.run", GRAIN).result.image, result.image)
