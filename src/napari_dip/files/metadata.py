"""What a file holds: an image, and what it says of that image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

CENTIMETRES = {"inch": 2.54, "cm": 1.0, "mm": 0.1, "µm": 1e-4, "nm": 1e-7, "m": 100.0}
SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86400.0}
NAMES = {"micron": "µm", "microns": "µm", "um": "µm", "\\u00B5m": "µm", "μm": "µm", "in": "inch", "pixel": None}
"""Other names of units; a pixel is none."""


LEAST_SIZE = 1e-8
"""Of a pixel or a step, in whatever unit: less cannot be written as a fraction of two numbers of 32 bits."""


def as_size(value: Any) -> float | None:
    """Give a number for the size of a pixel or a step; None for what is none, so that the image can be read without it.

    >>> as_size("0.5"), as_size("1,5"), as_size(float("nan")), as_size(0)
    (0.5, None, None, None)
    """
    try:
        size = float(value)
    except (TypeError, ValueError):
        return None
    return size if isfinite(size) and LEAST_SIZE <= abs(size) <= 1 / LEAST_SIZE else None


def without_profile(profile: bytes | None) -> tuple[str, ...]:
    """Say that a colour profile is left out, if it is another than what all programs take for granted (sRGB)."""
    if not profile:
        return ()
    from io import BytesIO

    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError):
        name = "which cannot be read"
    if "srgb" in name.lower():
        return ()
    return (
        f"The colour profile of the file ({name[:80]}) is not written with the result, whose values are as stored.",
    )


def into_rgb(mode: str) -> str:
    """Say that colours of another kind were turned into RGB in reading."""
    return f"The file holds colours as {mode}; they were turned into RGB."


@dataclass(frozen=True)
class Metadata:
    """What a file says of its image, beside the values; one shape for all formats.

    Attributes
    ----------
    axes : str or None
        One letter of T Z C Y X S for each dimension, or None where the file does not say.
    step : dict
        From a letter to a size, as far as it is known: of a pixel along Y, X and Z, in `unit`; between frames along T,
        in seconds, or what `kept` says.
    unit : str or None
        Of Y, X and Z: "µm", "inch", ...; None if it is not known.
    dialect : str or None
        Whose habits the file follows, where its format has several: "imagej", "ome" and "plain" in TIFF.
    kept : dict
        What else the file says in that dialect, to be written as it was; nothing to anyone who speaks another.
    units : dict
        From a letter to a unit, for those of Y, X and Z that have their own.
    """

    axes: str | None = None
    step: dict[str, float] = field(default_factory=dict)
    unit: str | None = None
    dialect: str | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def enlarged(self, factor: int) -> Metadata:
        """Give what is true of the image once it is `factor` times larger along Y and X: its pixels are smaller.

        >>> Metadata(step={"Y": 1.0, "Z": 3.0}).enlarged(2).step
        {'Y': 0.5, 'Z': 3.0}
        """
        return replace(self, step={a: size / (factor if a in "YX" else 1) for a, size in self.step.items()})

    def exchanged(self) -> Metadata:
        """Give what is true of the image once its rows are columns.

        >>> Metadata(step={"Y": 1.0, "X": 3.0}).exchanged().step
        {'X': 1.0, 'Y': 3.0}
        """
        other = {"Y": "X", "X": "Y"}
        step = {other.get(a, a): size for a, size in self.step.items()}
        return replace(self, step=step, units={other.get(a, a): unit for a, unit in self.units.items()})

    @property
    def z_step(self) -> float | None:
        """Distance between planes along Z, over the size of a pixel along Y; None if it is not known.

        >>> Metadata(step={"Y": 2.0, "Z": 1.0}, unit="mm", units={"Z": "cm"}).z_step
        5.0
        """
        height, depth = (self.step.get(axis, 0.0) for axis in "YZ")
        units = [NAMES.get(unit or "", unit) for unit in (self.units.get(axis, self.unit) for axis in "YZ")]
        if height == depth == 1 and units == [None, None]:
            return None  # what programs write where nobody has told them
        if units[0] != units[1]:
            height, depth = (
                size * CENTIMETRES.get(unit or "", 0.0) for size, unit in zip((height, depth), units, strict=True)
            )
        step = abs(depth / height) if height else 0.0
        return float(f"{step:.6g}") if isfinite(step) and step > 0 else None  # 0.3 / 0.1 is 3

    def in_dialect(self, dialect: str) -> Metadata:
        """Give the same in another dialect, which does not know what is kept in this one: time is in seconds there.

        >>> Metadata(step={"T": 5.0}, dialect="ome", kept={"TimeIncrementUnit": "min"}).in_dialect("imagej").step
        {'T': 300.0}
        """
        if self.dialect == dialect:
            return self
        seconds, step = SECONDS.get(self.kept.get("TimeIncrementUnit", "s")), dict(self.step)
        if seconds is None:
            step.pop("T", None)
        elif "T" in step:
            step["T"] *= seconds
        return replace(self, dialect=dialect, step=step, kept={})


@dataclass(frozen=True)
class Picture:
    """What an image file holds.

    Attributes
    ----------
    array : array of any shape and type
        As stored; a palette is turned into RGB.
    metadata : Metadata
    notes : tuple of str
        Whole sentences about what was left out in reading.
    series : int or None
        Which of the images in its file was asked for, from 1.
    """

    array: np.ndarray
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    series: int | None = None

    @property
    def axes(self) -> str | None:
        """One letter for each dimension of the array, or None where the file does not say."""
        return self.metadata.axes
