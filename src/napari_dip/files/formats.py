"""Image files in and out, whatever their format, with axes and pixel size kept as far as it keeps them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError, reason
from napari_dip.files import microscopes
from napari_dip.files.bounded import check_readable
from napari_dip.files.format import Format
from napari_dip.files.inside import inside
from napari_dip.files.jpeg import JPEG
from napari_dip.files.metadata import Metadata, Picture
from napari_dip.files.npy import NPY
from napari_dip.files.ome_zarr import OME_ZARR
from napari_dip.files.png import PNG
from napari_dip.files.replace import Unit, check_output, check_outputs, replacing, together
from napari_dip.files.tiff import TIFF

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ABOUT",
    "COARSE",
    "EXACT",
    "FORMATS",
    "NAMES",
    "PLAINLY",
    "READ",
    "READ_NAMES",
    "Begun",
    "Format",
    "Metadata",
    "Picture",
    "Unit",
    "can_be_same",
    "check_fits",
    "check_output",
    "check_outputs",
    "companion",
    "count_images",
    "format_of",
    "losses",
    "peek",
    "read_image",
    "read_input",
    "read_mask",
    "replacing",
    "together",
    "write_image",
]

ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")
"""How the address of something on a network begins."""
PLAINLY = "What the file says of its image could not be written with the result; its values and axes were."
FORMATS: tuple[Format, ...] = (TIFF, PNG, NPY, OME_ZARR)
"""All that are read and written."""
READ: tuple[Format, ...] = (*FORMATS, JPEG, *microscopes.MICROSCOPES)
"""All that are read."""


def _either(words: Sequence[str]) -> str:
    """List words in a sentence.

    >>> _either(["TIFF"]), _either(["TIFF", "PNG", "NPY"])
    ('TIFF', 'TIFF, PNG or NPY')
    """
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


NAMES = _either([form.name for form in FORMATS])
"""All formats that are written, for a sentence."""
READ_NAMES = _either([form.name for form in READ])
"""All formats that are read, for a sentence."""
ABOUT = " ".join([*(form.about for form in READ if form.about), microscopes.ABOUT])
"""What the files of each format hold."""
EXACT = next(form for form in FORMATS if form.exact)
"""Takes what another format is too coarse for."""
COARSE = f"for {_either([form.name for form in FORMATS if not form.exact])}, as {EXACT.name}"
"""Where the companions of coarse formats go, for a sentence."""


def format_of(path: Path, formats: Sequence[Format] = FORMATS) -> Format:
    """Give the format that the suffix of a file name stands for.

    Raises
    ------
    InputError
        If it stands for none of these; left out, those that are read and written.
    """
    for form in formats:
        if path.suffix.lower() in form.suffixes:
            return form
    known = ", ".join(suffix for form in formats for suffix in form.suffixes)
    names = _either([form.name for form in formats])
    raise InputError(f"The name {str(path)!r} does not say {names}; let it end in {known}.")


def read_image(path: Path, series: int | None = None) -> Picture:
    """Read an image file.

    Parameters
    ----------
    path : Path
    series : int, optional
        Which of several images in the file, from 1; left out, the first of the largest.

    Raises
    ------
    InputError
        If there is no such file or image, or it cannot be read.
    """
    form = format_of(path, READ)
    if ADDRESS.match(str(path)) and not path.exists():
        raise InputError(f"{str(path)!r} is an address, and only files on this machine are read; download it first.")
    check_readable(path, folder=form.folder)
    if series is not None and form.read_series is None:
        raise InputError(f"A {form.name} file holds a single image; leave the series out for {str(path)!r}.")
    try:
        return form.read(path) if series is None or form.read_series is None else form.read_series(path, series)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file can raise anything inside its reader
        raise InputError(f"The file {str(path)!r} cannot be read as {form.name}: {reason(error)}.") from error


def count_images(path: Path) -> int:
    """Say how many images a file holds; 1 also for one that cannot be read: to say why is for those who read it."""
    try:
        form = format_of(path, READ)
        check_readable(path, folder=form.folder)
        return 1 if form.count is None else form.count(path)
    except Exception:
        return 1


def peek(path: Path) -> tuple[tuple[int, ...], Metadata] | None:
    """Give shape and metadata of an image file, without reading its values; see `Format`.

    None for a file that cannot be read, or not as cheaply as that.
    """
    try:
        form = format_of(path, READ)
        check_readable(path, folder=form.folder)
        return None if form.peek is None else form.peek(path)
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
    values = np.asarray(picture.array)
    if picture.axes is None or "S" not in picture.axes:
        return np.asarray(values != 0)
    samples = np.moveaxis(values, picture.axes.index("S"), -1)
    return np.asarray((samples[..., :3] != 0).any(-1))


def read_input(kind: str, path: Path) -> Any:
    """Read what a task takes beside the image, of the kind "mask" or "image".

    Raises
    ------
    InputError
        As `read_image` does.
    """
    return read_mask(path) if kind == "mask" else read_image(path).array


def companion(path: Path, word: str) -> Path:
    """Name a second file that belongs to an output: its name with a word at the end.

    It stays of the same format, unless that is too coarse for anything but the image itself, and lies beside it: a
    link that leads elsewhere is refused.

    >>> companion(Path("cells.ome.tif"), "uncertainty").name, companion(Path("cells.png"), "uncertainty").name
    ('cells-uncertainty.ome.tif', 'cells-uncertainty.tif')
    """
    form = format_of(path)
    stem, ending = form.split(path.name)
    return inside(path.parent, f"{stem}-{word}{ending if form.exact else EXACT.suffixes[0]}")


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


def write_image(
    path: Path,
    image: np.ndarray,
    axes: str,
    source: Picture,
    factor: int = 1,
    unit: Unit | None = None,
    *,
    same: bool = False,
) -> bool:
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
    unit : Unit, optional
        Whose `commit` puts the file in its place, together with others; left out, it gets there at once.
    same : bool
        Write whole numbers of the type of the source, rounded and clipped, where `can_be_same` says that it can be.

    Returns
    -------
    bool
        Whether what its source says was written, too. What cannot be must not lose the image.

    Raises
    ------
    InputError
        If the system refuses, because the disk is full for example.
    """
    form, source = format_of(path), _enlarged(path, source, factor)
    if same and can_be_same(source):
        image = _in_type(image, source.array.dtype)
    with _place(form, path, unit) as place:
        try:
            form.write(place, image, axes, source)
        except (InputError, OSError, MemoryError):
            raise
        except Exception:
            if form.folder:
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.seek(0)
                place.truncate()
            form.write(place, image, axes, _plainly(source))
            return False
    return True


class Begun:
    """A result that is written region by region, into its file.

    Attributes
    ----------
    array : array of float32
        Like numpy's; NaN as long as nothing is written. Its values are there as long as the file is.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], axes: str, source: Picture, factor: int, unit: Unit):
        self._path, self._unit, self._source = path, unit, _enlarged(path, source, factor)
        make = format_of(path).begin
        if make is None:
            raise ValueError(f"{path.suffix} is not written region by region")
        with unit.part(path) as self._part:
            self.array = make(self._part, shape, axes, self._source)
        self.array.path = path

    def finish(self) -> bool:
        """Write what is left, so that the unit can be committed; as `write_image`, give whether all was said.

        Raises
        ------
        InputError
            If the system refuses, because the disk is full for example.
        """
        with self._unit.completing(self._path, self._part):
            try:
                self.array.finish(self._source)
            except (InputError, OSError, MemoryError):
                raise
            except Exception:
                self.array.finish(_plainly(self._source))
                return False
        return True

    def committed(self) -> None:
        """Say that the unit is there, so that the array can still be read."""
        self.array.moved(self._path)


def losses(path: Path, shape: tuple[int, ...], axes: str, source: Picture) -> tuple[str, ...]:
    """Say what a result will lack in that file that its source has, where that depends on its size, axes and name."""
    form = format_of(path)
    return form.losses(shape, axes, source, form.dialects.get(form.split(path.name)[1].lower()))


def _enlarged(path: Path, source: Picture, factor: int) -> Picture:
    """Give a source with what is true of its result, in the dialect that the name of a file asks for."""
    form, metadata = format_of(path), source.metadata.enlarged(factor)
    dialect = form.dialects.get(form.split(path.name)[1].lower())
    return replace(source, metadata=metadata if dialect is None else metadata.in_dialect(dialect))


def _plainly(source: Picture) -> Picture:
    return replace(source, metadata=Metadata(source.axes))


@contextmanager
def _place(form: Format, path: Path, unit: Unit | None) -> Iterator[Any]:
    """Give what a format writes to: an open file, or the path of a folder; without a unit, it gets there at once."""
    if unit is None:
        with together([path]) as own:
            with _place(form, path, own) as place:
                yield place
            own.commit()
    elif form.folder:
        with unit.replacing_folder(path) as place:
            yield place
    else:
        with unit.replacing(path) as place:
            yield place


def can_be_same(source: Picture) -> bool:
    """Whether a result can have the type of its source: whole numbers of 8 or 16 bits without sign, as all can read."""
    return source.array.dtype.newbyteorder("=").name in ("uint8", "uint16")


def _in_type(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round and clip; what is no number becomes zero."""
    import numpy as np

    whole = dtype.newbyteorder("=")
    return np.asarray(np.nan_to_num(np.rint(image), nan=0).clip(0, np.iinfo(whole).max), whole)
