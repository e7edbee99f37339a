import numpy as np
import pytest
import tifffile
from pictures import noise, rewritten, size_in_tags
from PIL import Image

from napari_dip.errors import InputError
from napari_dip.files.formats import Metadata, Picture, check_fits, read_image, write_image

PNG_MODES = {
    "gray": ("L", "uint8", "YX"),
    "rgb": ("RGB", "uint8", "YXS"),
    "rgba": ("RGBA", "uint8", "YXS"),
    "16 bits": ("I;16", "uint16", "YX"),
    "black and white": ("1", "uint8", "YX"),
    "gray with alpha": ("LA", "uint8", "YXS"),
}


@pytest.mark.parametrize("case", PNG_MODES)
def test_png_of_every_kind_can_be_read(tmp_path, case):
    mode, dtype, axes = PNG_MODES[case]
    gray = noise("YX", dtype) * (100 if dtype == "uint16" else 1)
    Image.fromarray(gray).convert(mode).save(tmp_path / "a.png") if mode != "I;16" else Image.fromarray(gray).save(
        tmp_path / "a.png"
    )
    found = read_image(tmp_path / "a.png")
    assert (found.axes, found.array.dtype) == (axes, dtype)
    first = found.array if axes == "YX" else found.array[..., 0]
    if mode == "1":
        assert set(np.unique(first)) <= {0, 255}
    else:
        np.testing.assert_array_equal(first, gray)


def test_png_results_are_rounded_and_clipped(tmp_path):
    image = np.array([[-3.0, 0.4, 0.6], [254.6, 300.0, 7.0]], np.float32)
    for dtype, top in (("uint8", 255), ("uint16", 300)):
        write_image(tmp_path / "a.png", image, "YX", Picture(np.zeros((2, 3), dtype)))
        found = read_image(tmp_path / "a.png").array
        assert found.dtype == dtype and found.tolist() == [[0, 0, 1], [255, top, 7]]


@pytest.mark.parametrize("axes", ["YXS", "SYX", "XYS", "YX", "XY"])
def test_png_is_written_with_rows_along_y(tmp_path, axes):
    image = noise(axes, "float32")
    write_image(tmp_path / "a.png", image, axes, Picture(image.astype("uint8")))
    found = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(found.array.transpose([found.axes.index(a) for a in axes]), image)


def test_png_keeps_its_dots_per_inch(tmp_path):
    Image.fromarray(noise("YX", "uint8")).save(tmp_path / "a.png", dpi=(300, 300))
    rewritten(tmp_path / "a.png", tmp_path / "b.png", factor=2)
    assert Image.open(tmp_path / "b.png").info["dpi"] == pytest.approx((600, 600), rel=1e-3)
    rewritten(tmp_path / "a.png", tmp_path / "b.tif", factor=2)
    assert size_in_tags(tmp_path / "b.tif") == pytest.approx((1 / 600, 1 / 600, int(tifffile.RESUNIT.INCH)), rel=1e-3)


def test_png_refuses_what_it_cannot_hold(tmp_path):
    for image, axes, words in [
        (noise("YX", "float32"), None, "whole numbers of 8 or 16 bits.*float32"),
        (noise("YX", "int32"), None, "int32"),
        (noise("YX", "uint8") > 0, None, "bool"),
        (noise("ZYX", "uint8"), None, "single plane.*ZYX"),
        (noise("CYX", "uint8"), "CYX", "single plane.*CYX"),
        (noise("YXS", "uint16"), None, "16 bits for each"),
    ]:
        with pytest.raises(InputError, match=words):
            check_fits(tmp_path / "out.png", Picture(image), axes)
        check_fits(tmp_path / "out.tif", Picture(image), axes)
    for image, axes in [(noise("YX", "uint16"), None), (noise("YXS", "uint8"), None), (noise("SYX", "uint8"), "SYX")]:
        check_fits(tmp_path / "out.png", Picture(image), axes)


def test_an_unknown_pixel_size_is_not_written_to_a_png(tmp_path):
    image = noise("YX", "uint8")
    source = Picture(image, Metadata("YX", {"T": 0.5}, "inch"))
    write_image(tmp_path / "a.png", image.astype("float32"), "YX", source)
    assert "dpi" not in Image.open(tmp_path / "a.png").info
