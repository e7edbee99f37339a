import numpy as np
import pytest
import torch

from napari_dip.prior.fit import RETRIES, Diverged, Fit, Optimisation, fit
from napari_dip.prior.likelihood import Gaussian
from napari_dip.prior.network import SlimPrior
from napari_dip.prior.objective import Data, Ensemble, MaskedPrediction
from napari_dip.prior.stopping import Limits


def objective(seed: int = 0) -> MaskedPrediction:
    generator = torch.Generator().manual_seed(seed)
    network = SlimPrior(2, 2, generator, channels=8, depth=2, skip=4, thin=4, dropout=0.05)
    network.initialise(generator)
    rng = np.random.default_rng(0)
    wave = 0.5 + 0.4 * np.sin(np.arange(32) / 1.5)
    clean = np.multiply.outer(wave, wave)
    noisy = torch.from_numpy(clean + rng.normal(0, 0.05, clean.shape)).float()[None, None]
    return MaskedPrediction(network, Data(noisy, torch.ones(1, 1, 32, 32)), Gaussian(0.0025), generator, hidden=0.3)


def run(steps) -> tuple[list, Fit]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_the_error_falls(optimiser):
    seen, end = run(fit(objective(), Optimisation(optimiser), Limits(60)))
    assert [p.iteration for p in seen] == list(range(1, 61))
    assert end.stopped_by == "iterations" and end.iterations == 60 and len(end.losses) == 60
    assert np.mean([p.error for p in seen[-10:]]) < 0.5 * seen[0].error
    assert end.image.shape == (1, 1, 32, 32)


def test_the_same_seed_gives_the_same_bits():
    first, again, other = (run(fit(objective(s), Optimisation("muon"), Limits(15)))[1].image for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_limits_of_time_and_of_being_asked():
    assert run(fit(objective(), Optimisation(), Limits(1000, seconds=1e-9)))[1].stopped_by == "seconds"
    limits = Limits(1000)
    steps = fit(objective(), Optimisation(), limits)
    next(steps)
    limits.asked = True
    seen, end = run(steps)
    assert seen == [] and end.stopped_by == "asked" and end.iterations == 1


def test_stop_at_keeps_the_plan():
    whole = fit(objective(), Optimisation("muon", final_rate=0.0), Limits(30))
    for progress in whole:
        if progress.iteration == 10:
            image = progress.preview().clone()
            break
    end = run(fit(objective(), Optimisation("muon", final_rate=0.0), Limits(30, stop_at=10)))[1]
    assert torch.equal(image, end.image)


def test_a_loss_that_is_no_number_goes_back_and_on():
    broken = objective()
    loss, calls = broken.loss, []

    def now_and_then():
        calls.append(1)
        value, error = loss()
        return (value * float("nan"), error) if len(calls) in (5, 12) else (value, error)

    broken.loss = now_and_then
    _seen, end = run(fit(broken, Optimisation(), Limits(30)))
    assert end.fallbacks == 2 and end.iterations == 30 and end.stopped_by == "iterations"
    assert torch.isfinite(end.image).all()


def test_damaged_weights_are_taken_back():
    broken = objective()
    for progress in fit(broken, Optimisation(), Limits(40)):
        if progress.iteration == 25:
            with torch.no_grad():
                broken.network.out.kernel.fill_(1e6)
    assert broken.network.out.kernel.abs().max() < 1e3


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_rate_far_too_high_ends(optimiser):
    _, end = run(fit(objective(), Optimisation(optimiser, rate=1.0, kernel_rate=2.0), Limits(60)))
    assert torch.isfinite(end.image).all()
    assert end.fallbacks <= RETRIES + 1


def test_divergence_from_the_first_step_is_an_error():
    broken = objective()
    broken.data.measured[...] = float("nan")
    with pytest.raises(Diverged):
        run(fit(broken, Optimisation(), Limits(10)))


def test_a_rare_large_error_is_no_divergence():
    """A bright spot is asked for now and then, and its error is large each time."""
    spotted = objective()
    loss, calls = spotted.loss, []

    def now_and_then():
        calls.append(1)
        value, error = loss()
        return value, error + (100.0 if len(calls) % 17 == 0 else 0.0)

    spotted.loss = now_and_then
    _, end = run(fit(spotted, Optimisation(), Limits(80)))
    assert end.fallbacks == 0 and end.stopped_by == "iterations"


def test_weights_that_are_no_numbers_are_never_kept():
    """Of networks that take turns, one may break while another is seen to be good."""
    members = [objective(seed) for seed in range(4)]
    seen = []
    for progress in fit(Ensemble(members), Optimisation(), Limits(40)):
        seen.append(progress)
        if progress.iteration == 10 and len(seen) == 10:
            with torch.no_grad():
                members[1].network.out.kernel.fill_(float("nan"))
    assert seen[-1].iteration == 40
    assert torch.isfinite(seen[-1].preview()).all()
