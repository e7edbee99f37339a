"""Image files: TIFF, PNG and NPY in and out, with axes and pixel size kept, and never half-written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.files import tiff
from napari_dip.files.tiff import Scale
from napari_dip.image.axes import guess_axes

FORMATS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".npy": "NPY"}
OME = (".ome.tif", ".ome.tiff")
"""Endings that ask for the metadata of OME."""


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


def format_of(path: Path) -> str:
    """Give the format that the suffix of a file name stands for.

    Raises
    ------
    InputError
        If it stands for none that can be read and written.
    """
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(FORMATS)
        raise InputError(f"The name {str(path)!r} does not say TIFF, PNG or NPY; let it end in {known}.") from None


def read_image(path: Path) -> Picture:
    """Read an image file.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read.
    """
    kind = format_of(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; give an image file.")
    if not path.exists():
        raise InputError(f"There is no file {str(path)!r}.")
    try:
        return {"TIFF": _read_tiff, "PNG": _read_png, "NPY": _read_npy}[kind](path)
    except (InputError, MemoryError):
        raise
    except OSError as error:
        why = error.strerror or _first_line(error)
    except Exception as error:  # a damaged file can raise anything inside its reader
        why = _first_line(error)
        if "imagecodecs" in why:  # tifffile reads some compressions only with its help
            why = "its compression needs the package imagecodecs; install that, or save the file without compression"
    raise InputError(f"The file {str(path)!r} cannot be read as {kind}: {why}.")


def read_mask(path: Path) -> np.ndarray:
    """Read a mask: True where a pixel is not zero, in any of its colours; its alpha does not count.

    Raises
    ------
    InputError
        As `read_image` does.
    """
    picture = read_image(path)
    if picture.array.dtype.kind not in "biuf":
        raise InputError(f"The mask {str(path)!r} holds {picture.array.dtype.name} values; give whole numbers.")
    if picture.axes is None or "S" not in picture.axes:
        return np.asarray(picture.array != 0)
    samples = np.moveaxis(picture.array, picture.axes.index("S"), -1)
    return np.asarray((samples[..., :3] != 0).any(-1))


def check_output(path: Path, inputs: Iterable[Path], *, force: bool) -> None:
    """See that a file can be written there, before any work is done for it.

    Raises
    ------
    InputError
        If it exists (unless `force`), is one of the inputs, is a folder, or its folder is missing or read-only.
    """
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; give a file name to write to.")
    for other in inputs:
        if _same(path, other):
            raise InputError(f"The file {str(path)!r} would be written over while it is needed; choose another name.")
    if path.exists() and not force:
        raise InputError(f"The file {str(path)!r} exists; give --force to replace it.")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise InputError(f"There is no folder {str(folder)!r} to write {path.name!r} to; make it first.")
    try:
        probe = _beside(path)
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        raise InputError(f"The folder {str(folder)!r} cannot be written to: {error.strerror}.") from None


def companion(path: Path, word: str) -> Path:
    """Name a second file that belongs to an output: its name with a word at the end.

    It stays of the same format, but for PNG, whose whole numbers are too coarse for anything but the image itself.

    >>> companion(Path("cells.ome.tif"), "uncertainty").name, companion(Path("cells.png"), "uncertainty").name
    ('cells-uncertainty.ome.tif', 'cells-uncertainty.tif')
    """
    suffix = next((path.name[-len(end) :] for end in OME if path.name.lower().endswith(end)), path.suffix)
    stem = path.name[: -len(suffix)]
    return path.with_name(f"{stem}-{word}{'.tif' if format_of(path) == 'PNG' else suffix}")


def check_fits(path: Path, picture: Picture, axes: str | None) -> None:
    """See that a format can hold the result of restoring an image: PNG takes no stacks and whole numbers only.

    Raises
    ------
    InputError
        If it cannot.
    """
    if format_of(path) != "PNG":
        return
    dtype, axes = picture.array.dtype.newbyteorder("="), axes or guess_axes(picture.array.shape, picture.array.dtype)
    if dtype not in (np.uint8, np.uint16):
        raise InputError(f"PNG holds whole numbers of 8 or 16 bits, but the image holds {dtype}; write .tif or .npy.")
    if dtype == np.uint16 and "S" in axes:
        raise InputError("PNG files with 16 bits for each of several colours cannot be written; write .tif or .npy.")
    if set(axes) - set("YXS"):
        raise InputError(f"PNG holds a single plane, but the image has the axes {axes}; write .tif or .npy.")


def write_image(path: Path, image: np.ndarray, axes: str, source: Picture, factor: int = 1) -> None:
    """Write a restored image, with the pixel size of its source.

    TIFF and NPY hold float32; PNG holds whole numbers like those of the source, rounded and clipped.

    Parameters
    ----------
    image : float32 array
    axes : str
        One letter for each dimension.
    source : Picture
        What was restored.
    factor : int
        How much smaller the pixels have become along Y and X.
    """
    kind, scale = format_of(path), source.scale.divided(factor)
    with replacing(path) as file:
        if kind == "NPY":
            np.save(file, image, allow_pickle=False)
        elif kind == "TIFF":
            tiff.write(file, image, axes, scale, ome=path.name.lower().endswith(OME))
        else:
            _write_png(file, image, axes, source.array.dtype, scale)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside its place; put it there once it is complete, and remove it if anything goes wrong.

    Raises
    ------
    InputError
        If the system refuses, because the disk is full for example.
    """
    target, part = Path(os.path.realpath(path)), _beside(path)
    try:
        with part.open("xb+") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            part.chmod(target.stat().st_mode & 0o777)
        part.replace(target)
    except OSError as error:
        raise InputError(
            f"The file {str(path)!r} cannot be written: {error.strerror or _first_line(error)}."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """Give a new, short name in the folder of a file; that of its target, if it is a link."""
    return Path(os.path.realpath(path)).with_name(f".napari-dip-{token_hex(6)}.part")


def _same(one: Path, other: Path) -> bool:
    """Whether two names stand for one file, be it there or not."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    return one.exists() and other.exists() and one.samefile(other)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _read_tiff(path: Path) -> Picture:
    return Picture(*tiff.read(path))


def _read_npy(path: Path) -> Picture:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)  # np.load takes what is no NPY file for a pickle, and says so
    try:
        return Picture(np.lib.format.open_memmap(path, mode="r"))
    except ValueError:  # an array of no size cannot be mapped
        return Picture(np.load(path, allow_pickle=False))


def _read_png(path: Path) -> Picture:
    from PIL import Image

    with path.open("rb") as file:
        header = file.read(26)
    if len(header) == 26 and header[24] == 16 and header[25] != 0:
        # Pillow would drop half of the bits without a word
        raise InputError(f"The file {str(path)!r} has 16 bits for each of several colours; save it as TIFF instead.")
    with Image.open(path, formats=["PNG"]) as image:
        image.load()
        mode, dpi = image.mode, image.info.get("dpi")
        palette = "RGBA" if "transparency" in image.info else "RGB"
        readable = {"P": palette, "1": "L", "LA": "RGBA"}.get(mode)
        array = np.array(image.convert(readable) if readable else image)
    if mode.startswith("I"):
        array = array.astype(np.uint16)
    step = {"X": 1 / float(dpi[0]), "Y": 1 / float(dpi[1])} if dpi and min(dpi) > 0 else {}
    return Picture(array, "YXS" if array.ndim == 3 else "YX", Scale(step, "inch" if step else None))


def _write_png(file: IO[bytes], image: np.ndarray, axes: str, dtype: np.dtype[Any], scale: Scale) -> None:
    from PIL import Image

    order = "YXS" if "S" in axes else "YX"
    plane = image.transpose([axes.index(a) for a in order])
    whole = np.rint(plane).clip(0, np.iinfo(dtype).max).astype(dtype.newbyteorder("="))
    if "S" in order and whole.shape[-1] == 1:
        whole = whole[..., 0]
    options: dict[str, Any] = {}
    if scale.step and scale.unit == "inch":
        options["dpi"] = (1 / scale.step["X"], 1 / scale.step["Y"])
    Image.fromarray(np.ascontiguousarray(whole)).save(file, format="PNG", **options)
