"""Names that come from a file, or lie in a folder that others can write to: each is resolved here, and lies inside."""

from __future__ import annotations

from pathlib import Path

from napari_dip.errors import InputError
from napari_dip.files.locks import real


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a name stands for a place in a folder, once all links are followed."""
    try:
        return real(path).is_relative_to(real(folder))
    except (OSError, ValueError):  # a name may hold a NUL
        return False


def inside(folder: Path, name: str) -> Path:
    """Give the place of a name in a folder.

    Parameters
    ----------
    folder : Path
    name : str
        Relative to the folder.

    Raises
    ------
    InputError
        If it lies elsewhere, by its name or by a link.
    """
    path = folder / name
    if not is_inside(path, folder):
        raise InputError(
            f"{str(path)!r} leads outside of the folder {str(folder)!r}, by its name or by a link; remove the link, or "
            "choose another folder."
        )
    return path


def is_plain(name: object) -> bool:
    """Whether a name is that of a file alone, without a folder.

    >>> is_plain("a.tif"), is_plain(".."), is_plain("a/b"), is_plain(""), is_plain(3)
    (True, False, False, False, False)
    """
    if not isinstance(name, str) or name in ("", ".", "..") or any(sign in name for sign in "/\0"):
        return False
    return Path(name).name == name
