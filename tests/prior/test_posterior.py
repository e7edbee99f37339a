import pytest
import torch
from small import everywhere, gaussian, masked, noisy_wave, observation_of, problem, random, small_network

from napari_dip.prior.estimators.nonlocal_bayes import ROUGH, PatchGroups, autocorrelation, nonlocal_bayes
from napari_dip.prior.estimators.posterior import AsPredicted, Averaged, Refined, posterior_mean
from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.fitting.stopping import Limits
from napari_dip.prior.noise.config import ESTIMATION


def averaged(values, image, total, mask=None, **noise) -> Averaged:
    """What predictions came to, with as large a variance everywhere."""
    return Averaged(observation_of(values, mask, gaussian(**noise)), image, torch.full_like(image[:, :1], total))


def fitted(values, mask=None, iterations: int = 5, **more) -> Fit:
    list(fit := Fit(problem(masked(observation_of(values, mask), small_network(2, 2)), **more), Limits(iterations)))
    return fit


def test_the_posterior_lies_between_prediction_and_measurement():
    image, prediction = random(1, 64, 64), random(1, 64, 64, seed=1)
    found = posterior_mean(averaged(image, prediction, 0.1)).image
    part = ((found - prediction) / (image - prediction))[(image - prediction).abs() > 0.01]
    # the noise is 0.01, or what it is corrected to
    assert part.min() > 1 - ESTIMATION.most_correction * 0.1 - 1e-3 and part.max() < 1 - 0.1 + 1e-3


def test_a_prediction_as_good_as_can_be_stands_for_itself():
    """Where the total error is no more than the noise, the measurement has nothing to add."""
    truth, noisy = noisy_wave(64)
    assert (posterior_mean(averaged(noisy, truth, 0.01)).image - truth).abs().mean() < 0.01


def test_a_saturated_sky_is_not_darkened():
    """Cut off at 1, a sky of 1 with noise of 0.2 is measured as 0.92 on average."""
    sky = torch.ones(1, 1, 64, 64)
    cut = (sky + 0.2 * torch.randn(sky.shape, generator=torch.Generator().manual_seed(0))).clamp_max(1)
    brightness = []
    for high in (torch.inf, 1.0):
        one = averaged(cut, sky, 0.05, variance=0.04, high=high)
        brightness.append(float(Refined().finish([one]).image.mean()))
    assert cut.mean() < 0.93
    assert brightness[0] < 0.95 < 0.97 < brightness[1] < 1.03


@pytest.mark.parametrize("shape", [(1, 24, 24), (3, 24, 24), (2, 17, 33), (1, 3, 16, 18)])
@pytest.mark.parametrize("radius", [0, 1])
@pytest.mark.parametrize("correct_fill", [None, 0.2])
def test_the_end_has_an_image_and_a_variance_of_every_shape(shape, radius, correct_fill):
    image, mask = random(*shape), torch.ones(1, 1, *shape[1:])
    mask[..., 5:9, 6:12] = 0
    network = small_network(shape[0] + 1, shape[0] + 1, dims=len(shape) - 1)
    one = observation_of(image * mask, mask, gaussian(radius=radius))
    last_step = Refined() if correct_fill is None else AsPredicted()
    fit = Fit(problem(masked(one, network, correct_fill=correct_fill), last_step=last_step), Limits(5))
    assert len(list(fit)) == 5
    result = fit.finish(with_variance=True)
    assert result.image.shape == result.variance.shape == image.shape
    assert torch.isfinite(result.image).all() and torch.isfinite(result.variance).all()
    assert (result.variance >= 0).all() and (result.variance[mask.expand_as(image) > 0] > 0).all()
    plain = fit.finish()
    assert plain.variance is None
    torch.testing.assert_close(plain.image, result.image)
    assert fit.preview().shape == image.shape


def with_gap(image):
    mask = everywhere(image)
    mask[..., 20:26, 20:30] = 0
    return mask


def test_only_the_prediction_fills_gaps():
    _, noisy = noisy_wave(48)
    mask = with_gap(noisy)
    fit, gap = fitted(noisy * mask, mask), mask == 0
    (one,) = fit.averaged()
    assert torch.equal(fit.finish().image[gap], one.image[gap])
    assert torch.equal(posterior_mean(one).image[gap], one.image[gap])
    assert not torch.equal(fit.finish().image[~gap], posterior_mean(one).image[~gap])


def test_what_was_measured_in_a_gap_is_never_used():
    _, noisy = noisy_wave(48)
    mask = with_gap(noisy)
    results = []
    for hidden in (0.0, 0.7):
        values = torch.where(mask > 0, noisy, torch.tensor(hidden))
        results.append(fitted(values, mask).finish(with_variance=True))
    torch.testing.assert_close(results[0].image, results[1].image)
    torch.testing.assert_close(results[0].variance, results[1].variance)


def test_a_preview_is_near_to_the_end_and_changes_nothing():
    _, noisy = noisy_wave(48)
    fit = fitted(noisy, iterations=10)
    before = fit.finish().image
    preview = fit.preview()
    assert torch.equal(fit.finish().image, before)
    assert ((preview - before) ** 2).mean() < 0.1 * ((noisy - before) ** 2).mean()


def test_the_end_is_better_than_the_posterior_where_texture_repeats():
    """The network predicts none of the texture here."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    texture = (0.5 + 0.15 * torch.sin(1.3 * y) * torch.sin(1.1 * x))[None, None]
    noisy = texture + 0.1 * torch.randn(texture.shape, generator=torch.Generator().manual_seed(0))
    one = averaged(noisy, torch.full_like(noisy, 0.5), 0.01 + 0.15**2 / 4)
    images = posterior_mean(one).image, Refined().finish([one]).image
    errors = [float(((image - texture) ** 2).mean()) for image in images]
    assert errors[1] < errors[0]


def three(mask=None) -> list[Averaged]:
    """What three networks predict of a noisy wave."""
    truth, noisy = noisy_wave(32)
    return [
        averaged(noisy, truth + 0.05 * random(1, 32, 32, seed=s), total, mask)
        for s, total in enumerate((0.012, 0.015, 0.02), 1)
    ]


def test_what_several_networks_predict_is_averaged():
    members = three()
    mean, total = (torch.stack(x).mean(0) for x in zip(*((one.image, one.total) for one in members), strict=True))
    result = AsPredicted().finish(members, with_variance=True)
    torch.testing.assert_close(result.image, mean)
    torch.testing.assert_close(result.variance, total)
    torch.testing.assert_close(AsPredicted().preview(members), mean)
    assert AsPredicted().finish(members).variance is None


def test_the_mean_of_what_several_networks_hold_for_likely_is_refined():
    members, groups = three(), PatchGroups(group_size=16, search_radius=4, stride=4)
    mean, total = (torch.stack(x).mean(0) for x in zip(*((one.image, one.total) for one in members), strict=True))
    pilot = torch.stack([posterior_mean(one).image for one in members]).mean(0)
    together = posterior_mean(Averaged(members[0].observation, mean, total))
    assert not torch.allclose(pilot, together.image, atol=1e-4)
    expected, _ = nonlocal_bayes(pilot, together.value, together.noise, groups=groups)
    assert torch.equal(Refined(groups=groups).finish(members).image, expected)
    assert torch.equal(Refined(preview_groups=groups).preview(members), expected)


def test_in_a_gap_several_networks_give_the_mean_of_their_predictions():
    mask = everywhere(random(1, 32, 32))
    mask[..., 8:12, 8:14] = 0
    members = three(mask)
    mean = torch.stack([one.image for one in members]).mean(0)
    torch.testing.assert_close(Refined(groups=ROUGH).finish(members).image[mask == 0], mean[mask == 0])


def test_one_network_alone_is_refined_from_its_own_posterior():
    (one, *_), groups = three(), PatchGroups(group_size=16, search_radius=4, stride=4)
    posterior = posterior_mean(one)
    expected, _ = nonlocal_bayes(posterior.image, posterior.value, posterior.noise, groups=groups)
    assert torch.equal(Refined(groups=groups).finish([one]).image, expected)


@pytest.mark.parametrize("radius", [0, 1])
def test_the_planes_of_a_volume_are_refined_together(radius):
    noisy, groups = random(1, 4, 24, 24), PatchGroups(group_size=16, search_radius_in_volume=4)
    prediction = noisy + 0.05 * random(1, 4, 24, 24, seed=1)
    one = averaged(noisy, prediction, 0.012, radius=radius)
    found, step = posterior_mean(one), Refined(groups=groups)
    residual = (found.value - found.image) / found.noise.sqrt()
    correlation, trust = (autocorrelation(residual, 2), step.trust_if_correlated) if radius else (None, 0.0)
    expected, _ = nonlocal_bayes(found.image, found.value, found.noise, correlation, groups, trust=trust)
    torch.testing.assert_close(step.finish([one]).image, expected)
