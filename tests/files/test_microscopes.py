"""Files of microscopes, made by libraries, or, for LIF, which none writes, as its makers describe it."""

import os
import struct
from importlib.util import find_spec
from pathlib import Path

import mrc
import mrcfile
import numpy as np
import pytest

import napari_dip as dip
from napari_dip.errors import InputError
from napari_dip.files import microscopes
from napari_dip.files.formats import READ, count_images, format_of, peek, read_image
from napari_dip.jobs.file import restore_file

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
TABLE = PAGE.read_text(encoding="utf-8").split("\n\n| read |")[1].split("\n\n")[0].splitlines()
COLUMNS = [cell.strip() for cell in TABLE[0].strip("|").split("|")]
CELLS = [
    (column, row.split("|")[1].strip(), cell.strip())
    for row in TABLE[2:]
    for column, cell in zip(COLUMNS, row.strip("|").split("|")[1:], strict=True)
]
FIELD = Path(os.environ.get("NAPARI_DIP_MICROSCOPE_FILES", "none"))
"""Folder with cluster.nd2 and sample.czi, which are too large, and not ours, to lie here."""


def numbers(*shape, dtype="uint16"):
    return np.random.default_rng(0).integers(100, 900, shape).astype(dtype)


def text(words):
    return b"\x2a" + struct.pack("<i", len(words)) + words.encode("utf-16-le")


def block(*parts):
    body = b"".join(parts)
    return struct.pack("<ii", 0x70, len(body)) + body


def lif(path, **images):
    """Write images (C, T, Z, Y, X) of 16 bits: a header in XML, and a block of memory for each."""
    elements, memory = "", b""
    for name, image in images.items():
        spans = zip(image.shape[::-1][:4], (0.1e-6, 0.1e-6, 0.5e-6, 2.5), ("1", "2", "3", "4"), strict=True)  # X Y Z T
        strides = image.strides[::-1][:4]
        dimensions = "".join(
            f'<DimensionDescription DimID="{number}" NumberOfElements="{count}" Origin="0" '
            f'Length="{size * (count - 1)}" Unit="{"s" if number == "4" else "m"}" BitInc="0" BytesInc="{stride}"/>'
            for (count, size, number), stride in zip(spans, strides, strict=True)
            if count > 1
        )
        channels = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
            f'Max="65535" Unit="" LUTName="{colour}" IsLUTInverted="0" BytesInc="{n * image.strides[0]}" BitInc="0"/>'
            for n, colour in zip(range(image.shape[0]), ("Green", "Red"), strict=False)
        )
        elements += (
            f'<Element Name="{name}" Visibility="1" CopyOption="1" UniqueID="{name}"><Data><Image><ImageDescription>'
            f"<Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{image.nbytes}" MemoryBlockID="{name}"/><Children/></Element>'
        )
        memory += block(b"\x2a" + struct.pack("<q", image.nbytes), text(name)) + image.tobytes()
    header = (
        '<LMSDataContainerHeader Version="2"><Element Name="all" Visibility="1"><Data><Experiment/></Data>'
        f'<Memory Size="0" MemoryBlockID="none"/><Children>{elements}</Children></Element></LMSDataContainerHeader>'
    )
    path.write_bytes(block(text(header)) + memory + block(b"\x2a" + struct.pack("<q", 0), text("none")))


def a_lif(folder):
    small, large = numbers(1, 1, 1, 8, 9), numbers(2, 3, 4, 20, 30)
    lif(folder / "a.lif", overview=small, cells=large)
    return folder / "a.lif", large, "CTZYX"


def a_dv(folder):
    image = numbers(2, 4, 20, 30)
    mrc.imsave(str(folder / "a.dv"), image, resolution=(0.1, 0.1, 0.5))  # of X, Y, Z
    return folder / "a.dv", image, "CZYX"


def an_mrc(folder):
    volume = numbers(4, 20, 30, dtype="float32")
    with mrcfile.new(folder / "a.mrc") as file:
        file.set_data(volume)
        file.set_volume()
        file.voxel_size = 1, 2, 5
    return folder / "a.mrc", volume, "ZYX"


def from_the_field(name):
    def made(folder):
        if not (FIELD / name).exists():
            pytest.skip("NAPARI_DIP_MICROSCOPE_FILES does not name a folder with it")
        return FIELD / name, None, None

    return made


MADE = {
    "CZI": from_the_field("sample.czi"),
    "ND2": from_the_field("cluster.nd2"),
    "LIF": a_lif,
    "DeltaVision": a_dv,
    "MRC": an_mrc,
}
FOUND = {
    "axes": lambda picture, path: picture.axes,
    "one of several images": lambda picture, path: format_of(path, READ).read_series is not None,
    "pixel size along x and y": lambda picture, path: {"Y", "X"} <= set(picture.metadata.step),
    "step along z": lambda picture, path: picture.metadata.step.get("Z") or picture.array.ndim == 2,
    "step along time": lambda picture, path: picture.metadata.step.get("T"),
    "channel names": lambda picture, path: picture.metadata.kept.get("Channel") or picture.array.ndim == 2,
}


@pytest.mark.parametrize(("column", "row", "said"), CELLS, ids=lambda text: text)
def test_what_is_read_is_what_the_page_says(tmp_path, column, row, said):
    path, _, _ = MADE[column](tmp_path)
    if said != "-":
        assert bool(FOUND[row](read_image(path), path)) == (said == "read")


@pytest.mark.parametrize("make", [a_lif, a_dv, an_mrc])
def test_values_axes_and_sizes_are_those_of_the_file(tmp_path, make):
    path, image, axes = make(tmp_path)
    found = read_image(path)
    order = [axes.index(axis) for axis in found.axes]
    assert np.array_equal(np.asarray(found.array), image.transpose(order)) and found.array.dtype == image.dtype
    metadata = found.metadata
    by = 10 if path.suffix == ".mrc" else 1
    assert metadata.step == pytest.approx({"X": 0.1, "Y": 0.2 if by == 10 else 0.1, "Z": 0.5})
    assert set(metadata.units.values()) == {"nm" if by == 10 else "µm"}
    looked = peek(path)
    assert looked is None or (looked[0], looked[1]) == (found.array.shape, metadata)


def test_one_of_several_images_is_taken(tmp_path):
    path, _, _ = a_lif(tmp_path)
    assert count_images(path) == 2
    assert "only number 2 ('cells'), of " in read_image(path).notes[0]
    assert read_image(path, 1).array.shape == (8, 9)
    with pytest.raises(InputError, match="has no image number 3; it holds 2"):
        read_image(path, 3)
    report = dip.map_restore("denoise", path, tmp_path / "out", series="all", max_iterations=1)
    assert sorted(Path(one.target).name for one in report.of("done")) == ["a-1.tif", "a-2.tif"]
    assert read_image(tmp_path / "out/a-2.tif").metadata.kept["Channel"] == {"Name": ["Green", "Red"]}


@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
@pytest.mark.parametrize("make", [a_lif, a_dv, an_mrc])
def test_a_result_has_what_was_read(tmp_path, make, suffix):
    path, _, _ = make(tmp_path)
    source = read_image(path)
    restore_file("denoise", path, tmp_path / f"b{suffix}", settings={"max_iterations": 1})
    result = read_image(tmp_path / f"b{suffix}")
    assert sorted(result.axes) == sorted(source.axes)
    spatial = {axis: size for axis, size in source.metadata.step.items() if axis != "T"}
    assert {axis: result.metadata.step.get(axis) for axis in spatial} == pytest.approx(spatial)
    assert result.metadata.kept.get("Channel") == source.metadata.kept.get("Channel")


def test_what_is_large_is_read_plane_by_plane(tmp_path, monkeypatch):
    monkeypatch.setattr(microscopes, "AT_ONCE", 100)
    path, _, _ = a_lif(tmp_path)
    found = read_image(path)
    assert not isinstance(found.array, np.ndarray) and found.array.dtype == np.uint16
    lazy = restore_file("denoise", path, tmp_path / "lazy.tif", settings={"max_iterations": 1, "threads": 1})
    monkeypatch.undo()
    whole = restore_file("denoise", path, tmp_path / "whole.tif", settings={"max_iterations": 1, "threads": 1})
    assert np.array_equal(lazy.restoration.image, whole.restoration.image)


@pytest.mark.parametrize("suffix", [".czi", ".nd2", ".lif", ".dv", ".mrc"])
def test_without_its_reader_a_file_is_refused_in_a_sentence_that_names_the_extra(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"in{suffix}"
    path.write_bytes(b"something")
    monkeypatch.setattr(microscopes, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'need the package .* \(pip install "napari-dip\[formats\]"') as told:
        read_image(path)
    assert ("bioio-czi" in str(told.value)) == (suffix == ".czi")


@pytest.mark.parametrize("make", [a_lif, a_dv, an_mrc])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, make, part):
    path, _, _ = make(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InputError, match="cannot be read as") as told:
        read_image(path)
    assert "\n" not in str(told.value) and count_images(path) >= 1 and str(told.value).endswith(".")


def test_they_are_only_read(tmp_path):
    for form in microscopes.MICROSCOPES:
        with pytest.raises(InputError, match="let it end in"):
            restore_file("denoise", tmp_path / "in.tif", tmp_path / f"out{form.suffixes[0]}")


def test_complex_numbers_are_refused(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(numbers(4, 5).astype(np.complex64))
    with pytest.raises(InputError, match="complex"):
        read_image(tmp_path / "a.mrc")


@pytest.mark.skipif(find_spec("bioio_nd2") is not None, reason="it is there")
def test_a_reader_that_is_not_installed_is_named(tmp_path):
    (tmp_path / "in.nd2").write_bytes(b"something")
    with pytest.raises(InputError, match="ND2 files need the package bioio-nd2"):
        read_image(tmp_path / "in.nd2")
