"""What every sink, and every plan of what is put there, has to do; a new sink joins by a line in the list."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_dip.errors import InputError
from napari_dip.files.formats import Picture
from napari_dip.files.zarr_result import ZarrResult
from napari_dip.image.axes import outer_axes
from napari_dip.image.planes import take_plane
from napari_dip.image.sink import ArraySink
from napari_dip.image.work import Item, plan_planes, plan_tiles


def in_memory(shape, axes, factor, _):
    return ArraySink(shape, axes, factor)


def given_array(shape, axes, factor, _):
    return ArraySink(shape, axes, factor, np.zeros(shape, np.float32))


def a_view(shape, axes, factor, _):
    """Every second element of a larger array."""
    return ArraySink(
        shape, axes, factor, np.zeros([2 * n for n in shape], np.float32)[(slice(None, None, 2),) * len(shape)]
    )


def memory_map(shape, axes, factor, folder):
    out = np.lib.format.open_memmap(folder / "out.npy", "w+", np.float32, tuple(shape))
    return ArraySink(shape, axes, factor, out)


class Store:
    """An array that gives copies and no views, as one in a file of chunks does."""

    def __init__(self, shape):
        self.inside = np.zeros(shape, np.float32)
        self.shape, self.dtype = self.inside.shape, self.inside.dtype

    def __getitem__(self, key):
        return self.inside[key].copy()

    def __setitem__(self, key, values):
        self.inside[key] = values

    def __array__(self, dtype=None, copy=None):
        return self.inside.astype(dtype or self.dtype)


def store(shape, axes, factor, _):
    return ArraySink(shape, axes, factor, Store(shape))


def ome_zarr(shape, axes, factor, folder):
    if {"C", "S"} <= set(axes):  # it has one axis for both, so such results are kept in memory
        return in_memory(shape, axes, factor, folder)
    source = Picture(np.zeros([n // (factor if a in "YX" else 1) for n, a in zip(shape, axes, strict=True)]))
    shutil.rmtree(folder / "out.zarr", ignore_errors=True)
    return ArraySink(shape, axes, factor, ZarrResult(folder / "out.zarr", shape, axes, source))


SINKS = [in_memory, given_array, a_view, memory_map, store, ome_zarr]

every_sink = pytest.mark.parametrize("make", SINKS, ids=lambda make: make.__name__)
a_few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all examples of a test; each is written over the one before."""
    return tmp_path_factory.mktemp("sinks")


@st.composite
def plans(draw):
    """Axes in any order with their sizes, and tiles that cover all planes."""
    outer = draw(st.lists(st.sampled_from("TZC"), unique=True, max_size=2))
    inner = ["Y", "X", *draw(st.sampled_from([[], ["S"]]))]
    axes = "".join(draw(st.permutations([*inner, *outer])))
    sizes = {a: 3 if a == "S" else draw(st.integers(1, 3)) for a in axes}
    sizes |= {"Y": draw(st.integers(1, 9)), "X": draw(st.integers(1, 9))}
    size = sizes["Y"], sizes["X"]
    items = plan_tiles([sizes[a] for a in outer_axes(axes)], size, draw(st.integers(1, 10)), draw(st.integers(0, 4)))
    return axes, sizes, items


def shape_of(axes, sizes, factor: int = 1):
    return tuple(sizes[a] * (factor if a in "YX" else 1) for a in axes)


def values_of(item: Item, sizes, factor: int, seed: int = 0):
    y, x = ((part.stop - part.start) * factor for part in item.region)
    return np.random.default_rng((seed, item.number)).random((sizes.get("S", 1), y, x), np.float32)


@every_sink
@a_few
@given(plan=plans(), factor=st.integers(1, 3))
def test_before_anything_is_put_there_all_is_missing(make, folder, plan, factor):
    axes, sizes, _ = plan
    sink = make(shape_of(axes, sizes, factor), axes, factor, folder)
    assert sink.array.shape == shape_of(axes, sizes, factor) and sink.array.dtype == np.float32
    assert np.isnan(np.asarray(sink.array)).all()


@every_sink
@a_few
@given(plan=plans(), factor=st.integers(1, 3), data=st.data())
def test_a_region_is_written_and_nothing_else(make, folder, plan, factor, data):
    axes, sizes, items = plan
    item = data.draw(st.sampled_from(items))
    sink, values = make(shape_of(axes, sizes, factor), axes, factor, folder), values_of(item, sizes, factor)
    asked = values.copy()
    sink.put(item, values)
    assert np.array_equal(values, asked)
    y, x = (slice(part.start * factor, part.stop * factor) for part in item.region)
    found = take_plane(np.asarray(sink.array), axes, item.index, (y, x))
    np.testing.assert_array_equal(found, values)
    assert np.isfinite(np.asarray(sink.array)).sum() == values.size


@every_sink
@a_few
@given(plan=plans(), factor=st.integers(1, 3), data=st.data())
def test_a_region_is_cleared_and_nothing_else(make, folder, plan, factor, data):
    axes, sizes, items = plan
    sink = make(shape_of(axes, sizes, factor), axes, factor, folder)
    for one in items:
        sink.put(one, values_of(one, sizes, factor))
    item = data.draw(st.sampled_from(items))
    sink.clear(item)
    y, x = (slice(part.start * factor, part.stop * factor) for part in item.region)
    assert np.isnan(take_plane(np.asarray(sink.array), axes, item.index, (y, x))).all()
    assert np.isnan(np.asarray(sink.array)).sum() == values_of(item, sizes, factor).size


@every_sink
@a_few
@given(plan=plans(), factor=st.integers(1, 3))
def test_tiles_make_up_the_whole(make, folder, plan, factor):
    axes, sizes, items = plan
    sink = make(shape_of(axes, sizes, factor), axes, factor, folder)
    for item in items:
        sink.put(item, values_of(item, sizes, factor))
    assert np.isfinite(np.asarray(sink.array)).all()
    for item in items:  # none was written over by another
        y, x = (slice(part.start * factor, part.stop * factor) for part in item.region)
        found = take_plane(np.asarray(sink.array), axes, item.index, (y, x))
        np.testing.assert_array_equal(found, values_of(item, sizes, factor))


@every_sink
def test_what_is_put_there_again_is_written_over(make, folder):
    (item,), sink = plan_planes([], (4, 5)), make((4, 5), "YX", 1, folder)
    for seed in (0, 1):
        sink.put(item, values_of(item, {}, 1, seed))
        np.testing.assert_array_equal(sink.array, values_of(item, {}, 1, seed)[0])


@every_sink
def test_a_copy_is_a_sink_of_its_own(make, folder):
    sizes, items = {"Z": 2, "Y": 4, "X": 6}, plan_planes([2], (4, 6))
    sink = make((2, 8, 12), "ZYX", 2, folder)
    sink.put(items[0], values_of(items[0], sizes, 2))
    other = sink.copy()
    np.testing.assert_array_equal(other.array, sink.array)
    assert type(other.array) is np.ndarray and not np.shares_memory(other.array, np.asarray(sink.array))
    before = np.array(sink.array)
    other.put(items[1], values_of(items[1], sizes, 2))
    np.testing.assert_array_equal(sink.array, before)
    sink.put(items[0], values_of(items[0], sizes, 2, seed=1))
    np.testing.assert_array_equal(other.array[0], before[0])
    assert np.isfinite(other.array).all()


def test_what_is_put_on_a_memory_map_is_in_the_file(folder):
    (item,), sink = plan_planes([], (4, 5)), memory_map((4, 5), "YX", 1, folder)
    assert np.isnan(np.load(folder / "out.npy")).all()
    sink.put(item, values_of(item, {}, 1))
    sink.array.flush()
    np.testing.assert_array_equal(np.load(folder / "out.npy"), values_of(item, {}, 1)[0])


def read_only():
    array = np.zeros((4, 5), np.float32)
    array.setflags(write=False)
    return array


REFUSED = {
    "of another shape": (lambda _: np.zeros((4, 6), np.float32), r"float32.*\(4, 5\)"),
    "of more dimensions": (lambda _: np.zeros((1, 4, 5), np.float32), r"float32.*\(4, 5\)"),
    "of another type": (lambda _: np.zeros((4, 5)), "float32"),
    "of another byte order": (lambda _: np.zeros((4, 5), ">f4"), "float32"),
    "of whole numbers": (lambda _: np.zeros((4, 5), np.int32), "float32"),
    "read-only": (lambda _: read_only(), "read-only"),
    "a file that may only be read": (lambda folder: np.load(saved(folder), mmap_mode="r"), "read-only"),
    "a list": (lambda _: [[0.0] * 5] * 4, "float32"),
}


def saved(folder):
    np.save(folder / "read-only.npy", np.zeros((4, 5), np.float32))
    return folder / "read-only.npy"


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_to_is_refused_in_one_sentence(case, folder):
    make, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as refusal:
        ArraySink((4, 5), "YX", out=make(folder))
    sentence = str(refusal.value)
    assert sentence.endswith(".") and "\n" not in sentence and sentence.count(". ") == 0


def test_what_is_refused_stays_as_it_is():
    out = np.ones((4, 6), np.float32)
    with pytest.raises(InputError):
        ArraySink((4, 5), "YX", out=out)
    assert (out == 1).all()


sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=30, deadline=None)
@given(outer=st.lists(st.integers(0, 3), max_size=3), size=sizes, side=st.integers(1, 50), halo=st.integers(0, 9))
def test_tiles_cover_every_pixel_once(outer, size, side, halo):
    items = plan_tiles(outer, size, side, halo)
    counts = np.zeros((*outer, *size), int)
    for item in items:
        counts[(*item.index, *item.region)] += 1
        assert all(0 < part.stop - part.start <= side for part in item.region) and item.halo == halo
    assert (counts == 1).all()
    assert [item.number for item in items] == list(range(len(items)))


@settings(max_examples=30, deadline=None)
@given(outer=st.lists(st.integers(0, 3), max_size=3), size=sizes)
def test_an_item_may_be_a_whole_plane(outer, size):
    items = plan_planes(outer, size)
    assert [item.index for item in items] == list(np.ndindex(*outer))
    for item in items:
        assert item.region == item.read_region(size) == (slice(0, size[0]), slice(0, size[1]))


@settings(max_examples=30, deadline=None)
@given(size=sizes, side=st.integers(1, 20), halo=st.integers(0, 30), factor=st.integers(1, 3))
def test_what_is_read_holds_the_region_and_its_halo_and_is_cut_back_to_it(size, side, halo, factor):
    plane = np.arange(size[0] * size[1]).reshape(size)
    large = plane.repeat(factor, 0).repeat(factor, 1)
    for item in plan_tiles([], size, side, halo):
        read = item.read_region(size)
        for part, wide, n in zip(item.region, read, size, strict=True):
            assert max(part.start - halo, 0) == wide.start <= part.start
            assert part.stop <= wide.stop == min(part.stop + halo, n)
        np.testing.assert_array_equal(plane[read][item.inside(size)], plane[item.region])
        wide, own = (tuple(slice(p.start * factor, p.stop * factor) for p in parts) for parts in (read, item.region))
        np.testing.assert_array_equal(large[wide][item.inside(size, factor)], large[own])
