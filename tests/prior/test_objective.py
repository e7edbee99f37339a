import numpy as np
import pytest
import torch

from napari_dip.prior.likelihood import Gaussian
from napari_dip.prior.measurement import Downsample
from napari_dip.prior.network import Prior, SlimPrior
from napari_dip.prior.objective import Data, LatentPrior, MaskedPrediction, fill, relax


def small_network(inputs: int, outputs: int) -> SlimPrior:
    generator = torch.Generator().manual_seed(0)
    network = SlimPrior(inputs, outputs, generator, channels=8, depth=2, skip=4, thin=4)
    network.initialise(generator)
    return network


class Spy(Prior):
    """Remembers what it was shown."""

    levels, dims = 0, 2

    def forward(self, x):
        self.shown = x
        return torch.cat([x[:, :1], torch.zeros_like(x[:, :1])], 1)


def masked(measured: torch.Tensor, visible: torch.Tensor, network: Prior, **options) -> MaskedPrediction:
    options = {"hidden": 0.3, **options}
    return MaskedPrediction(
        network, Data(measured, visible), Gaussian(0.01), torch.Generator().manual_seed(1), **options
    )


def test_fill_keeps_what_is_seen_and_reaches_far():
    image, seen = torch.rand(1, 2, 40, 50), torch.zeros(1, 1, 40, 50)
    seen[..., 3:6, 3:6] = 1
    filled = fill(image, seen)
    assert torch.equal(filled[..., 3:6, 3:6], image[..., 3:6, 3:6])
    assert torch.isfinite(filled).all()
    low, high = image[..., 3:6, 3:6].amin(), image[..., 3:6, 3:6].amax()
    assert low <= filled.min() and filled.max() <= high


def test_fill_works_in_three_dimensions():
    image, seen = torch.full((1, 1, 5, 12, 13), 0.4), (torch.rand(1, 1, 5, 12, 13) > 0.5).float()
    torch.testing.assert_close(fill(image, seen), image)


def test_a_hidden_pixel_cannot_be_seen():
    """Whatever the value of a hidden pixel is, the network is shown the same."""
    visible = torch.ones(1, 1, 24, 24)
    image = torch.rand(1, 1, 24, 24)
    for radius in (0, 1):
        spy = Spy()
        masked(image, visible, spy, radius=radius).loss()
        shown, hidden = spy.shown[:, :1], spy.shown[:, 1:] == 1
        masked(torch.where(hidden, image + 100, image), visible, spy, radius=radius).loss()
        assert hidden.any()
        assert torch.equal(spy.shown[:, :1], shown)


def test_neighbours_are_hidden_as_far_as_the_noise_reaches():
    visible = torch.ones(1, 1, 64, 64)
    objective = masked(torch.rand(1, 1, 64, 64), visible, Spy(), radius=1)
    asked, hidden = objective._draw()
    y, x = np.argwhere(asked[0, 0, 1:-1, 1:-1].numpy())[0] + 1
    assert hidden[0, 0, y - 1 : y + 2, x - 1 : x + 2].all()
    assert 0.2 < hidden.mean() < 0.4


def test_masked_pixels_do_not_change_the_loss():
    visible = (torch.rand(1, 1, 32, 32) > 0.3).float()
    image = torch.rand(1, 1, 32, 32)
    first = masked(image, visible, small_network(2, 2)).loss()[0]
    second = masked(torch.where(visible > 0, image, 9.0), visible, small_network(2, 2)).loss()[0]
    torch.testing.assert_close(first, second)


def test_the_estimate_is_a_posterior_mean_between_prediction_and_measurement():
    image = torch.rand(1, 1, 32, 32)
    objective = masked(image, torch.ones(1, 1, 32, 32), Spy(), hidden=0.5)
    objective.loss()
    mean, variance, asked = objective._last
    objective.collect()
    expected = mean + variance / (variance + 0.01) * (image - mean)
    where = asked > 0
    torch.testing.assert_close(objective.estimate()[where], expected[where], rtol=1e-3, atol=1e-4)


def test_latent_prior_fits_through_the_forward_model():
    target = torch.rand(1, 1, 8, 8)
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


def test_relaxing_makes_a_smooth_surface_of_a_gap():
    """A quadratic surface has no bending energy to lose but where the gap was filled in flatly."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    surface, seen = (0.5 * x * y + 0.3 * y)[None, None], torch.ones(1, 1, 32, 32)
    seen[..., 15:18, 14:18] = 0
    flat = fill(surface, seen)
    smooth = relax(flat, seen, steps=100)
    assert torch.equal(smooth[..., :15, :], surface[..., :15, :])
    assert (smooth - surface).abs().max() < 0.2 * (flat - surface).abs().max()


@pytest.mark.parametrize("shape", [(40, 40), (6, 14, 15)])
def test_relaxing_never_runs_away(shape):
    image, seen = torch.rand(1, 1, *shape), (torch.rand(1, 1, *shape) > 0.7).float()
    assert relax(image, seen, steps=500).abs().max() < 5


def test_deep_gaps_hide_moved_copies_of_themselves():
    visible = torch.ones(1, 1, 64, 64)
    visible[..., 10:30, 20:40] = 0
    objective = masked(torch.rand(1, 1, 64, 64), visible, Spy(), hidden=0.0, like_missing=True)
    draws = [objective._draw()[0] for _ in range(8)]
    assert all(asked.sum() == 400 for asked in draws)
    assert not all(torch.equal(draws[0], asked) for asked in draws)


def test_a_fill_is_corrected_where_asked_for():
    image = torch.rand(1, 1, 16, 16)
    objective = masked(image, torch.ones(1, 1, 16, 16), Spy(), hidden=0.2, correct_fill=True)
    objective.loss()
    mean, _, _ = objective._last
    torch.testing.assert_close(mean, 1.05 * objective.network.shown[:, :1])  # the spy gives back what it was shown
