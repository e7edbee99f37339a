import zlib

import numpy as np
import pytest
import tifffile
from pictures import noise
from PIL import Image

from napari_dip.errors import InputError
from napari_dip.files.formats import READ_NAMES, Picture, read_image, read_mask, write_image


def test_a_palette_is_turned_into_colours(tmp_path):
    index = noise("YX", "uint8") % 4
    table = np.zeros((3, 256), np.uint16)
    table[:, :4] = [[0, 65535, 0, 9], [0, 0, 65535, 8], [1, 2, 3, 7]]
    tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=table)
    found = read_image(tmp_path / "a.tif")
    assert found.axes == "YXS"
    np.testing.assert_array_equal(found.array, np.moveaxis(table[:, index], 0, -1))
    image = Image.fromarray(index).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3])
    image.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    assert found.axes == "YXS"
    np.testing.assert_array_equal(found.array, np.array(image.convert("RGB")))


@pytest.mark.parametrize("suffix", [".TIF", ".tiff", ".Png", ".NPY"])
def test_suffixes_may_be_capital(tmp_path, suffix):
    image = noise("YX", "uint8")
    write_image(tmp_path / f"a{suffix}", image.astype(np.float32), "YX", Picture(image))
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").array, image)


def png_of_16_bit_colours():
    def chunk(kind, data):
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = (9).to_bytes(4, "big") * 2 + bytes([16, 2, 0, 0, 0])
    rows = zlib.compress((b"\0" + bytes(9 * 6)) * 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_unreadable_files_get_one_clear_sentence(tmp_path):
    good = {}
    for suffix in (".tif", ".png", ".npy"):
        write_image(tmp_path / f"good{suffix}", noise("YX", "float32"), "YX", Picture(noise("YX", "uint8")))
        good[suffix] = (tmp_path / f"good{suffix}").read_bytes()
    bad = {f"cut{suffix}": data[: len(data) // 2] for suffix, data in good.items()}
    bad |= {f"stub{suffix}": data[:7] for suffix, data in good.items()}
    bad |= {f"empty{suffix}": b"" for suffix in good}
    bad |= {f"text{suffix}": b"this is no image at all\n" * 9 for suffix in good}
    bad |= {"wrong.tif": good[".png"], "wrong.png": good[".npy"], "wrong.npy": good[".tif"]}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match="cannot be read as") as refusal:
            read_image(tmp_path / name)
        sentence = str(refusal.value)
        assert name in sentence and sentence.endswith(".") and "\n" not in sentence, sentence


def test_other_things_that_cannot_be_read(tmp_path):
    np.save(tmp_path / "object.npy", np.array([[None, {}]]), allow_pickle=True)
    np.savez(tmp_path / "many.npz", a=np.zeros(3))
    (tmp_path / "many.npz").rename(tmp_path / "many.npy")
    (tmp_path / "colours.png").write_bytes(png_of_16_bit_colours())
    (tmp_path / "folder.tif").mkdir()
    for name, words in {
        "object.npy": "cannot be read as NPY",
        "many.npy": "cannot be read as NPY",
        "colours.png": "16 bits for each",
        "folder.tif": "is a folder",
        "missing.tif": "There is no file",
        "image.gif": rf"{READ_NAMES}.*\.tif, \.tiff, \.png, \.npy, \.zarr, \.jpg",
        "image": READ_NAMES,
    }.items():
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / name)


def test_masks_of_every_format(tmp_path):
    hole = np.zeros((10, 12), bool)
    hole[2:4, 3:5] = True
    colours = np.zeros((10, 12, 4), np.uint8)
    colours[..., 3] = 255  # opaque everywhere: alpha says nothing
    colours[hole, 2] = 200
    np.save(tmp_path / "a.npy", hole)
    np.save(tmp_path / "b.npy", np.where(hole, -0.5, 0))
    tifffile.imwrite(tmp_path / "c.tif", hole.astype("uint16") * 300, imagej=True)
    tifffile.imwrite(tmp_path / "d.tif", colours, photometric="rgb", extrasamples=["unassalpha"])
    Image.fromarray(hole).save(tmp_path / "e.png")
    Image.fromarray(hole.astype("uint8")).save(tmp_path / "f.png")
    Image.fromarray(colours).save(tmp_path / "g.png")
    Image.fromarray(colours[..., :3]).save(tmp_path / "h.png")
    Image.fromarray(colours).convert("RGB").convert("P").save(tmp_path / "i.png")
    Image.fromarray(hole.astype("uint8") * 7).convert("LA").save(tmp_path / "j.png")
    for name in ("a.npy", "b.npy", "c.tif", "d.tif", "e.png", "f.png", "g.png", "h.png", "i.png", "j.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), hole, err_msg=name)
    np.save(tmp_path / "k.npy", hole.astype(complex))
    with pytest.raises(InputError, match="complex128"):
        read_mask(tmp_path / "k.npy")
