"""TIFF files of ImageJ, of OME and of anyone else: their axes and pixel size, read. `tiff_writing` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError, reason
from napari_dip.files.calibration import calibrated
from napari_dip.files.claims import check_claim
from napari_dip.files.format import Format, check_series, left_out
from napari_dip.files.imagej import IMAGEJ_KEPT
from napari_dip.files.lost import listening
from napari_dip.files.metadata import Metadata, Picture, as_size, into_rgb, without_profile
from napari_dip.files.tiff_pages import check_other_files, check_pages, check_parts
from napari_dip.files.tiff_writing import RESOLUTION_UNITS, losses, write
from napari_dip.files.upright import turned
from napari_dip.image.axes import AXES

if TYPE_CHECKING:
    import numpy as np
    import tifffile

DRAWN = "The regions of interest and overlays that ImageJ has drawn on the image are not written with the result."


def read(path: Path, series: int | None = None) -> Picture:
    """Read an image of a TIFF file, with its axes (None where they are not to be known) and pixel size.

    Parameters
    ----------
    path : Path
    series : int, optional
        Number of the image, from 1; left out, the first of the largest.

    Raises
    ------
    InputError
        If there is no such image, or it claims far more than it can hold.
    ValueError
        If its compression cannot be read; a damaged file raises this and much else.
    """
    try:
        with listening() as told, _opened(path) as file:
            if series is not None:
                check_series(path, series, len(file.series))
            image = _full_image(file) if series is None else file.series[series - 1]
            check_claim(path, image.shape, image.dtype.itemsize)
            check_parts(image.keyframe.chunked, len(image.keyframe.dataoffsets))
            picture = _read_full(file, image, chosen=series is not None)
            return replace(picture, notes=(*picture.notes, *told))
    except (OSError, InputError):
        raise
    except Exception as error:
        if "imagecodecs" not in reason(error):  # tifffile reads some compressions only with its help
            raise
        need = "its compression needs the package imagecodecs; install that, or save the file without compression"
        raise ValueError(need) from error


def count(path: Path) -> int:
    """Say how many images a TIFF file holds.

    Raises
    ------
    Exception
        Of any kind, if it is damaged.
    """
    with _opened(path) as file:
        return len(file.series)


def peek(path: Path) -> tuple[tuple[int, ...], Metadata] | None:
    """Read shape and metadata of the largest image without its values; None where they are known only by reading it.

    Of a file that does not say its axes, they are those of its first page.

    Raises
    ------
    Exception
        Of any kind, if it is damaged.
    """
    import tifffile

    with _opened(path) as file:
        kinds = tifffile.PHOTOMETRIC
        if not (file.is_imagej or file.is_ome or file.is_shaped):
            # to know the shape of all, all of its pages would have to be read
            page = file.pages.first
            white = page.photometric == kinds.MINISWHITE
            plain, _ = _read_metadata(file, page, white=white, number=0)
            return None if _orientation(page) != 1 else (page.shape, plain)
        series = _full_image(file)
        kept = [(n, a) for n, a in zip(series.shape, series.axes, strict=True) if n > 1 or a in "YXS"]
        page = series.keyframe
        if _orientation(page) != 1 or dict(kept).get(4) == "S":
            return None  # it is turned, and its samples are looked at, in reading
        known = _known_axes("".join(a for _, a in kept), has_samples=page.photometric in (kinds.RGB, kinds.YCBCR))
        white = page.photometric == kinds.MINISWHITE
        metadata, _ = _read_metadata(file, page, white=white, number=file.series.index(series))
        return tuple(n for n, _ in kept), replace(metadata, axes=known)


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file whose pages, and the other files that it names, can be read to their end."""
    import tifffile

    check_pages(path)
    with tifffile.TiffFile(path) as file:
        check_other_files(path, file.ome_metadata if file.is_ome else None)
        yield file


def _read_full(file: tifffile.TiffFile, series: Any, *, chosen: bool) -> Picture:
    from tifffile import PHOTOMETRIC

    page = series.keyframe
    array, axes = series.asarray(), series.axes
    has_samples = page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
    if page.photometric == PHOTOMETRIC.PALETTE and not file.is_imagej:
        # ImageJ's palettes only colour the values; elsewhere the values mean nothing without them
        array, axes, has_samples = page.colormap.T[array], axes + "S", True
    single = tuple(i for i, a in enumerate(axes) if array.shape[i] == 1 and a not in "YXS")
    array, axes = array.squeeze(single), "".join(a for i, a in enumerate(axes) if i not in single)
    if has_samples and "S" in axes and _are_markers(array.take(-1, axes.index("S")), array.shape[axes.index("S")]):
        axes, has_samples = axes.replace("S", "C"), False
    inks: tuple[str, ...] = ()
    if page.photometric == PHOTOMETRIC.SEPARATED and axes.endswith("S") and array.shape[-1] == 4:
        array, has_samples = without_inks(array), True
        inks = (into_rgb("CMYK"),)
    known = _known_axes(axes, has_samples=has_samples)
    white, number = page.photometric == PHOTOMETRIC.MINISWHITE, file.series.index(series)
    metadata, dropped = _read_metadata(file, page, white=white, number=number)
    orientation = _orientation(page)
    if known and orientation != 1:
        array = turned(array, known, orientation)
        metadata = metadata.exchanged() if orientation > 4 else metadata
    array, notes = calibrated(array, (file.imagej_metadata or {}) if file.is_imagej else {})
    profile = without_profile(page.iccprofile)
    drawn = (DRAWN,) if file.is_imagej and {"ROI", "Overlays"} & set(file.imagej_metadata or {}) else ()
    others = () if chosen else left_out(len(file.series), number + 1, series.shape)
    return Picture(array, replace(metadata, axes=known), (*others, *inks, *profile, *drawn, *notes, *dropped))


def without_inks(array: np.ndarray) -> np.ndarray:
    """Turn cyan, magenta, yellow and black, whole numbers along the last axis, into RGB: what the inks leave of white.

    >>> import numpy as np
    >>> without_inks(np.array([0, 255, 0, 51], np.uint8)).tolist()
    [204, 0, 204]
    """
    import numpy as np

    most = np.iinfo(array.dtype).max
    left = 1 - array.astype(np.float64) / most
    return np.asarray(np.rint(left[..., :3] * left[..., 3:] * most), array.dtype)


def _orientation(page: Any) -> int:
    return int(page.tags["Orientation"].value) if "Orientation" in page.tags else 1


def _are_markers(last: np.ndarray, samples: int) -> bool:
    """Whether the last of four samples is an image like the others: alpha is 0 or full nearly everywhere."""
    if samples != 4 or last.dtype.kind != "u" or last.dtype.itemsize == 1:
        return False
    return bool(((last == 0) | (last == 256**last.dtype.itemsize - 1)).mean() < 0.5)


def _full_image(file: tifffile.TiffFile) -> Any:
    """Give the first of the largest images in a file: a small one before it is a preview."""
    return max(file.series, key=lambda series: series.size)


def _known_axes(axes: str, *, has_samples: bool) -> str | None:
    """Name all axes by letters that we know; samples that are no colours are channels.

    >>> _known_axes("QYX", has_samples=False)
    'ZYX'
    >>> _known_axes("IYXS", has_samples=False)
    'ZYXC'
    """
    if not has_samples and "C" not in axes:
        axes = axes.replace("S", "C")
    free = [a for a in "ZTC" if a not in axes]
    known = ""
    for letter in axes:
        if letter not in AXES or letter in known or (letter == "S" and not has_samples):
            if not free:
                return None
            letter = free.pop(0)
        known += letter
    return known if {"Y", "X"} <= set(known) else None


def _read_metadata(file: tifffile.TiffFile, page: Any, *, white: bool, number: int) -> tuple[Metadata, tuple[str, ...]]:
    """Read what the file says of its image of that number; what of it cannot be right is left out, and told."""
    if file.is_ome:
        metadata, odd = _read_ome(file.ome_metadata, number)
    elif file.is_imagej:
        metadata, odd = _read_imagej(file.imagej_metadata or {}, _read_tags(page))
    else:
        told = page.tags["ResolutionUnit"].value if "ResolutionUnit" in page.tags else 2
        unit = {n: name for name, n in RESOLUTION_UNITS.items()}.get(int(told))
        step, odd = _read_tags(page), []
        metadata = Metadata(None, step, unit if step else None, "plain", {"photometric": "miniswhite"} if white else {})
    return metadata, (f"What the file says of {', '.join(odd)} cannot be right, and is left out.",) if odd else ()


def _read_tags(page: Any) -> dict[str, float]:
    """Read the size of a pixel from tags, where those of both axes make sense."""
    step = {a: size for a in "XY" if (size := _tag_size(page.tags.get(f"{a}Resolution")))}
    return step if len(step) == 2 else {}


def _tag_size(tag: Any) -> float | None:
    """Give the size of a pixel from a tag that holds pixels per unit, as a fraction."""
    if tag is None:
        return None
    above, below = tag.value
    return as_size(below / above) if above and below else None


def _read_imagej(found: dict[str, Any], step: dict[str, float]) -> tuple[Metadata, list[str]]:
    """Read what ImageJ says beside tags; and give the names of what is left out."""
    odd = []
    for axis, key in (("Z", "spacing"), ("T", "finterval")):
        if size := as_size(found.get(key)):
            step[axis] = size
        elif found.get(key):
            odd.append(key)
    kept = {key: found[key] for key, fits in IMAGEJ_KEPT.items() if key in found and fits(found[key])}
    odd += [key for key in IMAGEJ_KEPT if key in found and key not in kept]
    unit = found.get("unit")
    return Metadata(None, step, None if unit is None else str(unit), "imagej", kept), odd


def _read_ome(text: Any, number: int) -> tuple[Metadata, list[str]]:
    """Read what OME says of the image of that number; and give the names of what is left out."""
    from xml.etree import ElementTree

    every = ElementTree.fromstring(text).findall(".//{*}Image/{*}Pixels")
    if not every:
        return Metadata(dialect="ome"), []
    pixels = every[min(number, len(every) - 1)]
    step, units, odd = {}, {}, []
    for axis in "XYZT":
        key = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
        if size := as_size(pixels.get(key)):
            step[axis], units[axis] = size, pixels.get(f"{key}Unit", "s" if axis == "T" else "µm")
        elif pixels.get(key):
            odd.append(key)
    kept: dict[str, Any] = {"TimeIncrementUnit": units.pop("T")} if "T" in units else {}
    names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    if all(names):
        kept["Channel"] = {"Name": names}
    return Metadata(None, step, units.get("X"), "ome", kept, units), odd


TIFF = Format(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    about="TIFF keeps axes and pixel size, and holds float32 in the units of the image.",
    read=read,
    read_series=read,
    count=count,
    write=write,
    peek=peek,
    losses=losses,
    dialects={".ome.tif": "ome", ".ome.tiff": "ome"},
)
