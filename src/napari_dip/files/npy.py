"""NPY files: an array, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

from napari_dip.files.format import Format
from napari_dip.files.metadata import Picture

if TYPE_CHECKING:
    import numpy as np


def read(path: Path) -> Picture:
    """Read an array; it is mapped, so that a large one is loaded as it is used.

    Raises
    ------
    ValueError
        If the file is no NPY file, or holds Python objects, which only a pickle can.
    """
    import numpy as np

    with path.open("rb") as file:
        np.lib.format.read_magic(file)  # np.load takes what is no NPY file for a pickle, and says so
    try:
        return Picture(np.lib.format.open_memmap(path, mode="r"))
    except ValueError:  # an array of no size cannot be mapped
        return Picture(np.load(path, allow_pickle=False))


def write(file: IO[bytes], image: np.ndarray, axes: str, source: Picture) -> None:
    """Write the values of an image; the file has no place for its axes and metadata."""
    import numpy as np

    np.save(file, image, allow_pickle=False)


NPY = Format(
    name="NPY",
    suffixes=(".npy",),
    about="NPY holds float32 in the units of the image, and nothing else.",
    read=read,
    write=write,
)
