"""The live layer: a plane of it costs a plane, and what was not restored is never shown as restored."""

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dip.viewer.layers.layers import describe, enlarge
from napari_dip.viewer.layers.live_layer import LiveLayer
from napari_dip.viewer.messages import Control, Done, Job, Picture

RNG = np.random.default_rng(0)


@pytest.fixture
def make():
    """Make the live layer of a run on an array."""

    def live_layer(image, axes, factor=1, rgb=False):
        look = describe(
            Image(np.zeros([9 if a in "YX" else n for a, n in zip(axes, image.shape, strict=True)]), rgb=rgb)
        )
        job = Job("denoise", "cell denoised", image, axes, {}, {"factor": factor} if factor > 1 else {}, rgb)
        return LiveLayer(ViewerModel(), job, enlarge(look, axes, factor) if factor > 1 else look, Control())

    return live_layer


def test_a_plane_leaves_the_others(make):
    image = RNG.integers(0, 1000, (4, 9, 8)).astype(np.uint16)
    live = make(image, "ZYX")
    live.show([Picture((1,), np.full((9, 8), 5, np.float32))])
    data = live.layer.data
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data[[0, 2, 3]], image[[0, 2, 3]])
    assert (data[1] == 5).all()
    live.show([Picture((1,), np.full((9, 8), 6, np.float32)), Picture((2,), np.full((9, 8), 7, np.float32))])
    assert live.layer.data is data and len(live.viewer.layers) == 1
    assert (data[1] == 6).all() and (data[2] == 7).all()
    np.testing.assert_array_equal(data[[0, 3]], image[[0, 3]])
    assert image[1].max() > 7  # the source is not written to


@pytest.mark.parametrize(
    ("axes", "shape", "index", "place"),
    [
        ("YX", (9, 8), (), ()),
        ("XY", (8, 9), (), ()),
        ("TZYX", (2, 3, 9, 8), (1, 2), (1, 2)),
        ("YTXC", (9, 2, 8, 3), (1, 2), (slice(None), 1, slice(None), 2)),
        ("YZXT", (9, 2, 8, 3), (1, 2), (slice(None), 1, slice(None), 2)),
    ],
)
def test_the_plane_of_any_axes(make, axes, shape, index, place):
    image = RNG.random(shape)
    live = make(image, axes)
    plane = image[place] + 1
    live.show([Picture(index, plane)])
    changed = live.layer.data != image.astype(np.float32)
    assert changed.sum() == 72
    np.testing.assert_array_equal(live.layer.data[place], plane.astype(np.float32))


def test_the_source_is_enlarged_by_repetition(make):
    image = RNG.random((2, 9, 8)).astype(np.float32)
    live = make(image, "TYX", factor=3)
    live.show([Picture((0,), np.zeros((27, 24), np.float32))])
    assert not live.layer.data[0].any()
    np.testing.assert_array_equal(live.layer.data[1], np.kron(image[1], np.ones((3, 3))))
    assert live.layer.data.shape == (2, 27, 24)


@pytest.mark.parametrize("dtype", ["uint8", ">u2"])
def test_colours_are_integers(make, dtype):
    image = RNG.integers(0, 255, (2, 9, 8, 3)).astype(dtype)
    live = make(image, "ZYXS", rgb=True)
    live.show([Picture((1,), np.full((9, 8, 3), 7, np.uint8))])
    assert live.layer.rgb
    assert live.layer.data.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(live.layer.data[0], image[0])
    assert (live.layer.data[1] == 7).all()


@pytest.mark.parametrize("rgb", [False, True])
def test_a_lazy_stack_is_not_computed(make, rgb):
    computed = []

    def read(block):
        computed.append(block.shape)
        return block

    shape = (3, 9, 8, 3) if rgb else (3, 9, 8)
    lazy = dask.array.zeros(shape, chunks=(1, *shape[1:]), dtype=np.uint8).map_blocks(read, dtype=np.uint8)
    live = make(lazy, "ZYXS" if rgb else "ZYX", rgb=rgb)
    computed.clear()  # dask tries the function on an empty block
    live.show([Picture((2,), np.full(shape[1:], 7, np.uint8 if rgb else np.float32))])
    assert not computed
    data = live.layer.data
    assert (data[2] == 7).all()
    assert not data[:2].any() if rgb else np.isnan(data[:2]).all()


def test_a_mapped_file_is_not_read(make, tmp_path):
    image = np.memmap(tmp_path / "stack", np.uint16, "w+", shape=(2, 9, 8))
    live = make(image, "ZYX")
    live.show([Picture((0,), np.ones((9, 8), np.float32))])
    assert np.isnan(live.layer.data[1]).all()


def test_data_that_somebody_else_has_put_there_are_not_written_to(make):
    live = make(RNG.random((2, 9, 8)), "ZYX")
    live.show([Picture((0,), np.ones((9, 8), np.float32))])
    other = np.zeros((2, 9, 8), np.float32)
    live.layer.data = other
    live.show([Picture((1,), np.ones((9, 8), np.float32))])
    assert not other.any()
    assert live.layer.data.all()


def test_the_result_goes_where_the_preview_was(make):
    live = make(RNG.random((2, 9, 8)), "ZYX")
    live.show([Picture((0,), np.ones((9, 8), np.float32))])
    preview, result = live.layer, np.full((2, 9, 8), 3, np.float32)
    layer, second = live.finish(Done(result, {"task": "denoise"}))
    assert layer is preview and second is None
    assert layer.data is result
    assert layer.metadata["napari-dip"] == {"task": "denoise"}
    assert len(live.viewer.layers) == 1


def test_it_says_which_plane_the_sliders_are_at(make):
    image = np.zeros((3, 5, 2, 9, 8), np.float32)
    live = make(image, "TZCYX")
    dims, told = live.viewer.dims, live.control
    live.show([Picture((0, 0, 0), np.ones((9, 8), np.float32))])
    for step in ((0, 0, 0), (2, 4, 1), (1, 3, 0)):
        for axis, at in enumerate(step):
            dims.set_current_step(axis, at)
        assert told.looked_at == step
    live.drop()
    dims.set_current_step(1, 0)
    assert told.looked_at == (1, 3, 0)


@pytest.mark.parametrize(
    ("axes", "point", "index"),
    [
        ("TZYX", (-60.0, 9.0, 0, 0), (1, 2)),
        ("ZTYX", (-60.0, 9.0, 0, 0), (1, 2)),
        ("TYZX", (-60.0, 0, 6.0, 0), (1, 1)),
        ("TZYX", (500.0, -9.0, 0, 0), (2, 0)),  # beside the image: the nearest there is
        ("TZYXS", (-60.0, 9.0, 0, 0), (1, 2)),
        ("TZ", (0, 0, 0, 0), ()),  # the run refuses such axes
    ],
)
def test_the_sliders_are_in_units_of_the_world(axes, point, index):
    rgb = axes[-1] == "S"
    image = np.zeros((3, 4, 4, 8) + (3,) * rgb, np.uint8)
    layer = Image(image, rgb=rgb, scale=(30, 3, 3, 0.2), translate=(-90, 3, 3, 0))
    viewer = ViewerModel()
    viewer.add_image(np.zeros((2, 3, 4, 4, 8)), scale=(1, 30, 3, 3, 0.2), translate=(0, -90, 3, 3, 0))
    viewer.dims.point = (0, *point)
    control = Control()
    LiveLayer(viewer, Job("denoise", "cell denoised", image, axes, {}), describe(layer), control)
    assert control.looked_at == index
