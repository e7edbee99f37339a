"""Image files in and out, whatever their format, with axes and pixel size kept as far as it keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dip.errors import InputError, reason
from napari_dip.files.format import Format
from napari_dip.files.metadata import Metadata, Picture
from napari_dip.files.npy import NPY
from napari_dip.files.png import PNG
from napari_dip.files.replace import check_output, replacing
from napari_dip.files.tiff import TIFF

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ABOUT",
    "COARSE",
    "EXACT",
    "FORMATS",
    "NAMES",
    "Format",
    "Metadata",
    "Picture",
    "check_fits",
    "check_output",
    "companion",
    "format_of",
    "peek",
    "read_image",
    "read_mask",
    "replacing",
    "write_image",
]

FORMATS: tuple[Format, ...] = (TIFF, PNG, NPY)


def _either(words: Sequence[str]) -> str:
    """List words in a sentence.

    >>> _either(["TIFF"]), _either(["TIFF", "PNG", "NPY"])
    ('TIFF', 'TIFF, PNG or NPY')
    """
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


NAMES = _either([form.name for form in FORMATS])
"""All formats, for a sentence."""
ABOUT = " ".join(form.about for form in FORMATS)
"""What the files of each format hold."""
EXACT = next(form for form in FORMATS if form.exact)
"""Takes what another format is too coarse for."""
COARSE = f"for {_either([form.name for form in FORMATS if not form.exact])}, as {EXACT.name}"
"""Where the companions of coarse formats go, for a sentence."""


def format_of(path: Path) -> Format:
    """Give the format that the suffix of a file name stands for.

    Raises
    ------
    InputError
        If it stands for none that can be read and written.
    """
    for form in FORMATS:
        if path.suffix.lower() in form.suffixes:
            return form
    known = ", ".join(suffix for form in FORMATS for suffix in form.suffixes)
    raise InputError(f"The name {str(path)!r} does not say {NAMES}; let it end in {known}.")


def read_image(path: Path) -> Picture:
    """Read an image file.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read.
    """
    form = format_of(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; give an image file.")
    if not path.exists():
        raise InputError(f"There is no file {str(path)!r}.")
    try:
        return form.read(path)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file can raise anything inside its reader
        raise InputError(f"The file {str(path)!r} cannot be read as {form.name}: {reason(error)}.") from error


def peek(path: Path) -> tuple[tuple[int, ...], Metadata] | None:
    """Give shape and metadata of an image file, without reading its values; None if it does not say what its axes are.

    Nor is anything said of a file that cannot be read, or not as cheaply as that.
    """
    try:
        look = format_of(path).peek
        return None if look is None else look(path)
    except Exception:  # whoever only wants to know more of an image that is there can do without
        return None


def read_mask(path: Path) -> np.ndarray:
    """Read a mask: True where a pixel is not zero, in any of its colours; its alpha does not count.

    Raises
    ------
    InputError
        As `read_image` does.
    """
    import numpy as np

    picture = read_image(path)
    if picture.array.dtype.kind not in "biuf":
        raise InputError(f"The mask {str(path)!r} holds {picture.array.dtype.name} values; give whole numbers.")
    if picture.axes is None or "S" not in picture.axes:
        return np.asarray(picture.array != 0)
    samples = np.moveaxis(picture.array, picture.axes.index("S"), -1)
    return np.asarray((samples[..., :3] != 0).any(-1))


def companion(path: Path, word: str) -> Path:
    """Name a second file that belongs to an output: its name with a word at the end.

    It stays of the same format, unless that is too coarse for anything but the image itself.

    >>> companion(Path("cells.ome.tif"), "uncertainty").name, companion(Path("cells.png"), "uncertainty").name
    ('cells-uncertainty.ome.tif', 'cells-uncertainty.tif')
    """
    form = format_of(path)
    ending = form.ending(path.name)
    stem = path.name[: -len(ending)]
    return path.with_name(f"{stem}-{word}{ending if form.exact else EXACT.suffixes[0]}")


def check_fits(path: Path, picture: Picture, axes: str | None) -> None:
    """See that a format can hold the result of restoring an image, before any work is done for it.

    Parameters
    ----------
    path : Path
        To be written to.
    picture : Picture
        To be restored.
    axes : str or None
        One letter for each dimension; None to have them guessed.

    Raises
    ------
    InputError
        If it cannot.
    """
    obstacle = format_of(path).obstacle(picture, axes)
    if obstacle is not None:
        able = [form.suffixes[0] for form in FORMATS if form.obstacle(picture, axes) is None]
        raise InputError(f"{obstacle}; write {_either(able)}.")


def write_image(path: Path, image: np.ndarray, axes: str, source: Picture, factor: int = 1) -> None:
    """Write a restored image, with the pixel size of its source as far as the format keeps it.

    Parameters
    ----------
    path : Path
        Replaced if it exists; complete, or not there at all.
    image : float32 array
    axes : str
        One letter for each dimension.
    source : Picture
        What was restored; for whole numbers, the file holds its type.
    factor : int
        How much smaller the pixels have become along Y and X.

    Raises
    ------
    InputError
        If the system refuses, because the disk is full for example.
    """
    form, metadata = format_of(path), source.metadata.enlarged(factor)
    dialect = form.dialects.get(form.ending(path.name).lower())
    if dialect is not None:
        metadata = metadata.in_dialect(dialect)
    with replacing(path) as file:
        form.write(file, image, axes, replace(source, metadata=metadata))
