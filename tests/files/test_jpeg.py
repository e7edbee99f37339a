import numpy as np
import pytest
from pictures import noise
from PIL import Image

from napari_dip.errors import InputError
from napari_dip.files.formats import check_fits, read_image
from napari_dip.jobs.file import restore_file

TURNS = {1: lambda x: x, 3: lambda x: x[::-1, ::-1], 6: lambda x: np.rot90(x, -1), 8: np.rot90}
"""What is to be done with what is stored (EXIF 2.3, 4.6.4)."""


def smooth(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (4 * y + x).astype(np.uint8)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png"])
def test_a_picture_lies_as_programs_show_it(tmp_path, orientation, suffix):
    image, exif = smooth((24, 40)), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image).save(tmp_path / f"a{suffix}", exif=exif, dpi=(100, 200))
    found = read_image(tmp_path / f"a{suffix}")
    wanted = TURNS[orientation](image)
    assert found.axes == "YX" and found.array.shape == wanted.shape
    assert abs(found.array.astype(int) - wanted).max() <= (0 if suffix == ".png" else 3)
    along = "YX" if orientation in (6, 8) else "XY"
    assert [found.metadata.step[a] for a in along] == pytest.approx([1 / 100, 1 / 200], rel=1e-3)


def test_colours_of_printing_become_rgb_and_that_is_said(tmp_path):
    image = Image.fromarray(np.full((16, 16, 3), (200, 40, 40), np.uint8))
    image.convert("CMYK").save(tmp_path / "a.jpg")
    found = read_image(tmp_path / "a.jpg")
    assert found.axes == "YXS" and found.array.shape == (16, 16, 3) and "CMYK" in found.notes[0]
    image.save(tmp_path / "b.jpg")
    assert read_image(tmp_path / "b.jpg").notes == ()


def test_a_jpeg_file_is_restored_but_never_written(tmp_path):
    Image.fromarray(noise("YX").astype(np.uint8)).save(tmp_path / "a.jpg")
    source = read_image(tmp_path / "a.jpg")
    restore_file("denoise", tmp_path / "a.jpg", tmp_path / "b.png", settings={"max_iterations": 2})
    assert read_image(tmp_path / "b.png").array.shape == source.array.shape
    for name in ("c.jpg", "c.jpeg"):
        with pytest.raises(InputError, match="TIFF, PNG, NPY or OME-Zarr"):
            check_fits(tmp_path / name, source, source.axes)


def test_damaged_files_are_refused_in_one_sentence(tmp_path):
    Image.fromarray(smooth((24, 40))).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) // 2], b"no image" * 50):
        (tmp_path / "b.jpg").write_bytes(content)
        with pytest.raises(InputError, match="JPEG"):
            read_image(tmp_path / "b.jpg")
