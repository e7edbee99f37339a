import pytest
import torch
from small import Spy, gaussian, observation_of, problem, random, seeded, small_network

from napari_dip.prior.estimators.posterior import AsPredicted
from napari_dip.prior.fitting.averages import Averaging
from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.fitting.stopping import HeldOut, Limits
from napari_dip.prior.networks.network import Prior, VarianceHead
from napari_dip.prior.objectives.latent_prior import LatentPrior
from napari_dip.prior.physics.forward_model import Downsample
from napari_dip.prior.physics.observation import UNKNOWN_NOISE, Observation


def latent_prior(network: Prior, observation: Observation, **options) -> LatentPrior:
    options = {"latent_channels": 2, "latent_noise": 0.01, **options}
    return LatentPrior(network, observation, seeded(), **options)


def blank(*size: int) -> Observation:
    return observation_of(torch.zeros(1, 1, *size), noise=UNKNOWN_NOISE)


def spy() -> Spy:
    return Spy(more=0)


def plain(objective: LatentPrior, **options):
    """Fit it in the published way."""
    return problem(objective, averaging=Averaging(), last_step=AsPredicted(), **options)


def test_latent_prior_fits_through_the_forward_model():
    one = observation_of(random(1, 8, 8), noise=UNKNOWN_NOISE, forward_model=Downsample(4, (32, 32), lobes=3))
    objective = latent_prior(small_network(4, 1), one, latent_channels=4, latent_noise=0.0)
    fit = Fit(plain(objective), Limits(60))
    errors = [progress.error for progress in fit]
    assert fit.preview().shape == fit.finish().image.shape == (1, 1, 32, 32)
    assert errors[-1] < 0.3 * errors[0]


@pytest.mark.parametrize("size", [(16, 16), (17, 21), (5, 9, 10)])
def test_a_coarse_latent_is_smooth_and_fills_the_image(size):
    network = spy()
    latent_prior(network, blank(*size), latent_step=2).predict()
    assert network.shown.shape == (1, 2, *size)
    steps = network.shown.diff(dim=-1)
    rough = torch.rand(1, 2, *size).mul(0.1).diff(dim=-1)
    assert steps.std() < 0.7 * rough.std()


def test_every_pixel_is_a_target_and_the_network_may_say_nothing_of_its_error():
    prediction = latent_prior(spy(), blank(16, 16)).predict()
    assert prediction.target is None and prediction.variance is None


def test_fresh_noise_is_added_to_a_latent_that_stays():
    for noise in (0.0, 0.05):
        network = spy()
        objective = latent_prior(network, blank(16, 16), latent_noise=noise)
        before = objective.latent.clone()
        shown = []
        for _ in range(2):
            objective.predict()
            shown.append(network.shown)
        assert torch.equal(objective.latent, before) and before.min() >= 0 and before.max() <= 0.1
        assert torch.equal(*shown) == (noise == 0)
        assert float((shown[0] - before).std()) == pytest.approx(noise, rel=0.2, abs=1e-9)


def test_the_latent_prior_has_nothing_to_add_at_the_end():
    fit = Fit(plain(latent_prior(small_network(2, 1), blank(16, 16))), Limits(3))
    progress = list(fit)
    result = fit.finish()
    assert torch.equal(result.image, fit.averaged()[0].image) and torch.equal(result.image, fit.preview())
    assert result.variance is None and progress[-1].held_out_error is None


@pytest.mark.parametrize(("channels", "size"), [(1, (16, 16)), (3, (16, 16)), (1, (2, 8, 8))])
def test_noise_a_split_a_rule_and_a_variance_serve_it_as_soon_as_they_are_asked_for(channels, size):
    values, rule = 0.4 + 0.2 * random(channels, *size), HeldOut(least=10)
    one = observation_of(values, noise=gaussian()).split(0.1, seeded(1))
    network = small_network(2, channels + 1, dims=len(size))
    fit = Fit(
        problem(latent_prior(network, one, variance_head=VarianceHead()), optimiser="muon", rule=rule), Limits(600)
    )
    seen = list(fit)  # there is nothing but noise, so that nothing is predicted ever better
    assert fit.stopped_by == "held-out" and rule.least <= fit.iteration < 600
    assert seen[-1].held_out_error == rule.values[fit.iteration] == one.held_out_error(fit.averaged()[0].image)
    result = fit.finish(with_variance=True)
    assert result.image.shape == result.variance.shape == values.shape
    assert torch.isfinite(result.image).all() and (result.variance > 0).all()


def test_the_variance_that_it_learns_is_that_of_its_error():
    """A wave with much noise below, and none of it above: the network can say which is which."""
    generator = seeded()
    values = torch.full((1, 1, 32, 32), 0.5)
    values[..., 16:, :] += 0.3 * torch.randn(16, 32, generator=generator)
    objective = latent_prior(
        small_network(4, 2),
        observation_of(values, noise=gaussian(1e-4)),
        latent_channels=4,
        variance_head=VarianceHead(),
    )
    list(fit := Fit(problem(objective, optimiser="muon", last_step=AsPredicted()), Limits(40)))
    variance = fit.finish(with_variance=True).variance
    assert variance[..., 20:, :].mean() > 3 * variance[..., :12, :].mean()


@pytest.mark.parametrize("size", [(16, 16), (4, 8, 8)])
def test_a_guide_is_shown_beside_the_latent(size):
    guide, network = random(2, *size, seed=5), spy()
    network.dims = len(size)
    latent_prior(network, observation_of(random(1, *size), guide=guide)).predict()
    assert network.shown.shape == (1, 4, *size) and torch.equal(network.shown[:, 2:], guide)


def test_with_a_guide_what_is_seen_there_is_learned():
    """The guide is the image itself, of which most is missing."""
    truth, mask = random(1, 16, 16), (random(1, 16, 16, seed=1) > 0.7).float()
    errors = []
    for guide in (None, truth):
        one = observation_of(truth * mask, mask, UNKNOWN_NOISE, guide=guide)
        network = small_network(2 if guide is None else 3, 1)
        list(fit := Fit(plain(latent_prior(network, one), optimiser="muon"), Limits(40)))
        errors.append(float(((fit.preview() - truth) ** 2)[mask == 0].mean()))
    assert errors[1] < 0.7 * errors[0]
