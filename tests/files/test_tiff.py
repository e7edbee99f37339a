import importlib.util
import re

import numpy as np
import pytest
import tifffile
from pictures import noise, rewritten, size_in_tags
from PIL import Image

from napari_dip.errors import InputError
from napari_dip.files.formats import Metadata, Picture, peek, read_image, write_image


@pytest.mark.parametrize("axes", ["YX", "ZYX", "TYX", "CYX", "TZCYX", "ZCYX"])
def test_imagej_tiff_keeps_axes_and_pixel_size(tmp_path, axes):
    image = noise(axes)
    extra = {"spacing": 0.5, "finterval": 2.5, "unit": "um", "axes": axes}
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(10, 5), metadata=extra)
    found = rewritten(tmp_path / "a.tif", tmp_path / "b.tif", factor=2)
    assert found.axes == axes and found.array.dtype == np.float32
    np.testing.assert_array_equal(found.array[..., ::2, ::2], image)
    x, y, _ = size_in_tags(tmp_path / "b.tif")
    assert (x, y) == pytest.approx((0.05, 0.1))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_imagej
        metadata = file.imagej_metadata
    assert (metadata["unit"], metadata["spacing"], metadata["finterval"]) == ("um", 0.5, 2.5)


def test_imagej_units_with_a_micro_sign_survive(tmp_path):
    image = noise("YX")
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(4, 4), metadata={"unit": "\\u00B5m"})
    rewritten(tmp_path / "a.tif", tmp_path / "b.tif")
    units = []
    for name in "ab":
        with tifffile.TiffFile(tmp_path / f"{name}.tif") as file:
            units.append(file.imagej_metadata["unit"])
    assert units[0] == units[1]


def test_imagej_units_and_texts_need_not_be_ascii(tmp_path):
    metadata = {"unit": "Xm", "axes": "ZYX", "Labels": ["α", "β", "γ"], "Info": "Größe 3 µm"}
    tifffile.imwrite(tmp_path / "a.tif", noise("ZYX"), imagej=True, resolution=(4, 4), metadata=metadata)
    data = (tmp_path / "a.tif").read_bytes()
    assert data.count(b"unit=Xm") == 1
    (tmp_path / "a.tif").write_bytes(data.replace(b"unit=Xm", b"unit=\xb5m"))  # as old versions of ImageJ wrote it
    assert read_image(tmp_path / "a.tif").metadata.unit == "µm"
    rewritten(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        found = file.imagej_metadata
    assert (found["unit"], found["Labels"], found["Info"]) == ("\\u00B5m", ["α", "β", "γ"], "Größe 3 µm")


def test_imagej_colours_and_labels_are_kept(tmp_path):
    tables = [np.arange(768, dtype="uint16").reshape(3, 256).astype("uint8") // k for k in (1, 2)]
    metadata = {"axes": "CYX", "mode": "composite", "LUTs": tables, "Labels": ["one", "two"]}
    tifffile.imwrite(tmp_path / "a.tif", noise("CYX", "uint8"), imagej=True, metadata=metadata)
    rewritten(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        found = file.imagej_metadata
    assert (found["mode"], found["Labels"]) == ("composite", ["one", "two"])
    np.testing.assert_array_equal(found["LUTs"], tables)


def test_imagej_rgb_becomes_plain_rgb_with_the_same_pixel_size(tmp_path):
    image = noise("YXS", "uint8")
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(4, 4), metadata={"unit": "micron"})
    assert read_image(tmp_path / "a.tif").axes == "YXS"
    found = rewritten(tmp_path / "a.tif", tmp_path / "b.tif")
    assert found.axes == "YXS"
    np.testing.assert_array_equal(found.array, image)
    x, y, unit = size_in_tags(tmp_path / "b.tif")
    assert unit == tifffile.RESUNIT.CENTIMETER and (x, y) == pytest.approx((0.25e-4, 0.25e-4))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.RGB


@pytest.mark.parametrize("axes", ["YX", "ZYX", "TCYX", "CZYX", "TZCYX", "YXS"])
def test_ome_tiff_keeps_axes_pixel_size_and_channel_names(tmp_path, axes):
    image = noise(axes, "uint8")
    extra = {"axes": axes, "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.4}
    extra |= {"PhysicalSizeZ": 1.5} if "Z" in axes else {}
    extra |= {"TimeIncrement": 3.0, "TimeIncrementUnit": "min"} if "T" in axes else {}
    extra |= {"Channel": {"Name": ["DAPI", "GFP"]}} if "C" in axes else {}
    tifffile.imwrite(tmp_path / "a.ome.tif", image, metadata=extra, photometric="rgb" if "S" in axes else "minisblack")
    found = rewritten(tmp_path / "a.ome.tif", tmp_path / "b.tif", factor=2)
    assert found.axes == axes and found.metadata.dialect == "ome"
    steps = {"X": 0.1, "Y": 0.2} | ({"Z": 1.5} if "Z" in axes else {}) | ({"T": 3.0} if "T" in axes else {})
    assert found.metadata.step == pytest.approx(steps)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        text = file.ome_metadata
    assert 'PhysicalSizeXUnit="nm"' in text and 'PhysicalSizeYUnit="µm"' in text
    assert ('TimeIncrementUnit="min"' in text) == ("T" in axes)
    assert ('Name="DAPI"' in text and 'Name="GFP"' in text) == ("C" in axes)
    shrunk = np.take(np.take(found.array, range(0, 20, 2), axes.index("Y")), range(0, 24, 2), axes.index("X"))
    np.testing.assert_array_equal(shrunk, image)


def test_a_name_that_says_ome_makes_an_ome_tiff(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        noise("ZYX"),
        imagej=True,
        resolution=(10, 5),
        metadata={"unit": "micron", "spacing": 2, "axes": "ZYX"},
    )
    found = rewritten(tmp_path / "a.tif", tmp_path / "b.ome.tif")
    assert found.metadata.dialect == "ome" and found.metadata.unit == "µm" and found.axes == "ZYX"
    assert found.metadata.step == pytest.approx({"X": 0.1, "Y": 0.2, "Z": 2})


@pytest.mark.parametrize("unit", [tifffile.RESUNIT.INCH, tifffile.RESUNIT.CENTIMETER, tifffile.RESUNIT.NONE])
@pytest.mark.parametrize("axes", ["YX", "YXS", "ZYX"])
def test_plain_tiff_keeps_its_resolution(tmp_path, unit, axes):
    image = noise(axes, "uint8")
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        resolution=(300, 150),
        resolutionunit=unit,
        metadata=None,
        photometric="rgb" if "S" in axes else "minisblack",
    )
    found = rewritten(tmp_path / "a.tif", tmp_path / "b.tif", factor=3)
    assert found.axes == axes
    assert size_in_tags(tmp_path / "b.tif") == pytest.approx((1 / 900, 1 / 450, int(unit)))


def test_a_tiff_without_a_pixel_size_gets_none(tmp_path):
    np.save(tmp_path / "a.npy", noise("YX"))
    assert rewritten(tmp_path / "a.npy", tmp_path / "b.tif", axes="YX").metadata.step == {"X": 1, "Y": 1}
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].tags["ResolutionUnit"].value == tifffile.RESUNIT.NONE


@pytest.mark.parametrize("axes", ["SYX", "YXS", "ZYXS", "XYS", "YSX", "ZSYX"])
@pytest.mark.parametrize("samples", [3, 4])
def test_colours_stay_colours_in_a_tiff(tmp_path, axes, samples):
    image = noise(axes, "float32", S=samples)
    write_image(tmp_path / "a.tif", image, axes, Picture(image))
    found = read_image(tmp_path / "a.tif")
    assert set(found.axes) == set(axes)
    np.testing.assert_array_equal(found.array.transpose([found.axes.index(a) for a in axes]), image)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.RGB


@pytest.mark.parametrize("axes", ["XYZ", "XY", "CZYX", "YXC", "TZCYX"])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_any_order_of_axes_can_be_written_to_tiff(tmp_path, axes, name):
    image = noise(axes, "float32")
    write_image(tmp_path / name, image, axes, Picture(image))
    found = read_image(tmp_path / name)
    assert sorted(found.axes) == sorted(axes)
    np.testing.assert_array_equal(found.array.transpose([found.axes.index(a) for a in axes]), image)


@pytest.mark.parametrize(
    ("shape", "options", "axes"),
    [
        ((5, 10, 12), {}, "ZYX"),
        ((2, 5, 10, 12), {}, "ZTYX"),
        ((10, 12, 3), {"photometric": "rgb"}, "YXS"),
        ((3, 10, 12), {"photometric": "rgb", "planarconfig": "separate"}, "SYX"),
        ((10, 12, 5), {"photometric": "minisblack", "planarconfig": "contig"}, "YXC"),
        ((1, 10, 12), {}, "YX"),
    ],
)
def test_axes_without_a_name_are_planes(tmp_path, shape, options, axes):
    image = np.arange(np.prod(shape), dtype="uint16").reshape(shape)
    tifffile.imwrite(tmp_path / "a.tif", image, **({"photometric": "minisblack"} | options))
    found = read_image(tmp_path / "a.tif")
    assert found.axes == axes
    np.testing.assert_array_equal(found.array, image.squeeze())


def test_a_compression_that_cannot_be_read_says_what_helps(tmp_path):
    if importlib.util.find_spec("imagecodecs"):
        pytest.skip("with imagecodecs it can be read")
    Image.fromarray(noise("YX", "uint8")).save(tmp_path / "a.tif", compression="tiff_lzw")
    with pytest.raises(InputError, match="install that, or save the file without compression"):
        read_image(tmp_path / "a.tif")


def test_an_ome_tiff_is_named_by_what_it_holds(tmp_path):
    def name(image, step):
        write_image(tmp_path / "a.ome.tif", image, "YX", Picture(image, Metadata(step=step)))
        with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
            return re.search('UUID="urn:uuid:(.{36})"', file.ome_metadata)[1]

    image, step = noise("YX", "float32"), {"Y": 1.0, "X": 1.0}
    first = name(image, step)
    assert name(image.copy(), dict(step)) == name(np.asfortranarray(image), step) == first
    assert len({first, name(image + 1, step), name(image, {"Y": 2.0, "X": 1.0})}) == 3


@pytest.mark.parametrize(
    ("axes", "how"),
    [
        ("YX", {"imagej": True}),
        ("TZCYX", {"imagej": True, "resolution": (10, 5), "metadata": {"axes": "TZCYX", "spacing": 2, "unit": "um"}}),
        ("CTYX", {"ome": True, "metadata": {"axes": "CTYX", "PhysicalSizeX": 0.2}}),
        ("ZYXS", {"metadata": {"axes": "ZYXS"}, "photometric": "rgb"}),
        ("TYX", {"metadata": {"axes": "TYX"}, "photometric": "miniswhite"}),
        ("QYX", {"metadata": {"axes": "QYX"}}),
    ],
)
def test_a_peek_tells_what_reading_does_of_all_but_the_values(tmp_path, axes, how):
    tifffile.imwrite(tmp_path / "a.tif", noise(axes.replace("Q", "T"), "uint8"), **how)
    picture = read_image(tmp_path / "a.tif")
    assert peek(tmp_path / "a.tif") == (picture.array.shape, picture.metadata)


def test_there_is_nothing_to_peek_at_in_other_files(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", noise("TYX", "uint8"), metadata=None, photometric="minisblack")
    (tmp_path / "bad.tif").write_bytes(b"II*\0" + bytes(20))
    np.save(tmp_path / "a.npy", noise("YX"))
    for name in ("plain.tif", "bad.tif", "a.npy", "none.tif", "a.jpg"):
        assert peek(tmp_path / name) is None
