"""What the dimensions of an array mean: one letter for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError

if TYPE_CHECKING:
    import numpy as np

AXES = "TZCYXS"
"""Time, depth, channel, height, width, and the samples of RGB."""
AXES_IN_WORDS = {"T": "time", "Z": "depth", "C": "channel", "Y": "row", "X": "column", "S": "RGB"}
WORDS = {
    "time": "T",
    "frame": "T",
    "channel": "C",
    "ch": "C",
    "depth": "Z",
    "plane": "Z",
    "slice": "Z",
    "height": "Y",
    "row": "Y",
    "width": "X",
    "column": "X",
}
"""Axis names that stand for a letter, in the singular."""
SMALLEST = 8
"""Pixels that the network needs along y and x."""


def letters_of(names: Any, ndim: int, without: str = "") -> str:
    """Turn names of axes into letters; empty if they do not name them all, each once."""
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        return ""
    found = [WORDS.get(name.lower(), WORDS.get(name.lower().removesuffix("s"), name.upper())) for name in names]
    usable = len(set(found)) == len(found) == ndim and {"Y", "X"} <= set(found) <= set(AXES) - set(without)
    return "".join(found) if usable else ""


def guess_axes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Guess the axes of an array: Y and X last, but for colours or channels after them.

    Three samples after Y and X are taken for RGB whatever their type: photographs come in 16 bits and as floats, too.
    Four are RGBA in 8 bits only; of other types there is hardly any RGBA, so they are channels.

    Raises
    ------
    InputError
        If there are more dimensions than can be told apart.

    Examples
    --------
    >>> import numpy as np
    >>> guess_axes((512, 512), np.dtype("uint16"))
    'YX'
    >>> guess_axes((512, 512, 4), np.dtype("uint8")), guess_axes((512, 512, 4), np.dtype("uint16"))
    ('YXS', 'YXC')
    >>> guess_axes((10, 2, 64, 64), np.dtype("float32"))
    'TZYX'
    """
    few = len(shape) >= 3 and shape[-1] in (3, 4) and (dtype == "uint8" or min(shape[-3:-1]) >= SMALLEST)
    last = ("S" if shape[-1] == 3 or dtype == "uint8" else "C") if few else ""
    outer = {0: "", 1: "Z", 2: "TZ", 3: "TZC"}.get(len(shape) - 2 - len(last))
    if outer is None or (last and last in outer):
        raise InputError(
            f"An image of shape {tuple(shape)} cannot be read by itself; say what its axes are, with letters of {AXES}."
        )
    return outer + "YX" + last


def check_axes(axes: str, shape: tuple[int, ...]) -> None:
    """Refuse axes that do not fit an array."""
    unknown = sorted(set(axes) - set(AXES))
    if unknown:
        letters = ", ".join(f"{letter} ({words})" for letter, words in AXES_IN_WORDS.items())
        raise InputError(f"The axes {axes!r} hold {unknown[0]!r}; use the letters {letters}.")
    if len(set(axes)) < len(axes):
        raise InputError(f"The axes {axes!r} name an axis twice; give one letter for each dimension.")
    if len(axes) != len(shape):
        sizes_in_words = " x ".join(map(str, shape))
        raise InputError(
            f"The axes {axes!r} name {len(axes)} dimensions, but the image has {len(shape)} ({sizes_in_words}); "
            "give one letter for each."
        )
    if not {"Y", "X"} <= set(axes):
        raise InputError(f"The axes {axes!r} lack Y or X; a plane has both.")
    sizes = dict(zip(axes, shape, strict=True))
    if not all(shape):
        raise InputError(f"The image has shape {tuple(shape)} and holds no pixels.")
    if min(sizes["Y"], sizes["X"]) < SMALLEST:
        raise InputError(
            f"The image has {sizes['Y']} x {sizes['X']} pixels; the network needs at least {SMALLEST} along y and x."
        )
    if sizes.get("S", 3) not in (1, 3, 4):
        raise InputError(f"The axis S holds {sizes['S']} samples; RGB has 3, RGBA 4.")


def outer_axes(axes: str) -> str:
    """Give the axes that are walked plane by plane."""
    return "".join(a for a in axes if a not in "YXS")
