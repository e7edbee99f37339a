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


@pytest.mark.parametrize(
    ("step", "unit", "units", "ratio"),
    [
        ({"Y": 0.5, "Z": 2.0}, "µm", {}, 4.0),
        ({"Y": 0.5, "Z": -2.0}, "micron", {}, 4.0),
        ({"Y": 200.0, "Z": 1.0}, "nm", {"Z": "um"}, 5.0),
        ({"Y": 1.0, "Z": 1.0}, "µm", {}, 1.0),
        ({"Y": 1.0, "Z": 1.0}, None, {}, None),
        ({"Y": 1.0, "Z": 1.0}, "pixel", {}, None),
        ({"Y": 1.0, "Z": 3.0}, "pixel", {}, 3.0),
        ({"Y": 1.0, "Z": 3.0}, "µm", {"Z": "parsec"}, None),
        ({"Y": 0.5}, "µm", {}, None),
        ({"Z": 2.0}, "µm", {}, None),
        ({"Y": 1.0, "Z": float("nan")}, "µm", {}, None),
        ({"Y": 1.0, "Z": float("inf")}, "µm", {}, None),
        ({}, None, {}, None),
    ],
)
def test_how_far_planes_are_apart_is_said_in_pixels(step, unit, units, ratio):
    assert Metadata(step=step, unit=unit, units=units).z_step == (None if ratio is None else pytest.approx(ratio))
