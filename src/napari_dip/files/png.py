"""PNG files: whole numbers, their colours and their dots per inch."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_dip.errors import InputError
from napari_dip.files.metadata import Picture, Scale


def read(path: Path) -> Picture:
    """Read a PNG file; a palette, and gray with alpha, become RGB or RGBA."""
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


def write(file: IO[bytes], image: np.ndarray, axes: str, dtype: np.dtype[Any], scale: Scale) -> None:
    """Write whole numbers, rounded and clipped."""
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
