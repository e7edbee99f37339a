import pytest
import torch
from skimage.restoration import inpaint_biharmonic

from napari_dip.prior.physics.fill import LocalContrast, Relaxation, Solver, biharmonic, fill, local_contrast, relax


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed))


def test_fill_keeps_what_is_seen_and_reaches_far():
    image, seen = random(2, 40, 50), torch.zeros(1, 1, 40, 50)
    seen[..., 3:6, 3:6] = 1
    filled = fill(image, seen)
    assert torch.equal(filled[..., 3:6, 3:6], image[..., 3:6, 3:6])
    assert torch.isfinite(filled).all()
    low, high = image[..., 3:6, 3:6].amin(), image[..., 3:6, 3:6].amax()
    assert low <= filled.min() and filled.max() <= high


def test_fill_works_in_three_dimensions():
    image, seen = torch.full((1, 1, 5, 12, 13), 0.4), (random(1, 5, 12, 13) > 0.5).float()
    torch.testing.assert_close(fill(image, seen), image)


def test_what_is_hidden_does_not_show_in_the_fill():
    image, seen = random(1, 40, 40), (random(1, 40, 40, seed=1) > 0.7).float()
    torch.testing.assert_close(fill(image, seen), fill(torch.where(seen > 0, image, 99.0), seen))


def test_local_contrast_of_a_pixel_depends_on_its_surroundings():
    image, observed = random(2, 64, 64), torch.ones(1, 1, 64, 64)
    spot = image.clone()
    spot[..., 30, 30] += 1
    mean, deviation = local_contrast(image, observed)
    assert (local_contrast(spot, observed)[0] - mean).abs().max() < 0.01
    scaled = local_contrast(3 * image + 1, observed)
    torch.testing.assert_close(scaled[0], 3 * mean + 1, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scaled[1], 3 * deviation, rtol=1e-3, atol=1e-4)


def test_a_wider_window_sees_less_detail():
    image, observed = random(1, 64, 64), torch.ones(1, 1, 64, 64)
    narrow, wide = (local_contrast(image, observed, LocalContrast(scale=scale))[0].std() for scale in (2.0, 8.0))
    assert wide < 0.5 * narrow


def test_local_contrast_leaves_out_what_was_not_measured():
    image, observed = random(1, 40, 40), (random(1, 40, 40, seed=1) > 0.5).float()
    damaged = torch.where(observed > 0, image, 1e3)
    for clean, dirty in zip(local_contrast(image, observed), local_contrast(damaged, observed), strict=True):
        torch.testing.assert_close(clean, dirty)


def test_local_contrast_in_the_middle_of_a_wide_gap_is_that_of_its_rim():
    image, observed = random(1, 160, 160), torch.ones(1, 1, 160, 160)
    observed[..., 30:130, 30:130] = 0
    mean, deviation = local_contrast(image * observed, observed)
    assert 0.3 < mean[0, 0, 80, 80] < 0.7
    assert 0.2 < deviation[0, 0, 80, 80] < 0.4


def test_relaxing_makes_a_smooth_surface_of_a_gap():
    """A quadratic surface has no bending energy to lose but where the gap was filled in flatly."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    surface, seen = (0.5 * x * y + 0.3 * y)[None, None], torch.ones(1, 1, 32, 32)
    seen[..., 15:18, 14:18] = 0
    flat = fill(surface, seen)
    smooth = relax(flat, seen, Relaxation(steps=100))
    assert torch.equal(smooth[..., :15, :], surface[..., :15, :])
    assert (smooth - surface).abs().max() < 0.2 * (flat - surface).abs().max()


@pytest.mark.parametrize("shape", [(40, 40), (6, 14, 15)])
def test_relaxing_never_runs_away(shape):
    image, seen = random(1, *shape), (random(1, *shape, seed=1) > 0.7).float()
    assert relax(image, seen, Relaxation(steps=500)).abs().max() < 5


MASKS = {
    "half": lambda shape: random(1, *shape, seed=1)[0, 0] > 0.5,
    "few": lambda shape: random(1, *shape, seed=1)[0, 0] > 0.95,
    "rows": lambda shape: (torch.arange(shape[0]) % 4 == 0)[:, None].expand(shape),
    "a hole, and a corner": lambda shape: ~_boxes(shape, (8, 20, 9, 22), (0, 6, 0, 5)),
}


def _boxes(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> torch.Tensor:
    inside = torch.zeros(shape, dtype=torch.bool)
    for top, bottom, left, right in boxes:
        inside[top:bottom, left:right] = True
    return inside


@pytest.mark.parametrize("mask", MASKS)
def test_the_smoothest_surface_is_that_of_scikit_image(mask):
    """Damelin and Hoang's, by another program."""
    image, seen = random(2, 30, 37), MASKS[mask]((30, 37))
    theirs = inpaint_biharmonic(image[0].double().numpy(), ~seen.numpy(), channel_axis=0)
    ours = biharmonic(torch.where(seen, image, 99.0), seen[None, None].float())
    # that program bounds all channels by one range
    low, high = (getattr(image[0][:, seen], name)(1).values[None, :, None, None] for name in ("min", "max"))
    torch.testing.assert_close(ours, torch.from_numpy(theirs).float()[None].clamp(low, high), rtol=0, atol=1e-4)


@pytest.mark.parametrize("mask", MASKS)
def test_step_by_step_it_is_nearly_that_of_elimination(mask):
    image = torch.nn.functional.interpolate(random(1, 8, 9), size=(50, 61), mode="bicubic")
    seen = MASKS[mask]((50, 61))[None, None].float()
    at_once, in_steps = (biharmonic(image, seen, Solver(most, most)) for most in (10_000, 100))
    assert (at_once - in_steps).abs().max() < 0.02


def test_a_surface_through_hardly_anything():
    image, seen = random(2, 20, 24), torch.zeros(1, 1, 20, 24)
    assert torch.equal(biharmonic(image, seen), torch.zeros_like(image))
    seen[..., 3, 4] = 1
    torch.testing.assert_close(biharmonic(image, seen), image[..., 3:4, 4:5].expand_as(image))
    assert torch.equal(biharmonic(image, torch.ones_like(seen)), image)


def test_a_surface_in_three_dimensions_is_smooth():
    ramp = torch.linspace(0, 1, 12).expand(1, 1, 5, 14, 12)
    seen = (random(1, 5, 14, 12) > 0.5).float()
    inner = (..., slice(3, -3))
    torch.testing.assert_close(biharmonic(ramp, seen)[inner], ramp[inner], rtol=0, atol=0.02)


def test_a_surface_stays_within_what_is_seen():
    image, seen = random(1, 40, 40), MASKS["few"]((40, 40))[None, None].float()
    filled = biharmonic(image, seen)
    assert image[seen > 0].min() <= filled.min() and filled.max() <= image[seen > 0].max()
