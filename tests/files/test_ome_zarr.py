"""OME-Zarr stores that others have made, and what is written: real ones, read by zarr and checked by a validator."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import noise, rewritten
from stores import SCALE, attributes_of, both, channels, chunks_of, make, said_of, several

from napari_dip.errors import InputError
from napari_dip.files.formats import Metadata, Picture, check_fits, check_output, peek, read_image, write_image
from napari_dip.files.ome_zarr import images


@both
@pytest.mark.parametrize("axes", ["YX", "ZYX", "CYX", "TCZYX"])
def test_what_another_program_says_is_read_and_written_again(tmp_path, version, axes):
    image = noise(axes)
    make(tmp_path / "a.zarr", image, axes, version, said_of(axes, version, omero=channels(2)))
    found = read_image(tmp_path / "a.zarr")
    assert found.axes == axes and found.array.dtype == np.uint16 and found.notes == ()
    np.testing.assert_array_equal(found.array, image)
    assert found.metadata.step == {a: SCALE[a.lower()] for a in axes if a != "C"}
    assert found.metadata.unit == "µm" and found.metadata.units.get("Z", "nm") == "nm"
    assert found.metadata.kept["Channel"] == {"Name": ["marker 0", "marker 1"]}
    again = rewritten(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert np.array_equal(again.array, image) and again.array.dtype == np.float32
    assert again.metadata.step == found.metadata.step and again.metadata.units == found.metadata.units
    said = attributes_of(tmp_path / "b.zarr")
    before = said_of(axes, version)["multiscales"][0]
    assert said["multiscales"][0] == before and said.get("version", "0.4") == version
    assert said.get("omero") == (channels(2) if "C" in axes else None)
    assert zarr.open_group(tmp_path / "b.zarr", mode="r").metadata.zarr_format == (2 if version == "0.4" else 3)


def test_what_has_no_version_of_its_own_is_written_in_the_newest(tmp_path):
    image = noise("ZYX").astype(np.float32)
    write_image(
        tmp_path / "a.zarr", image, "ZYX", Picture(image, Metadata("ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.5}, "um"))
    )
    said = attributes_of(tmp_path / "a.zarr")
    assert said["version"] == "0.5"
    assert [one.get("unit") for one in said["multiscales"][0]["axes"]] == ["micrometer"] * 3
    array = zarr.open_array(tmp_path / "a.zarr", path="0", mode="r")
    assert array.metadata.dimension_names == ("z", "y", "x") and array.chunks == (1, 10, 12)
    np.testing.assert_array_equal(array[...], image)


@both
def test_smaller_levels_lie_where_the_largest_does(tmp_path, version):
    y, x = np.mgrid[:600, :1024].astype(np.float32)
    image = np.stack([y, x])
    source = Metadata("CYX", {"Y": 0.5, "X": 0.25}, "µm", "ome", {"zarr": {"version": version, "origin": {"Y": 7.0}}})
    write_image(tmp_path / "a.zarr", image, "CYX", Picture(image, source))
    datasets = attributes_of(tmp_path / "a.zarr")["multiscales"][0]["datasets"]
    assert [one["path"] for one in datasets] == ["0", "1", "2"]
    for one in datasets:
        level = zarr.open_array(tmp_path / "a.zarr", path=one["path"], mode="r")[...]
        said = {t["type"]: np.array(t[t["type"]]) for t in one["coordinateTransformations"]}
        at = np.indices(level.shape[1:]) * said["scale"][1:, None, None] + said["translation"][1:, None, None]
        np.testing.assert_allclose(level[0], (at[0] - 7) / 0.5, rtol=1e-6)  # each pixel holds where it lies
        np.testing.assert_allclose(level[1], at[1] / 0.25, rtol=1e-6)
    assert level.shape == (2, 150, 256)


def test_an_enlarged_image_lies_where_its_source_does(tmp_path):
    make(tmp_path / "a.zarr", noise("YX"), "YX")
    assert rewritten(tmp_path / "a.zarr", tmp_path / "b.zarr", factor=2).metadata.step == {"Y": 0.1, "X": 0.05}
    said = attributes_of(tmp_path / "b.zarr")["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert said[1]["translation"] == pytest.approx([3.0 - 0.05, -2.0 - 0.025])


@both
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_axes_units_and_names_survive(tmp_path_factory, version, data):
    folder = tmp_path_factory.getbasetemp() / f"round trip {version}"
    shutil.rmtree(folder, ignore_errors=True)
    axes = "".join(a for a in "TCZYX" if a in "YX" or data.draw(st.booleans(), label=a))
    image = noise(axes, data.draw(st.sampled_from(["uint8", "uint16", "float32", "int32"])))
    said = said_of(axes, version)
    for one in said["multiscales"][0]["axes"]:
        if one["type"] == "space":
            one["unit"] = data.draw(st.sampled_from(["nanometer", "micrometer", "inch", "angstrom", "parsec"]))
        elif one["type"] == "time":
            one["unit"] = data.draw(st.sampled_from(["second", "hour", "day", "gigasecond"]))
    transforms = said["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    transforms[0]["scale"] = [1.0 if a == "C" else data.draw(st.floats(1e-6, 1e6)) for a in axes]
    transforms[1]["translation"] = [data.draw(st.floats(-1e3, -1)) for _ in axes]
    said["multiscales"][0]["name"] = data.draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    names = data.draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=2))
    said["omero"] = channels(2)
    for one, name in zip(said["omero"]["channels"], names, strict=True):
        one["label"] = name
    make(folder / "a.zarr", image, axes, version, said)
    again = rewritten(folder / "a.zarr", folder / "b.zarr")
    assert again.axes == axes
    found = attributes_of(folder / "b.zarr")
    assert found["multiscales"] == said["multiscales"]
    assert found.get("omero") == (said["omero"] if "C" in axes else None)


def test_channels_go_from_tiff_to_zarr_and_back(tmp_path):
    said = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}, "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}
    tifffile.imwrite(tmp_path / "a.ome.tif", noise("CYX"), ome=True, metadata=said)
    assert rewritten(tmp_path / "a.ome.tif", tmp_path / "b.zarr").metadata.kept["Channel"]["Name"] == ["DAPI", "GFP"]
    assert [one["label"] for one in attributes_of(tmp_path / "b.zarr")["omero"]["channels"]] == ["DAPI", "GFP"]
    back = rewritten(tmp_path / "b.zarr", tmp_path / "c.ome.tif").metadata
    assert back.kept["Channel"] == {"Name": ["DAPI", "GFP"]}
    assert back.step == {"Y": 0.2, "X": 0.1} and back.units == {"Y": "µm", "X": "µm"}


def test_three_channels_of_8_bits_are_channels_and_colours_stay_colours(tmp_path):
    make(tmp_path / "a.zarr", noise("CYX", "uint8", C=3), "CYX")
    assert read_image(tmp_path / "a.zarr").axes == "CYX"
    image = noise("YXS", "uint8").astype(np.float32)
    write_image(tmp_path / "b.zarr", image, "YXS", Picture(image, Metadata("YXS")))
    assert [one["name"] for one in attributes_of(tmp_path / "b.zarr")["multiscales"][0]["axes"]] == ["c", "y", "x"]
    found = read_image(tmp_path / "b.zarr")
    assert found.axes == "SYX" and np.array_equal(np.moveaxis(np.asarray(found.array), 0, -1), image)
    both = noise("CYXS").astype(np.float32)
    with pytest.raises(InputError, match=r"channels or colours, but .* axes C and S; write \.tif or \.npy\."):
        check_fits(tmp_path / "c.zarr", Picture(both), "CYXS")


def test_the_type_of_the_source_can_be_kept(tmp_path):
    make(tmp_path / "a.zarr", noise("YX", Y=300, X=300), "YX")
    source = read_image(tmp_path / "a.zarr")
    write_image(tmp_path / "b.zarr", np.full((300, 300), 70000.4, np.float32), "YX", source, same=True)
    found = zarr.open_group(tmp_path / "b.zarr", mode="r")
    assert {found[level].dtype for level in "01"} == {np.dtype("uint16")}
    assert np.all(found["0"][...] == 65535) and np.all(found["1"][...] == 65535)


@both
@pytest.mark.parametrize("names", [["t", "c", "z", "y", "x"], ["T", "C", "Z", "Y", "X"], ["time", "c0", "w", "v", "u"]])
def test_axes_are_known_by_their_kind_and_by_their_name(tmp_path, version, names):
    said = said_of("TCZYX", version)
    for one, name in zip(said["multiscales"][0]["axes"], names, strict=True):
        one["name"] = name
    make(tmp_path / "a.zarr", noise("TCZYX"), "TCZYX", version, said)
    assert read_image(tmp_path / "a.zarr").axes == "TCZYX"
    shape, metadata = peek(tmp_path / "a.zarr")
    assert shape == noise("TCZYX").shape and metadata == read_image(tmp_path / "a.zarr").metadata


def test_what_has_no_unit_gets_none(tmp_path):
    said = said_of("TYX", "0.5")
    for one in said["multiscales"][0]["axes"]:
        one.pop("unit", None)
    make(tmp_path / "a.zarr", noise("TYX"), "TYX", "0.5", said)
    found = read_image(tmp_path / "a.zarr").metadata
    assert found.unit is None and "T" not in found.step  # a step along time would be taken for seconds
    rewritten(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert attributes_of(tmp_path / "b.zarr")["multiscales"] == said["multiscales"]


def test_a_region_is_read_without_the_rest(tmp_path):
    make(tmp_path / "a.zarr", noise("TYX", T=5), "TYX", chunks=(1, 10, 12))
    for chunk in (1, 2, 3, 4):
        (tmp_path / f"a.zarr/0/c/{chunk}/0/0").write_bytes(b"damaged")
    array = read_image(tmp_path / "a.zarr").array
    np.testing.assert_array_equal(array[0, 2:5], noise("TYX", T=5)[0, 2:5])
    with pytest.raises(InputError, match=r"cannot be read as OME-Zarr"):
        array[1]


def test_planes_that_share_chunks_are_read_once(tmp_path):
    image = noise("TZYX", T=5, Z=6)
    make(tmp_path / "a.zarr", image, "TZYX", chunks=(1, 4, 5, 12))
    array = read_image(tmp_path / "a.zarr").array
    np.testing.assert_array_equal(array[2, 1, 3:8], image[2, 1, 3:8])
    for chunk in chunks_of(tmp_path / "a.zarr"):
        chunk.unlink()
    np.testing.assert_array_equal(array[2, 3, 3:8], image[2, 3, 3:8])
    assert not array[2, 4, 3:8].any() and not array[3, 3, 3:8].any()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_regions_are_those_of_the_array(tmp_path_factory, data):
    folder, image = tmp_path_factory.getbasetemp() / "regions", noise("TZYX", T=4, Z=5)
    if not folder.exists():
        make(folder / "a.zarr", image, "TZYX", chunks=(1, 2, 4, 5))
    array = read_image(folder / "a.zarr").array
    for _ in range(4):
        sizes = image.shape[: data.draw(st.integers(1, 4))]
        key = tuple(data.draw(st.one_of(st.integers(0, n - 1), st.slices(n))) for n in sizes)
        if any(isinstance(one, slice) and (one.step or 1) < 0 for one in key):
            continue
        found = array[key]
        np.testing.assert_array_equal(found, image[key])


@both
@pytest.mark.parametrize("layout", ["series", "plate", "well"])
def test_of_several_images_the_largest_is_read_or_the_one_asked_for(tmp_path, version, layout):
    path = tmp_path / "a.zarr"
    where = several(path, version, layout)
    assert [image.name for image in images(path)] == where
    found = read_image(path)
    said = f"The file holds 3 images; only number 2 ({where[1]!r}), of 10 x 13, is read."
    assert found.notes == (f"{said} The option series takes another.",)
    np.testing.assert_array_equal(found.array, noise("YX", X=13) + 1)
    third = read_image(path, 3)
    np.testing.assert_array_equal(third.array, noise("YX") + 2)
    assert third.notes == ()
    with pytest.raises(InputError, match="has no image number 4; it holds 3"):
        read_image(path, 4)


def test_only_a_zarr_is_replaced(tmp_path):
    make(tmp_path / "a.zarr", noise("YX"), "YX")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "thesis.txt").write_text("")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "zarr.json").write_text("{}")
    with pytest.raises(InputError, match="exists; give --force"):
        check_output(tmp_path / "a.zarr", [], force=False)
    check_output(tmp_path / "a.zarr", [], force=True)
    for name in ("b.zarr", "c"):
        with pytest.raises(InputError, match="is a folder"):
            check_output(tmp_path / name, [], force=True)
    for target, source in (("a.zarr/0.tif", "a.zarr"), ("a.zarr", "a.zarr/0.tif"), ("a.zarr", "a.zarr")):
        with pytest.raises(InputError, match="would be written over while it is needed"):
            check_output(tmp_path / target, [tmp_path / source], force=True)


def test_without_zarr_the_extra_is_named(tmp_path):
    make(tmp_path / "a.zarr", noise("YX"), "YX")
    hidden = "import sys\nsys.modules['zarr'] = None\nfrom napari_dip.__main__ import main\nsys.argv = {}\nmain()"
    for names in (["a.zarr", "b.tif"], ["a.tif", "b.zarr"]):
        tifffile.imwrite(tmp_path / "a.tif", noise("YX"))
        argv = ["napari-dip", "denoise", *names, "--max-iterations", "1"]
        done = subprocess.run(
            [sys.executable, "-c", hidden.format(argv)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1 and 'pip install "napari-dip[zarr]"' in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_the_command_line_reads_and_writes_it(tmp_path):
    make(tmp_path / "a.zarr", noise("ZYX", Y=24, X=24), "ZYX", "0.4")
    asked = ["a.zarr", "b.zarr", "--max-iterations", "5", "--uncertainty", "--record", "r.json", "--threads", "1"]
    command = [sys.executable, "-m", "napari_dip", "denoise"]
    done = subprocess.run([*command, *asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zarr", "b-uncertainty.zarr", "b.zarr", "r.json"]
    for name in ("b.zarr", "b-uncertainty.zarr"):
        attributes_of(tmp_path / name)
        assert read_image(tmp_path / name).metadata.step == read_image(tmp_path / "a.zarr").metadata.step
    done = subprocess.run([*command, *asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "exists; give --force" in done.stderr
    done = subprocess.run([*command, *asked, "--force"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 4
