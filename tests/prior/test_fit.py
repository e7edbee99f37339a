from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dip.prior.fit import RETRIES, Diverged, Fit, Optimisation, fit
from napari_dip.prior.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.masked_prediction import Ensemble, MaskedPrediction
from napari_dip.prior.network import SlimPrior
from napari_dip.prior.objective import Data
from napari_dip.prior.presets import choose, prepare
from napari_dip.prior.stopping import HeldOut, Limits


def objective(seed: int = 0, reserved: float = 0.0) -> MaskedPrediction:
    generator = torch.Generator().manual_seed(seed)
    network = SlimPrior(2, 2, generator, channels=8, depth=2, skip=4, thin=4, dropout=0.05)
    network.initialise(generator)
    rng = np.random.default_rng(0)
    wave = 0.5 + 0.4 * np.sin(np.arange(32) / 1.5)
    clean = np.multiply.outer(wave, wave)
    noisy = torch.from_numpy(clean + rng.normal(0, 0.05, clean.shape)).float()[None, None]
    data, noise = Data(noisy, torch.ones(1, 1, 32, 32)), Gaussian(NoiseVariance(0.0025))
    return MaskedPrediction(network, data, noise, generator, hidden=0.3, reserved=reserved)


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
    assert end.result.image.shape == (1, 1, 32, 32) and end.result.variance is None


def test_the_same_seed_gives_the_same_bits():
    first, again, other = (run(fit(objective(s), Optimisation("muon"), Limits(15)))[1].result.image for s in (0, 0, 1))
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
    whole.close()
    stopped = objective()
    end = run(fit(stopped, Optimisation("muon", final_rate=0.0), Limits(30, stop_at=10)))[1]
    assert end.iterations == 10 and end.stopped_by == "asked"
    assert torch.equal(image, stopped.preview())


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
    assert torch.isfinite(end.result.image).all()


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
    assert torch.isfinite(end.result.image).all()
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


def test_the_variance_comes_when_it_is_asked_for():
    end = run(fit(objective(), Optimisation("muon"), Limits(10), with_variance=True))[1]
    assert end.result.variance.shape == (1, 1, 32, 32) and (end.result.variance > 0).all()
    same = run(fit(objective(), Optimisation("muon"), Limits(10)))[1]
    torch.testing.assert_close(same.result.image, end.result.image)


class Listener:
    """A rule that remembers what it was asked, and ends a run at a given call."""

    def __init__(self, every: int, end: int | None = None):
        self.every, self.end = every, end
        self.heard: list[tuple[int, float]] = []

    def wants_stop(self, iteration: int, value: float) -> bool:
        self.heard.append((iteration, value))
        return len(self.heard) == self.end


def test_a_rule_is_asked_now_and_then_with_the_held_out_error():
    rule, watched = Listener(every=4), objective(reserved=0.1)
    errors = {p.iteration: watched.held_out() for p in fit(watched, Optimisation(), Limits(18), rule)}
    assert rule.heard == [(i, errors[i]) for i in (4, 8, 12, 16)]


def test_a_rule_ends_a_run():
    seen, end = run(fit(objective(reserved=0.1), Optimisation(), Limits(50), Listener(every=4, end=3)))
    assert end.stopped_by == "held-out" and end.iterations == len(seen) == len(end.losses) == 12


def test_a_run_ends_where_the_held_out_error_no_longer_falls():
    rule = HeldOut(tolerance=0.02)
    end = run(fit(objective(reserved=0.1), Optimisation("muon"), Limits(300), rule))[1]
    assert end.stopped_by == "held-out" and rule.least <= end.iterations < 300
    assert torch.isfinite(end.result.image).all()
    assert max(rule.values) == end.iterations
    assert rule.values[end.iterations] < rule.values[rule.every]


def test_without_held_out_pixels_no_rule_is_asked():
    rule = Listener(every=1, end=1)
    assert run(fit(objective(), Optimisation(), Limits(6), rule))[1].stopped_by == "iterations"
    assert rule.heard == []


def test_networks_that_take_turns_are_judged_after_each_had_its_turn():
    members = [objective(seed, reserved=0.1) for seed in range(3)]
    rule = Listener(every=2, end=3)
    end = run(fit(Ensemble(members), Optimisation(), Limits(40), rule))[1]
    assert [turns for turns, _ in rule.heard] == [2, 4, 6]
    assert end.stopped_by == "held-out" and end.iterations == 18


def test_a_limit_comes_before_a_rule():
    end = run(fit(objective(reserved=0.1), Optimisation(), Limits(4), Listener(every=4, end=1)))[1]
    assert end.stopped_by == "iterations"


@pytest.mark.parametrize(("preset", "seed"), [("fast", 0), ("fast", 1), ("fast", 2), ("best", 0)])
def test_a_preset_with_a_rate_far_too_high_ends_with_an_image_of_use(preset, seed):
    """Worse than it could be, but no worse than what came in."""
    y, x = np.mgrid[:32, :32]
    clean = (0.5 + 0.3 * np.sin(y / 4) * np.cos(x / 5)).astype(np.float32)
    noisy = clean + np.random.default_rng(seed).normal(0, 0.1, clean.shape).astype(np.float32)
    visible = np.ones((32, 32), bool)
    recipe = replace(choose(preset, "denoise", visible, 1), width=8)
    prepared = prepare(recipe, noisy[None], visible, factor=1, device="cpu", seed=seed)
    rates = recipe.optimisation
    wild = replace(rates, rate=100 * rates.rate, kernel_rate=100 * rates.kernel_rate)
    steps = fit(prepared.objective, wild, Limits(60), prepared.rule, with_variance=True)
    try:
        seen, end = run(steps)
    except Diverged:
        return
    assert len(seen) <= 60 and end.fallbacks <= RETRIES + 1
    image = end.result.image[0, 0].numpy()
    assert np.isfinite(image).all() and torch.isfinite(end.result.variance).all()
    assert np.mean((image - clean) ** 2) < 1.1 * np.mean((noisy - clean) ** 2)
