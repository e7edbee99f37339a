"""What is said before a run of the time and memory that it takes."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

import napari_dip as dip
from napari_dip.image import scan, source
from napari_dip.memory import free_memory
from napari_dip.prior.objectives import apply
from napari_dip.prior.presets import BEST, FAST, PAPER, STACK
from napari_dip.run import estimate as estimates
from napari_dip.run import fits, stack_apply, stack_fit, stack_pool
from napari_dip.run.estimate import Estimate, Plan, check_memory, estimate
from napari_dip.tasks import task_named


def test_it_reckons_with_what_the_engine_does():
    assert (estimates.LARGE, estimates.POOL, estimates.BLOCK) == (fits.LARGE, stack_pool.POOL, stack_fit.BLOCK)
    assert estimates.HALO == apply.HALO + stack_apply.MARGIN
    assert (estimates.KEPT, estimates.WHOLE) == (source.KEPT, scan.WHOLE)
    assert (estimates.STRIP, estimates.SCAN_HALO) == (scan.STRIP, scan.HALO)
    assert STACK["fast"].iterations == estimates.ITERATIONS
    assert {name: preset.members for name, preset in STACK.items()} == estimates.MEMBERS
    for name, presets in (("fast", FAST), ("best", BEST)):
        for task in ("inpaint", "super_resolve"):  # these run to the end of their plan
            assert presets[task].stopping is None
            assert presets[task].iterations == estimates.AS_A_WHOLE[task][name]
        assert estimates.AS_A_WHOLE["denoise"][name] < presets["denoise"].iterations
    paper = {"denoise": "denoise", "inpaint": "text", "super_resolve": "x4"}
    for task, row in paper.items():
        assert PAPER[row].iterations == estimates.AS_A_WHOLE[task]["paper"]


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
    lazy, read = (estimate("denoise", "YX", (2**15, 2**14), 2, lazy=lazy).memory for lazy in (True, False))
    assert lazy == pytest.approx(read - 2**30 + estimates.LAZY_BYTES)  # a small one is kept
    kept, read = (estimate("denoise", "YX", (2**13, 2**13), 2, lazy=lazy).memory for lazy in (True, False))
    assert kept == pytest.approx(read + estimates.LAZY_BYTES)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "about 1 s"), (80, "about 80 s"), (540, "about 9 min"), (7200, "about 2 h")]
)
def test_words_are_short(seconds, words):
    assert Estimate(seconds, 2.14e9).words() == f"{words} on one core, 2.1 GB"


@pytest.mark.parametrize("axes", ["YX", "ZYX"])
@pytest.mark.parametrize("task", ["denoise", "inpaint", "super_resolve"])
@pytest.mark.parametrize("preset", ["fast", "best", "paper"])
def test_it_follows_every_limit(task, preset, axes):
    shape = (4, 256, 256)[-len(axes) :]

    def takes(**plan):
        return estimate(task, axes, shape, 2, preset=preset, plan=Plan(**plan))

    usual, few, many = takes(), takes(max_iterations=5), takes(max_iterations=20_000)
    assert few.seconds < usual.seconds and few.at_most == few.seconds
    assert many.at_most > 2 * usual.at_most
    assert many.seconds == (usual.seconds if task == "denoise" and preset != "paper" else many.at_most)
    assert takes(max_seconds=0.1).seconds < usual.seconds
    limited = takes(max_iterations=20_000, max_seconds=15)
    assert limited.at_most <= 15 + few.seconds and limited.at_most < many.at_most
    assert takes(max_seconds=1e6) == usual
    assert takes(uncertainty=True).memory > usual.memory


def test_a_prior_takes_its_update_and_its_application():
    applied, updated = (
        estimate("denoise", "YX", (256, 256), 2, plan=Plan(max_iterations=n, has_prior=True)) for n in (0, 50)
    )
    fitted = estimate("denoise", "YX", (256, 256), 2, plan=Plan(on_crops=True))
    assert applied.seconds < updated.seconds < fitted.seconds


@pytest.fixture
def little_memory(monkeypatch):
    """A machine with 1 GB free: it cannot be had here without harm to other programs."""
    monkeypatch.setattr(estimates, "free_memory", lambda: 10**9)


def test_what_is_free_is_known_here():
    free = free_memory()
    assert free is not None and 2**20 < free < 2**50


def never(block):
    raise AssertionError("read")


@pytest.mark.parametrize(
    ("task", "given", "way"),
    [
        ("denoise", {}, "napari-dip batch --blocks"),
        ("inpaint", {"mask": np.broadcast_to(np.eye(1, 20_000, dtype=bool), (20_000, 20_000))}, "part by part"),
        ("super_resolve", {"factor": 8}, "part by part"),
    ],
)
def test_what_needs_more_memory_than_is_free_is_refused_before_anything_is_read(little_memory, task, given, way):
    image = da.zeros((20_000, 20_000), chunks=1000, dtype=np.uint16).map_blocks(never, dtype=np.uint16)
    with pytest.raises(dip.InputError, match=rf"needs [\d.]+ GB of memory, and 1\.0 GB are free; .*{way}.*\.$"):
        dip.restore_steps(task, image, axes="YX", **given)


def test_a_result_that_is_written_elsewhere_takes_no_memory(little_memory, tmp_path):
    image = np.random.default_rng(0).normal(100, 9, (4, 2**10, 2**10)).astype(np.float32)
    image = np.lib.stride_tricks.as_strided(image, (64, 2**10, 2**10), (0, *image.strides[1:]))
    with pytest.raises(dip.InputError, match="of memory"):
        dip.restore_steps("denoise", image, axes="ZYX")
    needed = estimate("denoise", "ZYX", image.shape, 4)
    check_memory(task_named("denoise"), replace(needed, memory=needed.present + 1.2e9), elsewhere=needed.result)
