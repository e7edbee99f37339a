"""The pixel size that only the file of a layer says goes on to its result, and to what is saved of it."""

from itertools import product

import numpy as np
import pytest
import tifffile

from napari_dip.files.formats import read_image
from napari_dip.files.metadata import NAMES
from napari_dip.viewer.form.pixel_size import read_z_step

KINDS = {
    "ImageJ": (
        "a.tif",
        {"imagej": True, "resolution": (4, 2), "metadata": {"axes": "ZYX", "spacing": 2, "unit": "um"}},
        "µm",
    ),
    "OME": (
        "a.ome.tif",
        {
            "ome": True,
            "metadata": {
                "axes": "ZYX",
                "PhysicalSizeX": 0.25,
                "PhysicalSizeY": 0.5,
                "PhysicalSizeZ": 2.0,
                **{f"PhysicalSize{a}Unit": "µm" for a in "XYZ"},
            },
        },
        "µm",
    ),
    "plain": (
        "a.tif",
        {"metadata": None, "photometric": "minisblack", "resolution": (4, 2), "resolutionunit": "CENTIMETER"},
        "cm",
    ),
}


@pytest.fixture(params=KINDS)
def opened(viewer, tmp_path, picture, request):
    """A volume in a file, opened by napari's own reader, which knows no pixel size; with its unit."""
    name, how, unit = KINDS[request.param]
    tifffile.imwrite(tmp_path / name, np.stack([picture] * 3), **how)
    (layer,) = viewer.open(str(tmp_path / name), plugin="napari")
    assert (np.asarray(layer.scale) == 1).all()
    return layer, unit, request.param != "plain"


def size_of(path):
    metadata = read_image(path).metadata
    units = {NAMES.get(unit, unit) for unit in (metadata.unit, *metadata.units.values())}
    return {axis: pytest.approx(size) for axis, size in metadata.step.items()}, units


def save(viewer, layer, path):
    viewer.layers.selection = {layer}
    viewer.layers.save(str(path), selected=True, plugin="napari-dip")
    return path


def test_a_result_is_saved_with_the_pixel_size_of_its_file(viewer, opened, open_dock, run_to_end, tmp_path):
    source, unit, knows_z = opened
    expected = {"Y": 0.5, "X": 0.25} | ({"Z": 2.0} if knows_z else {})
    dock = open_dock("Denoise", iterations=1)
    dock.form.everyday["uncertainty"].value = True
    run_to_end(dock)
    result = dock.results.result
    assert (np.asarray(result.scale) == 1).all()  # it lies where its source does
    second = next(layer for layer in viewer.layers if layer.name.endswith("uncertainty"))
    for layer, ending in product((result, second), (".tif", ".ome.tif", ".zarr")):
        step, units = size_of(save(viewer, layer, tmp_path / f"{layer.name}{ending}"))
        assert {axis: step[axis] for axis in expected} == expected and units == {unit}
    assert read_z_step(result, "ZYX") == read_z_step(source, "ZYX") == (4 if knows_z else None)


def test_an_enlarged_result_has_smaller_pixels_and_so_has_what_is_made_of_it(
    viewer, opened, open_dock, run_to_end, tmp_path
):
    _, unit, _ = opened
    dock = open_dock("Super-resolve", iterations=1)
    dock.form.factor.value = 2
    run_to_end(dock)
    enlarged = dock.results.result
    step, units = size_of(save(viewer, enlarged, tmp_path / "large.tif"))
    assert (step["Y"], step["X"], units) == (0.25, 0.125, {unit})
    second = open_dock("Denoise", iterations=1)
    second.form.image.value = enlarged
    run_to_end(second)
    again, units = size_of(save(viewer, second.results.result, tmp_path / "again.tif"))
    assert (again["Y"], again["X"], units) == (0.25, 0.125, {unit})


def test_what_somebody_sets_counts_more_than_the_file(viewer, opened, open_dock, run_to_end, tmp_path):
    source, _, _ = opened
    source.scale = (3, 1.5, 1.5)
    dock = open_dock("Denoise", iterations=1)
    run_to_end(dock)
    step, _ = size_of(save(viewer, dock.results.result, tmp_path / "b.tif"))
    assert step == {"Z": 3, "Y": 1.5, "X": 1.5}
    dock.results.result.scale = (1, 1, 1)
    dock.results.result.metadata["napari-dip pixel size"] = {"step": "nonsense"}
    assert size_of(save(viewer, dock.results.result, tmp_path / "c.tif"))[0] == {
        "Y": 1,
        "X": 1,
    }  # as where it is not known


def test_a_layer_of_another_size_than_its_file_takes_nothing_from_it(viewer, opened, open_dock):
    source, _, _ = opened
    source.data = source.data[:, :16]
    dock = open_dock("Denoise")
    assert dock.form.job()[0].metadata == {}
