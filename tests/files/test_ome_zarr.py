"""OME-Zarr stores that others have made, and what is written: real ones, read by zarr and checked by a validator."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr_models.common.omero import Omero
from ome_zarr_models.v04.multiscales import Multiscale as Multiscale04
from ome_zarr_models.v05.multiscales import Multiscale as Multiscale05
from pictures import noise, rewritten

from napari_dip.errors import InputError
from napari_dip.files.formats import Metadata, Picture, check_fits, check_output, peek, read_image, write_image
from napari_dip.files.ome_zarr import images

TRIES = int(os.environ.get("NAPARI_DIP_DAMAGED", "25"))
VERSIONS = ["0.4", "0.5"]
both = pytest.mark.parametrize("version", VERSIONS)
UNITS = {"t": "millisecond", "z": "nanometer", "y": "micrometer", "x": "micrometer"}
KINDS = {"t": "time", "c": "channel"}
SCALE = {"t": 250.0, "c": 1.0, "z": 500.0, "y": 0.2, "x": 0.1}
PLACE = {"t": 0.0, "c": 0.0, "z": 10.0, "y": 3.0, "x": -2.0}


def channels(count):
    window = {"min": 0, "max": 255, "start": 10, "end": 200}
    return {"channels": [{"label": f"marker {n}", "color": "00FF0" + str(n), "window": window} for n in range(count)]}


def said_of(axes, version, levels=("0",), **others):
    """Say what OME-Zarr wants said of an image."""
    described = [
        {"name": a, "type": KINDS.get(a, "space")} | ({"unit": UNITS[a]} if a in UNITS else {}) for a in axes.lower()
    ]
    transforms = [
        {"type": "scale", "scale": [SCALE[a] for a in axes.lower()]},
        {"type": "translation", "translation": [PLACE[a] for a in axes.lower()]},
    ]
    datasets = [{"path": level, "coordinateTransformations": transforms} for level in levels]
    said = {"multiscales": [{"name": "cells", "axes": described, "datasets": datasets}], **others}
    if version == "0.4":
        said["multiscales"][0]["version"] = version
    return said


def make_group(path, version, said):
    attributes = said if version == "0.4" else {"ome": {"version": version, **said}}
    return zarr.create_group(path, zarr_format=2 if version == "0.4" else 3, attributes=attributes)


def make(path, array, axes, version="0.5", said=None, **options):
    """Make a store as any other program would."""
    group = make_group(path, version, said or said_of(axes, version))
    made = group.create_array("0", shape=array.shape, dtype=array.dtype, **{"chunks": array.shape, **options})
    made[...] = array
    return path


def attributes_of(path):
    """Read what is said of a store, without any library, and check it."""
    old = path / ".zattrs"
    said = json.loads(old.read_text()) if old.exists() else json.loads((path / "zarr.json").read_text())["attributes"]
    said = said if old.exists() else said["ome"]
    for one in said["multiscales"]:
        (Multiscale04 if old.exists() else Multiscale05).model_validate(one)
    if "omero" in said:
        Omero.model_validate(said["omero"])
    return said


def refusal(path):
    with pytest.raises(InputError) as error:
        np.asarray(read_image(path).array)
    sentence = str(error.value)
    assert repr(str(path)) in sentence and "\n" not in sentence and sentence.endswith(".")
    return sentence


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
    for chunk in _chunks(tmp_path / "a.zarr"):
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


def several(path, version, layout):
    """Make a store of three images: series of one file, fields of a plate, or of one well."""
    where = {"series": ["0", "1", "2"], "plate": ["A/1/0", "A/1/1", "B/2/0"], "well": ["0", "1", "2"]}[layout]
    wells = [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}, {"path": "B/2", "rowIndex": 1, "columnIndex": 1}]
    said = {"series": {"bioformats2raw.layout": 3}, "plate": {"plate": {"wells": wells}}}
    said["well"] = {"well": {"images": [{"path": name} for name in where]}}
    make_group(path, version, said[layout])
    if layout == "plate":
        make_group(path / "A" / "1", version, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        make_group(path / "B" / "2", version, {"well": {"images": [{"path": "0"}]}})
    for n, name in enumerate(where):
        make(path / name, noise("YX", X=12 + (n == 1)) + n, "YX", version)
    return where


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


DAMAGE = {
    "no metadata": lambda path: [one.unlink() for one in (path / ".zattrs", path / "zarr.json") if one.exists()],
    "broken metadata": lambda path: _metadata(path).write_text(_metadata(path).read_text()[:-30]),
    "deep metadata": lambda path: _metadata(path).write_text("[" * 100_000),
    "no array": lambda path: shutil.rmtree(path / "0"),
    "no chunks": lambda path: [one.unlink() for one in _chunks(path)],
    "a broken chunk": lambda path: _chunks(path)[0].write_bytes(b"no chunk"),
    "an empty chunk": lambda path: _chunks(path)[0].write_bytes(b""),
}


def _metadata(path):
    return next(one for one in (path / ".zattrs", path / "zarr.json") if one.exists())


def _chunks(path):
    found = [one for one in (path / "0").rglob("*") if one.is_file()]
    return [one for one in found if not one.name.startswith(".") and one.name != "zarr.json"]


@both
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_gets_one_sentence(tmp_path, version, damage):
    make(tmp_path / "a.zarr", noise("YX"), "YX", version, chunks=(5, 6))
    DAMAGE[damage](tmp_path / "a.zarr")
    assert "cannot be read as OME-Zarr: " in refusal(tmp_path / "a.zarr")


JUNK = [None, -1, 0, 1, 2.5, 1e308, 10**30, float("nan"), "", "x", "../..", "/etc", "\n", [], {}, [1], [[]], True]
JUNK += [[0, 0, 0], ["t", "t", "t"], "zstd", ">f4", [2**31] * 3, 2**62, "\ud800", "\x1b[2J"]


def junk(said, chance):
    """Put something else in place of a part of what is said, or take it away."""
    places, left = [], [said]
    while left:
        one = left.pop()
        for key in one if isinstance(one, dict) else range(len(one)):
            places.append((one, key))
            left += [one[key]] if isinstance(one[key], dict | list) else []
    if places:
        one, key = chance.choice(places)
        if chance.random() < 0.25:
            del one[key]
        else:
            one[key] = chance.choice(JUNK)


@pytest.mark.parametrize(("version", "shards"), [("0.4", None), ("0.5", None), ("0.5", (1, 10, 12))])
@pytest.mark.filterwarnings("ignore")
def test_junk_in_what_is_said_is_left_out_or_refused_in_one_sentence(tmp_path, version, shards):
    said, path = said_of("ZYX", version, omero=channels(1)), tmp_path / "a.zarr"
    make(path, noise("ZYX"), "ZYX", version, said, chunks=(1, 5, 6), **({"shards": shards} if shards else {}))
    files = [one for one in path.rglob("*") if one.name in ("zarr.json", ".zattrs", ".zarray")]
    before, refused = {one: one.read_text() for one in files}, 0
    for seed in range(2 * TRIES):
        chance = random.Random(seed)
        for one, text in before.items():
            one.write_text(text)
        damaged = chance.choice(files)
        said = json.loads(before[damaged])
        for _ in range(chance.randint(1, 3)):
            junk(said, chance)
        damaged.write_text(json.dumps(said))
        try:
            picture = read_image(path)
            image = np.asarray(picture.array).astype(np.float32)
            if picture.array.size:
                assert write_image(tmp_path / "b.zarr", image, picture.axes, picture)
        except InputError as error:
            assert repr(str(path)) in str(error) and str(error).isprintable() and str(error).endswith(".")
            refused += 1
    assert 0 < refused < 2 * TRIES


@both
def test_chunks_that_are_not_there_are_told_of(tmp_path, version):
    make(tmp_path / "a.zarr", noise("YX"), "YX", version, chunks=(5, 6))
    for chunk in _chunks(tmp_path / "a.zarr")[:3]:
        chunk.unlink()
    found = read_image(tmp_path / "a.zarr")
    assert found.notes == ("3 chunks of the image are not in the file, and hold one value throughout.",)
    assert (np.asarray(found.array) == 0).mean() >= 0.75
    write_image(tmp_path / "b.zarr", np.zeros((10, 12), np.float32), "YX", found)
    assert read_image(tmp_path / "b.zarr").notes == ()


def edit(path, change):
    """Change the metadata of the array of a store."""
    file = next(one for one in (path / "0" / ".zarray", path / "0" / "zarr.json") if one.exists())
    said = json.loads(file.read_text())
    change(said)
    file.write_text(json.dumps(said))


TRAPS = {
    "a pickle": ("0.4", lambda one: one.update(dtype="|O", filters=[{"id": "pickle"}]), "no real numbers"),
    "a pickled filter": ("0.4", lambda one: one.update(filters=[{"id": "pickle"}]), "'pickle', which is not read"),
    "a pickled codec": ("0.5", lambda one: one["codecs"].append({"name": "numcodecs.pickle"}), "which is not read"),
    "a codec in a shard": (
        "0.5",
        lambda one: one.update(
            codecs=[{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "numcodecs.pickle"}]}}]
        ),
        "which is not read",
    ),
    "a transformer": ("0.5", lambda one: one.update(storage_transformers=[{"name": "x"}]), "transformer x"),
    "complex numbers": ("0.5", lambda one: one.update(data_type="complex64"), "no real numbers"),
    "a structure": ("0.4", lambda one: one.update(dtype=[["a", "<u2"]]), "no real numbers"),
    "an absurd shape": ("0.4", lambda one: one.update(shape=[10**9, 10**9]), "claims an image of 1000000000 x"),
    "absurd chunks": ("0.4", lambda one: one.update(chunks=[10**9, 10**9]), "in chunks of 1000000000 x"),
    "no chunks": ("0.4", lambda one: one.update(chunks=[0, 5]), "chunks of"),
    "a shape below zero": ("0.4", lambda one: one.update(shape=[-1, 5]), "a shape"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_no_harmless_array_is_refused(tmp_path, trap):
    version, change, why = TRAPS[trap]
    make(tmp_path / "a.zarr", noise("YX"), "YX", version)
    edit(tmp_path / "a.zarr", change)
    assert why in refusal(tmp_path / "a.zarr")


@both
@pytest.mark.parametrize(
    "where", ["../secret.zarr/0", "/etc", "0/../../secret.zarr/0", "..\\secret.zarr", "file:///etc"]
)
def test_a_path_out_of_the_store_is_refused(tmp_path, version, where):
    make(tmp_path / "secret.zarr", noise("YX"), "YX", version)
    make(tmp_path / "a.zarr", noise("YX"), "YX", version, said_of("YX", version, levels=(where,)))
    assert "outside of its folder" in refusal(tmp_path / "a.zarr")


@both
@pytest.mark.parametrize("what", ["0", "a chunk", "metadata"])
def test_a_link_out_of_the_store_is_refused(tmp_path, version, what):
    path, secret = (make(tmp_path / name, noise("YX"), "YX", version) for name in ("a.zarr", "secret.zarr"))
    of = {"0": lambda one: one / "0", "a chunk": lambda one: _chunks(one)[0], "metadata": _metadata}[what]
    target, link = of(secret), of(path)
    shutil.rmtree(link) if link.is_dir() else link.unlink()
    os.symlink(target, link)
    assert "outside of its folder" in refusal(path)
    os.rename(path, tmp_path / "moved.zarr")
    os.symlink(tmp_path / "secret.zarr", path)  # a link that the user names is theirs
    np.testing.assert_array_equal(read_image(path).array, noise("YX"))


def test_an_address_is_refused():
    with pytest.raises(InputError, match=r"is an address, and only files on this machine are read"):
        read_image(Path("https://example.org/a.zarr"))


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
