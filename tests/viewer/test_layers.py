"""Layer -> array, and result -> layer in the right place with the right look. No viewer is needed for most of it."""

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_dip.viewer.layers.layers import (
    describe,
    displayable,
    empty_mask,
    enlarge,
    read_data,
    read_mask,
    uncertainty_look,
    unique_name,
    without_colours,
)

PLACES = {
    "plain": {"scale": (0.5, 0.2), "translate": (3, -4)},
    "rotated": {"scale": (0.5, 0.2), "translate": (3, -4), "rotate": 30},
    "sheared": {"scale": (2, 3), "translate": (1, 1), "shear": [0.3], "rotate": -75},
    "mirrored": {"scale": (-1, 2), "translate": (7, 0)},
    "affine": {"scale": (0.5, 0.2), "rotate": 20, "affine": [[1, 0.4, 5], [-0.2, 0.8, 6], [0, 0, 1]]},
}


def world(layer, corners):
    """Positions of data coordinates in the world."""
    return np.array([layer.data_to_world(corner) for corner in corners])


def test_the_sharpest_level_is_read():
    levels = [np.zeros((32, 32)), np.zeros((16, 16))]
    assert read_data(Image(levels, multiscale=True)).shape == (32, 32)
    assert read_data(Labels(np.zeros((7, 8), int))).shape == (7, 8)


def test_a_mask_of_every_label_or_one():
    labels = np.array([[0, 1, 2], [2, 0, 5]])
    np.testing.assert_array_equal(read_mask(labels, 0), [[0, 1, 1], [1, 0, 1]])
    np.testing.assert_array_equal(read_mask(labels, 2), [[0, 0, 1], [1, 0, 0]])
    assert not read_mask(labels, 4).any()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_result_lies_where_its_source_does(place):
    source = Image(np.zeros((9, 8)), units=("um", "um"), axis_labels=("y", "x"), **place)
    result = Image(np.ones((9, 8)), **describe(source))
    corners = [(0, 0), (8, 0), (0, 7), (8, 7)]
    np.testing.assert_allclose(world(result, corners), world(source, corners))
    assert result.units == source.units
    assert result.axis_labels == source.axis_labels


@pytest.mark.parametrize("factor", [2, 3, 8])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_an_enlarged_result_covers_what_its_source_does(place, factor):
    source = Image(np.zeros((9, 8)), **place)
    look = enlarge(describe(source), "YX", factor)
    result = Image(np.ones((9 * factor, 8 * factor)), **look)
    # outer corners of the outer pixels
    old = [(-0.5, -0.5), (8.5, -0.5), (-0.5, 7.5), (8.5, 7.5)]
    new = [(-0.5, -0.5), (9 * factor - 0.5, -0.5), (-0.5, 8 * factor - 0.5), (9 * factor - 0.5, 8 * factor - 0.5)]
    np.testing.assert_allclose(world(result, new), world(source, old), atol=1e-9)


def test_enlarging_leaves_other_axes_alone():
    source = Image(np.zeros((5, 9, 8)), scale=(3, 0.5, 0.2), translate=(1, 2, 3))
    look = enlarge(describe(source), "ZYX", 4)
    np.testing.assert_allclose(look["scale"], (3, 0.125, 0.05))
    np.testing.assert_allclose(look["translate"], (1, 2 - 0.5 * 0.375, 3 - 0.2 * 0.375))
    color = Image(np.zeros((9, 8, 3)), rgb=True, scale=(0.5, 0.2))
    for axes in ("YXS", "YXC"):
        np.testing.assert_allclose(enlarge(describe(color), axes, 2)["scale"], (0.25, 0.1))
    samples = Image(np.zeros((3, 9, 8)), rgb=False, scale=(3, 0.5, 0.2))
    np.testing.assert_allclose(enlarge(describe(samples), "SYX", 2)["scale"], (3, 0.25, 0.1))


def test_the_look_is_taken_over():
    source = Image(
        np.random.default_rng(0).random((9, 8)),
        colormap="magma",
        contrast_limits=(0.2, 0.6),
        gamma=1.4,
        blending="additive",
        opacity=0.6,
        interpolation2d="linear",
        visible=False,
    )
    result = Image(np.ones((9, 8)), **describe(source))
    for name in ("gamma", "blending", "opacity", "interpolation2d", "contrast_limits"):
        assert getattr(result, name) == getattr(source, name)
    assert result.colormap.name == "magma"
    assert result.visible


def test_a_description_outlives_its_layer():
    source = Image(np.zeros((9, 8)), scale=(2, 2))
    look = describe(source)
    source.scale = (5, 5)
    assert tuple(look["scale"]) == (2, 2)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "int32"])
def test_integer_colours_stay_integers(dtype):
    info = np.iinfo(dtype)
    image = np.float32([[[-1e12, 0.4, 0.6], [100.5, 101.5, 1e12]]])
    shown = displayable(image, np.dtype(dtype), rgb=True)
    assert shown.dtype == np.dtype(dtype).newbyteorder("=")
    assert shown[0, 0, 0] == info.min
    assert shown[0, 1, 2] == info.max
    assert list(shown[0, 0, 1:]) == [0, 1]


@pytest.mark.filterwarnings("error")
def test_colours_that_were_not_restored_are_black():
    image = np.float32([[[np.nan, np.nan, np.nan], [1, 2, np.nan]]])
    assert displayable(image, np.dtype("uint8"), rgb=True).tolist() == [[[0, 0, 0], [1, 2, 0]]]
    assert displayable(image, np.dtype("int16"), rgb=True).tolist() == [[[0, 0, 0], [1, 2, 0]]]


def test_gray_and_float_colours_stay_as_they_are():
    image = np.float32([[0.25, 1.5]])
    assert displayable(image, np.dtype("uint8"), rgb=False) is image
    assert displayable(image, np.dtype("float64"), rgb=True) is image


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_uncertainty_lies_where_its_source_does_with_a_look_of_its_own(place):
    source = Image(np.zeros((9, 8)), units=("um", "um"), colormap="green", gamma=0.5, blending="additive", **place)
    spread = np.linspace(0, 4, 72, dtype=np.float32).reshape(9, 8)
    layer = Image(spread, **uncertainty_look(describe(source), spread))
    corners = [(0, 0), (8, 0), (0, 7), (8, 7)]
    np.testing.assert_allclose(world(layer, corners), world(source, corners))
    assert layer.units == source.units
    assert (layer.colormap.name, layer.gamma, layer.visible) == ("magma", 1, False)
    assert layer.contrast_limits[0] == 0 and 3.5 < layer.contrast_limits[1] <= 4


def test_the_few_pixels_that_were_filled_in_set_the_contrast():
    look = describe(Image(np.zeros((90, 80))))
    spread = np.zeros((90, 80), np.float32)
    assert uncertainty_look(look, spread)["contrast_limits"] == (0, 1)
    spread[3, 4:8] = 2
    assert uncertainty_look(look, spread)["contrast_limits"] == (0, 2)


def test_uncertainty_of_colours_is_their_mean():
    spread = np.float32([[[1, 2, 6, 0]]])
    assert without_colours(spread, rgb=True).tolist() == [[3]]
    assert without_colours(spread, rgb=False) is spread


def test_names_are_numbered():
    assert unique_name("a", []) == "a"
    assert unique_name("a", ["a", "a [1]", "b"]) == "a [2]"


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_new_mask_lies_on_its_image(place):
    source = Image(np.zeros((9, 8, 3)), rgb=True, name="cell", units=("um", "um"), **place)
    mask = empty_mask(source, ["cell", "cell mask"])
    assert mask.data.shape == (9, 8)
    assert not mask.data.any()
    assert mask.name == "cell mask [1]"
    assert mask.units == source.units
    corners = [(0, 0), (8, 0), (0, 7), (8, 7)]
    np.testing.assert_allclose(world(mask, corners), world(source, corners))
