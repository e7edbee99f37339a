import pytest
import torch
from small import small_network

from napari_dip.prior.forward_model import Downsample, Identity
from napari_dip.prior.network import Prior
from napari_dip.prior.objective import Data, LatentPrior, mean_where


class Spy(Prior):
    """Remembers what it was shown, and gives its first channel."""

    levels, dims = 0, 2

    def forward(self, x):
        self.shown = x
        return x[:, :1]


def latent_prior(network: Prior, size: tuple[int, ...], **options) -> LatentPrior:
    options = {"latent_channels": 2, "latent_noise": 0.01, "size": size, **options}
    data = Data(torch.zeros(1, 1, *size), torch.ones(1, 1, *size))
    return LatentPrior(network, data, Identity(), torch.Generator().manual_seed(0), **options)


def test_latent_prior_fits_through_the_forward_model():
    target = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    objective = LatentPrior(
        small_network(4, 1),
        Data(target, torch.ones(1, 1, 8, 8)),
        Downsample(4, (32, 32), lobes=3),
        generator,
        latent_channels=4,
        latent_noise=0.0,
        size=(32, 32),
    )
    optimiser = torch.optim.Adam(objective.network.parameters(), lr=0.01)
    errors = []
    for _ in range(60):
        loss, error = objective.loss()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        objective.collect()
        errors.append(error.item())
    assert objective.estimate().shape == (1, 1, 32, 32)
    assert errors[-1] < 0.3 * errors[0]


@pytest.mark.parametrize("size", [(16, 16), (17, 21), (5, 9, 10)])
def test_a_coarse_latent_is_smooth_and_fills_the_image(size):
    spy = Spy()
    latent_prior(spy, size, latent_step=2).loss()
    assert spy.shown.shape == (1, 2, *size)
    steps = spy.shown.diff(dim=-1)
    rough = torch.rand(1, 2, *size).mul(0.1).diff(dim=-1)
    assert steps.std() < 0.7 * rough.std()


def test_the_latent_prior_has_nothing_to_add_at_the_end():
    objective = latent_prior(Spy(), (16, 16))
    objective.loss()
    objective.collect()
    result = objective.finish(with_variance=True)
    assert torch.equal(result.image, objective.estimate()) and torch.equal(result.image, objective.preview())
    assert result.variance is None and objective.held_out() is None


def test_the_first_outputs_are_forgotten_sooner_with_a_warm_up():
    estimates = []
    for warm_up in (0, 9):
        spy = Spy()
        objective = latent_prior(spy, (16, 16), warm_up=warm_up, latent_noise=0.0)
        for brightness in (0.0, 1.0, 1.0, 1.0):
            objective.latent = torch.full_like(objective.latent, brightness)
            objective.loss()
            objective.collect()
        estimates.append(float(objective.estimate().mean()))
    assert 0 < estimates[0] < 0.1 < 0.9 < estimates[1]


def test_the_mean_is_over_what_counts():
    values, weight = torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4)
    values[..., 0], values[..., 1], weight[..., :2] = 1.0, 3.0, 1.0
    assert float(mean_where(values, weight)) == 2.0
    assert float(mean_where(values, torch.zeros_like(weight))) == 0.0
