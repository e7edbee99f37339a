"""What was never measured is outlined."""

import numpy as np
import pytest

from napari_dip.viewer.result.invented import invented


def test_only_the_depth_of_a_gap_is_invented():
    source = np.random.default_rng(0).normal(100, 9, (2, 40, 50)).astype(np.float32)
    result = source.copy()
    result[1, 5:25, 10:30] += 1
    result[0, 3, 3] += 1
    source[1, 6, 11] = np.nan
    mask, words = invented(source, result, "TYX", "inpaint")
    assert mask.shape == source.shape and not mask[0].any()
    expected = np.zeros((40, 50), np.uint8)
    expected[9:21, 14:26] = 1
    assert np.array_equal(mask[1], expected)
    assert words.startswith("36 % of the filled pixels lie more than 4 pixels")


@pytest.mark.parametrize("axes", ["YX", "XY", "YXS", "CYX", "ZXY"])
def test_detail_is_what_interpolation_does_not_give(axes):
    y, x = np.mgrid[:24, :32]
    source = (y + 2 * x).astype(np.float32)
    result = np.repeat(np.repeat(source, 2, 0), 2, 1)
    from skimage.transform import resize

    result = resize(source, (48, 64), order=3, mode="reflect", anti_aliasing=False).astype(np.float32)
    result[20:24, 30:37] += 20
    where = np.zeros((48, 64), bool)
    where[20:24, 30:37] = True

    def laid(plane):
        stacked = {"S": np.stack([plane] * 3, -1)}.get(axes[-1], plane)
        stacked = stacked.T if axes.endswith("XY") else stacked
        return stacked[None] if axes[0] in "CZ" else stacked

    mask, words = invented(laid(source), laid(result), axes, "super_resolve")
    where = where.T if axes.endswith("XY") else where
    assert np.array_equal(mask.astype(bool), where[None] if axes[0] in "CZ" else where)
    assert "1 % of the pixels" in words


@pytest.mark.parametrize("task", ["Inpaint", "Super-resolve"])
def test_it_is_outlined_where_it_lies(qtbot, viewer, open_dock, run_to_end, picture, task):
    image = viewer.add_image(picture, name="cells", scale=(0.5, 0.25), translate=(3, 4))
    mask = np.zeros(picture.shape, np.uint8)
    mask[8:20, 8:20] = 1
    viewer.add_labels(mask, name="mask", scale=(0.5, 0.25), translate=(3, 4))
    dock = open_dock(task)
    dock.form.image.value = image
    run_to_end(dock)
    result, panel = dock.results.result, dock.results
    assert not panel.prior_button.isVisibleTo(dock) and panel.invented_button.isEnabled()
    panel.invented_button.click()
    qtbot.waitUntil(lambda: f"{result.name} extrapolated" in viewer.layers, timeout=60_000)
    outline = viewer.layers[f"{result.name} extrapolated"]
    assert outline.data.shape == result.data.shape and outline.contour == 2
    np.testing.assert_allclose(outline.data_to_world([7, 9]), result.data_to_world([7, 9]))
    if task == "Inpaint":
        expected = np.zeros(picture.shape, np.uint8)
        expected[12:16, 12:16] = 1
        assert np.array_equal(outline.data, expected)
    assert " %" in panel.words.text()
    assert dock.form.image.value == image and panel.result == result


def test_denoising_invents_nothing(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Denoise")
    run_to_end(dock)
    assert not dock.results.invented_button.isVisibleTo(dock)
