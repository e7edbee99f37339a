"""What is said before a run of the time and memory that it takes."""

import pytest

from napari_dip import estimate as estimates
from napari_dip import fits, stack_apply, stack_fit, stack_pool
from napari_dip.estimate import Estimate, estimate
from napari_dip.prior import apply
from napari_dip.prior.presets import STACK


def test_it_reckons_with_what_the_engine_does():
    assert (estimates.LARGE, estimates.POOL, estimates.BLOCK) == (fits.LARGE, stack_pool.POOL, stack_fit.BLOCK)
    assert estimates.HALO == apply.HALO + stack_apply.MARGIN
    assert STACK["fast"].iterations == estimates.ITERATIONS
    assert {name: preset.members for name, preset in STACK.items()} == estimates.MEMBERS


@pytest.mark.parametrize("task", ["denoise", "inpaint", "super_resolve"])
@pytest.mark.parametrize("preset", ["fast", "best", "paper"])
def test_more_takes_more(task, preset):
    small = estimate(task, "ZYX", (4, 64, 64), 2, preset=preset)
    large = estimate(task, "ZYX", (40, 512, 512), 2, preset=preset)
    assert 0 < small.seconds < large.seconds and 4e8 < small.memory < large.memory


def test_a_large_image_takes_bounded_memory():
    assert estimate("denoise", "YX", (4096, 4096), 2).memory < 2e9
    assert estimate("denoise", "ZYX", (64, 512, 512), 2).memory < 2.5e9
    held = estimate("denoise", "YX", (2**14, 2**14), 2).memory - estimate("denoise", "YX", (2**13, 2**13), 2).memory
    assert held == pytest.approx((2**28 - 2**26) * 6, rel=0.01)  # the image and its result alone
    lazy = estimate("denoise", "YX", (2**14, 2**14), 2, lazy=True).memory
    assert lazy == pytest.approx(estimate("denoise", "YX", (2**14, 2**14), 2).memory - 2**29, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "about 1 s"), (80, "about 80 s"), (540, "about 9 min"), (7200, "about 2 h")]
)
def test_words_are_short(seconds, words):
    assert Estimate(seconds, 2.14e9).words() == f"{words} on one core, 2.1 GB"
