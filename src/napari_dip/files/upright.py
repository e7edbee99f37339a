"""How a picture lies: cameras and scanners store it as the chip has it, and say how it is to be turned."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

ORIENTATION = 0x0112
"""Number of the tag (EXIF 2.3, 4.6.4)."""


def upright(image: Image) -> tuple[Image, dict[str, float]]:
    """Turn a picture as its file says, so that it lies as programs show it.

    Returns
    -------
    image : Image
    step : dict
        Size of a pixel along Y and X as the picture lies now, in inches; empty where the file does not say.
    """
    from PIL import ImageOps

    dpi, turned = image.info.get("dpi"), image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    step = {"X": 1 / float(dpi[0]), "Y": 1 / float(dpi[1])} if dpi and min(dpi) > 0 else {}
    if turned and step:
        step = {"X": step["Y"], "Y": step["X"]}
    return ImageOps.exif_transpose(image), step


FLIPPED = {2: "X", 3: "YX", 4: "Y", 6: "X", 7: "YX", 8: "Y"}
"""Which axes run backwards, by that number; from 5 on rows and columns are exchanged before."""


def turned(array: np.ndarray, axes: str, orientation: int) -> np.ndarray:
    """Turn an array with axes Y and X, so that it lies as programs show it.

    >>> import numpy as np
    >>> turned(np.array([[1, 2], [3, 4]]), "YX", 6)
    array([[3, 1],
           [4, 2]])
    """
    import numpy as np

    y, x = axes.index("Y"), axes.index("X")
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(y, x)
    return np.flip(array, tuple(axes.index(a) for a in FLIPPED.get(orientation, "")))
