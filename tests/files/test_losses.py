"""What a result does not keep of its source is said, in a sentence each."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from napari_dip.files import tiff_writing
from napari_dip.files.formats import Metadata, Picture, losses, read_image, write_image
from napari_dip.jobs.file import restore_file

LUTS = [np.stack([np.arange(256, dtype=np.uint8)] * 3) for _ in range(2)]


def imagej(path, shape=(2, 12, 14), axes="CYX", **said):
    labels = [f"slice {n}" for n in range(np.prod(shape[:-2]))]
    metadata = {"axes": axes, "LUTs": LUTS, "Labels": labels, "spacing": 0.5, "finterval": 2.5, "unit": "um", **said}
    image = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint16)
    tifffile.imwrite(path, image, imagej=True, metadata=metadata, resolution=(10, 10))
    return path


def lab():
    """A profile of colours that is not sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return profile.tobytes()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_profile_of_colours_is_told_unless_it_is_what_all_take_for_granted(tmp_path, suffix):
    image = Image.fromarray(np.zeros((8, 9, 3), np.uint8))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile, told in ((srgb, 0), (None, 0), (lab(), 1), (b"no profile", 1)):
        image.save(tmp_path / f"a{suffix}", **({} if profile is None else {"icc_profile": profile}))
        notes = [note for note in read_image(tmp_path / f"a{suffix}").notes if "colour profile" in note]
        assert len(notes) == told, profile


def test_what_imagej_has_drawn_is_told(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 9), np.uint16), imagej=True, metadata={"Overlays": [b"Iout" + bytes(60)]})
    assert any("overlays" in note for note in read_image(path).notes)
    assert not any("overlays" in note for note in read_image(imagej(tmp_path / "b.tif")).notes)


def test_imagejs_own_are_told_where_the_result_is_not_written_as_imagej_does(tmp_path, monkeypatch):
    source = imagej(tmp_path / "a.tif")
    result = restore_file("denoise", source, tmp_path / "b.tif", settings={"max_iterations": 1})
    assert result.notes == () and len(read_image(tmp_path / "b.tif").metadata.kept["LUTs"]) == 2
    named = restore_file("denoise", source, tmp_path / "b.ome.tif", settings={"max_iterations": 1})
    (note,) = named.notes
    assert note.startswith("The result is written as OME-TIFF, since its name asks for that; it does not keep the ")
    assert note.endswith("colours of channels and the labels of slices.")
    monkeypatch.setattr(tiff_writing, "MOST_IMAGEJ", 100)
    large = restore_file("denoise", source, tmp_path / "c.tif", settings={"max_iterations": 1})
    assert "4 GB at most" in large.notes[0]
    assert tifffile.TiffFile(tmp_path / "c.tif").is_ome


def test_axes_that_are_not_in_imagejs_order_keep_their_steps(tmp_path):
    source = read_image(imagej(tmp_path / "a.tif", (3, 2, 12, 14), "ZCYX"))
    assert "not in ImageJ's order" in losses(tmp_path / "b.tif", (2, 3, 12, 14), "CZYX", source)[0]
    write_image(tmp_path / "b.tif", np.ones((2, 3, 12, 14), np.float32), "CZYX", source)
    found = read_image(tmp_path / "b.tif")
    assert found.axes == "CZYX" and found.metadata.step == pytest.approx({"Z": 0.5, "Y": 0.1, "X": 0.1})


@pytest.mark.parametrize(("unit", "seconds"), [("ms", 0.005), ("min", 300.0), ("s", 5.0), (None, 5.0)])
def test_the_time_between_frames_is_in_seconds_where_the_unit_is_not_kept(tmp_path, unit, seconds):
    kept = {} if unit is None else {"TimeIncrementUnit": unit}
    source = Picture(np.zeros((3, 8, 9)), Metadata("TYX", {"T": 5.0}, None, "ome", kept))
    assert source.metadata.in_dialect("imagej").step["T"] == pytest.approx(seconds)
    odd = Metadata("TYX", {"T": 5.0}, None, "ome", {"TimeIncrementUnit": "fortnight"})
    assert "T" not in odd.in_dialect("imagej").step
