"""TIFF files written: in the habits of ImageJ, of OME, or in plain tags."""

from __future__ import annotations

from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from napari_dip.files.imagej import in_ascii, takes
from napari_dip.files.metadata import CENTIMETRES, NAMES, Metadata, Picture

if TYPE_CHECKING:
    import numpy as np

MOST_IMAGEJ = 2**32 - 2**25
"""Bytes beyond which ImageJ's own files are one page to other programs; then OME's habits are taken, as BigTIFF."""
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
    dialect = _dialect(axes, source.metadata.dialect)
    if dialect == "imagej" and image.nbytes > MOST_IMAGEJ:
        dialect = "ome"
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


def _dialect(axes: str, spoken: str | None) -> str:
    """Keep the dialect of the source; a stack without one is ImageJ's, which most programs read as a stack."""
    known = spoken if spoken in ("imagej", "ome", "plain") else None
    if known == "imagej" or (known is None and len(axes) > 2):
        return "imagej" if takes(axes) else "plain"
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
