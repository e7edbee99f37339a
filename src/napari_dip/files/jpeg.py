"""JPEG files: read only, for writing a result there would add what was taken off."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

from napari_dip.errors import InputError
from napari_dip.files.format import Format
from napari_dip.files.metadata import Metadata, Picture, into_rgb, without_profile
from napari_dip.files.upright import upright

if TYPE_CHECKING:
    import numpy as np

ONLY_READ = "JPEG files are only read, as writing one would add the artefacts of its compression again"


def read(path: Path) -> Picture:
    """Read a JPEG file as gray or RGB, turned as it says.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    import numpy as np
    from PIL import Image

    with Image.open(path, formats=["JPEG"]) as image:
        image.load()
        turned, step = upright(image)
    notes = without_profile(image.info.get("icc_profile"))
    if turned.mode not in ("L", "RGB"):
        notes = (*notes, into_rgb(turned.mode))
        turned = turned.convert("RGB")
    array = np.array(turned)
    metadata = Metadata("YXS" if array.ndim == 3 else "YX", step, "inch" if step else None)
    return Picture(array, metadata, notes)


def write(file: IO[bytes], image: np.ndarray, axes: str, source: Picture) -> None:
    """Refuse to.

    Raises
    ------
    InputError
    """
    raise InputError(f"{ONLY_READ}.")


JPEG = Format(
    name="JPEG",
    suffixes=(".jpg", ".jpeg"),
    about="JPEG is only read.",
    read=read,
    write=write,
    obstacle=lambda picture, axes: ONLY_READ,
    exact=False,
)
