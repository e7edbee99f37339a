import io
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import gaussian, noisy_wave, observation_of, problem, random, seeded, small_network

from napari_dip.prior.estimators.posterior import AsPredicted
from napari_dip.prior.fitting.averages import Averaging
from napari_dip.prior.fitting.fit import Diverged, Fit, Problem
from napari_dip.prior.fitting.safeguard import SAFEGUARD
from napari_dip.prior.fitting.stopping import HeldOut, Limits
from napari_dip.prior.networks.architecture import Slim
from napari_dip.prior.networks.network import VarianceHead, matrices
from napari_dip.prior.networks.optimisation import Optimisation
from napari_dip.prior.objectives.latent_prior import LatentPrior
from napari_dip.prior.objectives.masked_prediction import MaskedPrediction
from napari_dip.prior.objectives.objective import Prediction
from napari_dip.prior.presets import choose, observe


def objective(seed: int = 0, held_out: float = 0.0, generator: torch.Generator | None = None) -> MaskedPrediction:
    generator = generator or seeded(seed)
    rng = np.random.default_rng(0)
    wave = 0.5 + 0.4 * np.sin(np.arange(32) / 1.5)
    clean = np.multiply.outer(wave, wave)
    noisy = torch.from_numpy(clean + rng.normal(0, 0.05, clean.shape)).float()[None, None]
    one = observation_of(noisy, noise=gaussian(0.0025))
    one = one.split(held_out, generator) if held_out else one
    return MaskedPrediction(small_network(2, 2, dropout=0.05, generator=generator), one, generator, hidden=0.3)


def several(number: int, **options) -> list[MaskedPrediction]:
    """Objectives of one image that draw from one generator."""
    generator = seeded()
    return [objective(generator=generator, **options) for _ in range(number)]


def fit_of(*objectives, limits: Limits | int = 60, **options) -> Fit:
    return Fit(problem(*objectives, **options), limits if isinstance(limits, Limits) else Limits(limits))


def after(fit: Fit, iterations: int) -> Fit:
    """The same fit, so many iterations later."""
    for _ in range(iterations):
        next(fit)
    return fit


def finished(fit: Fit) -> Fit:
    list(fit)
    return fit


class Spoiled:
    """An objective whose predictions are spoiled at some calls, counted from 1."""

    def __init__(self, inner, calls, spoil):
        self.inner, self.calls, self.spoil, self.count = inner, calls, spoil, 0
        self.network, self.observation, self.generator = inner.network, inner.observation, inner.generator

    def predict(self) -> Prediction:
        self.count += 1
        prediction = self.inner.predict()
        return self.spoil(prediction) if self.count in self.calls else prediction


def no_image(prediction: Prediction) -> Prediction:
    return replace(prediction, image=prediction.image * float("nan"))


def no_variance(prediction: Prediction) -> Prediction:
    """The error is still a number, the loss is not."""
    return replace(prediction, variance=prediction.variance * float("nan"))


def far_off(prediction: Prediction) -> Prediction:
    """A large error, that moves no weight."""
    return Prediction(prediction.image.detach() + 10 + 0 * prediction.image, None, prediction.target)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_the_error_falls(optimiser):
    fit = fit_of(objective(), optimiser=optimiser)
    seen = list(fit)
    assert [p.iteration for p in seen] == list(range(1, 61)) and {p.iterations for p in seen} == {60}
    assert fit.stopped_by == "iterations" and fit.iteration == 60
    assert fit.losses == [p.loss for p in seen]
    assert np.mean([p.error for p in seen[-10:]]) < 0.5 * seen[0].error
    assert [p.seconds for p in seen] == sorted(p.seconds for p in seen) and seen[0].seconds > 0
    result = fit.finish()
    assert result.image.shape == (1, 1, 32, 32) and result.variance is None


def test_the_same_seed_gives_the_same_bits():
    first, again, other = (
        finished(fit_of(objective(s), optimiser="muon", limits=12)).finish().image for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_limits_of_time_and_of_being_asked():
    assert finished(fit_of(objective(), limits=Limits(1000, seconds=1e-9))).stopped_by == "seconds"
    limits = Limits(1000)
    fit = after(fit_of(objective(), limits=limits), 1)
    limits.asked = True
    assert list(fit) == [] and fit.stopped_by == "asked" and fit.iteration == 1


def test_stop_at_keeps_the_plan():
    falling = Optimisation("muon", final_rate=0.0)
    whole = after(fit_of(objective(), optimisation=falling, limits=30), 10)
    stopped = finished(fit_of(objective(), optimisation=falling, limits=Limits(30, stop_at=10)))
    assert stopped.iteration == 10 and stopped.stopped_by == "asked"
    assert torch.equal(whole.preview(), stopped.preview())


@pytest.mark.parametrize("spoil", [no_image, no_variance])
def test_a_loss_that_is_no_number_goes_back_and_on(spoil):
    fit = fit_of(Spoiled(objective(), (5, 12), spoil), optimiser="adam", limits=30)
    assert [p.iteration for p in fit] == list(range(1, 31))
    assert fit.fallbacks == 2 and fit.iteration == 30 and fit.stopped_by == "iterations"
    assert all(np.isfinite(fit.losses)) and torch.isfinite(fit.finish().image).all()


def test_with_each_fallback_the_step_is_halved():
    fit = finished(fit_of(Spoiled(objective(), (5, 12), no_image), optimiser="adam", limits=30))
    assert [group["lr"] for group in fit.optimisers[0].param_groups] == [0.01 / 4]


def test_what_is_no_number_again_and_again_ends_with_the_best_so_far():
    spoiled = Spoiled(objective(), range(12, 1000), no_image)
    fit = fit_of(spoiled, limits=30)
    seen = list(fit)
    assert fit.stopped_by == "diverged" and fit.iteration == len(seen) == 11
    assert fit.fallbacks == SAFEGUARD.retries + 1
    assert torch.isfinite(fit.preview()).all() and torch.isfinite(fit.finish(with_variance=True).variance).all()
    assert list(fit) == [] and spoiled.count == 11 + fit.fallbacks  # it is not tried again


def test_how_often_a_fit_goes_back_is_a_setting():
    spoiled = Spoiled(objective(), range(3, 1000), no_image)
    fit = finished(fit_of(spoiled, limits=30, safeguard=replace(SAFEGUARD, retries=1)))
    assert fit.stopped_by == "diverged" and fit.fallbacks == 2


def test_damaged_weights_are_taken_back():
    broken = objective()
    for progress in fit_of(broken, optimiser="adam", limits=40):
        if progress.iteration == 25:
            with torch.no_grad():
                broken.network.out.kernel.fill_(1e6)
    assert broken.network.out.kernel.abs().max() < 1e3


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_rate_far_too_high_ends(optimiser):
    fit = finished(fit_of(objective(), optimisation=Optimisation(optimiser, rate=1.0, kernel_rate=2.0)))
    assert torch.isfinite(fit.finish().image).all()
    assert fit.fallbacks <= SAFEGUARD.retries + 1


def test_divergence_from_the_first_step_is_an_error():
    nothing = observation_of(torch.full((1, 1, 32, 32), float("nan")))
    for broken in (
        MaskedPrediction(small_network(2, 2), nothing, seeded(), hidden=0.3),
        Spoiled(objective(), range(1, 1000), no_image),
    ):
        with pytest.raises(Diverged):
            list(fit_of(broken, limits=10))


def test_a_rare_large_error_is_no_divergence():
    """A bright spot is a target now and then, and its error is large each time."""
    fit = fit_of(Spoiled(objective(), range(17, 1000, 17), far_off), optimiser="adam", limits=60)
    seen = list(fit)
    assert fit.fallbacks == 0 and fit.stopped_by == "iterations"
    assert [p.iteration for p in seen if p.error > 10] == [17, 34, 51]
    assert fit.preview().max() < 2  # and it is not averaged in


def test_large_errors_in_a_row_are_one():
    fit = finished(fit_of(Spoiled(objective(), (20, 21, 22), far_off), optimiser="adam", limits=40))
    assert fit.fallbacks == 1 and fit.stopped_by == "iterations" and fit.preview().max() < 2


def test_weights_that_are_no_numbers_are_never_kept():
    """Of networks that take turns, one may break while another is seen to be good."""
    members = several(4)
    fit = after(fit_of(*members, limits=40), 10)
    with torch.no_grad():
        members[1].network.out.kernel.fill_(float("nan"))
    assert finished(fit).iteration == 40
    assert torch.isfinite(fit.preview()).all()


def test_the_variance_comes_when_it_is_asked_for():
    result = finished(fit_of(objective(), optimiser="muon", limits=10)).finish(with_variance=True)
    assert result.variance.shape == (1, 1, 32, 32) and (result.variance > 0).all()
    same = finished(fit_of(objective(), optimiser="muon", limits=10)).finish()
    torch.testing.assert_close(same.image, result.image)


class Listener:
    """A rule that remembers what it was asked, and ends a run at a given call."""

    def __init__(self, every: int, end: int | None = None):
        self.every, self.end = every, end
        self.heard: list[tuple[int, float]] = []

    def wants_stop(self, iteration: int, value: float) -> bool:
        self.heard.append((iteration, value))
        return len(self.heard) == self.end


def held_out_error(fit: Fit) -> float:
    """The mean over the networks, of what they predict on average."""
    return float(np.mean([one.observation.held_out_error(one.image) for one in fit.averaged()]))


def test_a_rule_is_asked_now_and_then_with_the_held_out_error():
    rule = Listener(every=4)
    fit = fit_of(objective(held_out=0.1), limits=18, rule=rule)
    errors = {p.iteration: held_out_error(fit) for p in fit}
    assert rule.heard == [(i, errors[i]) for i in (4, 8, 12, 16)]


def test_progress_tells_the_held_out_error_of_the_last_look_and_a_training_error():
    fit = fit_of(objective(held_out=0.1), limits=18, rule=Listener(every=4))
    seen = {p.iteration: (p.held_out_error, held_out_error(fit), p.error) for p in fit}
    looks = {i: seen[i // 4 * 4][1] if i >= 4 else None for i in seen}
    assert {i: told for i, (told, _, _) in seen.items()} == looks
    assert all(0 < error < 1 for _, _, error in seen.values())


def test_the_error_is_that_of_the_target_and_of_nothing_that_is_held_out():
    class Remembers(Spoiled):
        def predict(self):
            self.last = super().predict()
            return self.last

    watched = Remembers(objective(held_out=0.2), (), no_image)
    one = watched.observation
    for progress in fit_of(watched, limits=5):
        scored = watched.last.target * (1 - one.held_out) > 0
        found = ((watched.last.image - one.values) ** 2)[scored].mean()
        assert progress.error == pytest.approx(found.item(), rel=1e-5)


def test_a_rule_ends_a_run():
    fit = fit_of(objective(held_out=0.1), limits=50, rule=Listener(every=4, end=3))
    seen = list(fit)
    assert fit.stopped_by == "held-out" and fit.iteration == len(seen) == len(fit.losses) == 12


def test_a_run_that_is_not_judged_asks_no_rule():
    rule = Listener(every=4, end=1)
    fit = Fit(problem(objective(held_out=0.1), rule=rule), Limits(10), judged=False)
    assert finished(fit).stopped_by == "iterations" and rule.heard == []
    assert fit.held_out_error is not None


def test_a_run_ends_where_the_held_out_error_no_longer_falls():
    rule = HeldOut(tolerance=0.02)
    fit = finished(fit_of(objective(held_out=0.1), optimiser="muon", limits=300, rule=rule))
    assert fit.stopped_by == "held-out" and rule.least <= fit.iteration < 300
    assert torch.isfinite(fit.finish().image).all()
    assert max(rule.values) == fit.iteration
    assert rule.values[fit.iteration] < rule.values[rule.every]


@pytest.mark.parametrize("members", [1, 2])
def test_without_held_out_pixels_no_rule_is_asked(members):
    rule = Listener(every=1, end=1)
    fit = fit_of(*several(members), limits=6, rule=rule)
    assert [p.held_out_error for p in fit] == [None] * 6 and fit.stopped_by == "iterations"
    assert rule.heard == []


def test_networks_that_take_turns_are_judged_after_each_had_its_turn():
    rule = Listener(every=2, end=3)
    fit = finished(fit_of(*several(3, held_out=0.1), limits=40, rule=rule))
    assert [turns for turns, _ in rule.heard] == [2, 4, 6]
    assert fit.stopped_by == "held-out" and fit.iteration == 18


def test_a_limit_comes_before_a_rule():
    fit = finished(fit_of(objective(held_out=0.1), limits=4, rule=Listener(every=4, end=1)))
    assert fit.stopped_by == "iterations"


def test_networks_take_turns_and_their_mean_is_taken():
    members = several(3, held_out=0.1)
    fit = fit_of(*members, limits=6, rule=Listener(every=1), last_step=AsPredicted())
    assert len(list(matrices(fit.network))) == 3 * len(list(matrices(members[0].network)))
    assert fit.turn == 0 and fit.averaged() == []
    next(fit)
    assert fit.turn == 1 and len(fit.averaged()) == 1 and fit.held_out_error is None
    assert [any(p.grad is not None for p in m.network.parameters()) for m in members] == [True, False, False]
    assert torch.equal(fit.preview(), fit.averaged()[0].image)
    after(fit, 2)
    assert fit.turn == 0
    images = [one.image for one in fit.averaged()]
    torch.testing.assert_close(fit.preview(), sum(images) / 3)
    assert fit.held_out_error == pytest.approx(held_out_error(fit))
    result = fit.finish(with_variance=True)
    assert result.image.shape == result.variance.shape == images[0].shape and (result.variance > 0).all()
    # each learns from other pixels than the next
    assert not torch.equal(members[0].observation.held_out, members[1].observation.held_out)


def test_networks_that_take_turns_can_be_looked_at_from_the_first_iteration_on():
    one, generator = observation_of(random(3, 16, 16)), seeded()
    members = [MaskedPrediction(small_network(4, 4, seed=s), one, generator, hidden=0.3) for s in range(3)]
    fit = fit_of(*members, limits=4)
    for _ in fit:
        assert torch.isfinite(fit.preview()).all() and torch.isfinite(fit.finish().image).all()
    assert fit.iteration == 4


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_fit_that_has_ended_goes_on_at_the_last_rate_if_it_may(optimiser):
    plan = Optimisation(optimiser, final_rate=0.1)
    fit = finished(fit_of(objective(), optimisation=plan, limits=12))
    assert fit.stopped_by == "iterations" and list(fit) == []
    before = fit.preview()
    fit.limits.stop_at = 20
    seen = list(fit)
    assert [p.iteration for p in seen] == list(range(13, 21)) and {p.iterations for p in seen} == {12}
    assert fit.stopped_by == "asked" and not torch.equal(fit.preview(), before)
    rates = {"adam": [plan.rate], "muon": [plan.kernel_rate, plan.rate]}[optimiser]
    found = [group["lr"] for one in fit.optimisers for group in one.param_groups]
    assert found == pytest.approx([0.1 * rate for rate in rates])


def test_going_on_in_two_parts_is_going_on():
    whole = finished(fit_of(objective(), limits=Limits(12, stop_at=20)))
    parts = finished(fit_of(objective(), limits=12))
    for end in (15, 20):
        parts.limits.stop_at = end
        parts.finish()
        finished(parts)
    assert torch.equal(whole.preview(), parts.preview()) and whole.losses == parts.losses


@pytest.mark.parametrize("limits", [Limits(50), Limits(50, seconds=1e-9)], ids=["asked", "seconds"])
def test_a_fit_that_was_stopped_goes_on_if_it_may(limits):
    limits = replace(limits)
    fit = after(fit_of(objective(), limits=limits), 1)
    limits.asked = limits.seconds is None
    assert list(fit) == [] and fit.iteration == 1
    limits.asked, limits.seconds, limits.stop_at = False, None, 3
    assert [p.iteration for p in fit] == [2, 3]


def test_a_fit_that_a_rule_ended_goes_on_if_it_is_judged_no_more():
    fit = finished(fit_of(objective(held_out=0.1), limits=50, rule=Listener(every=4, end=1)))
    assert fit.iteration == 4
    fit.judged, fit.limits.stop_at = False, 6
    assert [p.iteration for p in fit] == [5, 6]


def masked_with_a_rule() -> Problem:
    return problem(objective(held_out=0.1), optimiser="muon", rule=HeldOut(least=12))


def three_that_take_turns() -> Problem:
    return problem(*several(3, held_out=0.1), rule=HeldOut(every=2, least=4))


def latent() -> Problem:
    _, noisy = noisy_wave(24)
    generator = seeded()
    one = observation_of(noisy).split(0.1, generator)
    network = small_network(4, 2, dropout=0.05, generator=generator)
    one = LatentPrior(network, one, generator, latent_channels=4, latent_noise=0.03, variance_head=VarianceHead())
    return problem(one, averaging=Averaging(), rule=HeldOut(every=2, least=12))


def spoiled() -> Problem:
    """It goes back at its ninth iteration."""
    one = masked_with_a_rule()
    return replace(one, objectives=[Spoiled(one.objectives[0], (9,), no_image)])


def through_a_file(state: dict) -> dict:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def same(one, other) -> bool:
    """Whether two states are alike to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def timeless(fit: Fit) -> dict:
    """Its state, but for the computing time."""
    state = deepcopy(fit.state())
    assert state["here"].pop("seconds") > 0
    return state


# at which iteration to break off, and whether a fit that goes on is to be spoiled as the first one was
CASES = [
    (masked_with_a_rule, 7),
    (masked_with_a_rule, 11),
    (three_that_take_turns, 1),
    (three_that_take_turns, 8),
    (latent, 7),
    (spoiled, 9),
    (spoiled, 11),
]


def falling(one: Problem) -> Problem:
    """With a rate that falls as planned."""
    return replace(one, optimisation=replace(one.optimisation, final_rate=0.05))


@pytest.mark.parametrize(("make", "stop"), CASES)
def test_a_fit_that_is_loaded_goes_on_to_the_same_bytes(make, stop):
    whole, first = (after(Fit(falling(make()), Limits(14)), stop) for _ in range(2))
    again = masked_with_a_rule if make is spoiled else make  # what went wrong was no part of the fit
    loaded = Fit(falling(again()), Limits(14))
    after(loaded, 2).load_state(through_a_file(first.state()))  # whatever it did before
    assert first.fallbacks == loaded.fallbacks == (1 if make is spoiled else 0)
    assert same(timeless(loaded), timeless(whole)) and loaded.seconds == first.seconds
    finished(whole), finished(loaded)
    assert same(timeless(loaded), timeless(whole)) and loaded.stopped_by == whole.stopped_by
    assert loaded.losses == whole.losses and loaded.held_out_error == whole.held_out_error
    ends = [fit.finish(with_variance=True) for fit in (whole, loaded)]
    assert torch.equal(ends[0].image, ends[1].image) and torch.equal(ends[0].variance, ends[1].variance)
    assert torch.equal(whole.preview(), loaded.preview())


def test_a_state_is_of_its_moment():
    fit = after(Fit(masked_with_a_rule(), Limits(9)), 6)
    state = fit.state()
    then = deepcopy(state)
    list(fit)
    assert same(state, then)


def test_a_state_can_be_loaded_twice():
    state = through_a_file(after(Fit(masked_with_a_rule(), Limits(9)), 6).state())
    images = []
    for _ in range(2):
        fit = Fit(masked_with_a_rule(), Limits(9))
        fit.load_state(state)
        images.append(finished(fit).preview())
    assert torch.equal(*images)


def test_a_fit_that_has_diverged_is_still_over_when_it_is_loaded():
    fit = finished(fit_of(Spoiled(objective(), range(12, 1000), no_image), limits=30))
    loaded = fit_of(objective(), limits=30)
    loaded.load_state(through_a_file(fit.state()))
    assert fit.stopped_by == "diverged" and list(loaded) == [] and loaded.stopped_by == "diverged"
    assert torch.equal(loaded.preview(), fit.preview())


@pytest.mark.parametrize(("preset", "seed"), [("fast", 0), ("fast", 1), ("fast", 2), ("best", 0)])
def test_a_preset_with_a_rate_far_too_high_ends_with_an_image_of_use(preset, seed):
    """Worse than it could be, but no worse than what came in."""
    y, x = np.mgrid[:32, :32]
    clean = (0.5 + 0.3 * np.sin(y / 4) * np.cos(x / 5)).astype(np.float32)
    noisy = clean + np.random.default_rng(seed).normal(0, 0.1, clean.shape).astype(np.float32)
    everything = np.ones((32, 32), bool)
    chosen = choose(preset, "denoise", everything, {})
    rates = chosen.optimisation
    wild = replace(rates, rate=100 * rates.rate, kernel_rate=100 * rates.kernel_rate)
    chosen = replace(chosen, network=Slim(width=8), optimisation=wild)
    fit = Fit(chosen.build(observe(chosen, noisy[None], everything), seeded(seed)), Limits(40))
    try:
        seen = list(fit)
    except Diverged:
        return
    assert len(seen) <= 40 and fit.fallbacks <= SAFEGUARD.retries + 1
    result = fit.finish(with_variance=True)
    image = result.image[0, 0].numpy()
    assert np.isfinite(image).all() and torch.isfinite(result.variance).all()
    assert np.mean((image - clean) ** 2) < 1.1 * np.mean((noisy - clean) ** 2)
