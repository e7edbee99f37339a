"""Layers to files and back, as napari asks for it: with pixel size, units, axes, and the record of a result.

A file of an image has its record beside it, NAME.dip.json; opened in napari, that brings the result back in its place.
Napari's own reader of TIFF files knows no pixel size, and another one for all of them would be in the way of others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.files import formats as files
from napari_dip.files.bounded import read_bytes
from napari_dip.files.imagej import takes
from napari_dip.files.inside import inside, is_plain
from napari_dip.files.metadata import NAMES, Metadata, Picture, as_size
from napari_dip.files.ngff import LENGTHS, WORDS
from napari_dip.image.arrays import digest_of
from napari_dip.image.axes import guess_axes, letters_of
from napari_dip.run import record as records

LayerData = tuple[Any, dict[str, Any], str]

ENDING = ".dip.json"
"""Of the record beside an image."""
PIXEL_SIZE = "napari-dip pixel size"
"""Where the metadata of a layer have the pixel size of the file that it was made from."""


def write_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image layer, and the record of a result beside it.

    Parameters
    ----------
    path : str
        Of a format that is written, by its suffix; replaced if it exists, since napari has asked.
    data : array, or list of them
        Of the layer; of several levels the first is written. Whole numbers of 8 and 16 bits without sign stay what they
        are, all else is written as float32.
    meta : dict
        What else napari says of the layer.

    Returns
    -------
    list of str
        The files that were written.

    Raises
    ------
    InputError
        If it cannot be written there.
    """
    target, array = Path(path), np.asarray(data[0] if meta.get("multiscale") else data)
    said = meta.get("metadata") or {}
    record = said.get("napari-dip")
    axes = axes_of(array, meta, record)
    if "napari-dip shows" in said:  # an uncertainty, a part: the record is that of a result, which would not repeat it
        record = None
    picture = Picture(array, replace(_pixels(axes, meta), axes=axes, dialect=_dialect(axes)))
    files.check_output(target, [], force=True)
    files.check_fits(target, picture, axes)
    beside = record_beside(target)
    with files.together([target, *([beside] if record else [])]) as unit:
        kept = files.can_be_same(picture)
        image = array.astype(np.float32)
        whole = files.write_image(target, image, axes, picture, unit=unit, same=kept)
        if record:
            with unit.replacing(beside) as file:
                file.write(records.write(_told(record, target, array)))
        unit.commit()
    if not whole:
        warnings.warn(files.PLAINLY, stacklevel=2)
    if _is_turned(meta):
        warnings.warn(
            f"{target.name} holds pixel size and axes, but not where the layer lies in the world.", stacklevel=2
        )
    return [str(target), *([str(beside)] if record else [])]


def _dialect(axes: str) -> str | None:
    """Give the habits of a TIFF file that can say what these axes are; None for colours of one plane."""
    if axes in ("YXS", "SYX"):
        return None
    return "imagej" if takes(axes) else "ome"


def axes_of(array: np.ndarray, meta: dict[str, Any], record: Any) -> str:
    """Give the axes of a layer: those of the run that made it, its labels if these are letters, or a guess."""
    said = record.get("axes") if isinstance(record, dict) else None
    if isinstance(said, str) and len(said) == array.ndim:
        return said
    colours = "S" if meta.get("rgb") else ""
    if labels := letters_of(meta.get("axis_labels"), array.ndim - len(colours), without="S"):
        return labels + colours
    shape = array.shape[:-1] if colours else array.shape
    # an axis of three or four is no colour, or napari would show it as one
    return guess_axes(shape, np.dtype(np.uint16)).replace("S", "C") + colours


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Give what reads the record of a saved result; None for anything else.

    Parameters
    ----------
    path : str or list of str
    """
    one = path if isinstance(path, str) else path[0] if len(path) == 1 else ""
    return read_record if one.endswith(ENDING) and Path(one).is_file() else None


def read_record(path: Any) -> list[LayerData]:
    """Read a saved result by its record: the image that lies beside it, where it lay in the viewer.

    Parameters
    ----------
    path : str or list of str

    Raises
    ------
    InputError
        If it is no record, or its image is not there.
    """
    where = Path(path if isinstance(path, str) else path[0])
    record = records.read(read_bytes(where, "record"))
    named = Path(record.get("files", {}).get("output", ""))
    if not is_plain(named.name) or not (image := where.with_name(named.name)).exists():
        raise InputError(f"The image {named.name!r} of this record is not beside it; put it there.")
    picture = files.read_image(image)
    axes = record["axes"] if len(record["axes"]) == picture.array.ndim else picture.axes
    array = np.asarray(picture.array)
    told = record.get("result", {}).get("image")
    if axes and picture.axes and axes != picture.axes and sorted(axes) == sorted(picture.axes):
        array = array.transpose([picture.axes.index(a) for a in axes])
    if told and array.dtype == np.float32 and digest_of(array) != told:
        raise InputError(f"The image {named.name!r} is not the one that this record tells of; open the image itself.")
    said = {"name": where.name.removesuffix(ENDING), "metadata": {"napari-dip": record}}
    return [(array, _look(picture.metadata, axes, array) | said, "image")]


def _look(metadata: Metadata, axes: str | None, array: np.ndarray) -> dict[str, Any]:
    """Give what napari is to know of an image: scale, units and names of its axes."""
    if axes is None:
        return {}
    letters = axes.removesuffix("S")
    units = ["second" if a == "T" else metadata.units.get(a, metadata.unit) for a in letters]
    known = any(a in metadata.step for a in letters)
    look = {"scale": [metadata.step.get(a, 1.0) for a in letters]} if known else {}
    if known and metadata.unit:
        units = [NAMES.get(unit or "", unit) for unit in units]
        named = [WORDS.get(u or "", u) if a in metadata.step else "pixel" for a, u in zip(letters, units, strict=True)]
        look["units"] = named  # type: ignore[assignment]
    return {**look, "axis_labels": tuple(letters.lower()), "rgb": axes.endswith("S") and array.shape[-1] in (3, 4)}


def record_beside(path: Path) -> Path:
    """Return the file of the record that belongs to the file of an image."""
    return inside(path.parent, files.format_of(path).split(path.name)[0] + ENDING)


def _told(record: Any, target: Path, array: np.ndarray) -> Any:
    """Have a record name the file, and tell the values if these are the result as it was computed."""
    found = {**record, "files": {**record.get("files", {}), "output": str(target)}}
    if array.dtype == np.float32:
        found["result"] = {"image": digest_of(array)}
    return found


def pixel_size_in(meta: Mapping[str, Any]) -> Metadata | None:
    """Give the pixel size that the metadata of a layer hold; None if there is none, or the layer has its own by now.

    Parameters
    ----------
    meta : mapping
        What napari says of the layer: `metadata`, `scale`, `units`.
    """
    said = (meta.get("metadata") or {}).get(PIXEL_SIZE)
    step, scale, units = (said.get(name) if isinstance(said, Mapping) else None for name in ("step", "scale", "units"))
    if not isinstance(step, Mapping) or not isinstance(said, Mapping):
        return None
    if list(meta.get("scale", ())) != list(scale or ()) or any(map(_symbol, meta.get("units") or ())):
        return None  # somebody has set it since
    sizes = {axis: size for axis, given in step.items() if axis in ("T", "Z", "Y", "X") and (size := as_size(given))}
    named = {axis: str(other) for axis, other in units.items()} if isinstance(units, Mapping) else {}
    unit = said.get("unit")
    return Metadata(step=sizes, unit=None if unit is None else str(unit), units=named) if sizes else None


def _pixels(axes: str, meta: dict[str, Any]) -> Metadata:
    """Give the pixel size of a layer: that of the file that it was made from, or its own."""
    kept = pixel_size_in(meta)
    if kept is None:
        step, unit = _steps(axes, meta)
        return Metadata(step=step, unit=unit)
    return replace(kept, step={axis: size for axis, size in kept.step.items() if axis in axes})


def _steps(axes: str, meta: dict[str, Any]) -> tuple[dict[str, float], str | None]:
    """Give the size of a pixel along each axis, and the unit of Y and X; of time in seconds."""
    letters = axes.removesuffix("S")
    scale = [abs(float(size)) for size in meta.get("scale", [1.0] * len(letters))]
    units = list(meta.get("units") or [None] * len(letters))
    if len(scale) != len(letters) or (all(size == 1 for size in scale) and not any(map(_symbol, units))):
        return {}, None
    step = dict(zip(letters, scale, strict=True))
    named = dict(zip(letters, units, strict=False))
    unit = _symbol(named.get("X"))
    for letter in letters:
        other: Any = named.get(letter)
        wanted = "second" if letter == "T" else named.get("X")
        with suppress(Exception):  # of another kind, such as pixels along one axis and µm along the other
            step[letter] *= float((1 * other).to(wanted).magnitude)
    return {letter: size for letter, size in step.items() if letter in "TZYX"}, unit


def _symbol(unit: Any) -> str | None:
    """Give the symbol of a unit; None for pixels."""
    name = str(unit) if unit is not None else "pixel"
    return None if name in ("pixel", "") else LENGTHS.get(name, name)


def _is_turned(meta: dict[str, Any]) -> bool:
    """Whether a layer lies elsewhere than its scale says: moved, turned or sheared."""
    n = len(meta.get("scale", ()))
    places = [
        (meta.get("translate"), np.zeros(n)),
        (meta.get("rotate"), np.eye(n)),
        (meta.get("affine"), np.eye(n + 1)),
    ]
    places.append((meta.get("shear"), np.zeros(n * (n - 1) // 2)))
    return any(
        said is not None and np.shape(said) == none.shape and not np.allclose(said, none) for said, none in places
    )
