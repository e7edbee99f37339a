"""What ImageJ says of an image in a TIFF file, as far as it can be written again."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

IMAGEJ_KEPT: dict[str, Callable[[Any], bool]] = {
    "fps": lambda value: isinstance(value, int | float) and isfinite(value),
    "loop": lambda value: isinstance(value, bool),
    "mode": lambda value: isinstance(value, str),
    "LUTs": lambda value: isinstance(value, list) and all(getattr(one, "shape", None) == (3, 256) for one in value),
    "Labels": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "Info": lambda value: isinstance(value, str),
}
"""What ImageJ says of an image and is written as it was, as long as it is what it should be: else it could not be."""


def takes(axes: str) -> bool:
    """Whether a file of ImageJ can hold these axes: without colours, and in its order.

    >>> takes("ZCYX"), takes("CZYX"), takes("YXS")
    (True, False, False)
    """
    return "".join(a for a in "TZCYX" if a in axes) == axes


def in_ascii(text: str) -> str:
    r"""Write other letters as ImageJ does, which older versions of it did not.

    >>> in_ascii("µm")
    '\\u00B5m'
    """
    return "".join(c if c.isascii() else f"\\u{ord(c):04X}" for c in text)
