import numpy as np
import pytest
from pictures import noise, rewritten

from napari_dip.files.formats import read_image


@pytest.mark.parametrize("dtype", ["bool", "uint8", ">u2", "int64", "float16", "float64"])
def test_npy_is_read_as_it_is_and_written_as_float32(tmp_path, dtype):
    image = noise("ZYX").astype(dtype)
    np.save(tmp_path / "a.npy", image)
    found = read_image(tmp_path / "a.npy")
    assert found.axes is None and found.array.dtype == image.dtype
    again = rewritten(tmp_path / "a.npy", tmp_path / "b.npy", axes="ZYX").array
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, image.astype(np.float32))


def test_an_npy_without_pixels_can_be_read(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((0, 4)))
    assert read_image(tmp_path / "a.npy").array.shape == (0, 4)
