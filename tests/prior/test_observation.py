import dataclasses

import pytest
import torch
from small import everywhere, gaussian, noisy_wave, observation_of, random, seeded

from napari_dip.prior.physics.fill import local_contrast
from napari_dip.prior.physics.forward_model import Downsample
from napari_dip.prior.physics.observation import UNKNOWN_NOISE, Observation, mean_where


def test_the_mean_is_over_what_counts():
    values, weight = torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4)
    values[..., 0], values[..., 1], weight[..., :2] = 1.0, 3.0, 1.0
    assert float(mean_where(values, weight)) == 2.0
    assert float(mean_where(values, torch.zeros_like(weight))) == 0.0


def test_an_observation_stays_as_it_is():
    one = observation_of(random(1, 8, 8))
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.held_out = one.observed
    assert one.split(0.5, seeded()) is not one and one.held_out is None


def test_next_to_nothing_needs_to_be_said():
    values = random(2, 8, 9)
    one = Observation(values, everywhere(values))
    assert one.dims == 2 and one.image_size == (8, 9) and one.noise == UNKNOWN_NOISE
    assert one.forward_model(values) is values and one.guide is None and one.held_out is None
    assert torch.equal(one.learned, one.observed)


@pytest.mark.parametrize(("shape", "size"), [((6, 7), (24, 28)), ((3, 6, 7), (3, 24, 28))])
def test_the_image_that_is_sought_has_the_size_the_forward_model_says(shape, size):
    one = observation_of(random(1, *shape), forward_model=Downsample(4, size[-2:], lobes=3))
    assert one.image_size == size and one.dims == len(shape)


def test_local_contrast_is_found_once():
    values, mask = random(2, 24, 24), (random(1, 24, 24, seed=1) > 0.3).float()
    one = observation_of(values, mask)
    for found, expected in zip(one.local, local_contrast(values, mask), strict=True):
        assert torch.equal(found, expected)
    assert one.local is one.local


def test_the_held_out_are_a_part_of_what_was_measured():
    values, mask = random(1, 64, 64), (random(1, 64, 64, seed=1) > 0.5).float()
    one = observation_of(values, mask).split(0.1, seeded())
    assert 0.08 < one.held_out.sum() / mask.sum() < 0.12
    assert not (one.held_out * (1 - mask)).any() and set(one.held_out.unique().tolist()) == {0, 1}
    assert torch.equal(one.held_out, observation_of(values, mask).split(0.1, seeded()).held_out)
    assert not torch.equal(one.held_out, observation_of(values, mask).split(0.1, seeded(1)).held_out)


@pytest.mark.parametrize("shape", [(32, 32), (6, 16, 16)])
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_nothing_is_learned_as_far_as_the_noise_of_the_held_out_reaches(shape, radius):
    values, held_out = random(1, *shape), torch.zeros(1, 1, *shape)
    middle = tuple(n // 2 for n in shape)
    held_out[(0, 0, *middle)] = 1
    one = observation_of(values, noise=gaussian(radius=radius), held_out=held_out)
    assert (one.learned == 0).sum() == (2 * radius + 1) ** len(shape)
    near = tuple(slice(m - radius, m + radius + 1) for m in middle)
    assert not one.learned[(0, 0, *near)].any()
    assert torch.equal(one.widened(held_out), 1 - one.learned)


def test_pixels_are_drawn_as_dense_as_asked_for():
    one = observation_of(random(3, 64, 64))
    drawn = one.random(0.3, seeded())
    assert drawn.shape == one.observed.shape and drawn.dtype == torch.float32
    assert 0.27 < drawn.mean() < 0.33
    assert not one.random(0.0, seeded()).any() and one.random(1.0, seeded()).all()


def test_the_held_out_error_of_a_perfect_prediction_is_that_of_the_noise():
    truth, noisy = noisy_wave(96)
    one = observation_of(noisy).split(0.2, seeded(1))
    assert one.held_out_error(truth) == pytest.approx(1.0, rel=0.15)
    assert one.held_out_error(truth + 0.1) == pytest.approx(2.0, rel=0.15)


def test_only_the_held_out_count_for_the_held_out_error():
    truth, noisy = noisy_wave(32)
    one = observation_of(noisy).split(0.2, seeded())
    assert one.held_out_error(torch.where(one.held_out > 0, truth, 9.0)) == one.held_out_error(truth)


def test_without_held_out_pixels_there_is_no_held_out_error():
    values = random(1, 24, 24)
    assert observation_of(values).held_out_error(values) is None
    assert observation_of(values).split(0.0, seeded()).held_out_error(values) is None


def test_the_held_out_error_is_counted_where_it_was_measured():
    fine, values = random(1, 32, 32), random(1, 8, 8)
    model = Downsample(4, (32, 32), lobes=3)
    one = observation_of(values, noise=UNKNOWN_NOISE, forward_model=model).split(0.5, seeded())
    counts = one.held_out > 0
    assert one.held_out_error(fine) == pytest.approx(float(((model(fine) - values) ** 2)[counts].mean()), rel=1e-5)
