"""Whatever type and layout an image has: it is restored as its values alone demand, or refused in one sentence."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_dip as dip

QUICK = {"max_iterations": 1, "threads": 1}
TASKS = {
    "denoise": {},
    "inpaint": {"mask": np.eye(16, 12, dtype=bool)},
    "super_resolve": {"factor": 2},
}
PLAIN = {"bool": "uint8", "float16": "float32", "longdouble": "float64"}
"""Types that nothing computes with, and others that hold the same values."""
DTYPES = [
    *PLAIN,
    *(
        f"{order}{kind}"
        for order in "<>"
        for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
    ),
]


def read_only(image):
    image = image.copy()
    image.setflags(write=False)
    return image


def masked_nowhere(image):
    return np.ma.MaskedArray(image, mask=np.zeros(image.shape, bool))


LAYOUTS = {
    "plain": np.copy,
    "read-only": read_only,
    "reversed": lambda image: image[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "Fortran's": np.asfortranarray,
    "strided": lambda image: np.repeat(image, 2, -1)[..., ::2],
    "masked nowhere": masked_nowhere,
    "dask": lambda image: da.from_array(image, chunks=8),
    "masked dask": lambda image: da.ma.masked_array(da.from_array(image, chunks=8), np.zeros(image.shape, bool)),
}


def picture(dtype, seed=0):
    """Small enough for every type; big steps for bool."""
    y, x = np.mgrid[:16, :12]
    values = 60 + 30 * np.sin(x / 3) * np.cos(y / 4) + np.random.default_rng(seed).normal(0, 5, (16, 12))
    return (values > 60 if dtype == "bool" else values).astype(dtype)


def restored(task, image, **given):
    run = dip.restore_steps(task, image, axes="ZYX"[-image.ndim :], **TASKS[task], **QUICK, **given)
    return run.result.image


@settings(max_examples=24)
@given(
    task=st.sampled_from([*TASKS]),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from([*LAYOUTS]),
    planes=st.sampled_from([0, 0, 2]),
)
def test_a_result_depends_on_the_values_alone(task, dtype, layout, planes):
    image = picture(dtype)
    if planes:  # all of them one plane, whose stride is 0
        image = np.broadcast_to(image, (planes, *image.shape))
    plain = np.ascontiguousarray(image).astype(PLAIN.get(dtype, image.dtype.newbyteorder("=")))
    found = restored(task, LAYOUTS[layout](image))
    np.testing.assert_array_equal(found, restored(task, plain))
    assert np.isfinite(found).all() and found.dtype == np.float32


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dtype", ["bool", "uint16", "float16", "longdouble"])
@pytest.mark.parametrize("lazy", [False, True])
def test_masked_pixels_are_not_measured(task, dtype, lazy):
    image, missing = picture(dtype), np.zeros((16, 12), bool)
    missing[3:5, 7:9] = True
    masked = np.ma.MaskedArray(image, mask=missing)
    if lazy:
        masked = da.ma.masked_array(da.from_array(image, chunks=8), missing)
    with pytest.raises(dip.InputError, match=r"4 pixels that are masked, NaN or inf, the first at y=3, x=7; repair"):
        restored(task, masked)
    holes = image.astype(np.float64 if dtype == "longdouble" else np.float32)
    holes[missing] = np.nan
    filled = restored(task, masked, nonfinite="inpaint")
    np.testing.assert_array_equal(filled, restored(task, holes, nonfinite="inpaint"))
    assert np.isfinite(filled).all()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("image", "words"),
    [
        (picture("f4").astype(complex), r"np\.abs"),
        (picture("f4").astype(object), "object values"),
        (picture("i8").astype("datetime64[s]"), "datetime64"),
        (picture("i8").astype("timedelta64[s]"), "timedelta64"),
        (picture("i8").astype(str), "values cannot be restored"),
        ([[1.0, 2.0], [3.0]], "cannot be read as an array"),
    ],
    ids=["complex", "object", "datetime", "timedelta", "text", "ragged"],
)
def test_what_holds_no_real_numbers_is_refused_in_one_sentence(task, image, words):
    with pytest.raises(dip.InputError, match=words) as refusal:
        dip.restore_steps(task, image, **TASKS[task])
    sentence = str(refusal.value)
    assert sentence.endswith(".") and "\n" not in sentence
