"""TIFF files written: in the habits of ImageJ, of OME, or in plain tags."""

from __future__ import annotations

from hashlib import blake2b
from math import prod
from typing import IO, TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from napari_dip.files.imagej import in_ascii, takes
from napari_dip.files.metadata import CENTIMETRES, NAMES, Metadata, Picture

if TYPE_CHECKING:
    import numpy as np

MOST_IMAGEJ = 2**32 - 2**25
"""Bytes beyond which ImageJ's own files are one page to other programs; then OME's habits are taken, as BigTIFF."""
ONLY_IMAGEJ = {"LUTs": "the colours of channels", "Labels": "the labels of slices", "Info": "ImageJ's notes"}
RESOLUTION_UNITS = {None: 1, "inch": 2, "cm": 3}


def write(file: IO[bytes], image: np.ndarray, axes: str, source: Picture) -> None:
    """Write a float32 image in the dialect that its source had, or the one that keeps most.

    Parameters
    ----------
    file : binary file
        Open for reading and writing.
    image : float32 array
    axes : str
        One letter for each dimension.
    source : Picture
        What the image was made from; its metadata hold for the image.
    """
    import tifffile

    if "S" in axes and image.shape[axes.index("S")] == 1:
        image, axes = image.squeeze(axes.index("S")), axes.replace("S", "")
    dialect = _dialect(image.nbytes, axes, source.metadata.dialect)
    metadata = source.metadata.in_dialect(dialect)
    order = _order(axes, dialect)
    image = image.transpose([axes.index(a) for a in order])
    options: dict[str, Any] = {"photometric": "rgb" if "S" in order else "minisblack"}
    if order.endswith("SYX"):
        options["planarconfig"] = "separate"
    if "S" in order and image.shape[order.index("S")] == 4:
        options["extrasamples"] = ["unassalpha"]
    maker = {"imagej": _imagej_options, "ome": _ome_options, "plain": _plain_options}[dialect]
    tifffile.imwrite(file, image, **{**options, **maker(image, order, metadata)})


def losses(shape: tuple[int, ...], axes: str, source: Picture, asked: str | None) -> tuple[str, ...]:
    """Say what a result of float32 will lack that its source has, where it is not written as ImageJ does.

    Parameters
    ----------
    shape : tuple of int
    axes : str
        One letter for each dimension.
    source : Picture
    asked : str or None
        The dialect that is asked for.
    """
    spoken, kept = source.metadata.dialect, source.metadata.kept
    dialect = _dialect(prod(shape) * 4, axes, asked or spoken)
    lost = [words for key, words in ONLY_IMAGEJ.items() if key in kept]
    if spoken != "imagej" or dialect == "imagej" or not lost:
        return ()
    why = f"its axes {axes} are not in ImageJ's order"
    if takes(axes):
        why = "its name asks for that" if asked else "ImageJ's own files hold 4 GB at most"
    named = f"{', '.join(lost[:-1])} and {lost[-1]}" if len(lost) > 1 else lost[0]
    written = "as OME-TIFF" if dialect == "ome" else "with plain tags"
    return (f"The result is written {written}, since {why}; it does not keep {named}.",)


def _dialect(size: int, axes: str, spoken: str | None) -> str:
    """Give the dialect of a result of so many bytes."""
    found = _habits(axes, spoken)
    return "ome" if found == "imagej" and size > MOST_IMAGEJ else found


def _habits(axes: str, spoken: str | None) -> str:
    """Keep the dialect of the source; a stack without one is ImageJ's, which most programs read as a stack."""
    known = spoken if spoken in ("imagej", "ome", "plain") else None
    if known == "imagej" or (known is None and len(axes) > 2):
        return "imagej" if takes(axes) else "ome" if set(axes) - set("YXS") else "plain"
    return known or "plain"


def _order(axes: str, dialect: str) -> str:
    """Give the order of axes in the file: that of the array, as far as the dialect takes it."""
    outer = "".join(a for a in axes if a not in "YXS")
    if dialect == "ome":
        return outer + "YX" + "S" * ("S" in axes)
    if "S" in axes and not axes.endswith(("S", "SYX")):
        return axes.replace("S", "") + "S"
    return axes


def _resolution(step: dict[str, float]) -> dict[str, Any]:
    return {"resolution": (1 / step["X"], 1 / step["Y"])} if {"X", "Y"} <= set(step) else {}


def _imagej_options(image: np.ndarray, axes: str, metadata: Metadata) -> dict[str, Any]:
    said = {"axes": axes, **metadata.kept, "unit": metadata.unit and in_ascii(metadata.unit)}
    for axis, key in (("Z", "spacing"), ("T", "finterval")):
        said[key] = metadata.step.get(axis)
    return {"imagej": True, "metadata": {k: v for k, v in said.items() if v is not None}, **_resolution(metadata.step)}


def _ome_options(image: np.ndarray, axes: str, metadata: Metadata) -> dict[str, Any]:
    said: dict[str, Any] = {"axes": axes}
    for axis in "XYZ":
        if axis in metadata.step and axis in axes:
            unit = metadata.units.get(axis) or NAMES.get(metadata.unit or "", metadata.unit)
            said[f"PhysicalSize{axis}"] = metadata.step[axis]
            said[f"PhysicalSize{axis}Unit"] = {"inch": "in", None: "pixel"}.get(unit, unit)
    if "T" in metadata.step and "T" in axes:
        said["TimeIncrement"] = metadata.step["T"]
    channels = metadata.kept.get("Channel", {}).get("Name", ())
    named = "C" in axes and image.shape[axes.index("C")] == len(channels)
    written = ("TimeIncrementUnit", "Channel") if named else ("TimeIncrementUnit",)
    said |= {k: metadata.kept[k] for k in written if k in metadata.kept}
    return {"ome": True, "metadata": said | {"UUID": _name_of(image, said)}}


def _name_of(image: np.ndarray, said: dict[str, Any]) -> str:
    """Give the UUID of an image and what is said of it; the one tifffile gives tells of the machine and the time."""
    import numpy as np

    digest = blake2b(repr(said).encode())
    digest.update(np.ascontiguousarray(image).data)
    return str(uuid5(NAMESPACE_OID, digest.hexdigest()))


def _plain_options(image: np.ndarray, axes: str, metadata: Metadata) -> dict[str, Any]:
    step, unit = metadata.step, NAMES.get(metadata.unit or "", metadata.unit)
    if unit not in RESOLUTION_UNITS and unit in CENTIMETRES:
        step, unit = {a: size * CENTIMETRES[unit] for a, size in step.items()}, "cm"
    options = {} if "S" in axes else metadata.kept
    return {"metadata": {"axes": axes}, **options, **_resolution(step), "resolutionunit": RESOLUTION_UNITS.get(unit, 1)}
