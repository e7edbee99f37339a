import importlib.util
import io
import logging
import re

import numpy as np
import pytest
import tifffile
from pictures import noise, rewritten, size_in_tags
from PIL import Image

from napari_dip.errors import InputError
from napari_dip.files import tiff_writing
from napari_dip.files.formats import Metadata, Picture, peek, read_image, write_image
from napari_dip.files.metadata import NAMES


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
    (tmp_path / "bad.tif").write_bytes(b"II*\0" + bytes(20))
    np.save(tmp_path / "a.npy", noise("YX"))
    for name in ("bad.tif", "a.npy", "none.tif", "a.jpg"):
        assert peek(tmp_path / name) is None


def test_a_peek_at_a_plain_file_tells_the_pixel_size_of_its_pages(tmp_path):
    how = {"metadata": None, "photometric": "minisblack", "resolution": (4e4, 2e4), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "plain.tif", noise("TYX", "uint8"), **how)
    shape, metadata = peek(tmp_path / "plain.tif")
    assert shape == noise("YX").shape and metadata.axes is None
    assert metadata.step == {"X": 1 / 4e4, "Y": 1 / 2e4} and metadata.unit == "cm"


def test_the_largest_image_of_a_file_is_read_and_the_others_are_told_of(tmp_path):
    image = noise("YX")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(image[::2, ::2])
        file.write(np.stack([image, image + 1]))
    found = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.array, np.stack([image, image + 1]))
    assert len(found.notes) == 1 and "holds 2 images; only number 2" in found.notes[0]
    tifffile.imwrite(tmp_path / "b.tif", image)
    assert read_image(tmp_path / "b.tif").notes == ()


def ome_of(steps, shapes):
    """Give the bytes of an OME-TIFF file of several images with their own pixel sizes."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, ome=True) as writer:
        for step, shape in zip(steps, shapes, strict=True):
            writer.write(
                np.zeros(shape, np.uint16),
                metadata={"axes": "YX", "PhysicalSizeX": step, "PhysicalSizeY": step, "PhysicalSizeXUnit": "µm"},
            )
    return file.getvalue()


def test_pixel_size_is_that_of_the_image_that_is_read(tmp_path):
    path = tmp_path / "a.ome.tif"
    path.write_bytes(ome_of([3.0, 0.25], [(8, 8), (32, 32)]))
    found = read_image(path)
    assert found.array.shape == (32, 32) and found.metadata.step == {"X": 0.25, "Y": 0.25}
    assert found.notes and peek(path)[1].step == found.metadata.step


@pytest.mark.parametrize("said", ["1,5", "nan", "two"])
def test_a_number_that_is_none_does_not_refuse_the_image(tmp_path, said):
    path = tmp_path / "a.ome.tif"
    path.write_bytes(ome_of([0.5], [(16, 16)]).replace(b'PhysicalSizeX="0.5"', f'PhysicalSizeX="{said}"'.encode(), 1))
    found = read_image(path)
    assert found.array.shape == (16, 16) and "X" not in found.metadata.step
    write_image(tmp_path / "b.ome.tif", np.zeros((16, 16), np.float32), "YX", found)
    assert tifffile.imread(tmp_path / "b.ome.tif").shape == (16, 16)


@pytest.mark.parametrize(
    "odd",
    [{"Labels": 7}, {"LUTs": 3}, {"finterval": "1,5"}, {"finterval": float("nan")}, {"spacing": 0}, {"Info": 5}],
    ids=repr,
)
def test_odd_metadata_of_imagej_lose_no_result(tmp_path, odd):
    image, path = np.zeros((3, 16, 16), np.uint16), tmp_path / "a.tif"
    lines = ["ImageJ=1.54f", "images=3", "slices=3", *(f"{key}={value}" for key, value in odd.items()), ""]
    tifffile.imwrite(path, image, description="\n".join(lines), metadata=None, photometric="minisblack")
    found = read_image(path)
    assert found.axes == "ZYX"
    write_image(tmp_path / "b.tif", image.astype(np.float32), "ZYX", found)
    assert tifffile.imread(tmp_path / "b.tif").shape == image.shape


@pytest.mark.parametrize("resolution", [(1e9, 1e9), (1e-9, 1e-9)])
def test_absurd_resolutions_lose_no_result(tmp_path, resolution):
    image = np.zeros((16, 16), np.float32)
    tifffile.imwrite(tmp_path / "a.tif", image, resolution=resolution)
    write_image(tmp_path / "b.tif", image, "YX", read_image(tmp_path / "a.tif"))
    assert tifffile.imread(tmp_path / "b.tif").shape == image.shape


@pytest.mark.parametrize(
    ("line", "dtype"), [((-32768.0, 1.0), "int16"), ((-100.0, 0.5), "float32"), ((0, 1), None), ((0, 0), None)]
)
def test_values_are_those_that_imagej_shows_by_its_calibration(tmp_path, line, dtype):
    stored = noise("YX") * 300
    about = {"cf": 0, "c0": line[0], "c1": line[1], "vunit": "Gray Value", "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", stored, imagej=True, metadata=about)
    found = read_image(tmp_path / "a.tif")
    expected = stored if dtype is None else stored * line[1] + line[0]
    np.testing.assert_array_equal(found.array, expected)
    assert found.array.dtype == (dtype or "uint16") and ("calibration" in " ".join(found.notes)) == (dtype is not None)
    again = rewritten(tmp_path / "a.tif", tmp_path / "b.tif")
    np.testing.assert_array_equal(again.array, expected)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_imagej and "c0" not in file.imagej_metadata and again.notes == ()


def test_a_small_file_that_claims_much_is_refused_unless_that_is_allowed(tmp_path, monkeypatch):
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((4000, 4000), np.uint8), compression="zlib")
    monkeypatch.setenv("NAPARI_DIP_MOST_GIGABYTES", "0.01")
    with pytest.raises(InputError, match=r"4000 x 4000, 0\.016 GB") as error:
        read_image(path)
    assert "NAPARI_DIP_MOST_GIGABYTES" in str(error.value)
    monkeypatch.setenv("NAPARI_DIP_MOST_GIGABYTES", "0.02")
    assert read_image(path).array.shape == (4000, 4000)
    monkeypatch.setenv("NAPARI_DIP_MOST_GIGABYTES", "much")
    with pytest.raises(InputError, match="'much'; give a number"):
        read_image(path)


def test_dimensions_beyond_all_memory_are_a_claim_of_the_file(tmp_path):
    path = tmp_path / "absurd.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[name].overwrite(2**31 - 1, dtype="I")
    with pytest.raises(InputError, match="claims an image of 2147483647 x 2147483647"):
        read_image(path)


def test_any_of_several_images_is_read_with_its_own_pixel_size(tmp_path):
    path = tmp_path / "a.ome.tif"
    path.write_bytes(ome_of([3.0, 0.25, 0.5], [(8, 8), (32, 32), (16, 16)]))
    for number, (step, size) in enumerate([(3.0, 8), (0.25, 32), (0.5, 16)], 1):
        found = read_image(path, number)
        assert found.array.shape == (size, size) and found.metadata.step == {"X": step, "Y": step}
        assert found.notes == ()
    with pytest.raises(InputError, match="no image number 4; it holds 3"):
        read_image(path, 4)
    np.save(tmp_path / "a.npy", noise("YX"))
    with pytest.raises(InputError, match="single image"):
        read_image(tmp_path / "a.npy", 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_lies_as_one_that_pillow_turns(tmp_path, orientation):
    image = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40)
    given = {"resolution": (10, 20), "resolutionunit": 3, "extratags": [(274, "H", 1, orientation, True)]}
    tifffile.imwrite(tmp_path / "a.tif", image, metadata=None, **given)
    found = read_image(tmp_path / "a.tif")
    exif = Image.Exif()
    exif[0x0112] = orientation  # the same number as in a TIFF file (TIFF 6.0, section 8)
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(found.array, read_image(tmp_path / "a.png").array)
    x, y = (0.1, 0.05) if orientation < 5 else (0.05, 0.1)
    assert found.metadata.step == pytest.approx({"X": x, "Y": y})
    write_image(tmp_path / "b.tif", found.array.astype(np.float32), "YX", found)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").array, found.array)


def test_four_markers_are_channels_and_alpha_is_not(tmp_path):
    image = np.random.default_rng(0).integers(100, 400, (24, 40, 4)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    assert read_image(tmp_path / "a.tif").axes == "YXC"
    image[..., 3] = 65535
    tifffile.imwrite(tmp_path / "b.tif", image, photometric="rgb")
    assert read_image(tmp_path / "b.tif").axes == "YXS"


@pytest.mark.parametrize("kept", [{"LUTs": 3}, {"Labels": 7}], ids=repr)
def test_values_are_written_even_if_their_metadata_cannot_be(tmp_path, kept):
    image = noise("ZYX", "float32")
    source = Picture(image, Metadata("ZYX", {"X": 0.5, "Y": 0.5}, "um", "imagej", kept))
    assert not write_image(tmp_path / "a.tif", image, "ZYX", source)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    assert write_image(tmp_path / "b.tif", image, "ZYX", Picture(image, Metadata("ZYX")))


def test_what_is_too_large_for_imagej_is_written_as_ome(tmp_path, monkeypatch):
    said = {"axes": "ZYX", "spacing": 0.5, "unit": "um"}
    image = noise("ZYX", "uint16")
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(10, 10), metadata=said)
    source = read_image(tmp_path / "a.tif")
    monkeypatch.setattr(tiff_writing, "MOST_IMAGEJ", 100)
    write_image(tmp_path / "b.tif", image.astype(np.float32), "ZYX", source)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_ome and not file.is_imagej and len(file.pages) == len(image)
    found = read_image(tmp_path / "b.tif")
    assert found.axes == "ZYX" and found.metadata.step == {"X": 0.1, "Y": 0.1, "Z": 0.5}
    assert NAMES.get(found.metadata.unit, found.metadata.unit) == "µm"
    np.testing.assert_array_equal(found.array, image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_inks_are_turned_into_colours(tmp_path, dtype):
    most = np.iinfo(dtype).max
    inks = (noise("YX", "uint16")[..., None] % 200 / 200 * most * np.array([1, 0.5, 0.2, 0.1])).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated", planarconfig="contig")
    found = read_image(tmp_path / "a.tif")
    assert found.axes == "YXS" and found.array.shape[-1] == 3 and "CMYK" in found.notes[0]
    if dtype == "uint8":
        expected = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"), int)
        assert abs(found.array.astype(int) - expected).max() <= 1


def test_what_cannot_be_right_is_left_out_and_told(tmp_path):
    image = noise("ZYX", "uint16")
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, metadata={"axes": "ZYX", "spacing": "nan", "unit": "um"})
    assert read_image(tmp_path / "a.tif").notes == ("What the file says of spacing cannot be right, and is left out.",)
    said = {"axes": "ZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 1e9}
    tifffile.imwrite(tmp_path / "b.ome.tif", image, ome=True, metadata=said)
    found = read_image(tmp_path / "b.ome.tif")
    assert "PhysicalSizeY" in found.notes[0] and found.metadata.step == {"X": 0.1}
    tifffile.imwrite(tmp_path / "c.tif", image, imagej=True, metadata={"axes": "ZYX", "spacing": 0.5, "unit": "um"})
    assert read_image(tmp_path / "c.tif").notes == ()


@pytest.mark.parametrize("claimed", [7, 100_000])
def test_planes_that_are_not_there_are_told_or_refused(tmp_path, claimed):
    image = noise("TYX", "uint16")
    tifffile.imwrite(tmp_path / "a.ome.tif", image, ome=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        said = file.ome_metadata.replace(f'SizeT="{len(image)}"', f'SizeT="{claimed}"')
    tifffile.imwrite(tmp_path / "b.ome.tif", image, description=said.encode(), metadata=None)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # as the command line does
    try:
        found = read_image(tmp_path / "b.ome.tif")
    except InputError as refusal:
        assert claimed > 7 and str(refusal).count("\n") == 0
    else:
        assert found.array.shape == (claimed, *image.shape[1:])
        assert any("missing" in note and "could be read" in note for note in found.notes)
    finally:
        logging.getLogger("tifffile").setLevel(logging.NOTSET)
