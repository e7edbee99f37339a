import numpy as np
import pytest
import torch

from napari_dip.prior.likelihood import MOST_CORRECTION, Gaussian
from napari_dip.prior.measurement import Downsample, Identity
from napari_dip.prior.network import Prior, SlimPrior, matrices
from napari_dip.prior.objective import Data, Ensemble, LatentPrior, MaskedPrediction, fill, local_contrast, relax


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


@pytest.mark.parametrize("radius", [0, 1])
def test_a_hidden_pixel_cannot_be_seen(radius):
    """Whatever the value of a hidden pixel is, the network is shown the same, but for what local contrast tells."""
    visible, image = torch.ones(1, 1, 24, 24), torch.rand(1, 1, 24, 24)
    first, second = Spy(), Spy()
    one = masked(image, visible, first, radius=radius)
    one.loss()
    hidden = first.shown[:, 1:] == 1
    other = masked(torch.where(hidden, image + 100, image), visible, second, radius=radius)
    other.base, other.contrast = one.base, one.contrast
    other.loss()
    assert hidden.any() and not hidden.all()
    assert torch.equal(first.shown, second.shown)


def test_local_contrast_of_a_pixel_depends_on_its_surroundings():
    image, visible = torch.rand(1, 2, 64, 64), torch.ones(1, 1, 64, 64)
    spot = image.clone()
    spot[..., 30, 30] += 1
    mean, deviation = local_contrast(Data(image, visible))
    assert (local_contrast(Data(spot, visible))[0] - mean).abs().max() < 0.01
    scaled = local_contrast(Data(3 * image + 1, visible))
    torch.testing.assert_close(scaled[0], 3 * mean + 1, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scaled[1], 3 * deviation, rtol=1e-3, atol=1e-4)


def test_local_contrast_leaves_out_what_was_not_measured():
    image, visible = torch.rand(1, 1, 40, 40), (torch.rand(1, 1, 40, 40) > 0.5).float()
    damaged = torch.where(visible > 0, image, 1e3)
    for clean, dirty in zip(local_contrast(Data(image, visible)), local_contrast(Data(damaged, visible)), strict=True):
        torch.testing.assert_close(clean, dirty)


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


def test_the_estimate_lies_between_prediction_and_measurement():
    image = torch.rand(1, 1, 64, 64)
    objective = masked(image, torch.ones(1, 1, 64, 64), Spy(), hidden=0.5)
    objective.loss()
    objective.collect()
    prediction = objective._mean
    objective._total = torch.full_like(image, 0.1)
    part = ((objective.estimate() - prediction) / (image - prediction))[(image - prediction).abs() > 0.01]
    # the noise is 0.01, or what it is corrected to
    assert part.min() > 1 - MOST_CORRECTION * 0.1 - 1e-3 and part.max() < 1 - 0.1 + 1e-3


def test_a_prediction_as_good_as_can_be_stands_for_itself():
    """Where the total error is no more than the noise, the measurement has nothing to add."""
    rng = torch.Generator().manual_seed(0)
    truth = torch.full((1, 1, 64, 64), 0.5)
    noisy = truth + 0.1 * torch.randn(1, 1, 64, 64, generator=rng)
    objective = masked(noisy, torch.ones(1, 1, 64, 64), Spy(), hidden=0.5)
    objective._mean, objective._total = truth, torch.full_like(truth, 0.01)
    assert (objective.estimate() - truth).abs().mean() < 0.01


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
    filled = objective.base + objective.contrast * objective.network.shown[:, :1]
    # the spy gives back what it was shown: the fill less its surroundings
    torch.testing.assert_close(mean, filled + 0.2 * (filled - objective.base), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (17, 21), (5, 9, 10)])
def test_a_coarse_latent_is_smooth_and_fills_the_image(size):
    spy = Spy()
    objective = LatentPrior(
        spy,
        Data(torch.zeros(1, 1, *size), torch.ones(1, 1, *size)),
        Identity(),
        torch.Generator().manual_seed(0),
        latent_channels=2,
        latent_noise=0.01,
        latent_step=2,
        size=size,
    )
    objective.loss()
    assert spy.shown.shape == (1, 2, *size)
    steps = spy.shown.diff(dim=-1)
    rough = torch.rand(1, 2, *size).mul(0.1).diff(dim=-1)
    assert steps.std() < 0.7 * rough.std()


def test_an_ensemble_takes_turns_and_averages():
    image, visible = torch.rand(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    members = [masked(image, visible, small_network(2, 2)) for _ in range(3)]
    ensemble = Ensemble(members)
    assert len(list(matrices(ensemble.network))) == 3 * len(list(matrices(members[0].network)))
    ensemble.loss()[0].backward()
    ensemble.collect()
    assert [any(p.grad is not None for p in m.network.parameters()) for m in members] == [True, False, False]
    torch.testing.assert_close(ensemble.estimate(), members[0].estimate())
    for _ in range(2):
        ensemble.loss()
        ensemble.collect()
    expected = sum(member.estimate() for member in members) / 3
    torch.testing.assert_close(ensemble.estimate(), expected)


def test_local_contrast_in_the_middle_of_a_wide_gap_is_that_of_its_rim():
    image, visible = torch.rand(1, 1, 160, 160), torch.ones(1, 1, 160, 160)
    visible[..., 30:130, 30:130] = 0
    mean, deviation = local_contrast(Data(image * visible, visible))
    assert 0.3 < mean[0, 0, 80, 80] < 0.7
    assert 0.2 < deviation[0, 0, 80, 80] < 0.4
