"""Pictures in files, for the tests of all formats."""

import numpy as np
import tifffile

from napari_dip.files.formats import read_image, write_image

SIZES = {"T": 2, "Z": 3, "C": 2, "Y": 10, "X": 12, "S": 3}


def noise(axes, dtype="uint16", **sizes):
    shape = tuple((SIZES | sizes)[a] for a in axes)
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def rewritten(source, target, factor=1, axes=None):
    """Read a file and write it again as float32, enlarged by repetition, as a restoration would."""
    picture = read_image(source)
    axes = axes or picture.axes
    image = np.asarray(picture.array).astype(np.float32)
    for letter in "YX":
        image = image.repeat(factor, axes.index(letter))
    write_image(target, image, axes, picture, factor)
    return read_image(target)


def size_in_tags(path):
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        x, y = (tags[f"{a}Resolution"].value for a in "XY")
        return x[1] / x[0], y[1] / y[0], int(tags["ResolutionUnit"].value)
