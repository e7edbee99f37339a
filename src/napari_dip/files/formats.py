"""Image files: TIFF, PNG and NPY in and out, with axes and pixel size kept, and never half-written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_dip.errors import InputError, reason
from napari_dip.files import npy, png, tiff
from napari_dip.files.metadata import Picture
from napari_dip.files.replace import check_output, replacing
from napari_dip.image.axes import guess_axes

__all__ = [
    "FORMATS",
    "Picture",
    "check_fits",
    "check_output",
    "companion",
    "format_of",
    "read_image",
    "read_mask",
    "replacing",
    "write_image",
]

FORMATS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".npy": "NPY"}
OME = (".ome.tif", ".ome.tiff")
"""Endings that ask for the metadata of OME."""


def format_of(path: Path) -> str:
    """Give the format that the suffix of a file name stands for.

    Raises
    ------
    InputError
        If it stands for none that can be read and written.
    """
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(FORMATS)
        raise InputError(f"The name {str(path)!r} does not say TIFF, PNG or NPY; let it end in {known}.") from None


def read_image(path: Path) -> Picture:
    """Read an image file.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read.
    """
    kind = format_of(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; give an image file.")
    if not path.exists():
        raise InputError(f"There is no file {str(path)!r}.")
    try:
        return {"TIFF": tiff.read, "PNG": png.read, "NPY": npy.read}[kind](path)
    except (InputError, MemoryError):
        raise
    except OSError as error:
        why = reason(error)
    except Exception as error:  # a damaged file can raise anything inside its reader
        why = reason(error)
        if "imagecodecs" in why:  # tifffile reads some compressions only with its help
            why = "its compression needs the package imagecodecs; install that, or save the file without compression"
    raise InputError(f"The file {str(path)!r} cannot be read as {kind}: {why}.")


def read_mask(path: Path) -> np.ndarray:
    """Read a mask: True where a pixel is not zero, in any of its colours; its alpha does not count.

    Raises
    ------
    InputError
        As `read_image` does.
    """
    picture = read_image(path)
    if picture.array.dtype.kind not in "biuf":
        raise InputError(f"The mask {str(path)!r} holds {picture.array.dtype.name} values; give whole numbers.")
    if picture.axes is None or "S" not in picture.axes:
        return np.asarray(picture.array != 0)
    samples = np.moveaxis(picture.array, picture.axes.index("S"), -1)
    return np.asarray((samples[..., :3] != 0).any(-1))


def companion(path: Path, word: str) -> Path:
    """Name a second file that belongs to an output: its name with a word at the end.

    It stays of the same format, but for PNG, whose whole numbers are too coarse for anything but the image itself.

    >>> companion(Path("cells.ome.tif"), "uncertainty").name, companion(Path("cells.png"), "uncertainty").name
    ('cells-uncertainty.ome.tif', 'cells-uncertainty.tif')
    """
    suffix = next((path.name[-len(end) :] for end in OME if path.name.lower().endswith(end)), path.suffix)
    stem = path.name[: -len(suffix)]
    return path.with_name(f"{stem}-{word}{'.tif' if format_of(path) == 'PNG' else suffix}")


def check_fits(path: Path, picture: Picture, axes: str | None) -> None:
    """See that a format can hold the result of restoring an image: PNG takes no stacks and whole numbers only.

    Raises
    ------
    InputError
        If it cannot.
    """
    if format_of(path) != "PNG":
        return
    dtype, axes = picture.array.dtype.newbyteorder("="), axes or guess_axes(picture.array.shape, picture.array.dtype)
    if dtype not in (np.uint8, np.uint16):
        raise InputError(f"PNG holds whole numbers of 8 or 16 bits, but the image holds {dtype}; write .tif or .npy.")
    if dtype == np.uint16 and "S" in axes:
        raise InputError("PNG files with 16 bits for each of several colours cannot be written; write .tif or .npy.")
    if set(axes) - set("YXS"):
        raise InputError(f"PNG holds a single plane, but the image has the axes {axes}; write .tif or .npy.")


def write_image(path: Path, image: np.ndarray, axes: str, source: Picture, factor: int = 1) -> None:
    """Write a restored image, with the pixel size of its source.

    TIFF and NPY hold float32; PNG holds whole numbers like those of the source, rounded and clipped.

    Parameters
    ----------
    image : float32 array
    axes : str
        One letter for each dimension.
    source : Picture
        What was restored.
    factor : int
        How much smaller the pixels have become along Y and X.
    """
    metadata = source.metadata.enlarged(factor)
    if path.name.lower().endswith(OME):
        metadata = metadata.in_dialect("ome")
    write = {"TIFF": tiff.write, "PNG": png.write, "NPY": npy.write}[format_of(path)]
    with replacing(path) as file:
        write(file, image, axes, replace(source, metadata=metadata))
