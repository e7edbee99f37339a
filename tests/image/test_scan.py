"""A large plane is scanned strip by strip: nearly as at once, each chunk read once, until it is cancelled."""

import tracemalloc
from collections import Counter

import dask.array as da
import numpy as np
import pytest

from napari_dip.errors import InputError
from napari_dip.image import scan
from napari_dip.image.cancellation import PreparationCancelled, cancel_if
from napari_dip.image.rows import bounds_of
from napari_dip.image.source import Source

SUSPECTS = ("areas", "outliers", "lines")
SIZE = 320, 192


@pytest.fixture
def small_strips(monkeypatch):
    """Strips of 64 rows of the images here."""
    monkeypatch.setattr(scan, "WHOLE", 2**14)
    monkeypatch.setattr(scan, "STRIP", 64 * SIZE[1])
    assert len(scan.strips_of(SIZE)) == 5


def picture(samples=0):
    """A noisy picture with a data bar, padding that crosses strips, and hot pixels."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    image = 500 + 100 * np.sin(x / 9) * np.cos(y / 11) + np.random.default_rng(0).normal(0, 10, SIZE)
    image[290:] = 0
    image[100:260, :40] = 40
    image[30:280:50, 100] = 3000
    image = image.round().astype(np.uint16)
    return np.stack([image, image[:, ::-1], image], -1) if samples else image


def found_in(source):
    item = source.items[0]
    plane = source.plane(item)
    return plane.observed, source.areas_of(item)


def as_a_whole(image, axes, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(scan, "WHOLE", 2**23)
        return Source(image, axes, suspects=SUSPECTS)


@pytest.mark.parametrize("axes", ["YX", "YXS"])
@pytest.mark.parametrize("form", ["numpy", "dask", "dask, not kept"])
def test_strips_show_what_the_whole_shows(small_strips, monkeypatch, axes, form):
    image = picture("S" in axes)
    whole = as_a_whole(image, axes, monkeypatch)
    given = image if form == "numpy" else da.from_array(image, chunks=50)
    source = Source(given, axes, suspects=SUSPECTS, **({"keep": 0} if form == "dask, not kept" else {}))
    for one, other in zip(found_in(source), found_in(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    assert source.digest == whole.digest and source.ranges == whole.ranges and source.outliers == whole.outliers
    assert source.floors[()] == pytest.approx(whole.floors[()], rel=0.1)
    assert sum(whole.areas.values()) > 5000 and sum(whole.outliers.values()) == 5 * (1 + ("S" in axes))


def test_lines_are_found_in_bands_of_a_large_plane(small_strips, monkeypatch):
    rng = np.random.default_rng(1)
    image = 500 + rng.normal(0, 3, SIZE) + rng.normal(0, 12, SIZE[0])[:, None]
    whole, source = as_a_whole(image, "YX", monkeypatch), Source(image, "YX", suspects=SUSPECTS)
    assert source.lines[0] == pytest.approx(whole.lines[0], rel=0.1) and source.lines[0] > 10
    assert source.range == pytest.approx(whole.range, abs=4)


def test_a_mask_is_digested_as_of_the_whole(small_strips, monkeypatch):
    image, mask = picture(1), np.random.default_rng(0).random(SIZE) < 0.1
    assert Source(image, "YXS", mask).mask_digest == as_a_whole_with(image, mask, monkeypatch).mask_digest


def as_a_whole_with(image, mask, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(scan, "WHOLE", 2**23)
        return Source(image, "YXS", mask)


def test_what_is_no_number_is_said_where(small_strips):
    image = picture().astype(float)
    image[201, 7] = np.nan
    with pytest.raises(InputError, match=r"1 pixels.*y=201, x=7"):
        Source(image, "YX", suspects=SUSPECTS)


def counted(image, chunks, calls, then=lambda: None):
    def chunk(block, block_info=None):
        calls[tuple(block_info[0]["chunk-location"])] += 1
        then()
        return block

    lazy = da.from_array(image, chunks=chunks)
    return lazy.map_blocks(chunk, dtype=image.dtype, meta=np.empty((0,) * image.ndim, image.dtype))


def test_each_chunk_of_a_large_plane_is_read_once(small_strips, monkeypatch):
    monkeypatch.setattr("napari_dip.image.rows.READ", 1)
    image, calls = picture(), Counter()
    Source(counted(image, (50, 64), calls), "YX", keep=0, suspects=("areas", "outliers"))
    assert len(calls) == 7 * 3 and set(calls.values()) == {1}


@pytest.mark.parametrize("planes", [1, 7])
def test_cancelling_ends_the_reading(small_strips, monkeypatch, planes):
    monkeypatch.setattr("napari_dip.image.rows.READ", 1)
    image, calls = np.stack([picture()] * planes), Counter()
    lazy = counted(image, (1, 50, SIZE[1]), calls)
    with pytest.raises(PreparationCancelled), cancel_if(lambda: calls.total() >= 3):
        Source(lazy, "ZYX", suspects=SUSPECTS)
    assert calls.total() == 3
    with pytest.raises(PreparationCancelled), cancel_if(lambda: True):
        Source(image, "ZYX")
    source = Source(lazy[:1], "ZYX", keep=0, suspects=SUSPECTS)
    with pytest.raises(PreparationCancelled), cancel_if(lambda: True):
        source.plane(source.items[0])


def test_the_memory_of_a_scan_does_not_grow_with_the_plane(monkeypatch):
    monkeypatch.setattr(scan, "WHOLE", 2**16)
    monkeypatch.setattr(scan, "STRIP", 2**16)
    noise = np.random.default_rng(0).integers(90, 110, (256, 256)).astype(np.uint16)
    peaks = []
    for rows in (2, 8):
        lazy = da.map_blocks(lambda block_info=None: noise, chunks=((256,) * rows, (256,)), dtype=np.uint16)
        tracemalloc.start()
        Source(lazy, "YX", keep=0, suspects=SUSPECTS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] < 1.3 * 120 * (2**16 + 2 * 64 * 256)


@pytest.mark.parametrize(
    ("chunks", "bounds"),
    [
        (None, [4096]),
        ((1000, 100), [4096]),
        (((1500, 1500, 1096), (4096,)), [1500, 3000, 4096]),
        (((96,) + (100,) * 40, (4096,)), [596, 1196, 1796]),
    ],
)
def test_rows_are_read_by_whole_chunks(chunks, bounds):
    class Stored:
        pass

    stored = Stored()
    if chunks:
        stored.chunks = chunks
    found = bounds_of(stored, "YX", (4096, 2048))
    assert found[: len(bounds)] == bounds and found[-1] == 4096
