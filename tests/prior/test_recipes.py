import numpy as np
import pytest

from napari_dip.prior.network import Hourglass
from napari_dip.prior.objective import LatentPrior, MaskedPrediction
from napari_dip.prior.recipes import choose, prepare

everything = np.ones((64, 64), bool)
scattered = np.random.default_rng(0).random((64, 64)) > 0.5
text = everything.copy()
text[20:23, 5:60] = False
hole = everything.copy()
hole[10:50, 10:50] = False


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
    objective, _ = prepare(recipe, np.zeros((3, 64, 64), np.float32), visible, factor=factor, device="cpu", seed=0)
    assert isinstance(objective, LatentPrior) and isinstance(objective.network, Hourglass)


def test_best_works_longer_than_fast():
    for task in ("denoise", "inpaint", "super_resolve"):
        assert choose("best", task, scattered, 4).iterations > choose("fast", task, scattered, 4).iterations


def test_three_dimensions():
    visible = np.ones((6, 20, 24), bool)
    planes = np.random.default_rng(0).random((1, 6, 20, 24), np.float32)
    objective, found = prepare(choose("fast", "denoise", visible, 1), planes, visible, factor=1, device="cpu", seed=0)
    assert isinstance(objective, MaskedPrediction)
    assert set(found) == {"noise_floor", "noise_gain", "noise_reach"}
    objective.loss()[0].backward()
    objective.collect()
    assert objective.estimate().shape == (1, 1, 6, 20, 24)
