import importlib.util
import os
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_dip.errors import InputError
from napari_dip.files import formats as files
from napari_dip.files.formats import Picture, check_fits, check_output, read_image, read_mask, replacing, write_image

SIZES = {"T": 2, "Z": 3, "C": 2, "Y": 10, "X": 12, "S": 3}


def noise(axes, dtype="uint16", **sizes):
    shape = tuple((SIZES | sizes)[a] for a in axes)
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def rewritten(source, target, factor=1, axes=None):
    """Read a file and write it again as float32, enlarged by repetition, as a restoration would."""
    picture = read_image(source)
    axes = axes or picture.axes
    image = picture.array.astype(np.float32)
    for letter in "YX":
        image = image.repeat(factor, axes.index(letter))
    write_image(target, image, axes, picture, factor)
    return read_image(target)


def size_in_tags(path):
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        x, y = (tags[f"{a}Resolution"].value for a in "XY")
        return x[1] / x[0], y[1] / y[0], int(tags["ResolutionUnit"].value)


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


def test_a_palette_is_turned_into_colours(tmp_path):
    index = noise("YX", "uint8") % 4
    table = np.zeros((3, 256), np.uint16)
    table[:, :4] = [[0, 65535, 0, 9], [0, 0, 65535, 8], [1, 2, 3, 7]]
    tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=table)
    found = read_image(tmp_path / "a.tif")
    assert found.axes == "YXS"
    np.testing.assert_array_equal(found.array, np.moveaxis(table[:, index], 0, -1))
    image = Image.fromarray(index).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3])
    image.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    assert found.axes == "YXS"
    np.testing.assert_array_equal(found.array, np.array(image.convert("RGB")))


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


@pytest.mark.parametrize("dtype", ["bool", "uint8", ">u2", "int64", "float16", "float64"])
def test_npy_is_read_as_it_is_and_written_as_float32(tmp_path, dtype):
    image = noise("ZYX").astype(dtype)
    np.save(tmp_path / "a.npy", image)
    found = read_image(tmp_path / "a.npy")
    assert found.axes is None and found.array.dtype == image.dtype
    again = rewritten(tmp_path / "a.npy", tmp_path / "b.npy", axes="ZYX").array
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, image.astype(np.float32))


@pytest.mark.parametrize("suffix", [".TIF", ".tiff", ".Png", ".NPY"])
def test_suffixes_may_be_capital(tmp_path, suffix):
    image = noise("YX", "uint8")
    write_image(tmp_path / f"a{suffix}", image.astype(np.float32), "YX", Picture(image))
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").array, image)


def png_of_16_bit_colours():
    def chunk(kind, data):
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = (9).to_bytes(4, "big") * 2 + bytes([16, 2, 0, 0, 0])
    rows = zlib.compress((b"\0" + bytes(9 * 6)) * 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_unreadable_files_get_one_clear_sentence(tmp_path):
    good = {}
    for suffix in (".tif", ".png", ".npy"):
        write_image(tmp_path / f"good{suffix}", noise("YX", "float32"), "YX", Picture(noise("YX", "uint8")))
        good[suffix] = (tmp_path / f"good{suffix}").read_bytes()
    bad = {f"cut{suffix}": data[: len(data) // 2] for suffix, data in good.items()}
    bad |= {f"stub{suffix}": data[:7] for suffix, data in good.items()}
    bad |= {f"empty{suffix}": b"" for suffix in good}
    bad |= {f"text{suffix}": b"this is no image at all\n" * 9 for suffix in good}
    bad |= {"wrong.tif": good[".png"], "wrong.png": good[".npy"], "wrong.npy": good[".tif"]}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match="cannot be read as") as refusal:
            read_image(tmp_path / name)
        sentence = str(refusal.value)
        assert name in sentence and sentence.endswith(".") and "\n" not in sentence, sentence


def test_other_things_that_cannot_be_read(tmp_path):
    np.save(tmp_path / "object.npy", np.array([[None, {}]]), allow_pickle=True)
    np.savez(tmp_path / "many.npz", a=np.zeros(3))
    (tmp_path / "many.npz").rename(tmp_path / "many.npy")
    (tmp_path / "colours.png").write_bytes(png_of_16_bit_colours())
    (tmp_path / "folder.tif").mkdir()
    for name, words in {
        "object.npy": "cannot be read as NPY",
        "many.npy": "cannot be read as NPY",
        "colours.png": "16 bits for each",
        "folder.tif": "is a folder",
        "missing.tif": "There is no file",
        "image.jpg": r"TIFF, PNG or NPY.*\.tif, \.tiff, \.png, \.npy",
        "image": "TIFF, PNG or NPY",
    }.items():
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / name)


def test_a_compression_that_cannot_be_read_says_what_helps(tmp_path):
    if importlib.util.find_spec("imagecodecs"):
        pytest.skip("with imagecodecs it can be read")
    Image.fromarray(noise("YX", "uint8")).save(tmp_path / "a.tif", compression="tiff_lzw")
    with pytest.raises(InputError, match="install that, or save the file without compression"):
        read_image(tmp_path / "a.tif")


def test_an_npy_without_pixels_can_be_read(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((0, 4)))
    assert read_image(tmp_path / "a.npy").array.shape == (0, 4)


def test_masks_of_every_format(tmp_path):
    hole = np.zeros((10, 12), bool)
    hole[2:4, 3:5] = True
    colours = np.zeros((10, 12, 4), np.uint8)
    colours[..., 3] = 255  # opaque everywhere: alpha says nothing
    colours[hole, 2] = 200
    np.save(tmp_path / "a.npy", hole)
    np.save(tmp_path / "b.npy", np.where(hole, -0.5, 0))
    tifffile.imwrite(tmp_path / "c.tif", hole.astype("uint16") * 300, imagej=True)
    tifffile.imwrite(tmp_path / "d.tif", colours, photometric="rgb", extrasamples=["unassalpha"])
    Image.fromarray(hole).save(tmp_path / "e.png")
    Image.fromarray(hole.astype("uint8")).save(tmp_path / "f.png")
    Image.fromarray(colours).save(tmp_path / "g.png")
    Image.fromarray(colours[..., :3]).save(tmp_path / "h.png")
    Image.fromarray(colours).convert("RGB").convert("P").save(tmp_path / "i.png")
    Image.fromarray(hole.astype("uint8") * 7).convert("LA").save(tmp_path / "j.png")
    for name in ("a.npy", "b.npy", "c.tif", "d.tif", "e.png", "f.png", "g.png", "h.png", "i.png", "j.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), hole, err_msg=name)
    np.save(tmp_path / "k.npy", hole.astype(complex))
    with pytest.raises(InputError, match="complex128"):
        read_mask(tmp_path / "k.npy")


def test_outputs_are_checked(tmp_path):
    source = tmp_path / "in.tif"
    source.write_bytes(b"x")
    (tmp_path / "old.tif").write_bytes(b"y")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "link.tif").symlink_to(source)
    os.link(source, tmp_path / "hard.tif")
    for name, force, words in [
        ("old.tif", False, "exists; give --force"),
        ("in.tif", True, "would be written over"),
        ("folder.tif/../in.tif", True, "would be written over"),
        ("link.tif", True, "would be written over"),
        ("hard.tif", True, "would be written over"),
        ("folder.tif", True, "is a folder"),
        ("nowhere/out.tif", False, "no folder"),
        ("old.tif/out.tif", False, "no folder"),
    ]:
        with pytest.raises(InputError, match=words) as refusal:
            check_output(tmp_path / name, [source], force=force)
        assert str(refusal.value).endswith(".")
    check_output(tmp_path / "new.tif", [source], force=False)
    check_output(tmp_path / "old.tif", [source], force=True)
    with pytest.raises(InputError, match="would be written over"):
        check_output(tmp_path / "new.tif", [tmp_path / "folder.tif" / ".." / "new.tif"], force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.tif", "hard.tif", "in.tif", "link.tif", "old.tif"]


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # nothing is locked for root but what the kernel itself provides
        folder = files.Path("/proc")
        if not folder.is_dir():
            pytest.skip("no folder here that root cannot write to")
    with pytest.raises(InputError, match="cannot be written to"):
        check_output(folder / "out.tif", [], force=False)


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


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.npy"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["out.npy"]
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and [p.name for p in tmp_path.iterdir()] == ["out.npy"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_to_the_new_file(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "out.npy").write_bytes(b"old")
    (tmp_path / "out.npy").symlink_to(tmp_path / "there" / "out.npy")
    with replacing(tmp_path / "out.npy") as file:
        file.write(b"new")
    assert (tmp_path / "out.npy").is_symlink() and (tmp_path / "there" / "out.npy").read_bytes() == b"new"


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "out.npy") as file:
        file.write(b"new")
    assert (tmp_path / "out.npy").stat().st_mode == (tmp_path / "usual").stat().st_mode
