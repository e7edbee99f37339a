"""Forward models: what the instrument makes of the true image.

Each maps an image (1, channels, [z,] y, x) to what was measured of it, and is differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Measurement(Protocol):
    """A forward model."""

    def __call__(self, image: Tensor) -> Tensor:
        """Predict the measurement of an image."""
        ...


class Identity:
    """Every pixel is measured. Those that are not (inpainting) are left out of the loss by their weight."""

    def __call__(self, image: Tensor) -> Tensor:
        """Give the image as it is."""
        return image


class Downsample:
    """The image is shrunk by a whole factor along its last two axes with a Lanczos kernel, borders renormalised.

    The kernel spans `2 * lobes * factor` pixels and is centred on each coarse pixel (phase 0.5 for even factors), as
    in the published method (lobes 2) and in Pillow's LANCZOS filter (lobes 3), whose borders are matched exactly.

    Parameters
    ----------
    factor : int
        How many fine pixels make a coarse one along each axis.
    size : sequence of int
        Fine (y, x) size, multiples of `factor`.
    lobes : int
        Lobes of the Lanczos window on each side.

    References
    ----------
    Duchon: Lanczos filtering in one and two dimensions. J. Appl. Meteorol. 18, 1979.
    """

    def __init__(self, factor: int, size: Sequence[int], lobes: int, device: torch.device | str = "cpu"):
        self.rows, self.columns = (torch.from_numpy(_lanczos_matrix(n, factor, lobes)).to(device) for n in size)

    def __call__(self, image: Tensor) -> Tensor:
        """Shrink (..., y, x) to (..., y / factor, x / factor)."""
        return self.rows @ image @ self.columns.T


def _lanczos_matrix(size: int, factor: int, lobes: int) -> np.ndarray:
    """Rows of weights, one for each coarse pixel, over the fine pixels of one axis; each sums to one."""
    centre = (np.arange(size // factor) + 0.5) * factor - 0.5
    distance = (np.arange(size) - centre[:, None]) / factor
    weight: np.ndarray = np.sinc(distance) * np.sinc(distance / lobes) * (np.abs(distance) < lobes)
    weight /= weight.sum(1, keepdims=True)
    return weight.astype(np.float32)
