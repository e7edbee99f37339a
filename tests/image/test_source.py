from itertools import permutations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dip.errors import InputError
from napari_dip.image.axes import guess_axes
from napari_dip.image.source import Source


def ramp(shape=(12, 10), dtype="float64"):
    return np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


def round_trip(image, axes=None, **given):
    """To the prior and back, with nothing done in between."""
    source = Source(image, axes, **given)
    result = np.full(np.shape(image), np.nan, np.float32)
    for index in source:
        plane = source.plane(index)
        source.put(result, index, plane.to_units(plane.values))
    return result


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
    plane = Source(image).plane(())
    assert plane.values.dtype == np.float32 and plane.values.flags.c_contiguous and plane.values.dtype.isnative
    np.testing.assert_allclose(plane.values[0], (expected - low) / (high - low), atol=1e-6)
    np.testing.assert_allclose(plane.to_units(plane.values)[0], expected, rtol=1e-6, atol=1e-4)
    assert plane.visible.all()


AXES = ["YX", "XY", "ZYX", "XYZ", "CYX", "YXC", "YXS", "SYX", "XSY", "TZCYX", "TYXS", "YTXZ", "ZSYX"]


@settings(max_examples=60, deadline=None)
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
    assert len(list(source)) == np.prod([size[a] for a in axes if a in "TZC"], dtype=int)
    for index in source:
        plane = source.plane(index)
        assert plane.values.shape == (3 if "S" in axes else 1, 9, 13)
        assert plane.values.min() == 0 and plane.values.max() == 1


@pytest.mark.parametrize("axes", ["".join(p) for p in permutations("ZYX")])
def test_a_plane_is_cut_along_the_right_axis(axes):
    image = np.random.default_rng(0).random((8, 9, 10))
    plane = Source(image, axes).raw((2,))[0]
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
        ((5, 64, 64), "uint8", "ZYX"),
        ((3, 64, 64), "uint8", "ZYX"),
        ((2, 5, 64, 64), "float32", "TZYX"),
        ((7, 64, 64, 3), "uint8", "ZYXS"),
        ((2, 5, 3, 64, 64), "uint16", "TZCYX"),
    ],
)
def test_axes_are_guessed(shape, dtype, axes):
    assert guess_axes(shape, np.dtype(dtype)) == axes
    source = Source(np.broadcast_to(ramp(shape[-2:]), shape).astype(dtype) if "S" not in axes else ramp(shape, dtype))
    assert source.guessed and source.axes == axes


def test_lower_case_axes_are_the_same_axes():
    assert Source(ramp((12, 10, 9)), "zyx").axes == "ZYX"


def test_alpha_is_no_sample_to_restore():
    image = ramp((12, 10, 4), "uint8")
    source = Source(image, "YXS")
    assert source.samples == 3 and source.plane(()).values.shape == (3, 12, 10)
    np.testing.assert_array_equal(source.result()[..., 3], image[..., 3])


def test_a_mask_of_a_plane_serves_every_plane_and_one_of_the_stack_its_own():
    image, flat = ramp((3, 12, 10)), np.zeros((12, 10), bool)
    flat[2, 3] = True
    for index in (shared := Source(image, "ZYX", flat)):
        assert (shared.plane(index).visible == ~flat).all()
    own = np.zeros(image.shape, np.uint8)
    own[1, 4, 5] = 7
    source = Source(image, "ZYX", own)
    assert source.plane((0,)).visible.all()
    assert np.argwhere(~source.plane((1,)).visible).tolist() == [[4, 5]]


@pytest.mark.parametrize("axes", ["YXS", "SYX", "XYS"])
def test_the_mask_of_a_colour_image_goes_with_or_without_its_samples(axes):
    size = {"Y": 12, "X": 10, "S": 3}
    image = ramp(tuple(size[a] for a in axes))
    flat = np.zeros((12, 10), bool)
    flat[2, 3] = True
    without = flat.T if axes.index("X") < axes.index("Y") else flat
    whole = np.broadcast_to(np.expand_dims(without, axes.index("S")), image.shape)
    for mask in (without, whole, da.from_array(without)):
        assert (Source(image, axes, mask).plane(()).visible == ~flat).all()


def test_nan_is_filled_in_where_the_user_agrees_or_masks_it():
    image = ramp()
    image[3, 4], image[5, 6] = np.nan, np.inf
    bad = ~np.isfinite(image)
    for source in (Source(image, allow_nonfinite=True), Source(image, mask=bad)):
        plane = source.plane(())
        assert np.isfinite(plane.values).all()
        assert (plane.visible == ~bad).all()


def test_masked_values_do_not_set_the_range():
    image = ramp()
    image[0, 0] = 1e6
    mask = image == 1e6
    plane = Source(image, mask=mask).plane(())
    assert plane.low + plane.span <= 100


def test_what_was_known_is_kept_to_the_bit():
    image, mask = ramp(dtype="float32"), np.zeros((12, 10), bool)
    mask[4:6, 4:6] = True
    source = Source(image, mask=mask)
    kept = source.result()
    source.put(kept, (), np.full((1, 12, 10), -5, np.float32), where=~source.plane(()).visible)
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
    "unknown axes": (ramp(), {"axes": "YQ"}, "'Q'.*T, Z, C, Y, X, S"),
    "too few axes": (ramp(), {"axes": "X"}, "1 dimensions, but the image has 2"),
    "no Y": (ramp(), {"axes": "ZX"}, "lack Y or X"),
    "an axis twice": (ramp(), {"axes": "YY"}, "twice"),
    "two samples": (ramp((12, 10, 2)), {"axes": "YXS"}, "2 samples"),
    "complex": (ramp().astype(complex), {}, "complex128"),
    "object": (np.array([[None] * 10] * 12), {}, "object"),
    "text": (np.array([["a"] * 10] * 12), {}, "str"),
    "1D": (ramp((30,)), {}, r"shape \(30,\)"),
    "6D": (np.zeros((2,) * 4 + (12, 10)), {}, "say what its axes are"),
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
    assert np.array_equal(Source(values).raw(()), Source(values.numpy()).raw(()))


def test_axes_that_are_no_text_are_refused():
    with pytest.raises(InputError, match="as text"):
        Source(np.random.default_rng(0).random((12, 14)), ("Y", "X"))
