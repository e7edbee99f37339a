"""The networks here are none: what they predict is made up, so that it is known what should come of it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt, label
from small import masked, observation_of, random, seeded, small_network

import napari_dip as dip
from napari_dip.prior.estimators.posterior import Averaged
from napari_dip.prior.estimators.second_opinion import PredictedOrSmooth
from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.fitting.stopping import Limits
from napari_dip.prior.objectives.like_gaps import HoldOut, Surroundings
from napari_dip.prior.presets import FAST, observe
from napari_dip.run import summary

SIDE = 96


def texture(channels: int = 1, side: int = SIDE, waves: float = 2.2) -> torch.Tensor:
    """Waves, as they are too short for a smooth surface through half of the pixels."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (0.5 + 0.3 * torch.sin(waves * (x + y / 2))).expand(1, channels, side, side).contiguous()


def scattered(part: float = 0.5, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).random((side, side)) > part


def holes(side: int = SIDE) -> np.ndarray:
    seen = np.ones((side, side), bool)
    for y, x in ((8, 8), (50, 12), (20, 60), (70, 70)):
        seen[y : y + 8, x : x + 8] = False
    return seen


def letters(side: int = SIDE) -> np.ndarray:
    seen = np.ones((side, side), bool)
    for y in range(4, side - 12, 14):
        for x in range(4, side - 12, 16):
            seen[y : y + 9, x : x + 2] = seen[y + 3 : y + 5, x : x + 7] = False
    return seen


def every(step_y: int, step_x: int, side: int = SIDE) -> np.ndarray:
    seen = np.zeros((side, side), bool)
    seen[::step_y, ::step_x] = True
    return seen


def checkerboard(side: int = SIDE) -> np.ndarray:
    return np.indices((side, side)).sum(0) % 2 == 0


USUAL = {"half": scattered(), "few": scattered(0.8), "holes": holes(), "text": letters()}
REGULAR = {
    "grid of 16": every(4, 4),
    "grid of 4": every(2, 2),
    "every other line": every(2, 1),
    "every eighth line": every(8, 1),
    "columns": every(1, 3),
    "checkerboard": checkerboard(),
}


def split(truth: torch.Tensor, seen: np.ndarray, seed: int = 0, how: HoldOut | None = None):
    mask = torch.from_numpy(seen[None, None].astype(np.float32))
    return (how or HoldOut()).split(observation_of(truth * mask, mask), seeded(seed))


def predicted(observation, image: torch.Tensor, variance: float = 0.01) -> Averaged:
    return Averaged(observation, image, torch.full_like(image[:, :1], variance))


def off(image: torch.Tensor, truth: torch.Tensor, seen: np.ndarray) -> float:
    """Mean squared error in the gaps."""
    return float(((image - truth) ** 2)[:, :, torch.from_numpy(~seen)].mean())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seen", USUAL.values(), ids=USUAL)
def test_a_network_that_is_right_is_believed(seen, channels):
    truth = texture(channels)
    one = split(truth, seen)
    step, averaged = PredictedOrSmooth(), [predicted(one, truth)]
    assert off(step.finish(averaged).image, truth, seen) < 0.1 * off(one.smooth, truth, seen)
    assert step.smooth(averaged) < 0.15
    assert torch.equal(step.preview(averaged), step.finish(averaged).image)


@pytest.mark.parametrize("seen", USUAL.values(), ids=USUAL)
def test_a_network_that_is_wrong_is_not(seen):
    truth = texture(waves=0.3)
    one = split(truth, seen)
    step, averaged = PredictedOrSmooth(), [predicted(one, truth + 0.2 * random(1, SIDE, SIDE))]
    assert off(step.finish(averaged).image, truth, seen) < 1.02 * off(one.smooth, truth, seen)
    assert step.smooth(averaged) > 0.9


@pytest.mark.parametrize("mask", REGULAR)
def test_held_out_pixels_that_lie_otherwise_say_nothing_for_the_network(mask):
    """It may be right wherever something was measured, and wrong everywhere else."""
    truth, seen = texture(), REGULAR[mask]
    one = split(truth, seen)
    image = torch.where(one.observed > 0, truth, random(1, SIDE, SIDE))
    found = PredictedOrSmooth().finish([predicted(one, image)]).image
    assert torch.equal(found[one.observed == 0], one.smooth[one.observed == 0])


def test_two_errors_that_have_nothing_in_common_are_halved():
    truth, seen = texture(), scattered()
    one = split(truth, seen)
    noise = off(one.smooth, truth, seen) ** 0.5 * torch.randn(truth.shape, generator=seeded())
    averaged = [predicted(one, truth + noise)]
    step = PredictedOrSmooth()
    assert 0.3 < step.smooth(averaged) < 0.7
    best = min(off(one.smooth, truth, seen), off(truth + noise, truth, seen))
    assert off(step.finish(averaged).image, truth, seen) < 0.7 * best


def test_each_depth_is_judged_by_itself():
    """A network that knows the rim of a hole only, and one that knows its middle only."""
    truth, seen = texture(), holes()
    one = split(truth, seen, how=HoldOut(part_in_copies=0.4))
    far = distance_transform_edt(~(seen & (one.held_out[0, 0].numpy() == 0)))
    rim = torch.from_numpy((far <= 2)[None, None])
    for known, other in ((rim, ~rim), (~rim, rim)):
        judgement = PredictedOrSmooth().judge([predicted(one, torch.where(known, truth, random(1, SIDE, SIDE)))])
        parts = [judgement.part[where[0, 0].numpy() & ~seen].mean() for where in (known, other)]
        assert parts[0] > 0.8 and parts[1] < 0.4


def test_a_single_copy_of_a_hole_is_no_evidence():
    truth, seen = texture(), holes()
    one = split(truth, seen, how=HoldOut(clumps=1, wanted=30))
    assert label(one.held_out[0, 0].numpy(), np.ones((3, 3)))[1] == 1
    assert PredictedOrSmooth().smooth([predicted(one, 0.9 * truth + 0.1 * random(1, SIDE, SIDE))]) == 1


@pytest.mark.parametrize("seen", [scattered(), holes(), letters()], ids=["half", "holes", "text"])
@pytest.mark.parametrize("good", [True, False])
def test_the_variance_is_that_of_the_errors_whatever_the_network_says(seen, good):
    truth = texture()
    noise = 0.1 * torch.randn(truth.shape, generator=seeded())
    one = split(truth, seen)
    for claimed in (1e-4, 1.0):
        averaged = [predicted(one, truth + noise if good else random(1, SIDE, SIDE), claimed)]
        result = PredictedOrSmooth().finish(averaged, with_variance=True)
        told = float(result.variance[:, :, torch.from_numpy(~seen)].mean())
        assert told == pytest.approx(off(result.image, truth, seen), rel=0.5)


def test_copies_of_gaps_are_as_deep_as_these_and_lie_on_what_was_measured():
    seen = holes()
    one = split(texture(), seen)
    held = one.held_out[0, 0].numpy() > 0
    assert not (held & ~seen).any()
    assert distance_transform_edt(~(seen & ~held))[held].max() >= distance_transform_edt(~seen).max()
    assert 64 <= held.sum() <= HoldOut().part_in_copies * seen.sum()


def test_where_single_pixels_are_missing_single_ones_are_held_out():
    seen = scattered(0.5, 128)
    held = split(texture(side=128), seen).held_out[0, 0].numpy() > 0
    assert 300 < held.sum() <= HoldOut().part * seen.sum() and not (held & ~seen).any()
    assert distance_transform_edt(~(seen & ~held))[held].mean() < 1.3


def test_in_a_large_image_some_hundred_pixels_are_enough():
    held = split(torch.rand(1, 1, 512, 512), scattered(0.5, 512)).held_out
    assert 700 < held.sum() <= 800


def test_something_is_left_to_fill_in_from():
    """All that was measured lies close together, beside a gap that is far deeper."""
    seen = np.zeros((SIDE, SIDE), bool)
    seen[40:46, 40:46] = True
    held = split(texture(), seen).held_out[0, 0].numpy() > 0
    assert (seen & ~held).sum() >= 0.9 * seen.sum()


def test_the_seed_decides_what_is_held_out():
    for seen in (scattered(), holes(), REGULAR["every eighth line"]):
        first, again, other = (split(texture(), seen, seed).held_out for seed in (0, 0, 1))
        assert torch.equal(first, again) and not torch.equal(first, other)


def test_where_nothing_is_missing_the_network_stands():
    one, image = split(texture(), np.ones((SIDE, SIDE), bool)), random(1, SIDE, SIDE)
    result = PredictedOrSmooth().finish([predicted(one, image)], with_variance=True)
    assert one.held_out is None and torch.equal(result.image, image)
    assert (result.variance == 0.01).all() and PredictedOrSmooth().smooth([predicted(one, image)]) == 0


def test_where_next_to_nothing_is_known_the_gap_is_smooth():
    seen = np.zeros((SIDE, SIDE), bool)
    seen[3, 4:6] = True
    one = split(texture(), seen)
    averaged = [predicted(one, random(1, SIDE, SIDE))]
    result = PredictedOrSmooth().finish(averaged, with_variance=True)
    assert torch.equal(result.image[one.observed == 0], one.smooth[one.observed == 0])
    assert (result.variance > 0).all() and PredictedOrSmooth().smooth(averaged) == 1
    assert not masked(one, small_network(2, 2), together=True).predict().target.isnan().any()


def test_surroundings():
    seen = scattered(side=128)
    held = np.zeros_like(seen)
    held[np.unravel_index(np.flatnonzero(seen)[::10], seen.shape)] = True
    how = Surroundings()
    assert how.difference(held, seen & ~held, ~seen, seen, 1.0) < 0.2
    lines = REGULAR["every other line"]
    held = np.zeros_like(lines)
    held[np.unravel_index(np.flatnonzero(lines)[::97], lines.shape)] = True
    assert how.difference(held, lines & ~held, ~lines, lines, 1.0) > 0.8


def test_held_out_pixels_are_hidden_together_or_not_at_all():
    one = split(random(1, SIDE, SIDE), holes())
    objective = masked(one, small_network(2, 2), together=True, hidden=0.2)
    parts = [float(objective.draw()[0][one.held_out > 0].mean()) for _ in range(60)]
    assert set(parts) == {0.0, 1.0} and 10 < sum(parts) < 34


def test_what_was_seen_does_not_pass_for_a_prediction():
    one = split(random(1, SIDE, SIDE), scattered())
    for hidden in (0.0, 1.0):
        objective = masked(one, small_network(2, 2), together=True, hidden=hidden, correct_fill=0.2)
        image = objective.predict().image.detach()
        assert not torch.equal(image[one.held_out > 0], one.values[one.held_out > 0])
        assert (image[one.held_out > 0] - one.values[one.held_out > 0]).abs().mean() > 0.1


@pytest.mark.parametrize("step", [(4, 4), (8, 1)], ids=["grid", "lines"])
def test_a_regular_grid_is_never_filled_in_worse_than_by_a_smooth_surface(step):
    y, x = np.mgrid[: SIDE + 1, : SIDE + 1]
    truth = (100 + 50 * np.sin(y / 7) * np.cos(x / 9)).astype(np.float32)
    seen = every(*step, SIDE + 1)
    result = dip.inpaint(np.where(seen, truth, 0), ~seen, max_iterations=8, threads=1, uncertainty=True)
    one = split(torch.from_numpy(truth)[None, None], seen)
    smooth = one.smooth[0, 0].numpy()
    ours, theirs = (np.mean((image - truth)[~seen] ** 2) for image in (result.image, smooth))
    assert ours <= 1.02 * theirs
    assert result.record["planes"][0]["smooth"] == 1
    assert summary.gaps_filled(result.record).startswith("The gaps are filled with a smooth surface:")
    error = np.sqrt(ours)
    assert 0.2 * error < np.sqrt(np.mean(result.uncertainty[~seen] ** 2)) < 5 * error


def test_a_fit_with_held_out_pixels_goes_on_to_the_same_bytes():
    seen = scattered(side=40)
    values = (texture(side=40)[0] * torch.from_numpy(seen)).numpy()

    def fit(iterations: int) -> Fit:
        preset = FAST["inpaint"]
        return Fit(preset.build(observe(preset, values, seen), seeded()), Limits(iterations))

    list(whole := fit(6))
    for _ in zip(range(3), half := fit(6), strict=False):
        pass
    rest = fit(6)
    rest.load_state(half.state())
    list(rest)
    assert torch.equal(whole.averaged()[0].image, rest.averaged()[0].image)
    assert torch.equal(whole.finish().image, rest.finish().image)


def test_other_tasks_tell_nothing_of_gaps():
    result = dip.denoise(np.random.default_rng(0).random((32, 32), np.float32), max_iterations=2, threads=1)
    assert "smooth" not in result.record["planes"][0] and summary.gaps_filled(result.record) == ""
