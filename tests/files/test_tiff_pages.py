"""TIFF files whose pages have no end, lie in each other, or lack what they list, and OME files that name others."""

import io
import os
import struct

import numpy as np
import pytest
import tifffile

from napari_dip.errors import InputError
from napari_dip.files.formats import count_images, peek, read_image

IMAGE = np.random.default_rng(0).integers(0, 200, (3, 20, 24)).astype(np.uint16)


def pages(**options):
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:
        for plane in IMAGE:
            writer.write(plane, metadata=None, contiguous=False)
    return bytearray(file.getvalue())


def places(content, big=False):
    """Give where each page begins, and where it says where the next one is."""
    number, offset, size, first = ("<Q", "<Q", 20, 8) if big else ("<H", "<I", 12, 4)
    found, link = [], first
    while at := struct.unpack_from(offset, content, link)[0]:
        link = at + struct.calcsize(number) + size * struct.unpack_from(number, content, at)[0]
        found.append((at, link))
    return found


def refusal(tmp_path, content, suffix=".tif"):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    assert peek(path) is None and count_images(path) == 1
    with pytest.raises(InputError) as refused:
        read_image(path)
    text = str(refused.value)
    assert text.endswith(".") and "\n" not in text
    return text


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("last, first", [(0, 0), (1, 0), (2, 0), (2, 2)])
def test_pages_that_lead_back_are_refused_at_once(tmp_path, big, last, first):
    content = pages(bigtiff=big)
    found = places(content, big)
    struct.pack_into("<Q" if big else "<I", content, found[last][1], found[first][0])
    assert "lead back to an earlier one" in refusal(tmp_path, content)


def test_pages_that_lie_in_each_other_are_refused(tmp_path):
    """Each of them begins a tag after the one before it, and has 500 tags: all that the others have, nearly."""
    start, tags = 65536 + 8, 500  # the upper half of an offset is the type of a tag, too
    content = bytearray(b"II*\0" + struct.pack("<I", start) + bytes(start - 8 + 12 * 1000))
    for n in range(tags + 400):
        struct.pack_into("<H", content, start + 12 * n, tags)
        struct.pack_into("<I", content, start + 12 * n + 2, start + 12 * max(n - tags + 1, 0))
    assert "lie in each other" in refusal(tmp_path, content)


def test_tags_of_no_type_are_not_looked_at_one_by_one(tmp_path):
    content = b"II*\0" + struct.pack("<IH", 8, 4000) + struct.pack("<HHII", 7, 99, 1, 1) * 4000 + bytes(4)
    assert "is no tag" in refusal(tmp_path, content)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16), "compression": "zlib"}])
def test_an_image_of_far_more_strips_or_tiles_than_are_listed_is_refused(tmp_path, options):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, IMAGE[0], metadata=None, **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(20_000_000)
    with pytest.raises(InputError, match="lists"):
        read_image(path)


def test_pages_in_their_order_are_read(tmp_path):
    for big in (False, True):
        (tmp_path / "x.tif").write_bytes(pages(bigtiff=big))
        assert (read_image(tmp_path / "x.tif").array == IMAGE).all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here")
@pytest.mark.parametrize("name", ["pipe.ome.tif", "../other.ome.tif", "link.ome.tif", "/dev/zero"])
def test_an_ome_file_that_names_others_elsewhere_is_refused(tmp_path, name):
    here = tmp_path / "here"
    here.mkdir()
    tifffile.imwrite(tmp_path / "other.ome.tif", IMAGE)
    os.mkfifo(here / "pipe.ome.tif")
    os.symlink(tmp_path / "other.ome.tif", here / "link.ome.tif")
    tifffile.imwrite(here / "x.ome.tif", IMAGE, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(here / "x.ome.tif", mode="r+") as file:
        said = file.pages[0].tags["ImageDescription"].value
        uuid = f'<UUID FileName="{name}">urn:uuid:1</UUID>'
        said = said.replace('PlaneCount="3"/>', f'PlaneCount="3">{uuid}</TiffData>')
        assert uuid in said
        file.pages[0].tags["ImageDescription"].overwrite(said)
    with pytest.raises(InputError):
        read_image(here / "x.ome.tif")
    assert peek(here / "x.ome.tif") is None


def test_an_ome_file_that_names_what_is_gone_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "x.ome.tif", IMAGE, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(tmp_path / "x.ome.tif", mode="r+") as file:
        said = file.pages[0].tags["ImageDescription"].value
        own = said[said.index("urn:uuid") : said.index('"', said.index("urn:uuid"))]
        uuid = f'<UUID FileName="/nowhere/x.ome.tif">{own}</UUID>'
        file.pages[0].tags["ImageDescription"].overwrite(
            said.replace('PlaneCount="3"/>', f'PlaneCount="3">{uuid}</TiffData>')
        )
    assert read_image(tmp_path / "x.ome.tif").array.shape == IMAGE.shape
