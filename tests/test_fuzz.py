"""Whatever is given is refused in one sentence before any work, or restored to what is promised.

NAPARI_DIP_FUZZ=900 in the environment looks at so many cases, others each time; left out, at a few that stay the same.
"""

import json
import os
import re
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import napari_dip as dip
from napari_dip.tasks import task_named

MANY = int(os.environ.get("NAPARI_DIP_FUZZ", 0))
INTEGERS = ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">u2", ">i2", ">i8"]
FLOATS = ["f8", "f4", "f2", ">f8", ">f4"]
LAYOUTS = ["contiguous", "transposed", "strided", "backwards", "read-only", "dask", "memmap"]
VALUES = ["smooth", "noise", "constant plane", "two values", "ends", "tiny", "far away", "hot pixel", "too large"]
MASKS = ["one plane", "all samples", "without samples", "each sample", "alpha alone", "a whole plane", "one", "empty"]
HOLES = ["none", "none", "some", "of one sample", "in alpha", "a whole plane", "under the mask"]


@dataclass(frozen=True)
class Case:
    """What is given, in few words, so that a case that fails can be read; everything else is drawn from the seed."""

    task: str
    axes: str
    sizes: tuple[int, ...]
    dtype: str
    layout: str
    values: str
    holes: str
    mask: str
    settings: tuple[tuple[str, object], ...]
    factor: int
    guess: bool
    repeat: bool
    seed: int

    @property
    def given(self):
        return {"threads": 1, "device": "cpu", "axes": None if self.guess else self.axes, **dict(self.settings)}


def case_of(seed):
    """Draw a case: all from one number, since what hypothesis draws by itself comes in clumps of what is nearly alike.

    Mostly what can be restored: of settings that are refused, test_restore.py has a list.
    """
    rng = Random(seed)
    draw, coin = rng.choice, lambda part=0.5: rng.random() < part
    task = draw(["denoise", "inpaint", "super_resolve"])
    outer, samples = draw(["", "", "Z", "C", "T", "TC", "TZC"]), draw([0, 0, 1, 3, 3, 4])
    axes = "".join(rng.sample(outer + "YX" + "S" * bool(samples), len(outer) + 2 + bool(samples)))
    size = {"S": samples, "Y": rng.randint(8, 20), "X": rng.randint(8, 20)}
    left = 3
    for a in outer:
        size[a] = left if a == outer[-1] and coin() else rng.randint(1, left)
        left //= size[a]
    preset, careless = draw(["fast", "fast", "best", "paper"]), coin(0.03)
    chosen = {
        "preset": preset,
        "max_iterations": rng.randint(1, 2),
        "seed": draw([0, 1, 2**31 - 1]),
        "nonfinite": draw(["inpaint", "inpaint", "inpaint", "refuse"]),
    }
    offer = task_named(task).presets[preset]
    if offer.uncertainty or careless:
        chosen["uncertainty"] = coin()
    if len(offer.noise) > 1 or careless:
        chosen["noise"] = draw(["poisson", "compression"] if careless else ["auto", *offer.noise])
    if offer.strength or careless:
        strengths = {"gaussian": ["sigma"], "poisson": ["gain", "offset"], "compression": []}
        for name in strengths.get(chosen["noise"], ["sigma", "gain", "offset"]):
            if coin(0.4):
                sign = draw([1, -1]) if name == "offset" else 1
                chosen[name] = sign * draw([1e-30, 1e-3, 1.0, 50.0, 1e3, 1e5, 1e5, 1e8, 1e30, 1e300])
    dtype = draw(draw([INTEGERS, FLOATS]))
    return Case(
        task=task,
        axes=axes,
        sizes=tuple(size[a] for a in axes),
        dtype=dtype,
        layout=draw(LAYOUTS),
        values=draw(VALUES),
        holes=draw(HOLES) if dtype in FLOATS else "none",
        mask=draw(MASKS) if task == "inpaint" else "empty",
        settings=tuple(chosen.items()),
        factor=draw([2, 2, 3, 4, 5, 8]),
        guess=coin(0.1),
        repeat=coin(0.2),
        seed=seed,
    )


def in_planes(array, axes):
    """Give an array as (planes, samples, y, x): a view or a copy."""
    outer = [a for a in axes if a not in "YXS"]
    if "S" not in axes:
        array, axes = array[None], "S" + axes
    moved = array.transpose([axes.index(a) for a in [*outer, *"SYX"]])
    return moved.reshape(-1, *moved.shape[len(outer) :])


def from_planes(planes, axes, sizes):
    """Give (planes, samples, y, x) the axes and sizes of an image."""
    canonical = [a for a in axes if a not in "YXS"] + [a for a in "SYX" if a in axes]
    size = dict(zip(axes, sizes, strict=True))
    return planes.reshape([size[a] for a in canonical]).transpose([canonical.index(a) for a in axes])


def values_of(case, rng, shape):
    """Make (planes, samples, y, x) values of the type of a case."""
    dtype = np.dtype(case.dtype).newbyteorder("=")
    y, x = np.mgrid[: shape[2], : shape[3]]
    kind, integer = case.values, dtype.kind in "iu"
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if integer else (-3e38, 3e38)
    if dtype == np.float16:
        low, high = -65504.0, 65504.0
    if kind in ("two values", "ends") and dtype.kind != "b":
        near = rng.choice(np.array([low, high], dtype), shape)
        if kind == "two values":
            return near
        step = rng.integers(0, 3, shape).astype(dtype) if integer else (rng.random(shape) * high / 100).astype(dtype)
        with np.errstate(over="ignore"):  # in what is not taken
            return np.where(near > 0, near - step, near + step)
    if kind == "far away" and dtype.kind != "b":
        few = rng.integers(0, 4, shape).astype(dtype)
        return dtype.type(high) - few if integer else dtype.type(2048 if dtype == np.float16 else 1e6) + few
    if kind == "hot pixel":
        image = np.zeros(shape, dtype)
        image[0, 0, shape[2] // 2, 3] = 1 if dtype.kind == "b" else 100
        return image
    image = 60 + 30 * np.sin(y / 5) * np.cos(x / 4) + np.zeros(shape)
    image += rng.normal(0, 1, shape) if kind == "smooth" else rng.integers(-30, 30, shape)
    if kind == "constant plane":
        image[-1] = 7
    if kind == "tiny" and dtype.kind == "f":
        image *= 1e-5 if dtype == np.float16 else 1e-30
    if kind == "too large" and dtype.itemsize == 8 and dtype.kind == "f":
        image[-1, -1, 2, 2] = 1e300
    return (image > 60 if dtype.kind == "b" else image).astype(dtype)


def mask_of(case, rng, shape):
    """Make a mask, with the axes of the image or fewer, and say what it marks, (planes, samples, y, x)."""
    axes, sizes, kind = case.axes, case.sizes, case.mask
    marked = np.zeros(shape, bool)
    drawn = rng.random((shape[0], 1, *shape[2:])) < rng.choice([0.02, 0.3])
    if kind in ("all samples", "without samples"):
        marked |= drawn
    elif kind == "each sample":
        marked = rng.random(shape) < rng.choice([0.05, 0.3])
    elif kind == "alpha alone":
        marked[:, -1:] = drawn
    elif kind == "a whole plane":
        marked |= drawn
        marked[-1] = True
    elif kind == "one":
        marked[0, 0, 3, 4] = True
    elif kind == "one plane":
        marked |= drawn[:1]
        size = dict(zip(axes, sizes, strict=True))
        own = "".join(a for a in axes if a in "YX")
        return from_planes(marked[:1, :1], own, [size[a] for a in own]), marked
    if kind == "without samples":
        kept = [(a, n) for a, n in zip(axes, sizes, strict=True) if a != "S"]
        return from_planes(marked[:, :1], "".join(a for a, _ in kept), [n for _, n in kept]), marked
    return from_planes(marked, axes, sizes), marked


def punch(case, rng, planes, marked):
    """Put what is no number into an image of floats."""
    shape, kind = planes.shape, case.holes
    where = np.zeros(shape, bool)
    if kind == "some":
        where = rng.random(shape) < 0.05
    elif kind == "of one sample":
        where[:, 0] = rng.random((shape[0], *shape[2:])) < 0.1
    elif kind == "in alpha" and shape[1] == 4:
        where[:, 3] = rng.random((shape[0], *shape[2:])) < 0.1
    elif kind == "a whole plane":
        where[0] = True
    elif kind == "under the mask":
        where = marked & (rng.random(shape) < 0.5)
    most = 1e300 if planes.dtype.itemsize == 8 and kind == "under the mask" else np.inf
    planes[where] = rng.choice([np.nan, np.inf, -np.inf, most], shape)[where]


def laid_out(case, array, folder):
    """Give the same values in another layout, and the bytes that have to stay as they are."""
    if case.layout == "transposed":
        array = np.ascontiguousarray(array.T).T
    elif case.layout in ("strided", "backwards"):
        whole = np.zeros([2 * n for n in array.shape], array.dtype)
        cut = (slice(None, None, 2 if case.layout == "strided" else -2),) * array.ndim
        whole[cut] = array
        array = whole[cut]
    elif case.layout == "memmap":
        mapped = np.memmap(folder / "image.raw", array.dtype, "w+", shape=array.shape)
        mapped[...] = array
        mapped.flush()
        array = np.memmap(folder / "image.raw", array.dtype, "r", shape=array.shape)
    elif case.layout == "read-only":
        array.setflags(write=False)
    return (
        da.from_array(array, chunks=tuple(-(-n // 2) for n in array.shape)) if case.layout == "dask" else array
    ), array


def one_sentence(error):
    text = str(error)
    assert text.endswith(".") and "\n" not in text and text[0].isupper(), text
    assert not re.search(r"[.!?]\s+[A-Z]", text), text


def check(case, folder):
    """Restore a case and hold the result to what is promised; say what came of it."""
    rng = np.random.default_rng(case.seed)
    size = dict(zip(case.axes, case.sizes, strict=True))
    outer = int(np.prod([n for a, n in size.items() if a not in "YXS"]))
    shape = (outer, size.get("S", 1), size["Y"], size["X"])
    mask, marked = mask_of(case, rng, shape)
    planes = values_of(case, rng, shape)
    if planes.dtype.kind == "f":
        punch(case, rng, planes, marked if case.task == "inpaint" else np.ones_like(marked))
    array = np.ascontiguousarray(from_planes(planes, case.axes, case.sizes)).astype(case.dtype)
    image, bytes_of = laid_out(case, array, folder)
    mask = mask.astype(["bool", "u1", "f4", ">i2"][case.seed % 4])
    before = bytes_of.tobytes(), mask.tobytes()
    inputs = {"inpaint": {"mask": mask}, "super_resolve": {"factor": case.factor}}.get(case.task, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            run = dip.restore_steps(case.task, image, **inputs, **case.given)
        except dip.InputError as error:
            one_sentence(error)
            assert (bytes_of.tobytes(), mask.tobytes()) == before
            return "refused"
        result = run.result
        if case.repeat:
            arrays = {"mask": mask} if case.task == "inpaint" else {}
            again = dip.replay(json.dumps(result.record, allow_nan=False), image, **arrays)
            assert again.image.tobytes() == result.image.tobytes()
            if result.uncertainty is not None:
                assert again.uncertainty.tobytes() == result.uncertainty.tobytes()
    assert (bytes_of.tobytes(), mask.tobytes()) == before
    assert json.loads(json.dumps(result.record, allow_nan=False)) == result.record
    hold(case.task, result, bytes_of, mask, inputs.get("factor", 1))
    return "restored"


def hold(task, result, image, mask, factor):
    """Hold a result to what is promised."""
    axes, uncertainty = result.axes, result.uncertainty
    assert result.image.dtype == np.float32 and len(axes) == image.ndim
    assert result.image.shape == tuple(n * (factor if a in "YX" else 1) for a, n in zip(axes, image.shape, strict=True))
    planes, restored = in_planes(image, axes), in_planes(result.image, axes)
    marked = np.zeros(planes.shape, bool)
    if task == "inpaint":
        own = next(
            a for a in (axes, axes.replace("S", ""), "".join(a for a in axes if a in "YX")) if len(a) == mask.ndim
        )
        marked |= in_planes(mask != 0, own)
    colour = slice(0, min(planes.shape[1], 3))
    known = np.isfinite(planes) & ~marked
    unobserved = {n for n, one in enumerate(known[:, colour].all(1)) if not one.any()}
    failed = {plane["plane"] for plane in result.record["planes"] if not plane["iterations"]}
    assert not failed and set(result.record["unreached"]) == unobserved
    reached = [n for n in range(len(planes)) if n not in unobserved]
    with np.errstate(over="ignore"):  # what is not known may be beyond float32
        single = planes.astype(np.float32)
    assert np.isfinite(restored[reached, colour]).all()
    if planes.shape[1] == 4:
        alpha = single[:, 3].repeat(factor, 1).repeat(factor, 2)
        np.testing.assert_array_equal(restored[reached, 3], alpha[reached])
    if task == "inpaint":
        for n in range(len(planes)):
            kept = known[n, colour]
            assert restored[n, colour][kept].tobytes() == single[n, colour][kept].tobytes()
            assert n in reached or np.isnan(restored[n, colour][~kept]).all()
    elif unobserved:
        assert np.isnan(restored[sorted(unobserved)]).all()
    if task != "super_resolve":
        fitted_with = {n: plane["planes"] for plane in result.record["planes"] for n in plane.get("planes", ())}
        for n in reached:
            together = fitted_with.get(n, [n])  # those have one range
            values = single[together, colour][known[together, colour]]
            low, high = np.nextafter(values.min(), -np.float32(np.inf)), np.nextafter(values.max(), np.float32(np.inf))
            assert low <= restored[n, colour].min() and restored[n, colour].max() <= high
    if uncertainty is not None:
        assert uncertainty.dtype == np.float32 and uncertainty.shape == result.image.shape
        spread = in_planes(uncertainty, axes)
        assert np.isfinite(spread[reached, colour]).all() and (spread[reached, colour] >= 0).all()
        there = np.isfinite(restored[:, colour])
        assert (np.isnan(spread[:, colour]) == ~there).all() and np.isnan(spread[:, 3:]).all()
        if task == "inpaint":
            assert (spread[:, colour][known[:, colour]] == 0).all()


def test_whatever_is_given_is_refused_in_a_sentence_or_restored_as_promised():
    came_of_it = Counter()

    @settings(
        max_examples=MANY or 45,
        derandomize=not MANY,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a smaller number is no simpler case
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**40).map(case_of))
    def fuzz(case):
        with tempfile.TemporaryDirectory() as folder:
            came_of_it[check(case, Path(folder))] += 1

    fuzz()
    assert came_of_it["restored"] > came_of_it["refused"] > 0, came_of_it


# What fuzzing has found, each with a test of its own.

QUICK = {"max_iterations": 1, "threads": 1, "device": "cpu"}


def noise(shape=(12, 14), seed=0):
    return 200 * np.random.default_rng(seed).random(shape)


def scattered(shape=(12, 14)):
    return np.random.default_rng(9).random(shape) < 0.2


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("given", [{"sigma": 1e7}, {"gain": 1e7}, {"sigma": 1e7, "gain": 1e7, "offset": -1e7}])
def test_noise_beyond_measure_does_not_overflow(given):
    for name in given:
        for value in (1e30, 1e300):
            with pytest.raises(dip.InputError, match="million times the range"):
                dip.restore_steps("denoise", noise(), **{name: value})
    stack = np.stack([noise(), 100 + 1e-12 * noise()])  # of the range of the second plane it is 1e17 times and more
    result = dip.denoise(stack, axes="ZYX", uncertainty=True, **given, **QUICK)
    assert np.isfinite(result.image).all() and np.isfinite(result.uncertainty).all()


@pytest.mark.parametrize(("axes", "dtype"), [("YXS", "f4"), ("SYX", ">f4"), ("YXS", "f8"), ("YCX", "f4")])
def test_inpainting_four_samples_or_channels_keeps_every_known_value(axes, dtype):
    image = noise([{"Y": 12, "X": 14}.get(a, 4) for a in axes]).astype(dtype)
    mask = scattered(image.shape)
    kept = ~mask
    if "S" in axes:
        np.moveaxis(kept, axes.index("S"), 0)[3] = True
    result = dip.inpaint(image, mask, axes=axes, **QUICK)
    np.testing.assert_array_equal(result.image[kept], image.astype(np.float32)[kept])


EXTREME = {
    "ends of float32": np.random.default_rng(0).choice([-3.4e38, 3.4e38], (12, 14)) * (1 - 1e-3 * noise() / 200),
    "two values of int16": np.random.default_rng(0).choice(np.array([-32768, 32767], np.int16), (12, 14)),
}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("values", EXTREME)
@pytest.mark.parametrize("preset", ["fast", "best"])
@pytest.mark.parametrize("task", ["denoise", "inpaint"])
def test_the_uncertainty_of_extreme_values_is_finite(values, preset, task):
    inputs = {"mask": scattered()} if task == "inpaint" else {}
    run = dip.restore_steps(task, EXTREME[values], preset=preset, uncertainty=True, **inputs, **QUICK)
    assert np.isfinite(run.result.image).all() and np.isfinite(run.result.uncertainty).all()


@pytest.mark.parametrize("task", ["denoise", "super_resolve"])
def test_a_plane_in_which_nothing_was_measured_is_empty_and_named(task):
    image = np.stack([noise(), np.full((12, 14), np.nan), noise(seed=1)])
    inputs = {"factor": 2} if task == "super_resolve" else {"uncertainty": True}
    run = dip.restore_steps(task, image, axes="ZYX", nonfinite="inpaint", **inputs, **QUICK)
    next(run)
    run.stop()
    # planes that are learned from together are all restored
    left, why = ([1], "iterations") if task == "denoise" else ([1, 2], "asked")
    assert run.result.record["unreached"] == left and run.result.record["stopped_by"] == why
    result = dip.restore_steps(task, image, axes="ZYX", nonfinite="inpaint", **inputs, **QUICK).result
    assert result.record["unreached"] == [1] and result.record["stopped_by"] == "iterations"
    assert np.isnan(result.image[1]).all() and np.isfinite(result.image[[0, 2]]).all()
    assert result.uncertainty is None or np.isnan(result.uncertainty[1]).all()
    assert dip.replay(result.record, image).image.tobytes() == result.image.tobytes()


def test_a_plane_that_is_masked_whole_keeps_the_samples_that_are_known():
    image, mask = noise((2, 12, 14, 3)).astype(np.float32), np.zeros((2, 12, 14, 3), bool)
    mask[0, 3:5, 3:5] = mask[1, ..., 0] = True
    result = dip.inpaint(image, mask, axes="ZYXS", uncertainty=True, **QUICK)
    np.testing.assert_array_equal(result.image[~mask], image[~mask])
    assert (result.uncertainty[~mask] == 0).all()
    assert np.isnan(result.image[1, ..., 0]).all() and np.isnan(result.uncertainty[1, ..., 0]).all()
    assert result.record["unreached"] == [1] and np.isfinite(result.image[0]).all()


def test_a_stack_with_an_empty_plane_goes_on_from_a_file(tmp_path):
    image = np.stack([np.full((12, 14), np.nan), noise()])
    run = dip.restore_steps("denoise", image, axes="ZYX", nonfinite="inpaint", **QUICK)
    next(run)
    run.save(tmp_path / "half.run")
    run.stop()
    assert run.snapshot().record["unreached"] == [0]
    loaded = dip.load_run(tmp_path / "half.run", image).result
    assert loaded.record["unreached"] == [0] and loaded.record["stopped_by"] == "iterations"


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_only_what_is_to_be_filled_in_may_be_beyond_float32():
    image, mask = noise(), scattered()
    image[mask] = 1e300
    result = dip.inpaint(image, mask, **QUICK).image
    np.testing.assert_array_equal(result[~mask], image[~mask].astype(np.float32))
    assert (result <= image[~mask].max()).all()
    rgba = noise((12, 14, 4))
    rgba[2, 3, 3] = -1e300
    beside_a_gap = noise((12, 14, 3))
    beside_a_gap[2, 3] = np.nan, 0, 1e300
    for known in (rgba, beside_a_gap):
        with pytest.raises(dip.InputError, match="float32, the type of the result, cannot hold"):
            dip.restore_steps("denoise", known, axes="YXS", nonfinite="inpaint")


def test_a_record_tells_masks_that_differ_in_a_sample():
    image, mask = noise((12, 14, 3)), np.repeat(scattered()[..., None], 3, 2)
    other = mask & [True, False, True]
    record = dip.inpaint(image, mask, axes="YXS", **QUICK).record
    with pytest.raises(dip.InputError, match="mask is not the one of the record"):
        dip.replay(record, image, mask=other)
    assert dip.inpaint(image, scattered(), axes="YXS", **QUICK).record["digest"]["mask"].startswith("sha256:")
