import numpy as np
import pytest
import torch
from small import small_network

from napari_dip.prior.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.masked_prediction import Ensemble, MaskedPrediction
from napari_dip.prior.network import Prior, matrices
from napari_dip.prior.noise_estimation import ESTIMATION
from napari_dip.prior.objective import Data


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed))


def noisy_wave(size: int = 48, channels: int = 1, sigma: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth image, and the same with noise."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    truth = (0.5 + 0.3 * torch.sin(y / 4) * torch.cos(x / 5)).expand(1, channels, size, size)
    return truth, truth + sigma * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))


class Spy(Prior):
    """Remembers what it was shown, and gives it back as its prediction."""

    levels, dims = 0, 2

    def forward(self, x):
        self.shown = x
        return torch.cat([x[:, :-1], torch.zeros_like(x[:, :1])], 1)


def masked(measured: torch.Tensor, visible: torch.Tensor, network: Prior, seed: int = 1, **options) -> MaskedPrediction:
    options = {"hidden": 0.3, "likelihood": Gaussian(NoiseVariance(0.01)), **options}
    return MaskedPrediction(network, Data(measured, visible), generator=torch.Generator().manual_seed(seed), **options)


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1])


def work(objective: MaskedPrediction | Ensemble, iterations: int):
    for _ in range(iterations):
        objective.loss()
        objective.collect()
    return objective


@pytest.mark.parametrize("radius", [0, 1])
def test_a_hidden_pixel_cannot_be_seen(radius):
    """Whatever the value of a hidden pixel is, the network is shown the same, but for what local contrast tells."""
    image = random(1, 24, 24)
    visible = everywhere(image)
    first, second = Spy(), Spy()
    one = masked(image, visible, first, radius=radius)
    one.loss()
    hidden = first.shown[:, 1:] == 1
    other = masked(torch.where(hidden, image + 100, image), visible, second, radius=radius)
    other.base, other.contrast = one.base, one.contrast
    other.loss()
    assert hidden.any() and not hidden.all()
    assert torch.equal(first.shown, second.shown)


def test_neighbours_are_hidden_as_far_as_the_noise_reaches():
    image = random(1, 64, 64)
    objective = masked(image, everywhere(image), Spy(), radius=1)
    asked, hidden = objective._draw()
    y, x = np.argwhere(asked[0, 0, 1:-1, 1:-1].numpy())[0] + 1
    assert hidden[0, 0, y - 1 : y + 2, x - 1 : x + 2].all()
    assert 0.2 < hidden.mean() < 0.4


def test_masked_pixels_do_not_change_the_loss():
    image, visible = random(1, 32, 32), (random(1, 32, 32, seed=1) > 0.3).float()
    first = masked(image, visible, small_network(2, 2)).loss()[0]
    second = masked(torch.where(visible > 0, image, 9.0), visible, small_network(2, 2)).loss()[0]
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("radius", [0, 1])
def test_reserved_pixels_are_never_learned_from(radius):
    """While they are hidden their values are no matter; nor are those of neighbours whose noise tells of theirs."""
    image = random(1, 48, 48)
    first, other, draws = (
        masked(image.clone(), everywhere(image), small_network(2, 2), reserved=0.1, radius=radius) for _ in range(3)
    )
    untaught = first._widened(first.reserved) * draws._draw()[0] > 0
    assert 0.05 < first.reserved.mean() < 0.15 and untaught.any()
    other.data.measured[untaught] += 5
    assert torch.equal(first.loss()[0], other.loss()[0])
    first.collect()
    other.collect()
    assert other.held_out() > first.held_out() > 0  # but they are judged


def test_the_held_out_error_of_a_perfect_prediction_is_that_of_the_noise():
    truth, noisy = noisy_wave(96)
    objective = masked(noisy, everywhere(noisy), Spy(), reserved=0.2)
    work(objective, 1)
    objective._mean = truth
    assert objective.held_out() == pytest.approx(1.0, rel=0.15)
    objective._mean = truth + 0.1
    assert objective.held_out() == pytest.approx(2.0, rel=0.15)


def test_without_reserved_pixels_there_is_no_held_out_error():
    image = random(1, 24, 24)
    assert work(masked(image, everywhere(image), Spy()), 1).held_out() is None
    members = [masked(image, everywhere(image), small_network(2, 2)) for _ in range(2)]
    assert work(Ensemble(members), 2).held_out() is None


def test_the_estimate_lies_between_prediction_and_measurement():
    image = random(1, 64, 64)
    objective = work(masked(image, everywhere(image), Spy(), hidden=0.5), 1)
    prediction = objective._mean
    objective._total = torch.full_like(image, 0.1)
    part = ((objective.estimate() - prediction) / (image - prediction))[(image - prediction).abs() > 0.01]
    # the noise is 0.01, or what it is corrected to
    assert part.min() > 1 - ESTIMATION.most_correction * 0.1 - 1e-3 and part.max() < 1 - 0.1 + 1e-3


def test_a_prediction_as_good_as_can_be_stands_for_itself():
    """Where the total error is no more than the noise, the measurement has nothing to add."""
    truth, noisy = noisy_wave(64)
    objective = masked(noisy, everywhere(noisy), Spy(), hidden=0.5)
    objective._mean, objective._total = truth, torch.full_like(truth, 0.01)
    assert (objective.estimate() - truth).abs().mean() < 0.01


def test_a_saturated_sky_is_not_darkened():
    """Cut off at 1, a sky of 1 with noise of 0.2 is measured as 0.92 on average."""
    sky = torch.ones(1, 1, 64, 64)
    cut = (sky + 0.2 * torch.randn(sky.shape, generator=torch.Generator().manual_seed(0))).clamp_max(1)
    brightness = []
    for high in (torch.inf, 1.0):
        objective = masked(cut, everywhere(cut), Spy(), likelihood=Gaussian(NoiseVariance(0.04), high=high))
        objective._mean, objective._total = sky, torch.full_like(sky, 0.05)
        brightness.append(float(objective.finish().image.mean()))
    assert cut.mean() < 0.93
    assert brightness[0] < 0.95 < 0.97 < brightness[1] < 1.03


def test_deep_gaps_hide_moved_copies_of_themselves():
    image, visible = random(1, 64, 64), torch.ones(1, 1, 64, 64)
    visible[..., 10:30, 20:40] = 0
    objective = masked(image, visible, Spy(), hidden=0.0, like_missing=True)
    draws = [objective._draw()[0] for _ in range(8)]
    assert all(asked.sum() == 400 for asked in draws)
    assert not all(torch.equal(draws[0], asked) for asked in draws)


def test_a_fill_is_corrected_where_asked_for():
    image = random(1, 16, 16)
    objective = masked(image, everywhere(image), Spy(), hidden=0.2, correct_fill=True)
    objective.loss()
    mean, _, _ = objective._last
    filled = objective.base + objective.contrast * objective.network.shown[:, :1]
    # the spy gives back what it was shown: the fill less its surroundings
    torch.testing.assert_close(mean, filled + 0.2 * (filled - objective.base), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 24, 24), (3, 24, 24), (2, 17, 33), (1, 3, 16, 18)])
@pytest.mark.parametrize("radius", [0, 1])
@pytest.mark.parametrize("correct_fill", [False, True])
def test_the_end_has_an_image_and_a_variance_of_every_shape(shape, radius, correct_fill):
    image, visible = random(*shape), torch.ones(1, 1, *shape[1:])
    visible[..., 5:9, 6:12] = 0
    network = small_network(shape[0] + 1, shape[0] + 1, dims=len(shape) - 1)
    objective = work(masked(image * visible, visible, network, radius=radius, correct_fill=correct_fill), 5)
    result = objective.finish(with_variance=True)
    assert result.image.shape == result.variance.shape == image.shape
    assert torch.isfinite(result.image).all() and torch.isfinite(result.variance).all()
    assert (result.variance >= 0).all() and (result.variance[visible.expand_as(image) > 0] > 0).all()
    plain = objective.finish()
    assert plain.variance is None
    torch.testing.assert_close(plain.image, result.image)
    assert objective.preview().shape == image.shape


def test_only_the_prediction_fills_gaps():
    _, noisy = noisy_wave(48)
    visible = everywhere(noisy)
    visible[..., 20:26, 20:30] = 0
    objective = work(masked(noisy * visible, visible, small_network(2, 2)), 5)
    gap = visible == 0
    assert torch.equal(objective.finish().image[gap], objective._mean[gap])
    assert not torch.equal(objective.finish().image[~gap], objective.estimate()[~gap])


def test_what_was_measured_in_a_gap_is_never_used():
    _, noisy = noisy_wave(48)
    visible = everywhere(noisy)
    visible[..., 20:26, 20:30] = 0
    results = []
    for hidden in (0.0, 0.7):
        measured = torch.where(visible > 0, noisy, torch.tensor(hidden))
        results.append(work(masked(measured, visible, small_network(2, 2)), 5).finish(with_variance=True))
    torch.testing.assert_close(results[0].image, results[1].image)
    torch.testing.assert_close(results[0].variance, results[1].variance)


def test_a_preview_is_near_to_the_end_and_changes_nothing():
    _, noisy = noisy_wave(48)
    objective = work(masked(noisy, everywhere(noisy), small_network(2, 2)), 10)
    before = objective.finish().image
    preview = objective.preview()
    assert torch.equal(objective.finish().image, before)
    assert ((preview - before) ** 2).mean() < 0.1 * ((noisy - before) ** 2).mean()


def test_the_end_is_better_than_the_estimate_where_texture_repeats():
    """The network predicts none of the texture here."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    texture = (0.5 + 0.15 * torch.sin(1.3 * y) * torch.sin(1.1 * x))[None, None]
    noisy = texture + 0.1 * torch.randn(texture.shape, generator=torch.Generator().manual_seed(0))
    objective = masked(noisy, everywhere(noisy), Spy())
    objective._mean, objective._total = torch.full_like(noisy, 0.5), torch.full_like(noisy, 0.01 + 0.15**2 / 4)
    errors = [float(((image - texture) ** 2).mean()) for image in (objective.estimate(), objective.finish().image)]
    assert errors[1] < errors[0]


def test_an_ensemble_takes_turns_and_averages():
    image = random(1, 32, 32)
    members = [masked(image, everywhere(image), small_network(2, 2, seed=s), seed=s, reserved=0.1) for s in range(3)]
    ensemble = Ensemble(members)
    assert ensemble.networks == 3
    assert len(list(matrices(ensemble.network))) == 3 * len(list(matrices(members[0].network)))
    assert ensemble.turn == 0
    ensemble.loss()[0].backward()
    ensemble.collect()
    assert ensemble.turn == 1
    assert [any(p.grad is not None for p in m.network.parameters()) for m in members] == [True, False, False]
    torch.testing.assert_close(ensemble.estimate(), members[0].estimate())
    assert ensemble.held_out() == members[0].held_out()
    work(ensemble, 2)
    assert ensemble.turn == 0
    torch.testing.assert_close(ensemble.estimate(), sum(member.estimate() for member in members) / 3)
    assert ensemble.held_out() == pytest.approx(sum(member.held_out() for member in members) / 3)
    result = ensemble.finish(with_variance=True)
    assert result.image.shape == result.variance.shape == image.shape and (result.variance > 0).all()
    assert ensemble.preview().shape == image.shape


def test_an_ensemble_can_be_looked_at_from_its_first_iteration_on():
    image = random(3, 16, 16)
    ensemble = Ensemble([masked(image, everywhere(image), small_network(4, 4, seed=s), seed=s) for s in range(3)])
    for _ in range(4):
        work(ensemble, 1)
        assert torch.isfinite(ensemble.preview()).all() and torch.isfinite(ensemble.finish().image).all()
