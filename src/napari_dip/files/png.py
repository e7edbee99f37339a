"""PNG files: whole numbers, their colours and their dots per inch."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_dip.errors import InputError
from napari_dip.files.format import Format
from napari_dip.files.metadata import Metadata, Picture, without_profile
from napari_dip.files.upright import upright
from napari_dip.image.axes import guess_axes

if TYPE_CHECKING:
    import numpy as np


def read(path: Path) -> Picture:
    """Read a PNG file; a palette, and gray with alpha, become RGB or RGBA.

    Raises
    ------
    InputError
        If it has 16 bits for each of several colours.
    OSError
        If it cannot be read.
    """
    import numpy as np
    from PIL import Image

    with path.open("rb") as file:
        header = file.read(26)
    if len(header) == 26 and header[24] == 16 and header[25] != 0:
        # Pillow would drop half of the bits without a word
        raise InputError(f"The file {str(path)!r} has 16 bits for each of several colours; save it as TIFF instead.")
    with Image.open(path, formats=["PNG"]) as image:
        image.load()
        mode = image.mode
        palette = "RGBA" if "transparency" in image.info else "RGB"
        readable = {"P": palette, "1": "L", "LA": "RGBA"}.get(mode)
        turned, step = upright(image)
        array = np.array(turned.convert(readable) if readable else turned)
    if mode.startswith("I"):
        array = array.astype(np.uint16)
    metadata = Metadata("YXS" if array.ndim == 3 else "YX", step, "inch" if step else None)
    return Picture(array, metadata, without_profile(image.info.get("icc_profile")))


def write(file: IO[bytes], image: np.ndarray, axes: str, source: Picture) -> None:
    """Write a float32 image in whole numbers like those of its source, rounded and clipped.

    Parameters
    ----------
    file : binary file
        Open for reading and writing.
    image : float32 array
    axes : str
        One letter for each dimension: Y, X and perhaps S, in any order.
    source : Picture
        What the image was made from, of uint8 or uint16; its metadata hold for the image.
    """
    import numpy as np
    from PIL import Image

    order = "YXS" if "S" in axes else "YX"
    plane = image.transpose([axes.index(a) for a in order])
    dtype, metadata = source.array.dtype.newbyteorder("="), source.metadata
    whole = np.rint(plane).clip(0, np.iinfo(dtype).max).astype(dtype)
    if "S" in order and whole.shape[-1] == 1:
        whole = whole[..., 0]
    options: dict[str, Any] = {}
    if {"X", "Y"} <= set(metadata.step) and metadata.unit == "inch":
        options["dpi"] = (1 / metadata.step["X"], 1 / metadata.step["Y"])
    Image.fromarray(np.ascontiguousarray(whole)).save(file, format="PNG", **options)


def obstacle(picture: Picture, axes: str | None) -> str | None:
    """Say what keeps a PNG file from holding a result: it takes no stacks, and whole numbers only."""
    dtype = picture.array.dtype.newbyteorder("=")
    axes = axes or guess_axes(picture.array.shape, picture.array.dtype)
    if dtype.name not in ("uint8", "uint16"):
        return f"PNG holds whole numbers of 8 or 16 bits, but the image holds {dtype}"
    if dtype.name == "uint16" and "S" in axes:
        return "PNG files with 16 bits for each of several colours cannot be written"
    if set(axes) - set("YXS"):
        return f"PNG holds a single plane, but the image has the axes {axes}"
    return None


PNG = Format(
    name="PNG",
    suffixes=(".png",),
    about="PNG holds whole numbers of 8 or 16 bits, so results are rounded and clipped there.",
    read=read,
    write=write,
    obstacle=obstacle,
    exact=False,
)
