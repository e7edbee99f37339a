"""What destroys structure needs proof: which reading of the noise is chosen, over drawn scenes and kinds of noise."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, shift, uniform_filter1d, zoom
from skimage import color, data, transform

from napari_dip.prior.noise.config import ESTIMATION
from napari_dip.prior.noise.correlation import part_of_neighbours
from napari_dip.prior.noise.estimation import estimate_noise
from napari_dip.prior.noise.evidence import Evidence
from napari_dip.prior.physics.noise_model import KnownNoise

SIDE = 128
GRID = np.mgrid[:SIDE, :SIDE].astype(float)
SEEDS = st.integers(0, 10**6)


def unit(image):
    return (image - image.min()) / np.ptp(image)


def filaments(random):
    """Thin lines all over, one to two pixels wide."""
    image, (y, x) = np.zeros((SIDE, SIDE)), GRID
    for _ in range(random.integers(60, 200)):
        angle, place = random.uniform(0, np.pi), random.uniform(-SIDE / 2, SIDE / 2)
        across = (x - SIDE / 2) * np.cos(angle) + (y - SIDE / 2) * np.sin(angle) - place
        image = np.maximum(image, random.uniform(0.3, 1) * np.exp(-(across**2) / 2))
    return image


def walls(random):
    """Membranes between the cells of a random pattern."""
    centres = random.uniform(0, SIDE, (60, 2))
    apart = np.hypot(GRID[0][..., None] - centres[:, 0], GRID[1][..., None] - centres[:, 1])
    nearest = np.sort(apart, -1)
    return np.exp(-(((nearest[..., 1] - nearest[..., 0]) / 2) ** 2))


def blobs(random):
    """Smooth cells on a dark ground, most of which is flat."""
    image, (y, x) = np.zeros((SIDE, SIDE)), GRID
    for _ in range(8):
        cy, cx = random.uniform(0, SIDE, 2)
        image = np.maximum(image, np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / random.uniform(60, 200)))
    return image


def clouds(random):
    return unit(gaussian_filter(random.standard_normal((SIDE, SIDE)), 12, mode="wrap"))


def read(image, observed=None, **known):
    """Read the noise of an image as a run does: scaled to [0, 1]."""
    observed = np.ones(image.shape, bool) if observed is None else observed
    values = ((image - image[observed].min()) / np.ptp(image[observed])).astype(np.float32)
    return estimate_noise(np.where(observed, values, 0)[None], observed[None], KnownNoise(**known))


def evidence_of(image):
    return Evidence(unit(image)[None].astype(np.float32), np.ones((1, *image.shape), bool), KnownNoise(), ESTIMATION)


def strength(noise):
    """Standard deviation at half of the range."""
    import torch

    return float(noise.likelihood.noise_variance(torch.tensor(0.5))) ** 0.5


def jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray((255 * image).clip(0, 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), float) / 255


def smear(random, blur):
    noise = gaussian_filter(random.standard_normal((SIDE, SIDE)), blur, mode="wrap")
    return noise / noise.std()


@pytest.mark.parametrize("seed", range(6))  # one felt of many lines in twenty may be noise by all that is seen of it
@pytest.mark.parametrize(("sigma", "with_bar", "scale"), [(0.01, False, 4e3), (0.02, True, 0.01), (0.06, False, 1.0)])
@pytest.mark.parametrize("scene", [filaments, walls])
def test_fine_structure_under_white_noise_is_not_taken_for_noise(seed, scene, sigma, with_bar, scale):
    random = np.random.default_rng(seed)
    image, observed = scene(random) + sigma * random.standard_normal((SIDE, SIDE)), np.ones((SIDE, SIDE), bool)
    observed[-24:] = not with_bar  # a part that was not measured must not hide what the rest shows
    noise = read(scale * image, observed)
    assert noise.correlation_radius == 0
    assert strength(noise) < 4 * sigma / np.ptp(image) + 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scene", [filaments, walls, clouds, blobs])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_an_image_without_noise_has_little(seed, scene, dtype):
    image = scene(np.random.default_rng(seed))
    noise = read((255 * image).astype(dtype).astype(float))
    assert noise.correlation_radius == 0 and strength(noise) < 0.05


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sigma", "quality"), [(0.02, 40), (0.05, 60), (0.05, 85), (0.1, 95)])
def test_what_compression_takes_away_proves_nothing(seed, sigma, quality):
    random = np.random.default_rng(seed)
    noisy = 0.15 + 0.7 * walls(random) + sigma * random.standard_normal((SIDE, SIDE))
    assert read(jpeg(noisy, quality)).correlation_radius == 0


@settings(max_examples=12)
@given(SEEDS, st.sampled_from([blobs, clouds]), st.floats(0.6, 1.1), st.floats(0.03, 0.2))
def test_smeared_noise_is_found_where_the_image_is_flat(seed, scene, blur, sigma):
    random = np.random.default_rng(seed)
    found = [read(scene(random) + sigma * smear(random, blur)) for _ in range(3)]
    assert sum(noise.correlation_radius > 0 for noise in found) >= 2  # one in a thousand is missed by chance
    assert all(noise.correlation_radius or noise.undecided_radius for noise in found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("factor", [1.3, 1.7, 2.0, 2.3])
def test_noise_of_an_enlarged_image_is_found_by_its_period(seed, factor):
    random = np.random.default_rng(seed)
    small = zoom(random.standard_normal((SIDE, SIDE)), factor, order=1)[:SIDE, :SIDE]
    image = clouds(random) + 0.1 * small
    assert evidence_of(image).is_interpolated and not evidence_of(image).is_compressed
    assert read(image).correlation_radius > 0


@given(SEEDS)
def test_white_noise_has_no_period(seed):
    random = np.random.default_rng(seed)
    found = evidence_of(clouds(random) + 0.1 * random.standard_normal((SIDE, SIDE)))
    assert not found.is_interpolated and not found.is_compressed
    assert not found.reach and found.white_part == pytest.approx(1, abs=0.2)


def test_noise_along_lines_is_found_along_these():
    random = np.random.default_rng(2)
    noise = uniform_filter1d(random.standard_normal((SIDE, SIDE)), 3, axis=1)
    assert read(clouds(random) + 0.2 * noise).along == (0, 2)


PHOTOGRAPHS = ("coins", "grass", "gravel", "immunohistochemistry", "chelsea", "brick", "camera", "retina")


def photograph(name, side=192):
    image = getattr(data, name)()
    image = color.rgb2gray(image[..., :3]) * 255 if image.ndim == 3 else image.astype(float)
    y, x = (n // 2 - 96 for n in image.shape)
    return image[y : y + side, x : x + side]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_texture_of_a_photograph_is_not_taken_for_noise(name):
    image = photograph(name)
    noisy = (image + np.random.default_rng(0).normal(0, 5, image.shape)).clip(0, 255).round()
    noise, still = read(noisy), read(image)
    assert noise.correlation_radius == 0 and still.correlation_radius == 0
    assert 4 < strength(noise) * np.ptp(noisy) < 12  # most in grass, where nothing is flat


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["gravel", "camera", "coffee"])
def test_correlated_noise_that_is_not_proven_is_undecided(name, seed):
    random = np.random.default_rng(seed)
    noisy = (photograph(name, SIDE) + 15 * smear(random, 0.8)).clip(0, 255).round()
    noise = read(noisy)
    assert noise.correlation_radius == 0 and noise.undecided_radius == 1
    assert [read(noisy, reach=reach).undecided_radius for reach in (0, 1)] == [0, 0]
    assert read(noisy, sigma=0.05, kind="gaussian").undecided_radius == 0


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_white_noise_on_a_photograph_is_decided(name):
    """The sentence must mean something: it does not stand under each sharp image."""
    for sigma in (0, 2, 5, 15):
        noise = np.random.default_rng(0).normal(0, sigma, (192, 192))
        assert read((photograph(name) + noise).clip(0, 255).round()).undecided_radius == 0, sigma


@given(SEEDS, st.sampled_from([clouds, blobs, walls]), st.floats(0.02, 0.2))
def test_white_noise_on_a_drawn_scene_is_decided(seed, scene, sigma):
    random = np.random.default_rng(seed)
    assert read(scene(random) + sigma * random.standard_normal((SIDE, SIDE))).undecided_radius == 0


def test_noise_that_is_proven_is_decided():
    random = np.random.default_rng(0)
    noise = read(clouds(random) + 0.1 * smear(random, 0.8))
    assert noise.correlation_radius > 0 and noise.undecided_radius == 0


def test_a_reach_that_is_given_is_taken():
    random = np.random.default_rng(0)
    image = filaments(random) + 0.05 * random.standard_normal((SIDE, SIDE))
    assert [read(image, reach=reach).correlation_radius for reach in (0, 1, 3)] == [0, 1, 3]
    smeared = clouds(random) + 0.1 * smear(random, 0.8)
    assert read(smeared, reach=0).correlation_radius == 0 < read(smeared).correlation_radius


def test_a_term_that_the_image_does_not_need_is_left_out():
    kinds = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        kinds.append(read(clouds(random) + 0.05 * random.standard_normal((SIDE, SIDE))).kind)
    assert kinds.count("gaussian") >= 14


def test_half_a_pixel_of_registration_leaves_noise_that_reaches():
    random = np.random.default_rng(1)
    moved = shift(clouds(random) + 0.1 * random.standard_normal((SIDE, SIDE)), (0.5, 0.5), order=1, mode="wrap")
    assert read(moved).correlation_radius == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sigma", "quality"), [(0.03, 60)])
def test_noise_before_compression_is_found_where_the_image_is_smooth(seed, sigma, quality):
    random = np.random.default_rng(seed)
    image = jpeg(0.2 + 0.6 * clouds(random) + random.normal(0, sigma, (SIDE, SIDE)), quality)
    noise = read(image)
    assert noise.correlation_radius == 1 or strength(noise) > 0.6 * sigma / np.ptp(image)


@pytest.mark.parametrize("seed", range(4))
def test_the_logarithm_of_speckle_is_noise_that_reaches(seed):
    random = np.random.default_rng(seed)
    field = [gaussian_filter(random.standard_normal((SIDE, SIDE)), 0.9) for _ in range(2)]
    speckle = np.log(field[0] ** 2 + field[1] ** 2 + 1e-6)
    assert read(4 * clouds(random) + speckle).correlation_radius >= 1


@pytest.mark.parametrize("seed", range(4))
def test_a_film_that_was_registered_shows_it_between_its_frames(seed):
    random = np.random.default_rng(seed)
    scene = 8 * walls(random)[:96, :96]
    film = []
    for _ in range(12):
        noisy = scene + random.standard_normal(scene.shape)
        film.append(shift(noisy, random.uniform(-0.5, 0.5, 2), order=1, mode="nearest"))
    film = unit(np.array(film, np.float32))
    assert estimate_noise(film, np.ones(film.shape, bool)).correlation_radius == 1


@given(SEEDS, st.floats(0.5, 3.0))
def test_white_noise_of_a_film_is_white(seed, strength_of_noise):
    random = np.random.default_rng(seed)
    film = 8 * walls(random)[:96, :96] + strength_of_noise * random.standard_normal((6, 96, 96))
    film = unit(film).astype(np.float32)
    assert estimate_noise(film, np.ones(film.shape, bool)).correlation_radius == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["grass", "gravel", "coins"])
def test_texture_as_fine_as_a_pixel_is_not_noise_in_full(name, seed):
    random = np.random.default_rng(seed)
    image = photograph(name).astype(float)
    noisy = (image + random.normal(0, 5, image.shape)).clip(0, 255).round()
    assert evidence_of(noisy).structure_part > 0.1


@given(SEEDS, st.sampled_from([clouds, blobs]), st.floats(0.02, 0.2))
def test_noise_without_texture_is_noise_in_full(seed, scene, sigma):
    random = np.random.default_rng(seed)
    assert evidence_of(scene(random) + random.normal(0, sigma, (SIDE, SIDE))).structure_part < 0.05


@pytest.mark.parametrize("seed", range(1, 4))
def test_noise_that_is_cut_off_at_zero_is_told_from_counts(seed):
    random = np.random.default_rng(seed)
    dark = (blobs(random) + random.normal(0, 0.2, (SIDE, SIDE))).clip(0)
    counts = random.poisson(6 * blobs(random)).astype(float)
    assert read(dark).likelihood.low == 0
    assert not np.isfinite(read(counts).likelihood.low)


@pytest.mark.parametrize("seed", range(4))
def test_saturation_is_seen_where_there_are_few_levels(seed):
    random = np.random.default_rng(seed)
    counts = random.poisson(2 + 6 * clouds(random)).astype(float)
    assert read(np.minimum(counts, 5)).likelihood.high == 1
    assert not np.isfinite(read(counts).likelihood.high)


def smear_along(random, axis, width):
    """Noise of standard deviation 1 that a slow amplifier has smeared along one axis."""
    return uniform_filter1d(random.standard_normal((SIDE, SIDE)), width, axis=axis, mode="wrap") * width**0.5


@settings(max_examples=12)
@given(SEEDS, st.sampled_from([0, 1]), st.integers(2, 6), st.floats(0.06, 0.2))
def test_noise_along_lines_is_told_from_texture_by_what_both_axes_have_in_common(seed, axis, width, sigma):
    random = np.random.default_rng(seed)
    y, x = random.integers(0, 512 - SIDE, 2)
    texture = 0.4 * unit(gaussian_filter(random.choice([data.grass, data.gravel])()[y : y + SIDE, x : x + SIDE], 1))
    image = texture + sigma * smear_along(random, axis, width)
    noise = read(image)
    assert noise.radii[1 - axis] == 0 < noise.radii[axis] < width + 3
    assert strength(noise) * np.ptp(image) == pytest.approx(sigma, rel=0.4)


@pytest.mark.parametrize("name", ["brick", "camera", "coins", "grass", "gravel", "moon", "page", "text"])
@pytest.mark.parametrize("sigma", [0, 2, 8])
def test_structure_that_lies_along_an_axis_is_no_noise(name, sigma):
    image = getattr(data, name)()[:, :400].astype(float)
    for quarter in (image[:SIDE, :SIDE], image[-SIDE:, -SIDE:]):
        noise = read(quarter + sigma * np.random.default_rng(0).standard_normal(quarter.shape))
        assert noise.along is None


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("kernel", ["ramp", "shepp-logan", "cosine"])
def test_the_noise_of_a_reconstruction_is_found(seed, kernel):
    random, angles = np.random.default_rng(seed), np.linspace(0, 180, 180, endpoint=False)
    middle = np.hypot(*(GRID - SIDE / 2)) < SIDE / 2 - 2
    projections = transform.radon(blobs(random) * middle, angles)
    projections += 0.02 * projections.max() * random.standard_normal(projections.shape)
    slice_ = transform.iradon(projections, angles, filter_name=kernel)
    assert read(slice_[24:-24, 24:-24]).correlation_radius > 0


@pytest.mark.parametrize("seed", [4, 13, 15])
def test_what_reaches_further_than_an_enlargement_is_structure(seed):
    random = np.random.default_rng(seed)
    factor, sigma = random.uniform(2, 3), random.choice([0.03, 0.06, 0.1])
    noise = zoom(random.standard_normal((SIDE, SIDE)), factor, order=1)[:SIDE, :SIDE]
    image = walls(random) + sigma * noise / noise.std()
    assert strength(read(image)) * np.ptp(image) < 1.5 * sigma


@pytest.mark.parametrize("seed", range(10))
def test_threads_under_noise_of_next_neighbours_are_not_counted_with_it(seed):
    random = np.random.default_rng(seed)
    noise = read(filaments(random) + 0.06 * smear(random, 0.55))
    assert noise.free_of_structure or not noise.correlation_radius
    flat = read(clouds(random) + 0.06 * smear(random, 0.55))
    assert flat.correlation_radius and not flat.free_of_structure


@pytest.mark.parametrize("blur", [0.4, 0.55, 0.7])
def test_the_white_part_of_blurred_noise_tells_its_strength(blur):
    evidence = evidence_of(smear(np.random.default_rng(0), blur))
    variance = evidence.level(1) / evidence.config.differences.bias / part_of_neighbours(evidence.white_part)
    assert variance == pytest.approx(evidence.planes.var(), rel=0.25)
