from dataclasses import replace

import numpy as np
import pytest
import torch
from small import (
    Spy,
    everywhere,
    gaussian,
    masked,
    noisy_wave,
    observation_of,
    problem,
    random,
    seeded,
    small_network,
)

from napari_dip.prior.estimators.posterior import AsPredicted
from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.fitting.stopping import HeldOut, Limits
from napari_dip.prior.networks.optimisation import Optimisation
from napari_dip.prior.objectives.objective import loss_of
from napari_dip.prior.physics.forward_model import Downsample
from napari_dip.prior.physics.observation import UNKNOWN_NOISE


@pytest.mark.parametrize("radius", [0, 1])
def test_a_hidden_pixel_cannot_be_seen(radius):
    """Whatever the value of a hidden pixel is, the network is shown the same, but for what local contrast tells."""
    image = random(1, 24, 24)
    first, second = Spy(), Spy()
    one = masked(observation_of(image, noise=gaussian(radius=radius)), first)
    one.predict()
    hidden = first.shown[:, 1:] == 1
    changed = torch.where(hidden, image + 100, image)
    other = masked(observation_of(changed, noise=gaussian(radius=radius)), second)
    other.base, other.contrast = one.base, one.contrast
    other.predict()
    assert hidden.any() and not hidden.all()
    assert torch.equal(first.shown, second.shown)


def test_neighbours_are_hidden_as_far_as_the_noise_reaches():
    objective = masked(observation_of(random(1, 64, 64), noise=gaussian(radius=1)), Spy())
    target, hidden = objective.draw()
    y, x = np.argwhere(target[0, 0, 1:-1, 1:-1].numpy())[0] + 1
    assert hidden[0, 0, y - 1 : y + 2, x - 1 : x + 2].all()
    assert 0.2 < hidden.mean() < 0.4


def test_masked_pixels_do_not_change_the_loss():
    image, mask = random(1, 32, 32), (random(1, 32, 32, seed=1) > 0.3).float()
    losses = []
    for values in (image, torch.where(mask > 0, image, 9.0)):
        objective = masked(observation_of(values, mask), small_network(2, 2))
        losses.append(loss_of(objective.predict(), objective.observation)[0])
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("radius", [0, 1])
def test_held_out_pixels_are_never_learned_from(radius):
    """While they are hidden their values are no matter; nor are those of neighbours whose noise tells of theirs."""
    image, noise = random(1, 48, 48), gaussian(radius=radius)
    first, other, draws = (
        masked(observation_of(image.clone(), noise=noise).split(0.1, seeded(2)), small_network(2, 2)) for _ in range(3)
    )
    held_out = first.observation.held_out
    untaught = first.observation.widened(held_out) * draws.draw()[0] > 0
    assert 0.05 < held_out.mean() < 0.15 and untaught.any()
    other.observation.values[untaught] += 5
    one, two = first.predict(), other.predict()
    assert torch.equal(loss_of(one, first.observation)[0], loss_of(two, other.observation)[0])
    # but they are judged
    errors = [objective.observation.held_out_error(p.image.detach()) for objective, p in ((first, one), (other, two))]
    assert errors[1] > errors[0] > 0


def test_deep_gaps_hide_moved_copies_of_themselves():
    image, mask = random(1, 64, 64), torch.ones(1, 1, 64, 64)
    mask[..., 10:30, 20:40] = 0
    objective = masked(observation_of(image, mask), Spy(), hidden=0.0, like_missing=True)
    draws = [objective.draw()[0] for _ in range(8)]
    assert all(target.sum() == 400 for target in draws)
    assert not all(torch.equal(draws[0], target) for target in draws)


@pytest.mark.parametrize("part", [0.1, 0.2, 0.5])
def test_a_fill_is_corrected_where_asked_for(part):
    image, network = random(1, 16, 16), Spy()
    objective = masked(observation_of(image), network, hidden=0.2, correct_fill=part)
    mean = objective.predict().image
    filled = objective.base + objective.contrast * network.shown[:, :1]
    # the spy gives back what it was shown: the fill less its surroundings
    torch.testing.assert_close(mean, filled + part * (filled - objective.base), rtol=1e-4, atol=1e-5)


def test_what_is_predicted_of_a_pixel_is_its_target_and_no_more():
    image = random(1, 24, 24)
    network, draws = Spy(), masked(observation_of(image), Spy())
    prediction = masked(observation_of(image), network).predict()
    target, hidden = draws.draw()
    assert torch.equal(prediction.target, target) and torch.equal(network.shown[:, 1:], hidden)
    assert (prediction.variance > 0).all() and prediction.variance.shape == (1, 1, 24, 24)


LARGE = [(1, (16, 16), (4, 4)), (3, (18, 12), (6, 4)), (1, (2, 12, 12), (2, 4, 4))]


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize(("channels", "size", "small"), LARGE)
def test_an_image_is_predicted_through_a_forward_model(channels, size, small, guided):
    factor = size[-1] // small[-1]
    model = Downsample(factor, size[-2:], lobes=3)
    guide = random(1, *size, seed=4) if guided else None
    one = observation_of(random(channels, *small), noise=gaussian(1e-4), forward_model=model, guide=guide)
    network = small_network(channels + 1 + guided, channels + 1, dims=len(size))
    objective = masked(one, network)
    loss, _ = loss_of(prediction := objective.predict(), one)
    assert prediction.image.shape == (1, channels, *size) and prediction.variance.shape == (1, 1, *size)
    assert prediction.target.shape == (1, 1, *small)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert sum(p.grad.abs().sum() for p in network.parameters()) > 0


@pytest.mark.parametrize(("size", "small"), [((24, 24), (12, 12)), ((2, 16, 16), (2, 8, 8))])
def test_through_a_forward_model_the_loss_falls_and_the_image_is_large(size, small):
    _, wave = noisy_wave(small[-1], sigma=0.0)
    values = wave.expand(1, 1, *small) if len(small) == 2 else wave[:, :, None].expand(1, 1, *small)
    one = observation_of(values, noise=gaussian(1e-3), forward_model=Downsample(2, size[-2:], lobes=3))
    one = one.split(0.05, seeded(3))
    objective = masked(one, small_network(2, 2, dims=len(size)))
    rule = HeldOut(every=5, least=1000)
    fit = Fit(problem(objective, optimiser="muon", last_step=AsPredicted(), rule=rule), Limits(40))
    seen = list(fit)
    assert np.mean([p.loss for p in seen[-8:]]) < np.mean([p.loss for p in seen[:8]]) - 0.3
    assert seen[-1].held_out_error < rule.values[5]
    result = fit.finish(with_variance=True)
    assert fit.preview().shape == result.image.shape == result.variance.shape == (1, 1, *size)
    assert torch.isfinite(result.image).all() and (result.variance > 0).all()


@pytest.mark.parametrize("size", [(16, 16), (3, 8, 8)])
def test_a_guide_is_shown_beside_the_image(size):
    guide, network = random(2, *size, seed=5), Spy()
    masked(observation_of(random(1, *size), guide=guide), network).predict()
    assert network.shown.shape == (1, 4, *size) and torch.equal(network.shown[:, 2:], guide)


def test_with_a_guide_what_is_seen_there_is_learned():
    """The guide is the image itself, which tells what a hidden pixel was."""
    truth = random(1, 16, 16)
    errors = []
    for guide in (None, truth):
        one = observation_of(truth, noise=gaussian(1e-3), guide=guide)
        network = small_network(2 if guide is None else 3, 2)
        fit = Fit(problem(masked(one, network), optimiser="muon"), Limits(40))
        errors.append(np.mean([progress.error for progress in fit][-10:]))
    assert errors[1] < 0.7 * errors[0]


def test_any_noise_serves_it():
    """Squared error has no use for a variance, and gets one all the same."""
    one = replace(observation_of(random(1, 16, 16)), noise=UNKNOWN_NOISE)
    fit = Fit(problem(masked(one, small_network(2, 2)), optimisation=Optimisation("muon")), Limits(3))
    assert all(progress.loss == progress.error for progress in fit)


def test_where_nothing_is_hidden_nothing_is_filled_in():
    image, network = random(1, 16, 16), Spy()
    objective = masked(observation_of(image), network, hidden=0.0, correct_fill=0.2)
    prediction = objective.predict()
    assert not prediction.target.any() and torch.equal(everywhere(image), 1 - network.shown[:, 1:])
    torch.testing.assert_close(objective.base + objective.contrast * network.shown[:, :1], image)


@pytest.mark.parametrize("radius", [0, 1])
def test_held_out_pixels_of_white_noise_are_hidden_always_where_that_is_asked_for(radius):
    one = observation_of(noisy_wave()[1], noise=gaussian(radius=radius)).split(0.1, seeded(3))
    target, hidden = masked(one, small_network(2, 2), hide_held_out=True).draw()
    always = bool((target[one.held_out > 0] == 1).all())
    assert always == (radius == 0)
    assert not (masked(one, small_network(2, 2)).draw()[0][one.held_out > 0] == 1).all()
    assert (hidden >= target).all()
