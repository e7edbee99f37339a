"""What every objective has to do; a new one joins by a line in the list."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from napari_dip.prior.networks.network import SlimPrior, VarianceHead
from napari_dip.prior.objectives.latent_prior import LatentPrior
from napari_dip.prior.objectives.masked_prediction import MaskedPrediction
from napari_dip.prior.objectives.objective import Objective, loss_of
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation

LATENT = 4


def network(observation: Observation, inputs: int, outputs: int, generator: torch.Generator) -> SlimPrior:
    guides = 0 if observation.guide is None else observation.guide.shape[1]
    sizes = {"channels": 8, "depth": 2, "skip": 4, "thin": 4, "dropout": 0.1, "dims": observation.dims}
    one = SlimPrior(inputs + guides, outputs, generator, **sizes)
    one.initialise(generator)
    return one


def masked(observation: Observation, generator: torch.Generator, **options) -> Objective:
    channels = observation.values.shape[1] + 1
    one = network(observation, channels, channels, generator)
    return MaskedPrediction(one, observation, generator, **{"hidden": 0.3, **options})


def latent(observation: Observation, generator: torch.Generator, head: VarianceHead | None = None, **more) -> Objective:
    one = network(observation, LATENT, observation.values.shape[1] + (head is not None), generator)
    options = {"latent_channels": LATENT, "latent_noise": 0.03, **more}
    return LatentPrior(one, observation, generator, variance_head=head, **options)


# name, how it is made of an observation and a generator, how far the noise reaches, and whether pixels are missing
OBJECTIVES = [
    ("masked", masked, 0, False),
    ("masked, correlated noise", lambda *a: masked(*a, hidden=0.65), 1, False),
    ("masked, with gaps", masked, 0, True),
    ("masked, with gaps like those", lambda *a: masked(*a, hidden=0.1, like_missing=True), 0, True),
    ("masked, a fill corrected", lambda *a: masked(*a, correct_fill=0.2), 0, True),
    ("masked, held out together", lambda *a: masked(*a, together=True), 0, True),
    ("latent", latent, 0, True),
    ("latent, coarse", lambda *a: latent(*a, latent_step=2, latent_noise=0.0), 0, False),
    ("latent, with a variance", lambda *a: latent(*a, head=VarianceHead()), 1, True),
]
IMAGES = {"gray": (1, 20, 17), "RGB": (3, 16, 18), "3D of two channels": (2, 4, 10, 12)}

every_objective = pytest.mark.parametrize("case", OBJECTIVES, ids=lambda case: case[0])
every_image = pytest.mark.parametrize("shape", IMAGES.values(), ids=IMAGES)
guided = pytest.mark.parametrize("guides", [0, 2], ids=["plain", "guided"])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed))


def observation(case, shape, guides: int = 0) -> Observation:
    _, _, radius, has_gaps = case
    values, mask = random(*shape), torch.ones(1, 1, *shape[1:])
    if has_gaps:
        mask[..., 3:6, 4:9] = 0
    noise = NoiseModel(Gaussian(NoiseVariance(0.01)), radius, "gaussian")
    guide = random(guides, *shape[1:], seed=7) if guides else None
    one = Observation(values * mask, mask, noise=noise, guide=guide)
    return one.split(0.02, torch.Generator().manual_seed(3))


def made(case, shape, guides: int = 0, seed: int = 0) -> Objective:
    return case[1](observation(case, shape, guides), torch.Generator().manual_seed(seed))


def gradient(objective: Objective, prediction, observation: Observation) -> list[Tensor]:
    loss, _ = loss_of(prediction, observation)
    return list(torch.autograd.grad(loss, list(objective.network.parameters()), retain_graph=True))


@every_objective
@every_image
@guided
def test_a_prediction_has_the_shape_of_the_image_and_is_finite(case, shape, guides):
    objective = made(case, shape, guides)
    for _ in range(2):
        prediction = objective.predict()
        assert prediction.image.shape == (1, *shape) and torch.isfinite(prediction.image).all()
        assert prediction.image.dtype == torch.float32 and prediction.image.requires_grad
        for one in (prediction.variance, prediction.target):
            assert one is None or one.shape == (1, 1, *shape[1:])
        if prediction.variance is not None:
            assert torch.isfinite(prediction.variance).all() and (prediction.variance > 0).all()


@every_objective
@every_image
def test_a_target_is_made_of_whole_pixels_and_scored_where_something_was_measured(case, shape):
    objective = made(case, shape)
    one = objective.observation
    for _ in range(3):
        prediction = objective.predict()
        target = torch.ones_like(one.observed) if prediction.target is None else prediction.target
        assert set(target.unique().tolist()) <= {0, 1} and (target * one.observed).any()
        scored = target * one.learned
        assert not (scored * (1 - one.observed)).any() and not (scored * one.held_out).any()
        loss, error = loss_of(prediction, one)
        assert torch.isfinite(loss) and torch.isfinite(error) and error >= 0


@every_objective
@every_image
@guided
def test_the_network_learns(case, shape, guides):
    objective = made(case, shape, guides)
    total = 0.0
    for _ in range(3):
        slopes = gradient(objective, objective.predict(), objective.observation)
        assert all(torch.isfinite(slope).all() for slope in slopes)
        total += sum(float(slope.abs().sum()) for slope in slopes)
    assert total > 0


@every_objective
@every_image
def test_what_is_held_out_or_missing_never_changes_the_gradient(case, shape):
    objective = made(case, shape)
    one, prediction = objective.observation, objective.predict()
    untaught = one.learned == 0
    changed = replace(one, values=torch.where(untaught, one.values + 5, one.values))
    assert one.held_out.any() and untaught.any()
    for before, after in zip(*(gradient(objective, prediction, x) for x in (one, changed)), strict=True):
        assert torch.equal(before, after)


@every_objective
@every_image
def test_values_of_what_is_missing_are_never_seen(case, shape):
    if not case[3]:
        return
    one = observation(case, shape)
    other = replace(one, values=torch.where(one.observed > 0, one.values, torch.tensor(0.7)))
    first, second = (case[1](x, torch.Generator().manual_seed(0)).predict() for x in (one, other))
    torch.testing.assert_close(first.image, second.image, rtol=1e-4, atol=1e-5)


@every_objective
@every_image
def test_the_same_seed_gives_the_same_bytes(case, shape):
    first, again, other = (made(case, shape, seed=seed) for seed in (0, 0, 1))
    for _ in range(2):
        predictions = [objective.predict() for objective in (first, again, other)]
        assert torch.equal(predictions[0].image, predictions[1].image)
        assert not torch.equal(predictions[0].image, predictions[2].image)
        for name in ("variance", "target"):
            one, same = (getattr(p, name) for p in predictions[:2])
            assert one is same is None or torch.equal(one, same)


@every_objective
def test_a_guide_is_heeded(case):
    one = observation(case, IMAGES["gray"], guides=2)
    other = replace(one, guide=1 - one.guide)
    first, second = (case[1](x, torch.Generator().manual_seed(0)).predict() for x in (one, other))
    assert not torch.equal(first.image, second.image)


@every_objective
@every_image
def test_the_observation_stays_as_it_is(case, shape):
    objective = made(case, shape)
    kept = observation(case, shape)
    for _ in range(2):
        loss_of(objective.predict(), objective.observation)[0].backward()
    for name in ("values", "observed", "held_out"):
        assert torch.equal(getattr(objective.observation, name), getattr(kept, name))
