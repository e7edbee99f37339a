"""File > Save of a result keeps what it says of itself, and its record brings it back."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_dip.files.formats import read_image
from napari_dip.files.metadata import NAMES
from napari_dip.viewer.contributions import get_reader


@pytest.fixture
def result(viewer, open_dock, run_to_end, picture):
    """A result of a small volume in micrometers."""
    stack = np.stack([picture, picture + 5, picture + 9])
    labels = ("z", "y", "x")
    viewer.add_image(stack, name="cell", scale=(0.5, 0.1, 0.1), units=("um",) * 3, axis_labels=labels)
    run_to_end(open_dock("Denoise", iterations=2))
    return viewer.layers["cell denoised"]


@pytest.mark.parametrize("ending", [".tif", ".ome.tif", ".zarr"])
def test_a_saved_result_comes_back_in_its_place(tmp_path, viewer, result, ending):
    if ending == ".zarr":
        pytest.importorskip("zarr")
    path = tmp_path / f"cell denoised{ending}"
    viewer.layers.selection = {result}
    saved = viewer.layers.save(str(path), selected=True, plugin="napari-dip")
    assert saved == [str(path), str(tmp_path / "cell denoised.dip.json")]
    found = read_image(path)
    np.testing.assert_array_equal(np.asarray(found.array), result.data)
    assert found.axes == "ZYX" and NAMES.get(found.metadata.unit, found.metadata.unit) == "µm"
    assert {a: round(size, 6) for a, size in found.metadata.step.items()} == {"Z": 0.5, "Y": 0.1, "X": 0.1}
    (opened,) = viewer.open(saved[1], plugin=None)  # as File > Open does
    np.testing.assert_allclose(opened.scale, (0.5, 0.1, 0.1), rtol=1e-6)
    assert [str(unit) for unit in opened.units] == ["micrometer"] * 3
    assert opened.axis_labels == ("z", "y", "x") and opened.name.startswith("cell denoised")
    np.testing.assert_array_equal(opened.data, result.data)
    record, before = opened.metadata["napari-dip"], result.metadata["napari-dip"]
    assert {key: record[key] for key in ("digest", "planes", "settings")} == {
        key: before[key] for key in ("digest", "planes", "settings")
    }


def test_the_record_of_a_saved_result_can_be_replayed(tmp_path, viewer, result):
    tifffile.imwrite(tmp_path / "cell.tif", viewer.layers["cell"].data, imagej=True, metadata={"axes": "ZYX"})
    viewer.layers.selection = {result}
    _, record = viewer.layers.save(str(tmp_path / "a.tif"), selected=True, plugin="napari-dip")
    command = [sys.executable, "-m", "napari_dip", "replay", record, "--input", "cell.tif", "-o", "b.tif"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), result.data)


def test_any_image_layer_can_be_saved(tmp_path, viewer, picture):
    colours = np.stack([picture // 4] * 3, -1).astype(np.uint8)
    viewer.add_image(colours, rgb=True, name="rgb", translate=(3, 4))
    with pytest.warns(UserWarning, match="not where the layer lies"):
        saved = viewer.layers.save(str(tmp_path / "rgb.tif"), plugin="napari-dip")
    assert saved == [str(tmp_path / "rgb.tif")]
    found = read_image(tmp_path / "rgb.tif")
    assert found.axes == "YXS" and found.array.dtype == np.uint8
    np.testing.assert_array_equal(found.array, colours)


def test_what_only_shows_a_run_is_saved_without_its_record(tmp_path, viewer, result):
    shown = viewer.add_image(result.data, name="part", metadata={**result.metadata, "napari-dip shows": "part"})
    assert shown.save(str(tmp_path / "part.tif"), plugin="napari-dip")
    assert [file.name for file in tmp_path.iterdir()] == ["part.tif"]


def test_a_record_without_its_image_is_told(tmp_path, viewer, result):
    viewer.layers.selection = {result}
    image, record = viewer.layers.save(str(tmp_path / "a.tif"), selected=True, plugin="napari-dip")
    (tmp_path / "a.tif").unlink()
    with pytest.raises(Exception, match=r"a\.tif.*not beside it"):
        get_reader(record)(record)
    assert json.loads((tmp_path / "a.dip.json").read_text())["files"]["output"] == image
    assert get_reader(image) is None and get_reader([record, record]) is None


@pytest.mark.parametrize("axes", ["CZYX", "TCYX", "TZCYX", "ZYXS"])
@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_pixel_sizes_of_all_axes_are_kept(tmp_path, viewer, axes, ending):
    shape = dict(zip("TCZYXS", (2, 2, 3, 8, 9, 3), strict=True))
    image = np.random.default_rng(0).random([shape[a] for a in axes]).astype(np.float32)
    letters = axes.replace("S", "")
    step = {"T": 2.5, "C": 1, "Z": 0.5, "Y": 0.1, "X": 0.1}
    unit = {"T": "s", "C": "pixel"}
    viewer.add_image(
        image,
        rgb="S" in axes,
        scale=[step[a] for a in letters],
        units=[unit.get(a, "um") for a in letters],
        axis_labels=tuple(letters.lower()),
    )
    path = tmp_path / f"a{ending}"
    viewer.layers.save(str(path), plugin="napari-dip")
    found = read_image(path)
    kept = {a: round(size, 6) for a, size in found.metadata.step.items()}
    assert kept == {a: step[a] for a in letters if a != "C"}
    assert NAMES.get(found.metadata.unit, found.metadata.unit) == "µm"
    assert sorted(found.axes) == sorted(axes)
    order = [found.axes.index(a) for a in axes]
    np.testing.assert_array_equal(np.asarray(found.array).transpose(order), image)


def test_a_record_of_another_image_is_refused(tmp_path, viewer, result):
    viewer.layers.selection = {result}
    image, record = viewer.layers.save(str(tmp_path / "a.tif"), selected=True, plugin="napari-dip")
    viewer.layers.selection = {viewer.add_image(np.asarray(result.data) + 1, axis_labels=("z", "y", "x"))}
    assert viewer.layers.save(image, selected=True, plugin="napari-dip") == [image]
    with pytest.raises(Exception, match="is not the one that this record tells of"):
        get_reader(record)(record)
