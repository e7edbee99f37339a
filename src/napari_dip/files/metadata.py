"""What a file holds: an image, and how large its pixels are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

Dialect = Literal["imagej", "ome", "plain"]


@dataclass(frozen=True)
class Scale:
    """How large the pixels of a file are, and how the file says so.

    Attributes
    ----------
    step : dict
        Size of a pixel along Y, X and Z, and time in seconds between frames along T, as far as it is known.
    unit : str or None
        Of Y, X and Z: "µm", "inch", ...; None if it is not known.
    dialect : str or None
        Whose TIFF it was: "imagej", "ome" or "plain"; None if it was none.
    kept : dict
        What else the file says in that dialect, to be written as it was.
    """

    step: dict[str, float] = field(default_factory=dict)
    unit: str | None = None
    dialect: Dialect | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    def divided(self, factor: int) -> Scale:
        """Give the scale of an image that was enlarged along Y and X."""
        return replace(self, step={a: size / (factor if a in "YX" else 1) for a, size in self.step.items()})


@dataclass(frozen=True)
class Picture:
    """What an image file holds.

    Attributes
    ----------
    array : array
        As stored; a palette is turned into RGB.
    axes : str or None
        One letter of T Z C Y X S for each dimension, or None where the file does not say.
    scale : Scale
        How large the pixels are.
    """

    array: np.ndarray
    axes: str | None = None
    scale: Scale = field(default_factory=Scale)
