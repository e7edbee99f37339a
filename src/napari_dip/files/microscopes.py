"""Files of microscopes, through bioio and mrcfile: read only, since their makers' programs alone write them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_dip.errors import InputError
from napari_dip.files.format import Format, check_series, left_out
from napari_dip.files.metadata import Metadata, Picture, as_size
from napari_dip.files.ngff import LENGTHS, TIMES

if TYPE_CHECKING:
    import numpy as np

EXTRA = 'pip install "napari-dip[formats]"'
GPL = "bioio_czi"
"""Under the GPL, so it is no part of the extra; whoever has it installed can read its files."""
AT_ONCE = 2**30
"""Bytes of an image that is read as a whole; of a larger one, planes are read as they are used."""
MICROMETRES = ("bioio_czi", "bioio_lif", "bioio_dv")
"""Plug-ins that give sizes of pixels in these, without saying so."""
NUMBERED = re.compile(r"(Channel)?[:\d ]*")
"""What bioio calls channels that have no name."""
ANGSTROM = 0.1
"""In nanometres."""


def check_reader(name: str, *modules: str) -> None:
    """See that what reads a format is installed.

    Raises
    ------
    InputError
    """
    missing = next((one for one in modules if find_spec(one) is None), None)
    if missing is not None:
        how = f"{EXTRA} bioio-czi" if GPL in modules else EXTRA
        raise InputError(f"{name} files need the package {missing.replace('_', '-')} to be read ({how}).")


class ThroughBioio:
    """What reads one format through its plug-in of bioio.

    Parameters
    ----------
    name : str
        Of the format.
    module : str
        Of the plug-in.
    """

    def __init__(self, name: str, module: str):
        self.name, self.module = name, module

    def read(self, path: Path, series: int | None = None) -> Picture:
        """Read an image of a file; its values are read as they are used.

        Raises
        ------
        InputError
            If there is no such image, or the plug-in is not installed.
        Exception
            Of any kind, if the file is damaged.
        """
        import numpy as np

        check_reader(self.name, "bioio", self.module)
        with self._opened(path) as image:
            number = self._chosen(path, image, series)
            shape, metadata = self._described(image)
            notes = () if series else left_out(len(image.scenes), number + 1, shape, f" ({image.scenes[number]!r})")
            array = _plain(image).dask_data.reshape(shape)
            # what is small is read at once, and found to be damaged here
            return Picture(np.asarray(array) if array.nbytes <= AT_ONCE else array, metadata, notes)

    def peek(self, path: Path) -> tuple[tuple[int, ...], Metadata]:
        """Read shape and metadata of the largest image."""
        with self._opened(path) as image:
            self._chosen(path, image, None)
            return self._described(image)

    def count(self, path: Path) -> int:
        """Say how many images a file holds."""
        with self._opened(path) as image:
            return len(image.scenes)

    def _described(self, image: Any) -> tuple[tuple[int, ...], Metadata]:
        """Give shape and metadata of an image, without axes along which there is nothing."""
        image = _plain(image)
        sizes = dict(zip(image.dims.order, image.shape, strict=True))
        axes = "".join(axis for axis, size in sizes.items() if size > 1 or axis in "YX")
        said = [(axis, _size(getattr(image.scale, axis)), _unit(image, axis)) for axis in axes if axis in "TZYX"]
        step = {axis: size for axis, size, unit in said if size is not None and (axis != "T" or unit)}
        units = {axis: LENGTHS.get(unit, unit) for axis, _, unit in said if unit and axis in step and axis != "T"}
        unsaid = set(step) - set(units) - {"T"}
        if self.module in MICROMETRES and any(step[axis] != 1 for axis in unsaid):  # 1 is what is not known
            units |= dict.fromkeys(unsaid, "µm")
        kept: dict[str, Any] = {}
        if "T" in step:
            kept["TimeIncrementUnit"] = next(TIMES.get(unit, unit) for axis, _, unit in said if axis == "T")
        names = [str(name) for name in image.channel_names or ()]
        if "C" in axes and len(names) == sizes["C"] and not all(map(NUMBERED.fullmatch, names)):
            kept["Channel"] = {"Name": names}
        return tuple(sizes[axis] for axis in axes), Metadata(axes, step, units.get("X"), "ome", kept, units)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        """Open a file, while its reader says nothing but by raising."""
        before = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            yield import_module("bioio").BioImage(path, reader=import_module(self.module).Reader)
        finally:
            logging.disable(before)

    def _chosen(self, path: Path, image: Any, series: int | None) -> int:
        """Turn to an image, or to the first of the largest: a small one before it is a preview; give its place."""
        count = len(image.scenes)
        if series is not None:
            check_series(path, series, count)
            image.set_scene(series - 1)
            return series - 1
        sizes = []
        for number in range(count if count > 1 else 0):
            image.set_scene(number)
            sizes.append(prod(image.shape))
        number = sizes.index(max(sizes)) if sizes else 0
        image.set_scene(number)
        return number


def _plain(image: Any) -> Any:
    """Give the image as it is in its file, or, where it has other axes than ours, as bioio puts it together (tiles)."""
    return image.reader if set(image.reader.dims.order) <= set("TCZYXS") else image


def _size(value: Any) -> float | None:
    """Give the size of a pixel, or the seconds between frames, without what is left of a change of units."""
    size = as_size(value.total_seconds() if hasattr(value, "total_seconds") else value)
    return None if size is None else float(f"{size:.7g}")


def _unit(image: Any, axis: str) -> str:
    """Give the unit of an axis as OME-Zarr has it; "" if it is not said."""
    unit = getattr(image.dimension_properties, axis).unit
    return "second" if axis == "T" and hasattr(image.scale.T, "total_seconds") else str(unit or "")


def read_mrc(path: Path) -> Picture:
    """Read an MRC file: a plane, a stack of planes, or a volume, whose values are read as they are used.

    Raises
    ------
    InputError
        If mrcfile is not installed, or the values are complex.
    Exception
        Of any kind, if the file is damaged.
    """
    check_reader("MRC", "mrcfile")
    mrcfile = import_module("mrcfile")
    with mrcfile.mmap(path, mode="r") as file:
        array = file.data
        if array.dtype.kind == "c":
            raise InputError(f"The file {str(path)!r} holds complex numbers; restore an image of real ones.")
        axes = {2: "YX", 3: "ZYX" if file.is_volume() else "TYX", 4: "TZYX"}[array.ndim]
        sizes = {axis: as_size(float(file.voxel_size[axis.lower()]) * ANGSTROM) for axis in "ZYX"}
    step = {axis: size for axis, size in sizes.items() if axis in axes and size is not None}
    return Picture(array, Metadata(axes, step, "nm" if step else None, "ome", {}, dict.fromkeys(step, "nm")))


def _only_read(name: str, suffixes: tuple[str, ...], read: Callable[[Path], Picture], **more: Any) -> Format:
    """Make a format that is not written."""
    why = f"{name} files are only read, since nothing but the programs of their makers writes them well"

    def write(file: IO[bytes], image: np.ndarray, axes: str, source: Picture) -> None:
        raise InputError(f"{why}.")

    return Format(name, suffixes, "", read, write, lambda picture, axes: why, exact=False, **more)


def _through_bioio(name: str, module: str, *suffixes: str) -> Format:
    own = ThroughBioio(name, module)
    return _only_read(name, suffixes, own.read, read_series=own.read, count=own.count, peek=own.peek)


ABOUT = "CZI, ND2, LIF, DeltaVision and MRC are only read, by what the extra formats installs."
MICROSCOPES: tuple[Format, ...] = (
    _through_bioio("CZI", GPL, ".czi"),
    _through_bioio("ND2", "bioio_nd2", ".nd2"),
    _through_bioio("LIF", "bioio_lif", ".lif"),
    _through_bioio("DeltaVision", "bioio_dv", ".dv", ".r3d"),
    _only_read("MRC", (".mrc", ".mrcs"), read_mrc),
)
