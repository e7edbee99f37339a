"""Masks fill in what they lie over in the world, whatever the indices of their pixels are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image, Labels, Shapes

from napari_dip.viewer.layers.placing import between, drawn, drawn_part, lies_alike, lies_on, resampled


@pytest.fixture
def filled(viewer, open_dock, run_to_end, picture):
    """Give the pixels of the result that are not those of the image."""

    def fill(add, **place):
        viewer.layers.clear()
        viewer.add_image(picture.astype(np.float32), name="cell", **place)
        mask = add(viewer)
        dock = open_dock("Inpaint", iterations=2)
        dock.form.mask.value = mask
        run_to_end(dock)
        return viewer.layers["cell inpainted"].data != picture

    return fill


def square(*where, shape=(32, 40)):
    found = np.zeros(shape, int)
    found[where] = 1
    return found


def test_a_mask_that_is_moved_fills_in_what_it_lies_over(filled):
    labels = square(slice(4, 8), slice(6, 10))
    changed = filled(lambda v: v.add_labels(labels, scale=(0.5, 0.5), translate=(2, 5)), scale=(0.5, 0.5))
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 11, 16, 19)


def test_a_coarse_and_a_small_mask(filled):
    labels = square(slice(2, 4), slice(3, 5), shape=(9, 11))  # twice the pixel, and less than the image
    changed = filled(lambda v: v.add_labels(labels, scale=(2, 2), translate=(0.5, 0.5)))
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 7, 6, 9)


def test_a_mask_that_is_turned(filled):
    labels = square(slice(2, 6), slice(20, 30), shape=(40, 32))
    changed = filled(lambda v: v.add_labels(labels, rotate=90, translate=(31, 0)))
    rows, columns = np.nonzero(changed)
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (10, 4)


def test_what_is_drawn_is_a_mask(filled):
    box = np.array([[2, 3], [2, 6], [5, 6], [5, 3]])
    changed = filled(lambda v: v.add_shapes([box], translate=(1, 1), scale=(2, 2)), translate=(1, 1))
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 4 and rows.max() <= 11 and columns.min() >= 6 and columns.max() <= 13
    assert changed.sum() >= 25


def test_a_mask_of_one_plane_lies_on_all(viewer, open_dock, run_to_end, picture):
    viewer.add_image(np.stack([picture, picture]).astype(np.float32), name="cell")
    viewer.add_labels(square(slice(4, 8), slice(6, 10)))
    run_to_end(open_dock("Inpaint", iterations=2))
    changed = viewer.layers["cell inpainted"].data != picture
    assert changed.any((1, 2)).all()
    assert not changed[:, square(slice(4, 8), slice(6, 10)) == 0].any()


@given(
    st.tuples(*[st.floats(0.2, 4)] * 2),
    st.tuples(*[st.floats(-9, 9)] * 2),
    st.sampled_from([0, 17, 90]),
    st.tuples(*[st.integers(1, 9)] * 2),
)
def test_each_pixel_takes_the_one_that_lies_nearest(scale, translate, rotate, shape):
    image = Image(np.zeros((6, 7)), scale=(0.7, 0.7), translate=(1, 2))
    mask = Labels(np.random.default_rng(0).integers(0, 2, shape), scale=scale, translate=translate, rotate=rotate)
    found = resampled(mask.data > 0, between(image, mask), (6, 7))
    for index in np.ndindex(6, 7):
        at = np.asarray(mask.world_to_data(image.data_to_world(index)))
        if (abs(at % 1 - 0.5) < 1e-3).any():
            continue  # as near to one as to the other
        near = tuple(np.rint(at).astype(int))
        inside = all(0 <= n < m for n, m in zip(near, shape, strict=True))
        assert found[index] == (inside and mask.data[near] > 0)


def test_layers_that_lie_alike_need_no_resampling():
    image = Image(np.zeros((6, 7)), scale=(0.7, 0.3), rotate=20)
    assert lies_alike(between(image, Labels(np.zeros((6, 7), int), scale=(0.7, 0.3), rotate=20)), (6, 7))
    assert not lies_alike(between(image, Labels(np.zeros((6, 7), int), scale=(0.7, 0.3))), (6, 7))


def test_a_coarse_grid_tells_about_which_part_is_drawn_on():
    image = Image(np.zeros((900, 700), np.uint8), scale=(0.5, 0.5), translate=(10, 20))
    corners = [[100, 100], [100, 500], [600, 300]], [[700, 50], [700, 150], [850, 150], [850, 50]]
    shapes = Shapes([[image.data_to_world(one) for one in some] for some in corners], shape_type="polygon")
    labels = drawn(shapes, image, (900, 700))
    for label in (0, 1, 2):
        exact = ((labels == label) if label else labels > 0).mean()
        assert drawn_part(shapes, image, (900, 700), label) == pytest.approx(exact, rel=0.05)
    assert lies_on(shapes, image, (900, 700))
    shapes.translate = (5000, 0)
    assert not lies_on(shapes, image, (900, 700))
