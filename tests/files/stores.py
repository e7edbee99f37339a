"""Zarr stores as other programs make them, for tests."""

import json

import numpy as np
import pytest
import zarr
from ome_zarr_models.common.omero import Omero
from ome_zarr_models.v04.multiscales import Multiscale as Multiscale04
from ome_zarr_models.v05.multiscales import Multiscale as Multiscale05
from pictures import noise

from napari_dip.errors import InputError
from napari_dip.files.formats import read_image

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


def metadata_of(path):
    return next(one for one in (path / ".zattrs", path / "zarr.json") if one.exists())


def chunks_of(path):
    found = [one for one in (path / "0").rglob("*") if one.is_file()]
    return [one for one in found if not one.name.startswith(".") and one.name != "zarr.json"]
