import pytest

from napari_dip.files.metadata import Metadata


def test_pixels_of_an_enlarged_image_are_smaller_along_y_and_x_alone():
    before = Metadata("TZYX", {"T": 2.0, "Z": 3.0, "Y": 1.0, "X": 0.5}, "µm", "imagej", {"loop": True})
    after = before.enlarged(4)
    assert after.step == pytest.approx({"T": 2.0, "Z": 3.0, "Y": 0.25, "X": 0.125})
    assert (after.axes, after.unit, after.dialect, after.kept) == ("TZYX", "µm", "imagej", {"loop": True})
    assert before.step["Y"] == 1.0 and before.enlarged(1) == before


def test_what_one_dialect_keeps_is_nothing_to_another():
    metadata = Metadata("YX", {"X": 2.0}, "µm", "imagej", {"loop": True})
    assert metadata.in_dialect("imagej") == metadata
    assert metadata.in_dialect("ome") == Metadata("YX", {"X": 2.0}, "µm", "ome")
