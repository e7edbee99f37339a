"""Damaged files are refused in one sentence, or read; NAPARI_DIP_DAMAGED says how many of each kind are tried."""

import io
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_dip.errors import InputError
from napari_dip.files.formats import read_image

TRIES = int(os.environ.get("NAPARI_DIP_DAMAGED", "25"))
STACK = np.random.default_rng(0).integers(0, 200, (2, 3, 20, 24)).astype(np.uint16)


def tiff(**options):
    file = io.BytesIO()
    tifffile.imwrite(file, STACK, **options)
    return file.getvalue()


def pillow(form):
    file = io.BytesIO()
    Image.fromarray(STACK[0].transpose(1, 2, 0).astype(np.uint8)).save(file, format=form)
    return file.getvalue()


def npy():
    file = io.BytesIO()
    np.save(file, STACK)
    return file.getvalue()


KINDS = {
    "imagej.tif": lambda: tiff(imagej=True, metadata={"axes": "ZCYX", "Labels": ["a"] * 6}),
    "ome.ome.tif": lambda: tiff(ome=True, metadata={"axes": "ZCYX", "PhysicalSizeX": 0.5}),
    "packed.tif": lambda: tiff(compression="zlib", tile=(16, 16)),
    "plain.png": lambda: pillow("PNG"),
    "plain.jpg": lambda: pillow("JPEG"),
    "plain.npy": npy,
}


def damage(content, random):
    """Change some bytes, cut the file off, or put something into it."""
    found = bytearray(content)
    for _ in range(random.integers(1, 4)):
        # the head says what all else means
        at = int(random.integers(0, len(found) if random.random() < 0.5 else min(len(found), 400)))
        way = random.integers(0, 4)
        if way == 0:
            found = found[:at] or found[:1]
        elif way == 1:
            found[at:at] = random.bytes(int(random.integers(1, 9)))
        else:
            n = int(random.integers(1, 5))
            found[at : at + n] = random.bytes(n)
    return bytes(found)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_read_or_refused_in_one_sentence(tmp_path, name):
    content, refused = KINDS[name](), 0
    assert read_image_of(tmp_path / name, content) is not None
    for seed in range(TRIES):
        try:
            picture = read_image_of(tmp_path / name, damage(content, np.random.default_rng(seed)))
            np.asarray(picture.array).sum()  # what is mapped must be there
        except InputError as error:
            sentence = str(error)
            assert repr(str(tmp_path / name)) in sentence and "\n" not in sentence and sentence.endswith(".")
            refused += 1
    assert refused > 0


def read_image_of(path, content):
    path.write_bytes(content)
    return read_image(path)
