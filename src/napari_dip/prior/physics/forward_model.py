"""Forward models: what the instrument makes of the true image.

Each maps an image (1, channels, [z,] y, x) to what was measured of it, and is linear and differentiable. A new one
stands here and in `build`; `tests/contracts` holds what all of them have to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Size = tuple[int, ...]


class ForwardModel(Protocol):
    """What an instrument does."""

    def __call__(self, image: Tensor) -> Tensor:
        """Predict the measurement of an image."""
        ...

    def adjoint(self, values: Tensor) -> Tensor:
        """Apply the transpose: `(model(x) * y).sum() == (x * model.adjoint(y)).sum()` for all x and y."""
        ...

    def to_image(self, values: Tensor) -> Tensor:
        """Lay values out as an image of the right size: what a network that sees the measurement is shown."""
        ...

    def image_size(self, size: Size) -> Size:
        """Give the ([z,] y, x) of the image for that of the measurement."""
        ...


class Identity:
    """Every pixel is measured. Those that are not (inpainting) are left out by the mask of the observation."""

    def __call__(self, image: Tensor) -> Tensor:
        """Give the image as it is."""
        return image

    def adjoint(self, values: Tensor) -> Tensor:
        """Give the values as they are."""
        return values

    def to_image(self, values: Tensor) -> Tensor:
        """Give the values as they are."""
        return values

    def image_size(self, size: Size) -> Size:
        """Give the same size."""
        return size


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
        self.factor = factor
        self.rows, self.columns = (torch.from_numpy(_lanczos_matrix(n, factor, lobes)).to(device) for n in size)

    def __call__(self, image: Tensor) -> Tensor:
        """Shrink (..., y, x) to (..., y / factor, x / factor)."""
        return self.rows @ image @ self.columns.T

    def adjoint(self, values: Tensor) -> Tensor:
        """Spread each coarse pixel over the fine ones that it was made of."""
        return self.rows.T @ values @ self.columns

    def to_image(self, values: Tensor) -> Tensor:
        """Repeat each coarse pixel."""
        return values.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1)

    def image_size(self, size: Size) -> Size:
        """Enlarge y and x."""
        return (*size[:-2], size[-2] * self.factor, size[-1] * self.factor)


def build(name: str, size: Size, inputs: dict[str, Any], *, lobes: int, device: str) -> ForwardModel:
    """Make the forward model of a task.

    Parameters
    ----------
    name : str
        As in the table of tasks.
    size : tuple of int
        ([z,] y, x) of the measurement.
    inputs : dict
        What the task takes beside the image.
    lobes : int
        Of the Lanczos window, as the preset has it.
    """
    if name == "downsample":
        factor = int(inputs["factor"])
        return Downsample(factor, [n * factor for n in size[-2:]], lobes, device)
    if name == "identity":
        return Identity()
    raise ValueError(f"There is no forward model {name!r}.")


def adjoint_by_autograd(model: ForwardModel, values: Tensor) -> Tensor:
    """Give the transpose from the gradient: for forward models that have no shorter way, and to check those that do."""
    size = model.image_size(tuple(values.shape[2:]))
    image = torch.zeros(*values.shape[:2], *size, device=values.device, requires_grad=True)
    (found,) = torch.autograd.grad((model(image) * values).sum(), image)
    return found


def _lanczos_matrix(size: int, factor: int, lobes: int) -> np.ndarray:
    """Rows of weights, one for each coarse pixel, over the fine pixels of one axis; each sums to one."""
    centre = (np.arange(size // factor) + 0.5) * factor - 0.5
    distance = (np.arange(size) - centre[:, None]) / factor
    weight: np.ndarray = np.sinc(distance) * np.sinc(distance / lobes) * (np.abs(distance) < lobes)
    weight /= weight.sum(1, keepdims=True)
    return weight.astype(np.float32)
