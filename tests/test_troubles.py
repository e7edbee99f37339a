"""What instruments write beside an image is found, left as it is or replaced, and said, by the public functions."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import napari_dip as dip
from napari_dip.run import summary

FEW = {"max_iterations": 4, "threads": 1}
SIDE = 64


def noisy(seed=0):
    random = np.random.default_rng(seed)
    field = gaussian_filter(random.standard_normal((SIDE, SIDE)), 4)
    return (60 + 400 * np.abs(field) + random.normal(0, 10, (SIDE, SIDE))).clip(1, 250).astype(np.uint8)


def with_bar(image):
    image = image.copy()
    image[-16:] = 0
    image[-10:-6, 10:40:4] = 255
    return image


def test_a_bar_stays_as_it_is_and_the_record_names_it():
    image = with_bar(noisy())
    result = dip.denoise(image, **FEW)
    assert (result.image[-16:] == image[-16:]).all()
    assert (result.image[:-16] != image[:-16]).mean() > 0.9
    assert result.record["unmeasured"]["areas"] == 16 * SIDE
    assert "25 % of the image has one constant value" in summary.not_measured(result.record)


def test_a_bar_stays_as_it_is_in_every_plane_of_a_stack_and_in_its_uncertainty():
    stack = np.stack([with_bar(noisy(seed)) for seed in range(3)])
    result = dip.denoise(stack, axes="ZYX", uncertainty=True, **FEW)
    assert (result.image[:, -16:] == stack[:, -16:]).all()
    assert (result.uncertainty[:, -16:] == 0).all()
    assert (result.uncertainty[:, :-16] > 0).all()


def test_hot_pixels_are_replaced_and_do_not_set_the_scale():
    image = noisy().astype(np.uint16)
    image[10, 10] = image[40, 30] = 65535
    result = dip.denoise(image, **FEW)
    assert result.image.max() < 400
    assert result.record["unmeasured"]["outliers"] == 2
    assert summary.not_measured(result.record) == "2 outlier pixels were replaced."


def test_streaks_of_particles_are_replaced_plane_by_plane():
    stack = np.stack([noisy(seed).astype(np.uint16) for seed in range(2)])
    for k in range(5):
        stack[1, 8 + 10 * k, 10 + 7 * k : 16 + 7 * k] += np.arange(1800, 600, -200, dtype=np.uint16)
    result = dip.denoise(stack, axes="ZYX", **FEW)
    assert result.image.max() < 400
    assert result.record["unmeasured"]["outliers"] == 30
    assert summary.not_measured(result.record) == "30 outlier pixels were replaced."


def test_a_hot_pixel_does_not_spoil_what_is_enlarged():
    image = noisy()[:24, :24].astype(np.uint16)
    image[11, 11] = 65535
    assert dip.super_resolve(image, factor=2, max_iterations=20, threads=1).image.max() < 1000


def test_rows_are_levelled():
    offsets = 15 * np.random.default_rng(3).standard_normal(SIDE)
    result = dip.denoise(noisy() + offsets[:, None], **FEW)
    assert result.record["unmeasured"]["rows"] == pytest.approx(15, rel=0.4)
    assert result.record["unmeasured"]["columns"] == 0
    assert "Single rows had an offset" in summary.not_measured(result.record)


def humming(amplitude=20.0):
    y, x = np.mgrid[:SIDE, :SIDE]
    return noisy() + amplitude * np.cos(0.8 * x + 1.9 * y)


def test_a_wave_through_the_whole_image_is_removed_and_named():
    result = dip.denoise(humming(), max_iterations=20, threads=1)
    (wave,) = result.record["unmeasured"]["waves"]
    assert wave["amplitude"] == pytest.approx(20, rel=0.1)
    assert wave["period"] == pytest.approx(2 * np.pi / np.hypot(0.8, 1.9), rel=0.01)
    assert wave["direction"] == pytest.approx(np.degrees(np.arctan2(1.9, 0.8)), abs=1)
    assert "A wave with a period of 3.05 pixels" in summary.not_measured(result.record)
    assert "set Waves to keep" in summary.not_measured(result.record)
    y, x = np.mgrid[:SIDE, :SIDE]
    assert abs(2 * np.mean(result.image * np.exp(1j * (0.8 * x + 1.9 * y)))) < 3


def test_a_wave_can_be_kept():
    result = dip.denoise(humming(), waves="keep", **FEW)
    assert "unmeasured" not in result.record
    assert result.record["settings"]["waves"] == "keep"


def test_a_wave_is_removed_from_the_planes_that_have_one():
    stack = np.stack([noisy(), humming(), noisy(2)])
    result = dip.denoise(stack, axes="ZYX", **FEW)
    assert len(result.record["unmeasured"]["waves"]) == 1


def test_waves_are_a_setting_only_where_they_are_removed():
    with pytest.raises(dip.InputError, match="leave the setting waves out"):
        dip.super_resolve(noisy(), waves="keep")


def test_samples_that_say_nothing_are_left_and_the_other_is_restored_as_if_alone():
    image = noisy()
    green = np.stack([np.zeros_like(image), image, np.zeros_like(image)], -1)
    result = dip.denoise(green, uncertainty=True, **FEW)
    assert (result.image[..., [0, 2]] == 0).all()
    assert (result.image[..., 1] == dip.denoise(image, **FEW).image).all()
    assert (result.uncertainty[..., [0, 2]] == 0).all()
    assert (result.uncertainty[..., 1] > 0).all()
    assert result.record["unmeasured"]["left"] == [0, 2]
    assert "The red and blue channels are empty." in summary.not_measured(result.record)


def test_gray_saved_as_rgb_is_restored_as_gray():
    image = noisy()
    result = dip.denoise(np.stack([image] * 3, -1), **FEW)
    assert (result.image == dip.denoise(image, **FEW).image[..., None]).all()
    assert "are identical" in summary.not_measured(result.record)


def test_stacks_of_one_dye_are_restored_as_if_alone():
    stack = np.stack([noisy(seed) for seed in range(3)])
    green = np.stack([np.zeros_like(stack), stack, np.zeros_like(stack)], -1)
    result = dip.denoise(green, axes="ZYXS", **FEW)
    assert (result.image[..., 1] == dip.denoise(stack, axes="ZYX", **FEW).image).all()


def test_an_ordinary_image_has_nothing_of_it():
    record = dip.denoise(noisy(), threads=1, max_iterations=60).record
    assert "unmeasured" not in record
    assert summary.not_measured(record) == summary.doubts(record) == ""
    assert 0.5 < record["planes"][0]["residual"]["variance"] < 1.2


def test_the_published_method_takes_the_image_as_it_is():
    assert "unmeasured" not in dip.denoise(with_bar(noisy()), preset="paper", **FEW).record


def test_a_replay_gives_the_same_bytes():
    image = with_bar(noisy())
    first = dip.denoise(image, **FEW)
    assert (dip.replay(first.record, image).image == first.image).all()


@pytest.mark.parametrize("span", [1e3, 1e6])
def test_noise_of_one_is_found_whatever_the_range(span):
    random = np.random.default_rng(0)
    ramp = np.linspace(0, span, 96) * np.ones((96, 1))
    record = dip.denoise(ramp + random.standard_normal((96, 96)), **FEW).record
    assert record["planes"][0]["noise_variance"]["sigma"] == pytest.approx(1, rel=0.25)
