from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_dip.prior.masked_prediction import Ensemble, MaskedPrediction
from napari_dip.prior.network import Hourglass
from napari_dip.prior.noise_estimation import KnownNoise
from napari_dip.prior.objective import LatentPrior
from napari_dip.prior.presets import Prepared, choose, prepare

everything = np.ones((64, 64), bool)
scattered = np.random.default_rng(0).random((64, 64)) > 0.5
text = everything.copy()
text[20:23, 5:60] = False
hole = everything.copy()
hole[10:50, 10:50] = False


def prepared(preset, task, planes=None, visible=everything, factor=1, given=None, **changes) -> Prepared:
    if planes is None:
        planes = np.random.default_rng(0).random((3, 64, 64), np.float32)
    recipe = choose(preset, task, visible, factor)
    if preset != "paper":
        recipe = replace(recipe, width=8)
    return prepare(replace(recipe, **changes), planes, visible, factor=factor, device="cpu", seed=0, given=given)


@pytest.mark.parametrize(
    ("task", "visible", "factor", "iterations", "rate", "noise"),
    [
        ("denoise", everything, 1, 1800, 0.01, 1 / 30),
        ("inpaint", scattered, 1, 11000, 0.001, 0.03),
        ("inpaint", text, 1, 6000, 0.01, 0.03),
        ("inpaint", hole, 1, 3000, 0.01, 0.0),
        ("super_resolve", everything, 4, 2000, 0.01, 0.03),
        ("super_resolve", everything, 8, 4000, 0.01, 0.05),
    ],
)
def test_paper_is_the_published_table(task, visible, factor, iterations, rate, noise):
    recipe = choose("paper", task, visible, factor)
    assert recipe.iterations == iterations
    assert recipe.optimisation.rate == rate and recipe.optimisation.optimiser == "adam"
    assert recipe.optimisation.final_rate == 1 and not recipe.optimisation.bfloat16
    assert recipe.latent_noise == pytest.approx(noise)
    objective = prepared("paper", task, visible=visible, factor=factor).objective
    assert isinstance(objective, LatentPrior) and isinstance(objective.network, Hourglass)


def test_best_works_longer_than_fast():
    for task in ("denoise", "inpaint", "super_resolve"):
        assert choose("best", task, scattered, 4).iterations > choose("fast", task, scattered, 4).iterations


def test_best_denoises_by_several_networks():
    objective = prepared("best", "denoise").objective
    assert isinstance(objective, Ensemble) and objective.networks > 1
    weights = [next(member.network.parameters()) for member in objective.members]
    assert not any((weights[0] == other).all() for other in weights[1:])
    assert isinstance(prepared("fast", "denoise").objective, MaskedPrediction)


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_only_denoising_stops_by_itself(preset):
    assert prepared(preset, "denoise").rule is not None
    assert prepared(preset, "inpaint", visible=hole).rule is None
    assert prepared(preset, "super_resolve", factor=2).rule is None
    assert prepared("paper", "denoise").rule is None


def test_every_fit_is_judged_afresh():
    first, second = prepared("fast", "denoise").rule, prepared("fast", "denoise").rule
    first.wants_stop(first.every, 1.0)
    assert second.values == {}


def test_three_dimensions():
    visible = np.ones((6, 20, 24), bool)
    planes = np.random.default_rng(0).random((1, 6, 20, 24), np.float32)
    ready = prepared("fast", "denoise", planes, visible)
    objective = ready.objective
    assert isinstance(objective, MaskedPrediction)
    assert set(ready.found) == {"noise", "noise_variance", "correlation_radius"}
    objective.loss()[0].backward()
    objective.collect()
    assert objective.estimate().shape == objective.finish().image.shape == (1, 1, 6, 20, 24)


def noisy(blur: float = 0.0) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).normal(0, 1, (64, 64)), blur)
    return (0.5 + 0.1 * noise / noise.std())[None].astype(np.float32)


def test_what_is_found_of_the_noise_is_what_is_used_and_told():
    ready = prepared("fast", "denoise", noisy())
    strength = ready.objective.likelihood.noise
    assert strength.read == pytest.approx(0.01, rel=0.2)
    assert ready.found["noise"] == "gaussian" and ready.found["correlation_radius"] == 0
    assert ready.found["noise_variance"] == {
        "read": strength.read,
        "gain": strength.gain,
        "multiplicative": strength.multiplicative,
        "offset": strength.offset,
    }


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_what_is_given_of_the_noise_is_used(preset):
    ready = prepared(preset, "denoise", noisy(), given=KnownNoise("poisson-gaussian", sigma=0.3, gain=0.2, offset=-0.1))
    members = ready.objective.members if isinstance(ready.objective, Ensemble) else [ready.objective]
    for member in members:
        strength = member.likelihood.noise
        assert (strength.read, strength.gain, strength.offset) == pytest.approx((0.09, 0.2, -0.1))
    assert ready.found["noise"] == "poisson-gaussian"


def test_the_neighbours_of_correlated_noise_are_hidden_with_it():
    white, correlated = (prepared("fast", "denoise", noisy(blur)) for blur in (0.0, 0.6))
    assert white.objective.radius == 0
    assert correlated.objective.radius == correlated.found["correlation_radius"] == 1
    assert correlated.objective.hidden > white.objective.hidden


def test_the_seed_decides():
    first, again = (prepared("fast", "denoise").objective for _ in range(2))
    other = prepare(choose("fast", "denoise", everything, 1), noisy(), everything, factor=1, device="cpu", seed=1)
    assert (first.reserved == again.reserved).all()
    assert not (first.reserved == other.objective.reserved).all()
