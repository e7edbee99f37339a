"""OME-Zarr: folders of chunked arrays at several sizes, with axes, units and channels; versions 0.4 and 0.5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError
from napari_dip.files import ngff
from napari_dip.files.format import Format, check_series, left_out
from napari_dip.files.metadata import Metadata, Picture
from napari_dip.files.zarr_array import array_shape, open_array
from napari_dip.files.zarr_store import Group, read_group
from napari_dip.image.axes import guess_axes

if TYPE_CHECKING:
    import numpy as np

    from napari_dip.files.zarr_result import ZarrResult

NEED = 'OME-Zarr needs the package zarr (pip install "napari-dip[zarr]")'


@dataclass(frozen=True)
class StoredImage:
    """One of the images of a store.

    Attributes
    ----------
    name : str
        Path of its group in the store, such as "A/1/0"; empty where the store is one image.
    group : Group
    multiscale : dict
        What is said of it.
    """

    name: str
    group: Group
    multiscale: dict[str, Any]

    @property
    def array(self) -> str:
        """Path of its largest level in the store."""
        return self.group.path(self.multiscale["datasets"][0].get("path"))


def images(path: Path) -> list[StoredImage]:
    """List the images of a store: its own, those that were one file of a microscope, or those of a plate.

    Raises
    ------
    ValueError
        If there is none; a damaged store raises this and other things.
    """
    if not path.is_dir():
        raise ValueError("it is no folder")
    group = read_group(path)
    if group is None:
        raise ValueError("it is no Zarr: it has neither zarr.json nor .zgroup")
    found = list(_images(path, group))
    if not found:
        raise ValueError("it says nothing of an image (multiscales)")
    return found


def read(path: Path, series: int | None = None) -> Picture:
    """Read an image of a store; its values are read as they are used.

    Parameters
    ----------
    path : Path
    series : int, optional
        Number of the image, from 1; left out, the first of the largest.

    Raises
    ------
    InputError
        If there is no such image, zarr is not installed, or the store claims far more than it holds.
    ValueError
        If it is damaged, or points outside of its folder.
    """
    if find_spec("zarr") is None:
        raise InputError(f"{NEED}.")
    every = images(path)
    if series is not None:
        check_series(path, series, len(every))
    image = _largest(path, every) if series is None else every[series - 1]
    array, missing = open_array(path, image.array)
    notes: tuple[str, ...] = ()
    if series is None:
        notes = left_out(len(every), every.index(image) + 1, array.shape, f" ({image.name!r})")
    if missing:
        notes = (*notes, f"{missing} chunks of the image are not in the file, and hold one value throughout.")
    return Picture(array, _metadata(image, array.ndim), notes)  # type: ignore[arg-type]


def count(path: Path) -> int:
    """Say how many images a store holds.

    Raises
    ------
    Exception
        Of any kind, if it is damaged.
    """
    return len(images(path))


def peek(path: Path) -> tuple[tuple[int, ...], Metadata]:
    """Read shape and metadata of the largest image without its values.

    Raises
    ------
    Exception
        Of any kind, if it is damaged.
    """
    image = _largest(path, images(path))
    shape = array_shape(path, image.array)
    return shape, _metadata(image, len(shape))


def _images(root: Path, group: Group, name: str = "") -> Iterator[StoredImage]:
    said = _said(group)
    for number, one in enumerate(said.get("multiscales") or []):
        if not isinstance(one, dict) or not isinstance(one.get("datasets"), list) or not one["datasets"]:
            raise ValueError("what it says of its image (multiscales) is damaged")
        yield StoredImage(f"{name}:{number}" if number else name, group, one)
    if said.get("multiscales"):
        return
    for below in _below(root, group, said):
        inner = read_group(root, group.path(below))
        if inner is not None:
            yield from _images(root, inner, group.path(below))


def _below(root: Path, group: Group, said: dict[str, Any]) -> list[Any]:
    """List the groups in which there are images: series of a file, wells of a plate, fields of a well."""
    for key, inner in (("plate", "wells"), ("well", "images")):
        if isinstance(said.get(key), dict):
            return [one.get("path") for one in said[key].get(inner) or []]
    if "bioformats2raw.layout" not in said:
        return []
    ome = read_group(root, group.path("OME"))
    series = (_said(ome) if ome is not None else {}).get("series")
    if isinstance(series, list):
        return series
    folder = root / group.below
    return sorted((one.name for one in folder.iterdir() if one.name.isdecimal() and one.is_dir()), key=int)


def _said(group: Group) -> dict[str, Any]:
    """Give what OME says of a group: since version 0.5 it has a place of its own."""
    said = group.attributes.get("ome") if group.format == 3 else group.attributes
    return said if isinstance(said, dict) else {}


def _largest(path: Path, every: list[StoredImage]) -> StoredImage:
    """Give the first of the largest images: a small one before it is a preview."""
    from math import prod

    return every[0] if len(every) == 1 else max(every, key=lambda image: prod(array_shape(path, image.array)))


def _metadata(image: StoredImage, ndim: int) -> Metadata:
    said, own, is_old = _said(image.group), image.group.attributes.get(ngff.OWN), image.group.format == 2
    version = image.multiscale.get("version", "0.4") if is_old else said.get("version", "0.5")
    samples = isinstance(own, dict) and own.get("samples") is True
    return ngff.read_metadata(image.multiscale, said.get("omero"), ndim, str(version), samples=samples)


def begin(folder: Path, shape: tuple[int, ...], axes: str, source: Picture, dtype: Any = "float32") -> ZarrResult:
    """Begin a store in the version of its source, or else in 0.5, to be written region by region.

    Parameters
    ----------
    folder : Path
        To be made.
    shape : tuple of int
        Of the result.
    axes : str
        One letter for each dimension.
    source : Picture
        What the result is made from; its metadata hold for the result.
    dtype : dtype
    """
    from napari_dip.files.zarr_result import ZarrResult

    return ZarrResult(folder, shape, axes, source, dtype)


def write(folder: Path, image: np.ndarray, axes: str, source: Picture) -> None:
    """Write an image and smaller copies of it; parameters as in `begin`."""
    import numpy as np

    result = begin(folder, image.shape, axes, source, image.dtype)
    outer = [n for n, a in enumerate(axes) if a not in "YXS"]
    for index in np.ndindex(*(image.shape[n] for n in outer)):
        at = dict(zip(outer, index, strict=True))
        key = tuple(at.get(n, slice(None)) for n in range(image.ndim))
        result[key] = image[key]
    result.finish(source)


def obstacle(picture: Picture, axes: str | None) -> str | None:
    """Say what keeps a store from holding a result."""
    if find_spec("zarr") is None:
        return NEED
    axes = axes or guess_axes(picture.array.shape, picture.array.dtype)
    return "OME-Zarr holds channels or colours, but the image has the axes C and S" if {"C", "S"} <= set(axes) else None


OME_ZARR = Format(
    name="OME-Zarr",
    suffixes=(".zarr",),
    about="OME-Zarr (a folder) keeps axes, pixel size and channels, and holds float32 in the units of the image.",
    read=read,
    read_series=read,
    count=count,
    write=write,
    begin=begin,
    obstacle=obstacle,
    peek=peek,
    dialects={".ome.zarr": "ome"},
    folder=True,
)
