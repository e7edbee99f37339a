import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import everywhere, gaussian, observation_of, random, seeded

from napari_dip.prior.objectives.objective import Prediction, RunningAverage, loss_of
from napari_dip.prior.physics.forward_model import Downsample
from napari_dip.prior.physics.likelihood import LeastSquares
from napari_dip.prior.physics.observation import UNKNOWN_NOISE


def averaged(brightness, keep: float = 0.985, warm_up: int = 9, target=None) -> RunningAverage:
    """Average flat images of some brightness each."""
    average = RunningAverage(keep, warm_up)
    for value in brightness:
        image = torch.full((1, 2, 8, 8), float(value))
        average.add(image, 0.1 * image[:, :1], target)
    return average


some_pixels = (random(1, 8, 8) > 0.5).float()
every_target = pytest.mark.parametrize(
    "target", [None, torch.ones(1, 1, 8, 8), some_pixels], ids=["none", "all", "some"]
)


def test_the_loss_is_that_of_the_likelihood_on_the_target():
    values, image = random(2, 8, 8), random(2, 8, 8, seed=1)
    loss, error = loss_of(Prediction(image, target=some_pixels), observation_of(values, noise=UNKNOWN_NOISE))
    counts = some_pixels.expand_as(values) > 0
    torch.testing.assert_close(loss, LeastSquares()(image, torch.zeros(()), values)[counts].mean())
    torch.testing.assert_close(error, ((image - values) ** 2)[counts].mean())


def test_without_a_target_all_that_was_measured_counts():
    values, image = random(1, 8, 8), random(1, 8, 8, seed=1)
    for mask in (None, some_pixels):
        one = observation_of(values, mask)
        all_of_it = Prediction(image, target=everywhere(values))
        assert loss_of(Prediction(image), one) == loss_of(all_of_it, one)


@pytest.mark.parametrize("radius", [0, 1])
@pytest.mark.parametrize("target", [None, some_pixels], ids=["none", "some"])
def test_what_is_held_out_or_missing_counts_neither_for_loss_nor_error(target, radius):
    values, mask = random(1, 32, 32), (random(1, 32, 32, seed=1) > 0.2).float()
    one = observation_of(values.clone(), mask, gaussian(radius=radius)).split(0.05, seeded())
    target = None if target is None else target.repeat(1, 1, 4, 4)
    prediction = Prediction(random(1, 32, 32, seed=2), random(1, 32, 32, seed=3), target)
    before = loss_of(prediction, one)
    assert one.held_out.any() and one.learned.any()
    values[(one.learned == 0) | (one.held_out > 0)] += 5
    changed = observation_of(values, mask, gaussian(radius=radius), held_out=one.held_out)
    assert loss_of(prediction, changed) == before


def test_the_variance_of_the_prediction_counts_with_that_of_the_noise():
    values = random(1, 8, 8)
    one = observation_of(values, noise=gaussian(0.01))
    losses = [loss_of(Prediction(values + 0.3, torch.full_like(values, v)), one)[0] for v in (0.0, 0.08, 5.0)]
    assert losses[1] < min(losses[0], losses[2])
    torch.testing.assert_close(losses[1], 0.5 * (torch.tensor(0.09) / 0.09 + torch.tensor(0.09).log()))


def test_the_error_has_no_slope_and_the_loss_has():
    values, image = random(1, 8, 8), random(1, 8, 8, seed=1).requires_grad_()
    loss, error = loss_of(Prediction(image, image**2), observation_of(values))
    assert loss.requires_grad and not error.requires_grad


def test_a_prediction_is_scored_through_the_forward_model():
    fine, values = random(1, 12, 16), random(1, 3, 4)
    model = Downsample(4, (12, 16), lobes=3)
    one = observation_of(values, noise=UNKNOWN_NOISE, forward_model=model)
    loss, error = loss_of(Prediction(fine), one)
    torch.testing.assert_close(loss, ((model(fine) - values) ** 2).mean())
    assert loss == error
    # the kernel has negative parts, but no variance is less than nothing
    spot = torch.zeros(1, 1, 12, 16)
    spot[..., 0, 0] = 1
    assert model(spot).min() < 0
    assert torch.isfinite(loss_of(Prediction(fine, spot), observation_of(values, forward_model=model))[0])


@every_target
@settings(max_examples=15, deadline=None)
@given(value=st.floats(-2, 2), count=st.integers(1, 30), keep=st.floats(0.5, 0.999), warm_up=st.integers(0, 20))
def test_the_average_of_equal_images_is_that_image(target, value, count, keep, warm_up):
    average = averaged([value] * count, keep, warm_up, target)
    torch.testing.assert_close(average.image, torch.full((1, 2, 8, 8), value), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(average.total, torch.full((1, 1, 8, 8), 0.1 * value), rtol=1e-4, atol=1e-5)


@every_target
@settings(max_examples=15, deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=20), keep=st.floats(0.5, 0.999))
def test_an_average_lies_between_what_it_is_of(target, values, keep):
    image = averaged(values, keep, 9, target).image
    assert min(values) - 1e-5 <= image.min() and image.max() <= max(values) + 1e-5


@every_target
def test_late_predictions_count_most(target):
    first, last = (averaged(values, target=target).image for values in ([1.0] + [0.0] * 9, [0.0] * 9 + [1.0]))
    where = torch.ones(1, 2, 8, 8) if target is None else target.expand(1, 2, 8, 8)
    assert (last > first)[where > 0].all()
    early, late = (averaged(values, target=target).image for values in ([1.0] * 9 + [0.0] * 9, [0.0] * 9 + [1.0] * 9))
    assert (late > 0.5)[where > 0].all() and (early < 0.5)[where > 0].all()


def test_the_first_outputs_are_forgotten_sooner_with_a_warm_up():
    slow, soon = (averaged((0.0, 1.0, 1.0, 1.0), 0.99, warm_up).image.mean() for warm_up in (0, 9))
    assert 0 < slow < 0.1 < 0.9 < soon


def test_a_pixel_that_was_no_target_yet_takes_the_last_prediction_and_then_forgets_it():
    average = averaged((0.3, 0.7), target=some_pixels)
    untouched = some_pixels.expand(1, 2, 8, 8) == 0
    assert (average.image[untouched] == 0.7).all() and (average.image[~untouched] < 0.7).all()
    average.add(torch.full((1, 2, 8, 8), 0.2), torch.full((1, 1, 8, 8), 0.2), 1 - some_pixels)
    assert (average.image[untouched] - 0.2).abs().max() < 1e-3
    assert (average.total[:, :1][some_pixels == 0] - 0.2).abs().max() < 1e-3
    before = average.image[~untouched].clone()
    average.add(torch.full((1, 2, 8, 8), 0.9), torch.full((1, 1, 8, 8), 0.2), 1 - some_pixels)
    assert torch.equal(average.image[~untouched], before)


@every_target
def test_an_average_goes_on_from_its_state(target):
    whole, values = averaged((0.1, 0.5, 0.9, 0.2), target=target), (0.9, 0.2)
    half = averaged((0.1, 0.5), target=target)
    other = RunningAverage(0.985, 9)
    other.load_state(half.state())
    for value in values:
        image = torch.full((1, 2, 8, 8), value)
        other.add(image, 0.1 * image[:, :1], target)
    assert torch.equal(other.image, whole.image) and torch.equal(other.total, whole.total)


def test_what_is_averaged_is_not_changed():
    image, total = random(1, 8, 8), random(1, 8, 8, seed=1)
    asked = image.clone(), total.clone()
    for target in (None, some_pixels):
        average = RunningAverage(0.5, 0)
        for _ in range(3):
            average.add(image, total, target)
        average.add(image + 1, total, target)
    assert torch.equal(image, asked[0]) and torch.equal(total, asked[1])
