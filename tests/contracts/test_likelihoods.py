"""What every likelihood has to do; a new one joins by a line in the list."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dip.prior.physics.likelihood import Gaussian, LeastSquares, Likelihood, NoiseVariance, Poisson


def normal(rng, mean, own, likelihood):
    """Normal noise, on a truth that is uncertain by a variance."""
    truth = rng.normal(mean, math.sqrt(own), SAMPLES)
    variance = likelihood.noise_variance(torch.tensor([float(mean)], dtype=torch.float64)).item()
    return rng.normal(truth, math.sqrt(variance))


def cut_off(rng, mean, own, likelihood):
    """The same where a camera saturates."""
    return normal(rng, mean, own, likelihood).clip(likelihood.low, likelihood.high)


def counted(rng, mean, own, likelihood):
    """Photons, at a rate that is uncertain."""
    noise = likelihood.noise
    rate = (mean - noise.offset) / noise.gain
    spread = own / noise.gain**2
    rates = rng.gamma(rate**2 / spread, spread / rate, SAMPLES) if own else np.full(SAMPLES, rate)
    return noise.offset + noise.gain * (rng.poisson(rates) + rng.normal(0, math.sqrt(noise.read) / noise.gain, SAMPLES))


@dataclass(frozen=True)
class Case:
    """A likelihood, how its noise is drawn, and whether it has a use for the variance of a prediction."""

    name: str
    likelihood: Likelihood
    draw: Callable
    uses_variance: bool = True


CASES = [
    Case("least squares", LeastSquares(), normal, uses_variance=False),
    Case("weak gaussian", Gaussian(NoiseVariance(1e-4)), normal),
    Case("strong gaussian", Gaussian(NoiseVariance(0.04)), normal),
    Case("gaussian that grows", Gaussian(NoiseVariance(0.001, 0.02, 0.05, offset=0.1)), normal),
    Case("cut off above", Gaussian(NoiseVariance(0.01), high=0.8), cut_off),
    Case("cut off on both sides", Gaussian(NoiseVariance(0.04, 0.02), low=0.1, high=0.9), cut_off),
    Case("few photons", Poisson(NoiseVariance(0.0, 0.1)), counted),
    Case("many photons", Poisson(NoiseVariance(0.0, 0.002, offset=-0.1)), counted),
    Case("photons and read noise", Poisson(NoiseVariance(1e-4, 0.01, offset=0.05)), counted),
]
SAMPLES = 20_000

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
a_few = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 9999)
EXTREMES = [-1e4, -10.0, -1.0, -1e-7, 0.0, 1e-7, 0.1, 0.5, 0.9, 1.0, 2.0, 10.0, 1e4]


def loss(likelihood, mean, variance, values) -> float:
    """Mean loss of all samples under one prediction, in double precision."""
    values = torch.as_tensor(values, dtype=torch.float64)
    return float(likelihood(*(torch.full_like(values, x) for x in (mean, variance)), values).mean())


def edges(likelihood) -> list[tuple[float, int]]:
    """Where it saturates, and to which side the truth may lie from there."""
    found = (getattr(likelihood, "low", -math.inf), -1), (getattr(likelihood, "high", math.inf), 1)
    return [(edge, side) for edge, side in found if math.isfinite(edge)]


@every_case
@a_few
@given(mean=st.floats(0.3, 0.9), share=st.just(0.0) | st.floats(0.2, 2), seed=seeds)
def test_what_is_expected_of_the_loss_is_least_at_the_truth(case, mean, share, seed):
    """The prediction may be uncertain, too, by a share of the variance of the noise."""
    one, rng = case.likelihood, np.random.default_rng(seed)
    noise = one.noise_variance(torch.tensor([mean], dtype=torch.float64)).item()
    own = share * noise
    values, deviation = case.draw(rng, mean, own, one), math.sqrt(noise + own)
    truth = loss(one, mean, own, values)
    for shift in (-0.3, 0.3):
        assert loss(one, mean + shift * deviation, own, values) > truth
    if case.uses_variance:
        assert loss(one, mean, own + 2 * noise, values) > truth
    if case.uses_variance and share > 1:
        assert loss(one, mean, own / 20, values) > truth


@every_case
def test_no_prediction_breaks_the_loss_or_its_slope(case):
    for value in EXTREMES:
        mean = torch.tensor(EXTREMES).repeat(4).requires_grad_()
        variance = torch.tensor([0.0, 1e-8, 0.01, 1e4]).repeat_interleave(len(EXTREMES)).requires_grad_()
        found = case.likelihood(mean, variance, torch.full_like(mean, value))
        slopes = torch.autograd.grad(found.sum(), (mean, variance), materialize_grads=True)
        assert found.shape == mean.shape
        assert all(torch.isfinite(x).all() for x in (found, *slopes)), value


@every_case
def test_the_slope_leads_to_the_value_or_beyond_where_it_is_saturated(case):
    """In the middle to the value itself; at an edge outward, or nowhere."""
    for value in (0.2, 0.5, 0.75):
        mean = (value + torch.tensor([-0.15, 0.15])).requires_grad_()
        case.likelihood(mean, torch.full((2,), 0.01), torch.full((2,), value)).sum().backward()
        assert mean.grad[0] < 0 < mean.grad[1]
    for edge, side in edges(case.likelihood):
        for beyond in (0.0, 0.1):
            mean = torch.linspace(-2, 3, 26).requires_grad_()
            values = torch.full((26,), edge + side * beyond)
            case.likelihood(mean, torch.full((26,), 0.01), values).sum().backward()
            assert (side * mean.grad <= 0).all()


@every_case
def test_where_nothing_tells_of_a_variance_it_has_no_slope(case):
    variance = torch.full((3,), 0.01, requires_grad=True)
    found = case.likelihood(torch.tensor([0.3, 0.5, 0.7]), variance, torch.full((3,), 0.5))
    assert found.requires_grad == case.uses_variance


@every_case
@pytest.mark.parametrize("shape", [(1, 1, 5, 6), (1, 3, 5, 6), (1, 2, 3, 5, 6)])
def test_the_variance_of_the_noise_is_positive_and_of_the_shape_of_the_signal(case, shape):
    signal = torch.linspace(-3, 4, math.prod(shape)).reshape(shape)
    variance = case.likelihood.noise_variance(signal)
    assert variance.shape == shape and variance.dtype == signal.dtype
    assert (variance > 0).all() and torch.isfinite(variance).all()
    ordered = variance.flatten()
    assert (ordered.diff() >= 0).all()  # never less where it is brighter
    assert not case.likelihood.noise_variance(signal.requires_grad_()).requires_grad


@every_case
@a_few
@given(seed=seeds)
def test_the_variance_of_the_noise_is_that_of_what_is_drawn(case, seed):
    values = case.draw(np.random.default_rng(seed), 0.5, 0.0, case.likelihood)
    inside = [edge for edge, _ in edges(case.likelihood)]
    if not np.isin(values, inside).mean() > 0.01:
        expected = float(case.likelihood.noise_variance(torch.tensor([0.5]))[0])
        assert values.var() == pytest.approx(expected, rel=0.1)
        assert values.mean() == pytest.approx(0.5, abs=6 * math.sqrt(expected / SAMPLES))


@every_case
@a_few
@given(seed=seeds)
def test_what_is_not_saturated_stays_as_it_was_measured(case, seed):
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(rng.uniform(0.15, 0.75, 50)).float()
    mean, total = torch.from_numpy(rng.uniform(-1, 2, 50)).float(), torch.from_numpy(rng.uniform(1e-4, 1, 50)).float()
    value, spread = case.likelihood.unclipped(mean, total, values)
    assert torch.equal(value, values) and not spread.any()


@every_case
def test_what_is_saturated_is_taken_for_something_beyond(case):
    for edge, side in edges(case.likelihood):
        mean = torch.tensor(EXTREMES)
        for total in (1e-6, 0.01, 1.0):
            value, spread = case.likelihood.unclipped(mean, torch.full_like(mean, total), torch.full_like(mean, edge))
            assert (side * (value - edge) >= -1e-3 * mean.abs().clamp_min(1)).all()
            assert ((value - edge).abs() <= 4 * total**0.5 + 1e-3 * mean.abs())[side * (mean - edge) <= 0].all()
            assert torch.isfinite(value).all() and torch.isfinite(spread).all()
            assert (spread >= 0).all() and (spread <= total * 1.001).all()


@every_case
def test_single_precision_is_good_enough(case):
    mean, values = torch.meshgrid(torch.linspace(0.1, 1, 10), torch.linspace(0.13, 0.77, 11), indexing="ij")
    for own in (0.0, 1e-3, 0.1):
        given = mean, torch.full_like(mean, own), values
        single, double = (case.likelihood(*(x.to(kind) for x in given)) for kind in (torch.float32, torch.float64))
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=0.05)


@every_case
def test_it_says_how_strong_its_noise_is(case):
    signal = torch.linspace(0, 1, 7)
    assert isinstance(case.likelihood.noise, NoiseVariance)
    torch.testing.assert_close(case.likelihood.noise_variance(signal), case.likelihood.noise.at(signal))
