from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from small import random, seeded

from napari_dip.prior.estimators.coarse import OnGrids
from napari_dip.prior.estimators.nonlocal_bayes import FINE, NORMAL
from napari_dip.prior.estimators.posterior import AsPredicted, Refined
from napari_dip.prior.estimators.second_opinion import PredictedOrSmooth
from napari_dip.prior.fitting.fit import Fit, Problem
from napari_dip.prior.fitting.stopping import HeldOut, Limits
from napari_dip.prior.networks.architecture import Slim
from napari_dip.prior.networks.network import Hourglass
from napari_dip.prior.objectives.latent_prior import LatentPrior
from napari_dip.prior.objectives.masked_prediction import MaskedPrediction
from napari_dip.prior.physics import forward_model
from napari_dip.prior.physics.fill import deepest_gap
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import KnownNoise, NoiseModel
from napari_dip.prior.physics.observation import UNKNOWN_NOISE, Observation
from napari_dip.prior.presets import LatentPreset, choose, observe
from napari_dip.tasks import task_named

everything = np.ones((64, 64), bool)
scattered = np.random.default_rng(0).random((64, 64)) > 0.5
text = everything.copy()
text[20:23, 5:60] = False
hole = everything.copy()
hole[10:50, 10:50] = False
TASKS = ("denoise", "inpaint", "super_resolve")


def some(channels: int = 3) -> np.ndarray:
    """Squares of three pixels, and weak noise."""
    random = np.random.default_rng(0)
    squares = np.kron(random.random((channels, 22, 22)), np.ones((1, 3, 3)))[:, :64, :64]
    return (squares + 0.05 * random.standard_normal(squares.shape)).astype(np.float32)


def observation(preset, task="denoise", planes=None, observed=everything, factor=4, known=None) -> Observation:
    """What a preset makes of an image, as a run does it."""
    if planes is None:
        planes = some()
    inputs = {"factor": factor} if task == "super_resolve" else {}
    name = task_named(task).forward_model
    model = forward_model.build(name, observed.shape, inputs, lobes=preset.lobes, device="cpu")
    return observe(preset, planes, observed, forward_model=model, known=known)


def chosen(preset, task, observed=everything, factor=4, noise="auto", **changes):
    """The settings of a preset, with a narrow network."""
    one = choose(preset, task, observed, {"factor": factor} if task == "super_resolve" else {}, noise)
    if preset != "paper":
        one = replace(one, network=replace(one.network, width=8))
    return replace(one, **changes)


def built(preset, task, planes=None, observed=everything, factor=4, known=None, seed=0, **changes) -> Problem:
    one = chosen(preset, task, observed, factor, **changes)
    return one.build(observation(one, task, planes, observed, factor, known), seeded(seed))


@pytest.mark.parametrize(
    ("task", "observed", "factor", "iterations", "rate", "noise"),
    [
        ("denoise", everything, 1, 1800, 0.01, 1 / 30),
        ("inpaint", scattered, 1, 11000, 0.001, 0.03),
        ("inpaint", text, 1, 6000, 0.01, 0.03),
        ("inpaint", hole, 1, 3000, 0.01, 0.0),
        ("super_resolve", everything, 4, 2000, 0.01, 0.03),
        ("super_resolve", everything, 8, 4000, 0.01, 0.05),
    ],
)
def test_paper_is_the_published_table(task, observed, factor, iterations, rate, noise):
    one = chosen("paper", task, observed, factor)
    assert one.iterations == iterations
    assert one.optimisation.rate == rate and one.optimisation.optimiser == "adam"
    assert one.optimisation.final_rate == 1 and not one.optimisation.bfloat16
    assert one.latent_noise == pytest.approx(noise)
    problem = built("paper", task, observed=observed, factor=factor)
    (objective,) = problem.objectives
    assert isinstance(objective, LatentPrior) and isinstance(objective.network, Hourglass)
    assert problem.optimisation == one.optimisation and problem.rule is None
    assert objective.observation.noise == UNKNOWN_NOISE and isinstance(problem.last_step, AsPredicted)


def test_paper_has_a_network_of_its_own_for_compression():
    one = chosen("paper", "denoise", noise="compression")
    assert one.iterations == 2400 and one.latent_channels == 3
    assert choose("fast", "denoise", everything, {}, "compression") == choose("fast", "denoise", everything, {})


def test_best_works_longer_than_fast():
    for task in TASKS:
        assert chosen("best", task, scattered).iterations > chosen("fast", task, scattered).iterations


def test_best_denoises_by_several_networks():
    problem = built("best", "denoise")
    assert len(problem.objectives) > 1
    assert all(isinstance(one, MaskedPrediction) for one in problem.objectives)
    weights = [next(one.network.parameters()) for one in problem.objectives]
    assert not any((weights[0] == other).all() for other in weights[1:])
    held_out = [one.observation.held_out for one in problem.objectives]
    assert not any((held_out[0] == other).all() for other in held_out[1:])
    (only,) = built("fast", "denoise").objectives
    assert isinstance(only, MaskedPrediction)


def test_what_several_networks_give_is_worth_more_work():
    assert built("best", "denoise").last_step == Refined(groups=FINE)
    assert built("fast", "denoise").last_step == Refined(groups=NORMAL)
    for preset in ("fast", "best"):
        assert isinstance(built(preset, "inpaint", observed=hole).last_step, PredictedOrSmooth)


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_only_denoising_stops_by_itself(preset):
    assert built(preset, "denoise").rule is not None
    assert built(preset, "inpaint", observed=hole).rule is None
    assert built(preset, "super_resolve", factor=2).rule is None
    assert built("paper", "denoise").rule is None


def test_every_fit_is_judged_afresh():
    one = chosen("fast", "denoise")
    first, second = (one.build(observation(one), seeded()).rule for _ in range(2))
    first.wants_stop(first.every, 1.0)
    assert second.values == {} and one.stopping.values == {}


def test_three_dimensions():
    observed = np.ones((6, 20, 24), bool)
    planes = np.random.default_rng(0).random((1, 6, 20, 24), np.float32)
    problem = built("fast", "denoise", planes, observed)
    (objective,) = problem.objectives
    assert isinstance(objective, MaskedPrediction) and objective.observation.noise.kind
    next(fit := Fit(problem, Limits(1)))
    assert all(p.grad is not None for p in objective.network.parameters())
    assert fit.preview().shape == fit.finish().image.shape == (1, 1, 6, 20, 24)


def noisy(blur: float = 0.0) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).normal(0, 1, (64, 64)), blur)
    return (0.5 + 0.1 * noise / noise.std())[None].astype(np.float32)


def test_what_is_found_of_the_noise_is_what_is_used_and_told():
    one = chosen("fast", "denoise")
    seen = observation(one, planes=noisy())
    assert seen.noise.likelihood.noise.read == pytest.approx(0.01, rel=0.2)
    assert seen.noise.kind == "gaussian" and seen.noise.correlation_radius == 0
    for objective in replace(one, grouping=None).build(seen, seeded()).objectives:
        assert objective.observation.noise is seen.noise


def test_what_holds_nothing_but_noise_is_restored_in_groups_beside_single_pixels():
    problem = built("fast", "denoise", noisy())
    assert isinstance(problem.last_step, OnGrids)
    assert [one.observation.values.shape[-1] for one in problem.objectives] == [32, 33, 22, 22, 64]


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_what_is_given_of_the_noise_is_used(preset):
    known = KnownNoise("poisson-gaussian", sigma=0.3, gain=0.2, offset=-0.1)
    for objective in built(preset, "denoise", known=known, grouping=None).objectives:
        noise = objective.observation.noise
        strength = noise.likelihood.noise
        assert (strength.read, strength.gain, strength.offset) == pytest.approx((0.09, 0.2, -0.1))
        assert noise.kind == "poisson-gaussian"


def test_clean_images_are_reckoned_with_a_little_noise():
    noise = observation(chosen("fast", "inpaint", hole), "inpaint", noisy(), hole).noise
    assert noise == NoiseModel(Gaussian(NoiseVariance(1e-4)), 0, "gaussian")


def test_the_neighbours_of_correlated_noise_are_hidden_with_it():
    white, correlated = (built("fast", "denoise", noisy(blur)).objectives[0] for blur in (0.0, 0.6))
    assert white.observation.noise.correlation_radius == 0
    assert correlated.observation.noise.correlation_radius == 1
    assert correlated.hidden > white.hidden


def test_correlated_noise_has_a_rule_of_its_own():
    one = chosen("fast", "denoise")
    white, correlated = (built("fast", "denoise", noisy(blur)).rule for blur in (0.0, 0.6))
    assert white == one.stopping and correlated == one.stopping_if_correlated != white
    never = built("fast", "denoise", noisy(0.6), stopping=None)
    assert never.rule is None


def test_the_seed_decides():
    first, again, other = (built("fast", "denoise", noisy(), seed=seed).objectives[0] for seed in (0, 0, 1))
    assert (first.observation.held_out == again.observation.held_out).all()
    assert not (first.observation.held_out == other.observation.held_out).all()
    weights = [next(one.network.parameters()) for one in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_all_that_is_drawn_comes_from_one_generator():
    for preset, task in (("best", "denoise"), ("fast", "super_resolve"), ("paper", "denoise")):
        problem = built(preset, task)
        assert all(objective.generator is problem.generator for objective in problem.objectives)


def test_gaps_like_deep_ones_are_hidden():
    deep, shallow = (built("fast", "inpaint", observed=mask).objectives[0] for mask in (hole, text))
    assert deep.like_missing and not shallow.like_missing
    assert deepest_gap(everything) == 0 and deepest_gap(text) == 2 and deepest_gap(hole) == pytest.approx(20, abs=1)


@pytest.mark.parametrize("task", ["denoise", "super_resolve"])
def test_a_guide_is_taken_by_every_preset(task):
    for preset in ("fast", "best"):
        one = chosen(preset, task, factor=2)
        size = (2, 64, 64) if task == "denoise" else (2, 128, 128)
        seen = replace(observation(one, task, noisy(), factor=2), guide=random(*size))
        for objective in one.build(seen, seeded()).objectives:
            assert objective.predict().image.shape[2:] == size[1:]


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_enlarging_goes_through_the_forward_model(preset):
    problem = built(preset, "super_resolve", noisy()[:, :16, :12], np.ones((16, 12), bool), factor=3)
    fit = Fit(problem, Limits(2))
    assert len(list(fit)) == 2 and fit.finish().image.shape == (1, 1, 48, 36)


def test_a_latent_prior_holds_pixels_out_and_stops_where_asked_to():
    one = LatentPreset("latent", 60, Slim(width=8), held_out=0.1, stopping=HeldOut(least=5), noise=None)
    problem = one.build(observation(one, planes=noisy()[:, :24, :24], observed=everything[:24, :24]), seeded())
    assert 0.05 < problem.objectives[0].observation.held_out.mean() < 0.15
    assert problem.objectives[0].observation.noise.kind == "gaussian"
    assert problem.rule == one.stopping and problem.rule is not one.stopping
    next(fit := Fit(replace(problem, rule=HeldOut(every=1)), Limits(1)))
    assert fit.held_out_error is not None
