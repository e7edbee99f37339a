"""NPY files: an array, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from napari_dip.files.metadata import Picture


def read(path: Path) -> Picture:
    """Read an array; a large one is mapped, not loaded."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)  # np.load takes what is no NPY file for a pickle, and says so
    try:
        return Picture(np.lib.format.open_memmap(path, mode="r"))
    except ValueError:  # an array of no size cannot be mapped
        return Picture(np.load(path, allow_pickle=False))


def write(file: IO[bytes], image: np.ndarray, axes: str, source: Picture) -> None:
    """Write the values; an NPY file has no place for anything else."""
    np.save(file, image, allow_pickle=False)
