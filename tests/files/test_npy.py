import numpy as np
import pytest
from pictures import noise, rewritten

import napari_dip as dip
from napari_dip.errors import InputError
from napari_dip.files import npy
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


def test_a_large_array_is_read_by_region_and_never_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(npy, "IN_MEMORY", 100)
    image = noise("TZYX")
    np.save(tmp_path / "a.npy", image)
    found = read_image(tmp_path / "a.npy").array
    assert isinstance(found, npy.ValuesInFile) and found.shape == image.shape
    for key in (0, -1, slice(1, 2), slice(None, None, -1), (slice(0, 2), 1), (1, ..., 3), [1, 0], (slice(5, 5), 0)):
        np.testing.assert_array_equal(found[key], image[key])
    np.testing.assert_array_equal(np.asarray(found), image)
    alone = dip.denoise(image[0], axes="ZYX", max_iterations=2, threads=1).image
    restored = dip.denoise(read_image(tmp_path / "a.npy").array, axes="TZYX", max_iterations=2, threads=1).image
    assert restored.shape == image.shape and np.isfinite(alone).all() and np.isfinite(restored).all()
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(300)  # while it is in use
    with pytest.raises(InputError, match="was cut off"):
        found[1]
    with pytest.raises(InputError, match="it ends after 300 bytes"):
        read_image(tmp_path / "a.npy")


def test_an_array_by_columns_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(npy, "IN_MEMORY", 100)
    image = np.asfortranarray(noise("ZYX"))
    np.save(tmp_path / "a.npy", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy").array, image)
