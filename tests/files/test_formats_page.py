"""The table of docs/formats.md is true, cell by cell."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_dip.files.formats import read_image, write_image

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
FIRST = PAGE.read_text(encoding="utf-8").split("\n\n|")[1]  # of two tables
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in FIRST.split("\n\n")[0].splitlines()]
COLUMNS = ROWS[0][1:]
CELLS = [(column, row[0], cell) for row in ROWS[2:] for column, cell in zip(COLUMNS, row[1:], strict=True)]

SHAPE = (3, 2, 4, 12, 14)  # of TZCYX
LUTS = [np.stack([np.roll(np.arange(256), k) for k in range(n, n + 3)]).astype(np.uint8) for n in range(4)]


def imagej(path):
    labels = [f"marker {k}" for k in range(24)]
    said = {"axes": "TZCYX", "spacing": 0.5, "finterval": 2.5, "unit": "um", "Labels": labels, "LUTs": LUTS}
    tifffile.imwrite(path, np.zeros(SHAPE, np.uint16), imagej=True, resolution=(10, 5), metadata=said)


def ome(path):
    said = {"axes": "TZCYX", "Channel": {"Name": [f"marker {k}" for k in range(4)], "Color": [1, 2, 3, 4]}}
    said |= {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.5, "TimeIncrement": 2.5}
    tifffile.imwrite(path, np.zeros(SHAPE, np.uint16), ome=True, metadata=said)


def plain(path):
    said = {"axes": "TZCYX"}
    tifffile.imwrite(
        path, np.zeros(SHAPE, np.uint16), metadata=said, resolution=(10, 5), resolutionunit=3, photometric="minisblack"
    )


def png(path):
    Image.fromarray(np.zeros(SHAPE[3:], np.uint8)).save(path, dpi=(100, 50))


def ome_zarr(path):
    units = {"t": "second"} | dict.fromkeys("zyx", "micrometer")
    axes = [{"name": a, "type": {"t": "time", "c": "channel"}.get(a, "space")} for a in "tczyx"]
    axes = [one | ({"unit": units[one["name"]]} if one["name"] in units else {}) for one in axes]
    transforms = [{"type": "scale", "scale": [2.5, 1.0, 0.5, 0.2, 0.1]}]
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    channels = [{"label": f"marker {n}", "color": f"00{n}0FF", "window": window} for n in range(4)]
    said = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}
    ome = {"version": "0.5", "multiscales": [said], "omero": {"channels": channels}}
    zarr.create_group(path, attributes={"ome": ome}).create_array("0", data=np.ones((3, 4, 2, 12, 14), np.uint16))


SOURCES = {
    "TIFF (ImageJ)": ("a.tif", imagej),
    "TIFF (OME)": ("a.ome.tif", ome),
    "TIFF (plain)": ("a.tif", plain),
    "PNG": ("a.png", png),
    "NPY": ("a.tif", imagej),
    "OME-Zarr": ("a.zarr", ome_zarr),
}
KEPT = {
    "axes": lambda one: one.axes,
    "pixel size along x and y": lambda one: {a: round(one.metadata.step[a], 6) for a in "XY" if a in one.metadata.step},
    "step along z": lambda one: one.metadata.step.get("Z"),
    "step along time": lambda one: one.metadata.step.get("T"),
    "unit": lambda one: one.metadata.unit,
    "channel names": lambda one: one.metadata.kept.get("Labels") or one.metadata.kept.get("Channel"),
    "colours of channels": lambda one: [
        repr(said) for key, said in one.metadata.kept.items() if key in ("LUTs", "omero")
    ],
}


@pytest.mark.parametrize(("column", "row", "said"), CELLS, ids=lambda text: text)
def test_what_survives_is_what_the_page_says(tmp_path, column, row, said):
    name, make = SOURCES[column]
    make(tmp_path / name)
    source = read_image(tmp_path / name)
    target = tmp_path / ("b.npy" if column == "NPY" else "b" + name[1:])
    result = np.full(source.array.shape, 0.25, np.float32)
    write_image(target, result, source.axes, source, same=row.startswith("type"))
    found = read_image(target)
    if row.startswith("values"):
        kept = np.array_equal(found.array, result)
    elif row.startswith("type"):
        kept = found.array.dtype == source.array.dtype
    else:
        there = KEPT[row](found)
        kept = bool(there) and (column in ("NPY",) or there == KEPT[row](source))
        if said == "lost" and column == "NPY":
            assert KEPT[row](source)
    assert kept == (said == "kept")
