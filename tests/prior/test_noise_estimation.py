import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, zoom

from napari_dip.prior.noise.config import ESTIMATION, PLACE, Estimation, VarianceCurve
from napari_dip.prior.noise.corrected import by_place, corrected_noise
from napari_dip.prior.noise.estimation import estimate_noise
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import KnownNoise, NoiseModel

SEEDS = range(3)


def smooth(seed: int, size: int = 160) -> np.ndarray:
    """A cloudy image from 0 to 1."""
    image = gaussian_filter(np.random.default_rng(seed).random((size, size)), 10)
    return (image - image.min()) / np.ptp(image)


class Look:
    """What is found in an image, which is scaled to [0, 1] for that, and brought back to its own units."""

    def __init__(self, image: np.ndarray, known: KnownNoise | None = None):
        self.low, self.span = image.min(), np.ptp(image)
        observed = np.ones((1, *image.shape), bool)
        self.found = estimate_noise(((image - self.low) / self.span)[None], observed, known)

    def variance(self, signal: float) -> float:
        scaled = torch.tensor((signal - self.low) / self.span)
        return self.span**2 * float(self.found.likelihood.noise.at(scaled))


def is_saturated(found: NoiseModel) -> tuple[bool, bool]:
    return bool(np.isfinite(found.likelihood.low)), bool(np.isfinite(found.likelihood.high))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.3])
def test_white_noise_is_found_and_called_gaussian(sigma, seed):
    noisy = 0.1 + 0.8 * smooth(seed) + np.random.default_rng(seed).normal(0, sigma, (160, 160))
    look = Look(noisy)
    assert look.found.correlation_radius == 0 and look.found.kind == "gaussian"
    assert is_saturated(look.found) == (False, False)
    for signal in (0.3, 0.7):
        assert look.variance(signal) ** 0.5 == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("photons", [5, 40, 200])
def test_photon_noise_is_seen_to_grow_with_brightness(photons, seed):
    counts = np.random.default_rng(seed).poisson(smooth(seed) * photons)
    look = Look(counts / photons)
    assert look.found.kind in ("poisson", "poisson-gaussian")
    for signal in (0.3, 0.7):
        assert look.variance(signal) == pytest.approx(signal / photons, rel=0.3)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gain_is_found_where_the_value_without_light_is_known(seed):
    noisy = 100 + 7.0 * np.random.default_rng(seed).poisson(50 * smooth(seed))
    low, span = noisy.min(), np.ptp(noisy)
    look = Look(noisy, KnownNoise("poisson", offset=(100 - low) / span))
    assert look.found.kind == "poisson" and look.found.likelihood.noise.read == 0
    assert look.found.likelihood.noise.gain * span == pytest.approx(7, rel=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_photon_and_read_noise_are_found_together(seed):
    rng = np.random.default_rng(seed)
    scene = smooth(seed) ** 2
    look = Look(rng.poisson(50 * scene) / 50 + rng.normal(0, 0.1, scene.shape))
    assert look.found.kind == "poisson-gaussian"
    for signal in (0.1, 0.6):
        assert look.variance(signal) == pytest.approx(0.01 + signal / 50, rel=0.3)


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_in_proportion_to_the_signal_is_called_multiplicative(seed):
    scene = smooth(seed) ** 2
    look = Look(scene * np.random.default_rng(seed).normal(1, 0.2, scene.shape))
    assert look.found.kind == "multiplicative"
    for signal in (0.4, 0.7):
        assert look.variance(signal) == pytest.approx((0.2 * signal) ** 2, rel=0.3)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sigma", [0.1, 0.2])
def test_the_noise_of_an_8_bit_image_that_is_cut_off_at_both_ends(sigma, seed):
    noisy = smooth(seed) + np.random.default_rng(seed).normal(0, sigma, (160, 160))
    look = Look(np.round(255 * noisy.clip(0, 1)) / 255)
    assert is_saturated(look.found) == (True, True)
    for signal in (0.2, 0.5, 0.8):
        assert look.variance(signal) ** 0.5 == pytest.approx(sigma, rel=0.12)


@pytest.mark.parametrize("seed", SEEDS)
def test_read_noise_that_is_cut_off_at_zero(seed):
    rng = np.random.default_rng(seed)
    scene = smooth(seed) ** 2
    look = Look((rng.poisson(50 * scene) / 50 + rng.normal(0, 0.1, scene.shape)).clip(0))
    assert is_saturated(look.found) == (True, False)
    assert look.variance(0.05) ** 0.5 == pytest.approx((0.01 + 0.05 / 50) ** 0.5, rel=0.2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("photons", [2, 8, 30])
def test_photon_counts_that_pile_up_at_zero_are_not_saturated(photons, seed):
    counts = np.random.default_rng(seed).poisson(photons * smooth(seed) ** 2)
    assert (counts == 0).mean() > 0.02
    assert is_saturated(Look(counts.astype(float)).found) == (False, False)


@pytest.mark.parametrize("seed", [11, 13, 24])
def test_photon_counts_of_bright_objects_on_black(seed):
    counts = np.random.default_rng(1000 + seed).poisson(20 * (1.6 * smooth(seed) - 0.6).clip(0))
    look = Look(counts / 20)
    assert look.found.kind == "poisson" and is_saturated(look.found) == (False, False)


def test_a_few_photons_are_not_saturated_above():
    counts = [np.random.default_rng(seed).poisson(0.6 * smooth(seed, 64)).astype(float) for seed in range(40)]
    assert not any(is_saturated(Look(image).found)[1] for image in counts)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("blur", "reach"), [(0.0, 0), (0.6, 1), (1.2, 2)])
def test_noise_that_reaches_into_neighbours_is_noticed(blur, reach, seed):
    noise = gaussian_filter(np.random.default_rng(seed).normal(0, 1, (160, 160)), blur)
    assert Look(0.1 + 0.8 * smooth(seed) + 0.1 * noise / noise.std()).found.correlation_radius == reach


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["gaussian", "poisson", "poisson-gaussian"]),
    sigma=st.none() | st.floats(0.001, 0.5),
    gain=st.none() | st.floats(0.001, 0.5),
    offset=st.none() | st.floats(-1, 0.5),
    shape=st.sampled_from([(8, 8), (40, 41), (96, 96)]),
)
def test_what_is_given_is_taken_as_it_is(kind, sigma, gain, offset, shape):
    """What a kind of noise does not have is nothing, whatever else is given."""
    image = np.random.default_rng(0).random((1, *shape))
    found = estimate_noise(image, np.ones_like(image, bool), KnownNoise(kind, sigma, gain, offset))
    noise = found.likelihood.noise
    assert found.kind == kind
    assert noise.multiplicative == 0 and noise.read >= 0 and noise.gain >= 0
    if offset is not None:
        assert noise.offset == offset
    if kind == "poisson":
        assert noise.read == 0
    elif sigma is not None:
        assert noise.read == pytest.approx(sigma**2)
    if kind == "gaussian":
        assert noise.gain == 0
    elif gain is not None:
        assert noise.gain == gain


def test_what_is_given_in_part_helps_to_find_the_rest():
    rng = np.random.default_rng(0)
    scene = smooth(0)
    noisy = rng.poisson(50 * scene) / 50 + rng.normal(0, 0.1, scene.shape)
    low, span = noisy.min(), np.ptp(noisy)
    known = KnownNoise("poisson-gaussian", sigma=0.1 / span, offset=-low / span)
    assert Look(noisy, known).found.likelihood.noise.gain * span == pytest.approx(1 / 50, rel=0.2)
    known = KnownNoise("poisson-gaussian", gain=1 / 50 / span, offset=-low / span)
    assert Look(noisy, known).found.likelihood.noise.read ** 0.5 * span == pytest.approx(0.1, rel=0.2)


def test_pixels_that_were_not_measured_do_not_count():
    rng = np.random.default_rng(0)
    noisy = 0.1 + 0.8 * smooth(0) + rng.normal(0, 0.05, (160, 160))
    observed = rng.random(noisy.shape) > 0.1
    found = estimate_noise(np.where(observed, noisy, 5.0)[None], observed[None])
    assert found.likelihood.noise.at(torch.tensor(0.5)) ** 0.5 == pytest.approx(0.05, rel=0.15)
    assert is_saturated(found) == (False, False)


@pytest.mark.parametrize("shape", [(8, 8), (9, 40), (3, 8, 8)])
@pytest.mark.parametrize("kind", ["auto", "gaussian", "poisson", "poisson-gaussian"])
def test_tiny_images_get_some_finite_estimate(shape, kind):
    planes = np.random.default_rng(0).random(shape if len(shape) == 3 else (1, *shape))
    found = estimate_noise(planes, np.ones_like(planes, bool), KnownNoise(kind))
    variance = found.likelihood.noise.at(torch.linspace(0, 1, 5))
    assert torch.isfinite(variance).all() and (variance > 0).all() and (variance < 1).all()
    assert found.correlation_radius in (0, 1, 2)


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.eye(64), np.tile([0.0, 1.0], (64, 32))])
def test_images_without_noise_get_some_finite_estimate(image):
    found = estimate_noise(image[None], np.ones((1, 64, 64), bool))
    assert torch.isfinite(found.likelihood.noise.at(torch.linspace(0, 1, 5))).all()


@pytest.mark.parametrize(
    ("thought", "expected"), [(0.01, 0.01), (0.005, 0.01), (0.002, 0.002 * ESTIMATION.most_correction)]
)
def test_noise_is_corrected_upwards_within_bounds(thought, expected):
    truth = torch.full((1, 1, 160, 160), 0.5)
    noisy = truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    found = corrected_noise(Gaussian(NoiseVariance(thought)), truth, noisy, torch.ones_like(truth))
    assert found.shape == truth.shape
    assert float(found.mean()) == pytest.approx(expected, rel=0.1)


def test_a_good_prediction_of_saturated_pixels_is_no_reason_to_doubt_the_noise():
    """Near an edge much of the noise is cut off; what is left of it is not all there was."""
    truth = torch.linspace(0.5, 1.1, 160).expand(1, 1, 160, 160)
    noisy = (truth + 0.2 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    right = corrected_noise(Gaussian(NoiseVariance(0.04), 0.0, 1.0), truth, noisy, torch.ones_like(truth))
    assert float(right.mean()) == pytest.approx(0.04, rel=0.1)
    low = corrected_noise(Gaussian(NoiseVariance(0.025), 0.0, 1.0), truth, noisy, torch.ones_like(truth))
    assert float(low.mean()) > 0.03


def test_hidden_pixels_do_not_correct_the_noise():
    truth = torch.full((1, 2, 64, 64), 0.5)
    noisy = truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    observed = (torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1)) > 0.3).float()
    found = corrected_noise(Gaussian(NoiseVariance(0.01)), truth, torch.where(observed > 0, noisy, 9.0), observed)
    assert found.shape == truth.shape
    assert float(found.mean()) == pytest.approx(0.01, rel=0.1)


def test_how_it_is_estimated_can_be_handed_in():
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.normal(0, 1, (160, 160)), 1.2)
    planes = (0.1 + 0.8 * smooth(0) + 0.1 * noise / noise.std())[None]
    observed = np.ones_like(planes, bool)
    radii = [estimate_noise(planes, observed, how=Estimation(most_radius=most)).correlation_radius for most in (0, 2)]
    assert radii == [0, 2]
    assert estimate_noise(planes, observed, how=Estimation(white_ratio=0.0)).correlation_radius == 0
    unseen = np.zeros_like(observed)
    unseen[:, 0, 0] = True
    small = estimate_noise(planes, unseen, how=Estimation(curve=VarianceCurve(unseen=0.04)))
    assert small.likelihood.noise.read == pytest.approx(0.04)


@pytest.mark.parametrize("side", [16, 24, 32, 48])
def test_the_noise_of_small_images_is_found(side):
    y, x = np.mgrid[:side, :side]
    found = []
    for seed in range(20):
        noisy = 0.5 + 0.2 * np.sin(y / 9) * np.cos(x / 8) + np.random.default_rng(seed).normal(0, 0.1, (side, side))
        noise = estimate_noise(noisy[None], np.ones((1, side, side), bool)).likelihood.noise
        found.append(float(noise.at(torch.tensor(0.5))) ** 0.5)
    assert np.median(found) == pytest.approx(0.1, rel=0.15)
    assert min(found) > 0.05 and max(found) < 0.2


def test_too_few_blocks_say_nothing_of_what_a_prediction_leaves():
    truth = torch.full((1, 1, 40, 40), 0.5)
    noisy = truth + 0.2 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    found = corrected_noise(Gaussian(NoiseVariance(0.01)), truth, noisy, torch.ones_like(truth))
    assert torch.allclose(found, torch.tensor(0.01))


def test_how_far_the_noise_is_corrected_can_be_handed_in():
    truth = torch.full((1, 1, 160, 160), 0.5)
    noisy = truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    given = Gaussian(NoiseVariance(0.002)), truth, noisy, torch.ones_like(truth)
    assert float(corrected_noise(*given, Estimation(most_correction=1.5)).max()) == pytest.approx(0.003)


def scattered(*factors, size=160, seed=0):
    """White noise in stripes of equal width, each so many times as strong in variance."""
    noise = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(seed))
    return noise * torch.tensor(factors).repeat_interleave(size // len(factors)) ** 0.5


@pytest.mark.parametrize("seed", range(5))
def test_noise_that_is_the_same_everywhere_depends_on_no_place(seed):
    assert (by_place(scattered(1.0, seed=seed), torch.ones(1, 1, 160, 160), PLACE) == 1).all()
    assert (by_place(scattered(4.0, seed=seed), torch.ones(1, 1, 160, 160), PLACE) == 1).all()


@pytest.mark.parametrize("factor", [0.2, 3.0, 9.0])
def test_noise_of_two_amplifiers_is_found_on_either_side(factor):
    found = by_place(scattered(1.0, factor), torch.ones(1, 1, 160, 160), PLACE)[0, 0]
    ratio = float(found[:, 120:].mean() / found[:, :40].mean())
    assert ratio == pytest.approx(factor, rel=0.2)


def test_noise_of_places_that_were_not_measured_is_the_usual():
    observed = torch.ones(1, 1, 160, 160)
    observed[..., :80] = 0
    noise = torch.where(observed > 0, scattered(1.0), 50.0)
    assert (by_place(noise, observed, PLACE) == 1).all()


def test_fine_structure_that_is_left_over_is_not_taken_for_noise_of_that_place():
    wave = torch.sin(torch.arange(160) * 1.2).expand(1, 1, 160, 160) * torch.tensor([0.0, 1.0]).repeat_interleave(80)
    assert by_place(scattered(1.0) + wave, torch.ones(1, 1, 160, 160), PLACE).max() < 1.5


def estimated(image):
    """Noise of one plane, brought to [0, 1]; with the factor that took."""
    span = float(np.ptp(image))
    return estimate_noise((image - image.min())[None] / span, np.ones((1, *image.shape), bool)), span


def smeared(seed, length, side=160):
    noise = np.random.default_rng(seed).standard_normal((side, side + length - 1))
    return sum(noise[:, k : k + side] for k in range(length)) / length**0.5


@pytest.mark.parametrize("length", [3, 5, 7])
@pytest.mark.parametrize("seed", SEEDS)
def test_noise_that_is_smeared_along_one_axis_is_known_by_its_reach_and_strength(seed, length):
    image = 100 + 200 * gaussian_filter(np.random.default_rng(seed).standard_normal((160, 160)), 12) * 12
    found, span = estimated(image + 10 * smeared(seed + 9, length))
    assert found.radii == (0, length - 1)
    assert found.likelihood.noise_variance(torch.tensor(0.5)).item() ** 0.5 * span == pytest.approx(10, rel=0.25)
    assert estimated((image + 10 * smeared(seed + 9, length)).T)[0].radii == (length - 1, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_that_was_enlarged_reaches_over_the_pixels_of_before(seed):
    small = np.random.default_rng(seed).standard_normal((48, 48))
    large = zoom(small, 4, order=1, mode="grid-constant", grid_mode=True)
    found, _ = estimated(100 + 10 * large)
    assert min(found.radii) >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_felt_of_threads_is_structure_and_its_noise_is_white(seed):
    random, felt = np.random.default_rng(seed), np.zeros((160, 160))
    y, x = np.mgrid[:160, :160]
    for _ in range(200):
        (cy, cx), turn = random.uniform(0, 160, 2), random.uniform(0, np.pi)
        along, across = (
            (x - cx) * a + (y - cy) * b for a, b in ((np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn)))
        )
        felt = np.maximum(felt, random.uniform(0.3, 1) * np.exp(-(across**2) / 2 - (along / 40) ** 4))
    found, span = estimated(3000 * felt + random.normal(0, 60, felt.shape))
    assert found.correlation_radius == 0
    assert 40 < found.likelihood.noise_variance(torch.tensor(0.5)).item() ** 0.5 * span < 110


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_of_a_wide_field_is_correlated_and_no_structure(seed):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((256, 256)), 0.7)
    assert estimated(noise / noise.std())[0].correlation_radius in (1, 2)
