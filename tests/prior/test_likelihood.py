import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import nbinom, norm, truncnorm

from napari_dip.prior.physics.likelihood import Gaussian, LeastSquares, NoiseVariance, Poisson

SAMPLES = 20_000
a_few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 10_000)


def between(low: float, high: float):
    return st.floats(low, high, allow_nan=False)


def losses(likelihood, mean, variance, measured) -> np.ndarray:
    """Loss of each sample under one prediction, in double precision."""
    measured = torch.as_tensor(measured, dtype=torch.float64)
    mean, variance = (torch.full_like(measured, value) for value in (mean, variance))
    return likelihood(mean, variance, measured).numpy()


def is_expected(found: np.ndarray, expected: float) -> bool:
    """Whether the mean of samples lies within five standard errors."""
    return abs(found.mean() - expected) <= 5 * found.std() / np.sqrt(found.size) + 1e-6


def scaled(noise: NoiseVariance, factor: float) -> NoiseVariance:
    return replace(
        noise,
        read=factor * noise.read,
        gain=factor * noise.gain,
        multiplicative=factor * noise.multiplicative,
    )


@a_few
@given(
    read=between(1e-4, 0.05),
    gain=st.just(0.0) | between(1e-3, 0.05),
    multiplicative=st.just(0.0) | between(1e-3, 0.2),
    offset=between(-0.2, 0.05),
    mean=between(0.05, 0.95),
    own=st.just(0.0) | between(1e-4, 0.05),
    seed=seeds,
)
def test_gaussian_noise_has_its_entropy_at_the_truth_and_more_elsewhere(
    read, gain, multiplicative, offset, mean, own, seed
):
    rng = np.random.default_rng(seed)
    light = mean - offset
    at_mean = read + gain * light + multiplicative * light**2
    measured = rng.normal(rng.normal(mean, math.sqrt(own), SAMPLES), math.sqrt(at_mean))
    noise = NoiseVariance(read, gain, multiplicative, offset)
    truth = losses(Gaussian(noise), mean, own, measured)
    total = at_mean + own
    assert is_expected(truth, norm(mean, math.sqrt(total)).entropy() - 0.5 * math.log(2 * math.pi))
    for shift in (-0.3, 0.3):
        assert losses(Gaussian(noise), mean + shift * math.sqrt(total), own, measured).mean() > truth.mean()
    for factor in (0.5, 2):
        assert losses(Gaussian(scaled(noise, factor)), mean, factor * own, measured).mean() > truth.mean()


@a_few
@given(mean=between(0, 1), deviation=between(0.02, 0.4), share=between(0, 0.7), seed=seeds)
def test_saturated_noise_has_its_entropy_at_the_truth_and_more_elsewhere(mean, deviation, share, seed):
    """A saturated value counts by its probability, all others by their density."""
    rng = np.random.default_rng(seed)
    own, read = share * deviation**2, (1 - share) * deviation**2
    measured = rng.normal(mean, deviation, SAMPLES).clip(0, 1)
    low, high = -mean / deviation, (1 - mean) / deviation
    expected = -norm.cdf(low) * norm.logcdf(low) - norm.sf(high) * norm.logsf(high)
    expected += norm.expect(lambda z: 0.5 * z**2 + math.log(deviation), lb=low, ub=high)
    truth = losses(Gaussian(NoiseVariance(read), 0.0, 1.0), mean, own, measured)
    assert is_expected(truth, expected)
    for shift in (-0.3, 0.3):
        wrong = losses(Gaussian(NoiseVariance(read), 0.0, 1.0), mean + shift * deviation, own, measured)
        assert wrong.mean() > truth.mean()
    for factor in (0.5, 2):
        wrong = losses(Gaussian(NoiseVariance(factor * read), 0.0, 1.0), mean, factor * own, measured)
        assert wrong.mean() > truth.mean()


@a_few
@given(
    expected_count=between(1, 150),
    gain=between(0.002, 0.1),
    offset=between(-0.2, 0.5),
    own=between(1, 4),
    seed=seeds,
)
def test_photon_counts_have_their_entropy_at_the_truth_and_more_elsewhere(expected_count, gain, offset, own, seed):
    """The true rate is uncertain, by `own` times the variance of the photon noise."""
    rng = np.random.default_rng(seed)
    shape = expected_count / own
    measured = offset + gain * rng.poisson(rng.gamma(shape, expected_count / shape, SAMPLES))
    mean, variance = offset + gain * expected_count, own * expected_count * gain**2
    truth = losses(Poisson(NoiseVariance(0.0, gain, offset=offset)), mean, variance, measured)
    counts = nbinom(shape, shape / (shape + expected_count))
    k = np.arange(counts.isf(1e-12) + 2)
    assert is_expected(truth, -(counts.pmf(k) * (counts.logpmf(k) + gammaln(k + 1))).sum())
    shift = 0.3 * gain * counts.std()
    wrong = [(mean + shift, variance), (mean - shift, variance), (mean, 4 * variance), (mean, variance / 4)]
    for prediction in wrong:
        assert losses(Poisson(NoiseVariance(0.0, gain, offset=offset)), *prediction, measured).mean() > truth.mean()


@a_few
@given(
    expected_count=between(5, 150),
    gain=between(0.002, 0.1),
    read=between(0, 2),
    offset=st.just(0.0) | between(-0.2, 0.5),
    seed=seeds,
)
def test_counts_with_read_noise_are_best_explained_by_the_truth(expected_count, gain, read, offset, seed):
    """Read noise of variance r, in photons, stands for r more of them; the loss of a rate m is m - E[count] log(m)."""
    rng = np.random.default_rng(seed)
    measured = offset + gain * (rng.poisson(expected_count, SAMPLES) + rng.normal(0, read, SAMPLES))
    likelihood = Poisson(NoiseVariance((read * gain) ** 2, gain, offset=offset))
    mean, rate = offset + gain * expected_count, expected_count + read**2
    truth = losses(likelihood, mean, 0.0, measured)
    assert is_expected(truth, rate * (1 - math.log(rate)))
    for shift in (-0.3, 0.3):
        assert losses(likelihood, mean + shift * gain * math.sqrt(rate), 0.0, measured).mean() > truth.mean()
    assert losses(likelihood, mean, 2 * rate * gain**2, measured).mean() > truth.mean()


@settings(deadline=None)
@given(
    count=st.integers(0, 500),
    rate=between(0.05, 300),
    own=between(1e-3, 10),
    gain=between(1e-3, 1),
    offset=between(0, 1),
)
def test_photon_counts_follow_the_negative_binomial_distribution(count, rate, own, gain, offset):
    shape = min(rate / own, 1e4)
    found = losses(
        Poisson(NoiseVariance(0.0, gain, offset=offset)),
        offset + gain * rate,
        own * rate * gain**2,
        offset + gain * count,
    )
    expected = -nbinom.logpmf(count, shape, shape / (shape + rate)) - gammaln(count + 1)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_photon_counts_in_single_precision():
    """Also where the prediction is sure of itself and the distribution is nearly a plain Poisson one."""
    count = torch.arange(0, 300, 7.0)
    for variance in (0.0, 1e-4, 0.01):
        given = 0.5 * torch.ones_like(count), variance * torch.ones_like(count), count / 200
        likelihood = Poisson(NoiseVariance(0.0, 1 / 200))
        single, double = (likelihood(*(x.to(kind) for x in given)).double() for kind in (torch.float32, torch.float64))
        torch.testing.assert_close(single, double, rtol=1e-4, atol=0.03)


@settings(deadline=None)
@given(distance=between(-30, 30), deviation=between(1e-3, 0.5), side=st.sampled_from(["low", "high"]))
def test_a_saturated_value_counts_by_its_probability(distance, deviation, side):
    """The mean lies `distance` standard deviations beyond the edge."""
    edge, sign = (0.0, -1) if side == "low" else (1.0, 1)
    likelihood = Gaussian(NoiseVariance(deviation**2), 0.0, 1.0)
    found = losses(likelihood, edge + sign * distance * deviation, 0.0, edge)
    assert found == pytest.approx(-norm.logcdf(distance), rel=1e-5, abs=1e-9)


@settings(deadline=None)
@given(distance=between(-12, 6), deviation=between(1e-3, 0.5), side=st.sampled_from(["low", "high"]))
def test_what_lies_beyond_saturation_has_the_moments_of_a_cut_normal(distance, deviation, side):
    edge, sign = (0.0, -1) if side == "low" else (1.0, 1)
    mean = edge + sign * distance * deviation
    likelihood = Gaussian(NoiseVariance(0.01), 0.0, 1.0)
    given = (torch.tensor([x], dtype=torch.float64) for x in (mean, deviation**2, edge))
    value, spread = likelihood.unclipped(*given)
    cut = truncnorm(-distance, np.inf)
    assert float(value) == pytest.approx(mean + sign * deviation * cut.mean(), abs=1e-5 * deviation)
    assert float(spread) == pytest.approx(deviation**2 * cut.var(), rel=1e-3, abs=1e-5 * deviation**2)


def test_what_is_not_saturated_stays_as_it_was_measured():
    measured = torch.linspace(0.01, 0.99, 50)
    mean, total = torch.rand(50), torch.full((50,), 0.1)
    unsaturated = Gaussian(NoiseVariance(0.01)), Poisson(NoiseVariance(0.0, 0.01)), LeastSquares()
    for likelihood in (Gaussian(NoiseVariance(0.01), 0.0, 1.0), *unsaturated):
        value, spread = likelihood.unclipped(mean, total, measured)
        assert torch.equal(value, measured) and not spread.any()
    open_above = Gaussian(NoiseVariance(0.01), low=0.0)
    assert torch.equal(open_above.unclipped(mean, total, torch.ones(50))[0], torch.ones(50))


@pytest.mark.parametrize(
    "likelihood",
    [
        Gaussian(NoiseVariance(1e-6), 0.0, 1.0),
        Gaussian(NoiseVariance(0.01, 0.1, 0.1)),
        Poisson(NoiseVariance(1e-4, 0.01)),
        LeastSquares(),
    ],
)
def test_no_prediction_breaks_the_loss_or_its_slope(likelihood):
    mean = torch.tensor([-10.0, -1.0, 0.0, 0.5, 1.0, 2.0, 10.0]).repeat(3).requires_grad_()
    variance = torch.tensor([0.0, 1e-6, 1.0]).repeat_interleave(7).requires_grad_()
    for measured in (0.0, 0.3, 1.0):
        loss = likelihood(mean, variance, torch.full((21,), measured))
        slopes = torch.autograd.grad(loss.sum(), (mean, variance), materialize_grads=True)
        assert all(torch.isfinite(x).all() for x in (loss, *slopes))
        moments = likelihood.unclipped(mean.detach(), 1e-6 + variance.detach(), torch.full((21,), measured))
        assert all(torch.isfinite(x).all() for x in moments) and (moments[1] >= 0).all()


@settings(deadline=None)
@given(
    read=between(0, 0.1),
    gain=between(0, 0.1),
    multiplicative=between(0, 0.5),
    offset=between(-1, 1),
    signal=between(-3, 3),
)
def test_the_variance_of_noise_is_positive_and_grows_with_brightness(read, gain, multiplicative, offset, signal):
    noise = NoiseVariance(read, gain, multiplicative, offset)
    here, brighter = noise.at(torch.tensor([signal, signal + 0.5], dtype=torch.float64)).tolist()
    assert 0 < here <= brighter
    if signal >= offset and read > 1e-3:
        assert here == pytest.approx(read + gain * (signal - offset) + multiplicative * (signal - offset) ** 2)


def test_the_strength_of_noise_gives_the_mean_no_slope():
    """Otherwise a prediction could gain by being bright, where noise is strong."""
    mean = torch.tensor([0.5], requires_grad=True)
    assert not NoiseVariance(0.01, 0.1).at(mean).requires_grad
    loss = Gaussian(NoiseVariance(0.01, 0.1))(mean, torch.zeros(1), torch.tensor([0.5]))
    loss.backward()
    assert float(mean.grad) == 0


def test_least_squares_is_the_squared_error_in_its_own_units():
    mean, values = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.1, 0.5, -1.0])
    likelihood = LeastSquares()
    for variance in (0.0, 7.0):
        assert torch.equal(likelihood(mean, torch.full_like(mean, variance), values), (mean - values) ** 2)
    assert torch.equal(likelihood.noise_variance(mean), torch.ones(3))
    assert likelihood.noise == NoiseVariance(1.0)


@pytest.mark.parametrize("likelihood", [Gaussian, Poisson])
def test_a_likelihood_tells_the_variance_of_its_noise(likelihood):
    noise, signal = NoiseVariance(0.01, 0.02, 0.03, 0.1), torch.linspace(0, 1, 5)
    assert torch.equal(likelihood(noise).noise_variance(signal), noise.at(signal))
