"""What is shown of an enlargement before its network has learned anything: interpolation, and not coloured noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_dip.image.axes import outer_axes
from napari_dip.viewer.layers.layers import place_of

UNLEARNED = 0.03
"""Part of the variance of the source by which a picture, shrunk again, is off before anything is learned. Interpolation
is off by 0.001 to 0.006, and a network by 5 after 5 iterations and 0.03 after 60 to 80 (crops of baby and ppt3, x4)."""
EARLY = 0.35
"""Part of a run after which the network is shown whatever it has learned: of noise it learns no more."""


def shown_for(picture: np.ndarray, image: Any, axes: str, index: tuple[int, ...], factor: int) -> np.ndarray:
    """Give what is shown in the place of a picture of an unfinished run.

    Parameters
    ----------
    picture : array
        Of one plane, with the axes of the image but for the outer ones.
    image : array
        That is enlarged, with `axes`.
    index : tuple of int
        Of the plane, along the outer axes.
    factor : int
    """
    from skimage.transform import downscale_local_mean, resize

    inner = [axis for axis in axes if axis not in outer_axes(axes)]
    plane = np.asarray(image[place_of(axes, index)], np.float32)
    shrunk = downscale_local_mean(picture, tuple(factor if axis in "YX" else 1 for axis in inner))
    if not np.nanmean((shrunk - plane) ** 2) > UNLEARNED * np.nanvar(plane):
        return picture
    smooth = resize(np.nan_to_num(plane), picture.shape, order=3, mode="edge", anti_aliasing=False)
    return np.asarray(smooth, np.float32)
