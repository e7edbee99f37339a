"""ImageJ's calibration: what the stored numbers stand for, such as signed ones, which it stores 32768 higher."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

LINE = 0
"""ImageJ's number for values that lie on a straight line over the stored ones."""
SIGNED = (-32768.0, 1.0)


def calibrated(array: np.ndarray, found: dict[str, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Give the values that ImageJ shows for stored whole numbers, and a sentence if they differ.

    Parameters
    ----------
    array : array
        As stored.
    found : dict
        What ImageJ says of it: the straight line is `c0` + `c1` times what is stored, if `cf` is 0.

    Returns
    -------
    array : array
        Of int16 for ImageJ's signed 16 bits, of float32 for other lines; what was given where there is none.
    notes : tuple of str
    """
    import numpy as np

    line = tuple(found.get(key) for key in ("c0", "c1"))
    numbers = all(isinstance(one, int | float) and isfinite(one) for one in line)
    if found.get("cf") != LINE or not numbers or not line[1] or line == (0, 1) or array.dtype.kind not in "iu":
        return array, ()
    c0, c1 = map(float, line)  # type: ignore[arg-type]
    said = f"The values are those of ImageJ's calibration: {c0:g} + {c1:g} times what is stored."
    if (c0, c1) == SIGNED and array.dtype.newbyteorder("=") == np.uint16:
        return (array.astype(np.int32) - 32768).astype(np.int16), (said,)
    return (array * c1 + c0).astype(np.float32), (said,)
