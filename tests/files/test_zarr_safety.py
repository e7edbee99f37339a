"""Stores that are damaged, or made to do harm: one sentence each, no code run, and memory bounded."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from pictures import noise
from stores import attributes_of, both, channels, chunks_of, make, metadata_of, refusal, said_of

from napari_dip.errors import InputError
from napari_dip.files.formats import Begun, Metadata, Picture, read_image, together, write_image

TRIES = int(os.environ.get("NAPARI_DIP_DAMAGED", "25"))

DAMAGE = {
    "a huge chunk": lambda path: os.truncate(chunks_of(path)[0], 2**34),
    "no metadata": lambda path: [one.unlink() for one in (path / ".zattrs", path / "zarr.json") if one.exists()],
    "broken metadata": lambda path: metadata_of(path).write_text(metadata_of(path).read_text()[:-30]),
    "deep metadata": lambda path: metadata_of(path).write_text("[" * 100_000),
    "no array": lambda path: shutil.rmtree(path / "0"),
    "no chunks": lambda path: [one.unlink() for one in chunks_of(path)],
    "a broken chunk": lambda path: chunks_of(path)[0].write_bytes(b"no chunk"),
    "an empty chunk": lambda path: chunks_of(path)[0].write_bytes(b""),
}


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
def test_a_result_is_not_lost_by_what_cannot_be_said_of_it(tmp_path, version):
    image = noise("CYX", "float32")
    kept = {"zarr": {"version": version}, "omero": {"channels": [object(), object()]}}
    source = Picture(image, Metadata("CYX", {"Y": 0.5, "X": 0.5}, "µm", "ome", kept))
    assert not write_image(tmp_path / "a.zarr", image, "CYX", source)
    with together([tmp_path / "b.zarr"]) as unit:
        begun = Begun(tmp_path / "b.zarr", image.shape, "CYX", source, 1, unit)
        begun.array[...] = image
        assert not begun.finish()
        unit.commit()
    for name in ("a.zarr", "b.zarr"):
        found = read_image(tmp_path / name)
        np.testing.assert_array_equal(found.array, image)
        assert found.axes == "CYX" and "omero" not in attributes_of(tmp_path / name)


@both
def test_chunks_that_are_not_there_are_told_of(tmp_path, version):
    make(tmp_path / "a.zarr", noise("YX"), "YX", version, chunks=(5, 6))
    for chunk in chunks_of(tmp_path / "a.zarr")[:3]:
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
    "packed twice": (
        "0.5",
        lambda one: one["codecs"].append({"name": "gzip", "configuration": {"level": 1}}),
        "several",
    ),
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


PACKERS = {
    "blosc": lambda: numcodecs.Blosc("zstd", 5),
    "zlib": lambda: numcodecs.Zlib(1),
    "gzip": lambda: numcodecs.GZip(1),
    "zstd": lambda: numcodecs.Zstd(1),
    "zstd with a checksum": lambda: numcodecs.Zstd(1, checksum=True),
    "lz4": lambda: numcodecs.LZ4(),
    "bz2": lambda: numcodecs.BZ2(1),
    "lzma": lambda: numcodecs.LZMA(),
}


BOMBS = """
import resource, sys
from pathlib import Path
import numpy as np
from napari_dip.files.formats import read_image
for name in sys.argv[1:]:
    np.asarray(read_image(Path("whole") / name).array)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    try:
        np.asarray(read_image(Path(name)).array)
    except ValueError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.filterwarnings("ignore")
def test_a_chunk_that_unfolds_to_far_more_than_it_should_is_refused_before_it_does(tmp_path):
    pytest.importorskip("resource")
    image = noise("ZYX", Y=200, X=200)
    for name, packer in PACKERS.items():
        made = make(
            tmp_path / "whole" / f"{name}.zarr", image, "ZYX", "0.4", chunks=(1, 200, 200), compressors=packer()
        )
        np.testing.assert_array_equal(read_image(made).array, image)
        shutil.copytree(made, tmp_path / f"{name}.zarr")
        chunks_of(tmp_path / f"{name}.zarr")[0].write_bytes(packer().encode(bytes(2**26)))
    names = [f"{name}.zarr" for name in PACKERS]
    command = [sys.executable, "-c", BOMBS, *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    *said, grown = done.stdout.splitlines()
    assert len(said) == len(names)
    assert all(
        f"{name!r} cannot" in one and "unfolds to more than" in one for name, one in zip(names, said, strict=True)
    )
    assert int(grown) < 2**16  # kB; one of them would take 2**18


@pytest.mark.parametrize("shards", [None, (1, 20, 24)])
@pytest.mark.parametrize("codec", ["GzipCodec", "ZstdCodec", "BloscCodec"])
def test_chunks_of_every_kind_are_read(tmp_path, shards, codec):
    image = noise("ZYX", Y=20, X=24)
    packed = getattr(zarr.codecs, codec)()
    make(tmp_path / "a.zarr", image, "ZYX", "0.5", chunks=(1, 10, 12), shards=shards, compressors=packed)
    array = read_image(tmp_path / "a.zarr").array
    np.testing.assert_array_equal(array, image)
    np.testing.assert_array_equal(array[1, 3:7, 2:20], image[1, 3:7, 2:20])


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
    of = {"0": lambda one: one / "0", "a chunk": lambda one: chunks_of(one)[0], "metadata": metadata_of}[what]
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
