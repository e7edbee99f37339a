import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_dip.image.bricks import CANDIDATES, Layout, key_of


@st.composite
def layouts(draw):
    axes = draw(st.sampled_from(["YX", "ZYX", "TYX", "CZYX", "TCZYX", "XY", "ZTYX", "CYX"]))
    shape = tuple(draw(st.integers(1, 40 if axis in "YX" else 5)) for axis in axes)
    return Layout(shape, axes, depth=draw(st.integers(1, 4)), side=draw(st.integers(3, 50)))


@given(layouts())
def test_bricks_cover_everything_once(layout):
    seen = np.zeros(layout.shape, int)
    for brick in layout.bricks:
        seen[key_of(brick, layout.axes)] += 1
        for axis in brick:
            start, end = brick[axis]
            most = layout.depth if axis == layout.along else layout.side if axis in "YX" else 1
            assert 0 < end - start <= most
    assert (seen == 1).all()


@given(layouts())
def test_slabs_are_whole_planes_and_cover_everything_once(layout):
    seen = np.zeros(layout.shape, int)
    for slab in layout.slabs:
        seen[key_of(slab, layout.axes)] += 1
        assert all(slab[axis] == (0, layout.sizes[axis]) for axis in "YX")
    assert (seen == 1).all()


@given(layouts(), st.integers(0, 3), st.integers(0, 9))
def test_what_lies_around_a_brick_holds_it_and_ends_with_the_image(layout, planes, pixels):
    for brick in layout.bricks:
        wide = layout.around(brick, planes, pixels)
        for axis, (start, end) in brick.items():
            more = pixels if axis in "YX" else planes if axis == layout.along else 0
            assert wide[axis] == (max(start - more, 0), min(end + more, layout.sizes[axis]))


@given(layouts())
def test_views_lie_in_the_image_and_have_all_channels(layout):
    places = layout.candidates()
    assert 0 < len(places) <= CANDIDATES
    for place in places:
        assert all(0 <= start < end <= layout.sizes[axis] for axis, (start, end) in place.items())
        assert place.get("C", (0, 1)) == (0, layout.sizes.get("C", 1))


def test_views_of_a_large_image_are_spread_over_all_of_its_axes():
    layout = Layout((100, 400, 20_000, 30_000), "TZYX")
    places = layout.candidates()
    assert len(places) == CANDIDATES
    for axis, size in layout.sizes.items():
        parts = np.histogram([place[axis][0] for place in places], 4, (0, size))[0]
        assert parts.min() >= CANDIDATES / 16, axis
