"""What a format of image files is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_dip.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from napari_dip.files.metadata import Metadata, Picture


@dataclass(frozen=True)
class Format:
    """A format of image files: how it is called, what it keeps, and how its files are read and written.

    A module for each holds one; `formats.FORMATS` names them all. The module imports its library, and numpy, where it
    reads and writes: the command line needs the names of all formats for its help, and that comes at once.

    Attributes
    ----------
    name : str
        As sentences call it: "TIFF".
    suffixes : tuple of str
        Endings of file names that stand for it, lower case and with their dot; new files get the first.
    about : str
        What its files hold, in one sentence for the help of the command line.
    read : callable
        Gives the `Picture` in the file at a path. It never loads a pickle. It may raise anything for a damaged file:
        `formats.read_image` makes a sentence of the first line.
    write : callable
        Takes a binary file that is open for reading and writing (or the path of a folder to make), a float32 array, its
        axes (one letter for each dimension) and the `Picture` it was made from, whose metadata hold for the array.
    obstacle : callable
        Takes a picture and its axes (None: to be guessed), and gives the beginning of a sentence that says why the
        result of restoring it cannot be written, or None if it can. Most formats hold everything.
    exact : bool
        Whether float32 values stay as they are. If not, an uncertainty goes to a file of the first format with which
        they do.
    dialects : dict
        From longer endings of file names, lower case, to the dialect that they ask for: ".ome.tif" to "ome".
    peek : callable, optional
        Gives shape and `Metadata` of what `read` would give, without reading the values; None where that is not known.
        Where a file does not say what its axes are, these are None, and the shape may be that of a part.
    read_series : callable, optional
        Where a file may hold several images: gives the one of a number, from 1.
    count : callable, optional
        Says how many there are.
    begin : callable, optional
        Where a result can be written region by region: takes the path of a folder to make, shape, axes and `Picture`,
        and gives a float32 array like numpy's, NaN as long as nothing is written. Its `finish`, with a `Picture`,
        completes it, `moved` tells it where the folder is from then on, and `path` is what its errors are about.
    folder : bool
        Whether a "file" is a folder.
    losses : callable
        Takes shape and axes of a result, the `Picture` it is made from, and the dialect that its name asks for (None:
        that of its source), and says in whole sentences what it will lack that its source has, as far as that depends
        on these.
    """

    name: str
    suffixes: tuple[str, ...]
    about: str
    read: Callable[[Path], Picture]
    write: Callable[[IO[bytes], np.ndarray, str, Picture], None] | Callable[[Path, np.ndarray, str, Picture], None]
    obstacle: Callable[[Picture, str | None], str | None] = lambda picture, axes: None
    exact: bool = True
    dialects: dict[str, str] = field(default_factory=dict)
    peek: Callable[[Path], tuple[tuple[int, ...], Metadata] | None] | None = None
    read_series: Callable[[Path, int], Picture] | None = None
    count: Callable[[Path], int] | None = None
    begin: Callable[[Path, tuple[int, ...], str, Picture], Any] | None = None
    folder: bool = False
    losses: Callable[[tuple[int, ...], str, Picture, str | None], tuple[str, ...]] = lambda *given: ()

    def split(self, name: str) -> tuple[str, str]:
        """Give a file name without its ending, and that, as it is spelled there: of a dialect, or else its suffix.

        >>> Format("", (), "", print, print, dialects={".ome.tif": "ome"}).split("cells.OME.tif")
        ('cells', '.OME.tif')
        """
        longer = next((end for end in self.dialects if name.lower().endswith(end)), "")
        length = len(longer or Path(name).suffix)
        return name[: len(name) - length], name[len(name) - length :]


def check_series(path: Path, series: int, count: int) -> None:
    """See that a file has an image of that number, from 1.

    Raises
    ------
    InputError
    """
    if not 1 <= series <= count:
        raise InputError(f"The file {str(path)!r} has no image number {series}; it holds {count}.")


def left_out(count: int, number: int, shape: Sequence[int], name: str = "") -> tuple[str, ...]:
    """Say which of several images in a file is read, where there are several."""
    if count == 1:
        return ()
    sizes = " x ".join(map(str, shape))
    read = f"The file holds {count} images; only number {number}{name}, of {sizes}, is read."
    return (f"{read} The option series takes another.",)
