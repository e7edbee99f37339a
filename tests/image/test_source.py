import threading
from collections import Counter
from itertools import permutations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dip.errors import InputError
from napari_dip.image.arrays import digest_of, read_array
from napari_dip.image.axes import guess_axes
from napari_dip.image.sink import ArraySink
from napari_dip.image.source import KEPT, Source
from napari_dip.image.work import plan_tiles


def ramp(shape=(12, 10), dtype="float64"):
    return np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


def round_trip(image, axes=None, where=True, values=None, **given):
    """To the prior and back, with nothing done in between or a value set somewhere."""
    source = Source(image, axes, **given)
    sink = ArraySink(source.shape(), source.axes)
    for item in source.items:
        plane = source.plane(item)
        whole = plane.original.astype(np.float32)
        units = plane.scaling.to_units(plane.values) if values is None else values
        np.copyto(whole[: source.samples], units, where=plane.missing if where == "missing" else where)
        sink.put(item, whole)
    return sink.array


def only(source):
    """The one plane that there is."""
    (item,) = source.items
    return source.plane(item)


def read_only(array):
    array.setflags(write=False)
    return array


def mapped(array, folder):
    np.save(folder / "image.npy", array)
    return np.load(folder / "image.npy", mmap_mode="r")


FORMS = {
    "bool": lambda a, _: a > 50,
    **{
        f"{kind}{bits}": lambda a, _, dtype=f"{kind}{bits}": a.astype(dtype)
        for kind in ("int", "uint")
        for bits in (8, 16, 32, 64)
    },
    "float16": lambda a, _: a.astype("float16"),
    "float32": lambda a, _: a.astype("float32"),
    "float64": lambda a, _: a,
    "big-endian int": lambda a, _: a.astype(">u2"),
    "big-endian float": lambda a, _: a.astype(">f8"),
    "non-contiguous": lambda a, _: np.repeat(np.repeat(a, 2, 0), 3, 1)[::2, ::3],
    "reversed": lambda a, _: a[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda a, _: np.asfortranarray(a),
    "read-only": lambda a, _: read_only(a.copy()),
    "memory-mapped": mapped,
    "dask": lambda a, _: da.from_array(a, chunks=5),
    "nested list": lambda a, _: a.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_gives_the_same_plane(form, tmp_path):
    original = ramp()
    image = FORMS[form](original, tmp_path)
    expected = original if form != "bool" else (original > 50).astype(float)
    low, high = expected.min(), expected.max()
    plane = only(Source(image))
    assert plane.values.dtype == np.float32 and plane.values.flags.c_contiguous and plane.values.dtype.isnative
    np.testing.assert_allclose(plane.values[0], (expected - low) / (high - low), atol=1e-6)
    np.testing.assert_allclose(plane.scaling.to_units(plane.values)[0], expected, rtol=1e-6, atol=1e-4)
    assert plane.observed.all() and not plane.missing.any()


AXES = ["YX", "XY", "ZYX", "XYZ", "CYX", "YXC", "YXS", "SYX", "XSY", "TZCYX", "TYXS", "YTXZ", "ZSYX"]


@settings(max_examples=30, deadline=None)
@given(
    axes=st.sampled_from(AXES),
    sizes=st.tuples(st.integers(8, 23), st.integers(8, 23), *(st.integers(1, 3) for _ in range(3))),
    samples=st.sampled_from([1, 3]),
    low=st.floats(-1e6, 1e6),
    span=st.floats(1e-2, 1e6),
    seed=st.integers(0, 99),
)
def test_to_the_prior_and_back_changes_nothing(axes, sizes, samples, low, span, seed):
    size = dict(zip("YXTZC", sizes, strict=True)) | {"S": samples}
    shape = tuple(size[a] for a in axes)
    image = low + span * np.random.default_rng(seed).random(shape)
    result = round_trip(image, axes)
    np.testing.assert_allclose(result, image, rtol=3e-7, atol=span * 3e-7 + abs(low) * 3e-7)


@settings(max_examples=30, deadline=None)
@given(axes=st.sampled_from([a for a in AXES if len(a) > 2]), seed=st.integers(0, 99))
def test_planes_are_scaled_on_their_own_and_laid_out_as_samples_y_x(axes, seed):
    size = {"Y": 9, "X": 13, "T": 2, "Z": 3, "C": 2, "S": 3}
    image = np.random.default_rng(seed).normal(size=tuple(size[a] for a in axes))
    source = Source(image, axes)
    assert len(source.items) == np.prod([size[a] for a in axes if a in "TZC"], dtype=int)
    for item in source.items:
        plane = source.plane(item)
        assert plane.values.shape == (3 if "S" in axes else 1, 9, 13)
        assert plane.values.min() == 0 and plane.values.max() == 1


@pytest.mark.parametrize("axes", ["".join(p) for p in permutations("ZYX")])
def test_a_plane_is_cut_along_the_right_axis(axes):
    image = np.random.default_rng(0).random((8, 9, 10))
    source = Source(image, axes)
    plane = source.raw(source.items[2])[0]
    assert source.items[2].index == (2,)
    z = axes.index("Z")
    expected = np.take(image, 2, axis=z)
    if axes.index("X") < axes.index("Y"):
        expected = expected.T
    np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize(
    ("shape", "dtype", "axes"),
    [
        ((64, 64), "uint16", "YX"),
        ((64, 64, 3), "uint8", "YXS"),
        ((64, 64, 4), "uint8", "YXS"),
        ((64, 64, 3), "uint16", "YXS"),
        ((64, 64, 3), "float32", "YXS"),
        ((64, 64, 4), "uint16", "YXC"),
        ((64, 64, 4), "float64", "YXC"),
        ((7, 64, 64, 4), "uint16", "ZYXC"),
        ((2, 5, 64, 64, 4), "float32", "TZYXC"),
        ((64, 64, 9), "uint16", "ZYX"),
        ((5, 64, 64), "uint8", "ZYX"),
        ((3, 64, 64), "uint8", "ZYX"),
        ((2, 5, 64, 64), "float32", "TZYX"),
        ((7, 64, 64, 3), "uint8", "ZYXS"),
        ((2, 5, 3, 64, 64), "uint16", "TZCYX"),
    ],
)
def test_axes_are_guessed(shape, dtype, axes):
    assert guess_axes(shape, np.dtype(dtype)) == axes
    source = Source(
        np.broadcast_to(ramp(shape[-2:]), shape).astype(dtype) if axes.endswith("YX") else ramp(shape, dtype)
    )
    assert source.guessed and source.axes == axes


def test_lower_case_axes_are_the_same_axes():
    assert Source(ramp((12, 10, 9)), "zyx").axes == "ZYX"


def test_alpha_is_no_sample_to_restore():
    image = ramp((12, 10, 4), "uint8")
    source = Source(image, "YXS")
    assert source.samples == 3 and only(source).values.shape == (3, 12, 10)
    np.testing.assert_array_equal(only(source).original[3], image[..., 3])
    np.testing.assert_array_equal(round_trip(image, "YXS")[..., 3], image[..., 3])


def test_a_mask_of_a_plane_serves_every_plane_and_one_of_the_stack_its_own():
    image, flat = ramp((3, 12, 10)), np.zeros((12, 10), bool)
    flat[2, 3] = True
    shared = Source(image, "ZYX", flat)
    for item in shared.items:
        assert (shared.plane(item).observed == ~flat).all()
    own = np.zeros(image.shape, np.uint8)
    own[1, 4, 5] = 7
    source = Source(image, "ZYX", own)
    first, second, _ = (source.plane(item) for item in source.items)
    assert first.observed.all()
    assert np.argwhere(~second.observed).tolist() == [[4, 5]]


@settings(max_examples=80, deadline=None)
@given(
    axes=st.permutations("TZCYXS"),
    taken=st.sets(st.sampled_from("TZCS")),
    kept=st.sets(st.sampled_from("TZCS")),
    lazy=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_mask_may_lack_any_axis_but_y_and_x(axes, taken, kept, lazy, seed):
    """What it lacks, it holds for all of: as if it were repeated along that axis."""
    rng = np.random.default_rng(seed)
    size = {"T": 2, "Z": 4, "C": 5, "Y": 9, "X": 11, "S": 3}
    axes = "".join(a for a in axes if a in taken | set("YX"))
    own = "".join(a for a in axes if a in kept | set("YX"))
    image, mask = rng.random([size[a] for a in axes]), rng.random([size[a] for a in own]) < 0.2
    mask[(0,) * mask.ndim] = True
    source = Source(image, axes, da.from_array(mask) if lazy else mask)
    assert source.axes_of("mask", mask) == own
    whole = np.broadcast_to(mask.reshape([size[a] if a in own else 1 for a in axes]), image.shape)
    repeated = Source(image, axes, whole)
    assert source.mask_digest == repeated.mask_digest
    for item in source.items:
        index = tuple(dict(zip(source.outer, item.index, strict=True)).get(a, slice(None)) for a in axes)
        plane, left = whole[index], [a for a in axes if a in "YXS"]
        expected = np.moveaxis(plane, [left.index(a) for a in "YX"], [-2, -1])
        np.testing.assert_array_equal(source.plane(item).missing, expected if "S" in left else expected[None])


@pytest.mark.parametrize(
    ("axes", "shape", "mask", "own"),
    [
        ("TZYX", (9, 9, 9, 9), (9, 9, 9), "ZYX"),
        ("ZTYX", (9, 9, 9, 9), (9, 9, 9), "TYX"),
        ("YXZT", (9, 9, 9, 9), (9, 9, 9), "YXT"),
        ("TZCYX", (9, 9, 9, 9, 9), (9, 9, 9, 9), "ZCYX"),
        ("TZYX", (3, 5, 9, 9), (3, 9, 9), "TYX"),
        ("ZYXS", (3, 9, 9, 3), (3, 9, 9), "ZYX"),
        ("ZYXS", (9, 9, 9, 3), (9, 9, 3), "YXS"),
        ("SZYX", (3, 3, 9, 9), (3, 3, 9, 9), "SZYX"),
        ("CSYX", (3, 3, 9, 9), (3, 9, 9), "CYX"),
    ],
)
def test_where_sizes_fit_several_axes_the_innermost_without_samples_count(axes, shape, mask, own):
    assert Source(ramp(shape), axes).axes_of("mask", np.zeros(mask)) == own


@pytest.mark.parametrize("axes", ["YXS", "SYX", "XYS"])
def test_the_mask_of_a_colour_image_goes_with_or_without_its_samples(axes):
    size = {"Y": 12, "X": 10, "S": 3}
    image = ramp(tuple(size[a] for a in axes))
    flat = np.zeros((12, 10), bool)
    flat[2, 3] = True
    without = flat.T if axes.index("X") < axes.index("Y") else flat
    whole = np.broadcast_to(np.expand_dims(without, axes.index("S")), image.shape)
    for mask in (without, whole, da.from_array(without)):
        assert (only(Source(image, axes, mask)).observed == ~flat).all()


def test_nan_is_filled_in_where_the_user_agrees_or_masks_it():
    image = ramp()
    image[3, 4], image[5, 6] = np.nan, np.inf
    bad = ~np.isfinite(image)
    for source in (Source(image, allow_nonfinite=True), Source(image, mask=bad)):
        plane = only(source)
        assert np.isfinite(plane.values).all()
        assert (plane.observed == ~bad).all()


def test_masked_values_do_not_set_the_range():
    image = ramp()
    image[0, 0] = 1e6
    mask = image == 1e6
    scaling = only(Source(image, mask=mask)).scaling
    assert scaling.low + scaling.span <= 100


def test_what_was_known_is_kept_to_the_bit():
    image, mask = ramp(dtype="float32"), np.zeros((12, 10), bool)
    mask[4:6, 4:6] = True
    kept = round_trip(image, mask=mask, where="missing", values=np.float32(-5))
    assert (kept[mask] == -5).all()
    np.testing.assert_array_equal(kept[~mask], image[~mask])


def hole(shape, value=True):
    mask = np.zeros(shape, bool)
    mask[..., 2, 2] = value
    return mask


def with_value(value):
    image = ramp()
    image[7, 3] = value
    return image


BAD = {
    "mask of another shape": (ramp(), {"mask": hole((12, 11))}, r"mask has shape \(12, 11\).*\(12, 10\)"),
    "mask with more dimensions": (ramp(), {"mask": hole((2, 12, 10))}, "mask has shape"),
    "empty mask": (ramp(), {"mask": hole((12, 10), False)}, "mask is empty"),
    "full mask": (ramp(), {"mask": np.ones((12, 10))}, "covers the whole image"),
    "NaN": (with_value(np.nan), {}, "1 pixels.*NaN or inf.*y=7, x=3"),
    "inf": (with_value(-np.inf), {}, "NaN or inf.*y=7, x=3"),
    "all NaN": (np.full((12, 10), np.nan), {"allow_nonfinite": True}, "no finite number"),
    "constant": (np.full((12, 10), 3.0), {}, "constant"),
    "constant where seen": (with_value(200) * hole((12, 10)), {"mask": hole((12, 10))}, "constant"),
    "1 x N": (ramp((1, 300)), {}, "1 x 300 pixels"),
    "N x 1": (ramp((300, 1)), {}, "300 x 1 pixels"),
    "no pixels": (np.zeros((0, 10)), {}, "holds no pixels"),
    "no planes": (np.zeros((0, 12, 10)), {}, "holds no pixels"),
    "unknown axes": (ramp(), {"axes": "YQ"}, r"'Q'.*T \(time\), .*X \(column\), S \(RGB\)"),
    "too few axes": (ramp(), {"axes": "X"}, "1 dimensions, but the image has 2"),
    "no Y": (ramp(), {"axes": "ZX"}, "lack Y or X"),
    "an axis twice": (ramp(), {"axes": "YY"}, "twice"),
    "two samples": (ramp((12, 10, 2)), {"axes": "YXS"}, "2 samples"),
    "complex": (ramp().astype(complex), {}, "complex128"),
    "object": (np.array([[None] * 10] * 12), {}, "object"),
    "text": (np.array([["a"] * 10] * 12), {}, "str"),
    "1D": (ramp((30,)), {}, r"shape \(30,\)"),
    "6D": (np.zeros((2,) * 4 + (12, 10)), {}, "say what its axes are"),
    "6D with four last": (np.zeros((2, 2, 2, 12, 10, 4)), {}, "say what its axes are"),
    "mask of a stack, of another order": (
        ramp((3, 12, 10)),
        {"mask": hole((12, 10, 3))},
        "with the axes ZYX or without Z",
    ),
    "mask without Y": (
        ramp((3, 2, 12, 10)),
        {"axes": "TCYX", "mask": np.eye(3, 10)},
        "with the axes TCYX or without any of T, C",
    ),
    "mask of one number": (ramp(), {"mask": np.ones(())}, r"mask has shape \(\)"),
    "a number": (3.0, {}, "shape"),
    "beyond float32": (ramp() * 1e300, {}, "float32"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_clear_sentence(case):
    image, given, words = BAD[case]
    with pytest.raises(InputError, match=words) as refusal:
        Source(image, **given)
    sentence = str(refusal.value)
    assert sentence.endswith(".") and "\n" not in sentence


def test_nan_in_a_stack_is_said_where():
    image = ramp((3, 12, 10))
    image[2, 5, 6] = np.nan
    with pytest.raises(InputError, match="t=2, y=5, x=6"):
        Source(image, "TYX")


def test_a_tensor_is_read_like_an_array():
    import torch

    values = torch.rand(12, 14, dtype=torch.float64)
    assert np.array_equal(only(Source(values)).original, only(Source(values.numpy())).original)


def test_axes_that_are_no_text_are_refused():
    with pytest.raises(InputError, match="as text"):
        Source(np.random.default_rng(0).random((12, 14)), ("Y", "X"))


def counted(array, chunks, calls):
    """A dask array whose chunks say that they are computed."""
    lock = threading.Lock()

    def chunk(block, block_info=None):
        with lock:
            calls[tuple(block_info[0]["chunk-location"])] += 1
        return block

    lazy = da.from_array(array, chunks=chunks)
    return lazy.map_blocks(chunk, dtype=array.dtype, meta=np.empty((0,) * array.ndim, array.dtype))


def work_through(source):
    """What a run does: each plane once."""
    return [source.plane(item) for item in source.items]


def test_a_small_lazy_image_is_computed_once():
    image, calls = ramp((3, 12, 10)), Counter()
    source = Source(counted(image, (1, 12, 10), calls), "ZYX")
    assert set(calls.values()) == {1} and len(calls) == 3  # for the check
    for plane, expected in zip(work_through(source), image, strict=True):
        np.testing.assert_array_equal(plane.original[0], expected)
    assert set(calls.values()) == {1} and image.nbytes < KEPT


def test_a_large_lazy_image_is_computed_twice_and_not_kept():
    image, calls = ramp((3, 12, 10)), Counter()
    source = Source(counted(image, (1, 12, 10), calls), "ZYX", keep=image.nbytes - 1)
    for plane, expected in zip(work_through(source), image, strict=True):
        np.testing.assert_array_equal(plane.original[0], expected)
    assert set(calls.values()) == {2} and len(calls) == 3


def test_of_a_large_lazy_image_no_more_is_computed_than_is_read():
    image, calls = ramp((2, 12, 10)), Counter()
    source = Source(counted(image, (1, 6, 5), calls), "ZYX", keep=0)
    calls.clear()
    tiles = plan_tiles((2,), (12, 10), 5)
    np.testing.assert_array_equal(source.raw(tiles[0])[0], image[0, :5, :5])
    assert calls == {(0, 0, 0): 1}


@pytest.mark.parametrize("keep", [0, KEPT])
def test_a_tile_is_read_with_its_halo_wherever_the_image_is_kept(keep):
    image = ramp((2, 12, 10))
    source = Source(da.from_array(image, chunks=5), "ZYX", keep=keep)
    for item in plan_tiles((2,), (12, 10), 5, halo=2):
        np.testing.assert_array_equal(source.raw(item)[0], image[item.index][item.read_region((12, 10))])
        assert source.plane(item).values.shape == source.raw(item).shape


@pytest.mark.parametrize("axes", ["YX", "ZYX"])
def test_a_lazy_mask_is_computed_once(axes):
    """One of a plane is not computed for every plane."""
    image, calls = ramp((3, 12, 10)), Counter()
    mask = hole(tuple(dict(zip("ZYX", image.shape, strict=True))[a] for a in axes))
    source = Source(image, "ZYX", counted(mask, mask.shape, calls))
    assert all(not plane.observed[2, 2] for plane in work_through(source))
    assert list(calls.values()) == [1]


LAYOUTS = [form for form in FORMS if form not in ("bool", "nested list") and "int" not in form and "float" not in form]


@pytest.mark.parametrize("form", [*LAYOUTS, "big-endian float"])
def test_a_digest_does_not_depend_on_where_and_how_the_values_lie(form, tmp_path):
    image = ramp()
    assert Source(FORMS[form](image, tmp_path)).digest == Source(image.copy()).digest
    mask = image > 90
    laid_out = FORMS[form](mask.astype(float), tmp_path)
    assert Source(image, mask=laid_out).mask_digest == Source(image, mask=mask.astype(float)).mask_digest


def test_a_digest_does_not_depend_on_what_is_kept():
    image = da.from_array(ramp((3, 12, 10)), chunks=5)
    assert Source(image, "ZYX", keep=0).digest == Source(image, "ZYX").digest


def test_a_digest_depends_on_values_type_and_shape():
    image = ramp()
    changed = image.copy()
    changed[3, 4] += 1
    others = [image, changed, image.astype("float32"), image.astype(int), image.reshape(10, 12), image[None], image.T]
    digests = {Source(one).digest for one in others}
    assert len(digests) == len(others) and all(one.startswith("sha256:") for one in digests)


def test_the_digest_of_a_mask_is_its_own():
    image, first, second = ramp(), hole((12, 10)), np.eye(12, 10)
    assert Source(image).mask_digest == ""
    sources = [Source(image, mask=mask) for mask in (first, second)]
    assert sources[0].digest == sources[1].digest == Source(image).digest
    assert sources[0].mask_digest != sources[1].mask_digest


@pytest.mark.parametrize("axes", ["YXS", "SYX"])
def test_of_a_pixel_that_lacks_one_sample_only_that_one_is_missing(axes):
    size = {"Y": 12, "X": 10, "S": 3}
    image = ramp(tuple(size[a] for a in axes))
    at = tuple({"Y": 4, "X": 5, "S": 1}[a] for a in axes)
    image[at] = np.nan
    source = Source(image, axes, allow_nonfinite=True)
    plane = only(source)
    assert np.argwhere(plane.missing).tolist() == [[1, 4, 5]]
    assert np.argwhere(~plane.observed).tolist() == [[4, 5]]
    filled = round_trip(image, axes, where="missing", values=np.float32(7), allow_nonfinite=True)
    assert filled[at] == 7
    known = np.isfinite(image)
    np.testing.assert_array_equal(filled[known], image[known].astype(np.float32))


def test_a_mask_of_one_sample_marks_that_one():
    image, mask = ramp((12, 10, 3)), np.zeros((12, 10, 3), bool)
    mask[4, 5, 2] = True
    plane = only(Source(image, "YXS", mask))
    assert np.argwhere(plane.missing).tolist() == [[2, 4, 5]]


def test_the_shape_of_a_result_is_that_of_the_image_or_larger():
    source = Source(ramp((2, 12, 3, 10)), "ZYSX")
    assert source.shape() == (2, 12, 3, 10) and source.shape(4) == (2, 48, 3, 40)


def test_the_range_is_that_of_what_was_measured():
    image, mask = ramp((3, 12, 10)), hole((3, 12, 10))
    image[mask] = 1e6
    source = Source(image, "ZYX", mask)
    assert source.range == (image[~mask].min(), image[~mask].max())


def test_a_plane_knows_whether_there_is_anything_to_learn_from():
    image = ramp((2, 12, 10))
    image[1] = 3
    source = Source(image, "ZYX")
    assert [source.plane(item).is_constant for item in source.items] == [False, True]


def test_another_array_is_read_as_it_is_and_told_by_shape_type_and_values():
    array = np.arange(12.0).reshape(3, 4)
    for form in (array, array.tolist(), da.from_array(array), array.astype(">f8"), np.asfortranarray(array)):
        found = read_array("psf", form)
        assert found.dtype == np.float64 and np.array_equal(found, array)
        assert digest_of(found) == digest_of(array)
    others = [array, array + 1, array.T, array.reshape(12), array.astype("float32")]
    assert len({digest_of(one) for one in others}) == len(others)


@pytest.mark.parametrize("array", [1.0, np.zeros((0, 3)), [["a"]], [1j], [np.nan, 1], [np.inf]], ids=str)
def test_another_array_that_cannot_be_used_is_refused_in_one_sentence(array):
    with pytest.raises(InputError, match=r"^The psf .*\.$"):
        read_array("psf", array)
