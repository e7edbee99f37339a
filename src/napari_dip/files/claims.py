"""What a file claims to hold: a small file that unfolds to more than any memory is refused before it does."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path

from napari_dip.errors import InputError

VARIABLE = "NAPARI_DIP_MOST_GIGABYTES"
"""Environment variable that raises what a packed file may unfold to."""
MOST_GIGABYTES = 2.0
MOST_TIMES = 100
"""Times its own size that a larger file may unfold to: noise is hardly packed at all."""


def check_claim(path: Path, shape: tuple[int, ...], itemsize: int, size: int | None = None) -> None:
    """See that a file may be read at all.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Of the image, as the file claims it.
    itemsize : int
        Bytes of a value.
    size : int, optional
        Bytes that hold the image; left out, those of the file.

    Raises
    ------
    InputError
        If it claims both more than so many gigabytes and far more than its own size.
    """
    most, claimed = _most_gigabytes() * 1e9, prod(shape) * itemsize
    if claimed > most and claimed > MOST_TIMES * (path.stat().st_size if size is None else size):
        sizes = " x ".join(map(str, shape))
        raise InputError(
            f"The file {str(path)!r} claims an image of {sizes}, {claimed / 1e9:.3g} GB, more than {MOST_TIMES} times "
            f"its own size; if that is true, set {VARIABLE} to more than that."
        )


def check_chunk(path: Path, chunk: tuple[int, ...], itemsize: int) -> None:
    """See that a piece that has to be unfolded as a whole is no larger than that.

    Raises
    ------
    InputError
        If it is.
    """
    if prod(chunk) * itemsize > _most_gigabytes() * 1e9:
        sizes = " x ".join(map(str, chunk))
        raise InputError(
            f"The file {str(path)!r} is stored in chunks of {sizes}, {prod(chunk) * itemsize / 1e9:.3g} GB each; store "
            f"it in smaller ones, or set {VARIABLE} to more than that."
        )


def _most_gigabytes() -> float:
    given = os.environ.get(VARIABLE, "")
    try:
        return float(given) if given else MOST_GIGABYTES
    except ValueError:
        raise InputError(f"{VARIABLE} is {given!r}; give a number of gigabytes.") from None
