"""Smooth stand-ins for pixels that are hidden or missing, and the local mean and contrast around each pixel."""

from __future__ import annotations

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.objective import Data


def local_contrast(data: Data, scale: float = 8.0) -> tuple[Tensor, Tensor]:
    """Give the local mean of each channel, and the local standard deviation of all, over some `scale` pixels around.

    Only visible pixels count. A pixel has less than 1 % of the weight in its own surroundings.

    Returns
    -------
    mean : Tensor
        (1, channels, [z,] y, x).
    deviation : Tensor
        (1, 1, [z,] y, x), never zero.
    """

    def blur(x: Tensor) -> Tensor:
        axes = tuple(range(2, x.ndim))
        blurred = gaussian_filter(x.cpu().numpy(), scale, mode="reflect", axes=axes)
        return torch.from_numpy(blurred).to(x.device)

    weight = blur(data.visible)
    near = (weight > 1e-3).float()  # the middle of a wide gap has no surroundings: it takes those of its rim
    weight = weight.clamp_min(1e-3)
    mean = fill(blur(data.measured * data.visible) / weight, near)
    squared = ((data.measured - mean) ** 2 * data.visible).mean(1, keepdim=True)
    return mean, fill((blur(squared) / weight).sqrt(), near).clamp_min(1e-4)


def fill(image: Tensor, seen: Tensor) -> Tensor:
    """Replace the pixels that are not seen by a mean of those around them that are.

    The nearest ones count: where a 3 x 3 window holds none, coarser and coarser versions of the image are asked.
    """
    dims = image.ndim - 2
    side = torch.tensor([1.0, 2.0, 1.0], device=image.device)
    window = side
    for _ in range(dims - 1):
        window = window[..., None] * side
    conv = F.conv2d if dims == 2 else F.conv3d

    def blur(x: Tensor) -> Tensor:
        kernel = (window / window.sum()).expand(x.shape[1], 1, *window.shape)
        return conv(x, kernel, padding=1, groups=x.shape[1])

    pool = F.avg_pool2d if dims == 2 else F.avg_pool3d
    value, weight = image * seen, seen
    near, near_weight = blur(value), blur(weight)
    mean = near / near_weight.clamp_min(1e-6)
    missing = (near_weight < 0.02) & (seen == 0)
    if missing.any() and min(image.shape[2:]) > 1:
        coarse_weight = pool(weight, 2, ceil_mode=True)
        coarse = pool(value, 2, ceil_mode=True) / coarse_weight.clamp_min(1e-6)
        coarse = fill(coarse, (coarse_weight > 0).float())
        mode = "bilinear" if dims == 2 else "trilinear"
        wide = F.interpolate(coarse, size=image.shape[2:], mode=mode)
        mean = torch.where(missing, wide, mean)
    return torch.where(seen > 0, image, mean)


def relax(image: Tensor, seen: Tensor, steps: int = 10) -> Tensor:
    """Bend the pixels that are not seen towards the smoothest surface through those that are.

    A few damped steps down the bending energy of a thin plate, whose minimum is biharmonic inpainting (Damelin, Hoang,
    IEEE Trans. Image Process. 27, 2018); small gaps need no more.
    """
    free, speed = 1 - seen, torch.zeros_like(image)
    # the largest eigenvalue of the squared Laplacian is (4 * dims) ** 2; steps of twice its inverse would be unstable
    size = 1.6 / (4 * (image.ndim - 2)) ** 2
    for _ in range(steps):
        speed = 0.5 * speed - size * _laplacian(_laplacian(image)) * free
        image = image + speed
    return image


def _laplacian(x: Tensor) -> Tensor:
    """Sum of the neighbours along each axis, less as many times the pixel itself; borders are repeated."""
    total = -2 * (x.ndim - 2) * x
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, n - 1, 1)
        total = (
            total
            + torch.cat([first, x.narrow(axis, 0, n - 1)], axis)
            + torch.cat([x.narrow(axis, 1, n - 1), last], axis)
        )
    return total
