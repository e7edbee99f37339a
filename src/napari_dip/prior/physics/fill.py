"""Smooth stand-ins for pixels that are hidden or missing, and the local mean and contrast around each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from scipy import sparse
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.sparse.linalg import cg, splu
from torch import Tensor
from torch.nn import functional as F

LEAST_WEIGHT = 1e-6
"""Least weight that a mean is divided by; it keeps a division finite where nothing is near."""
NEARBY = 0.02
"""Weight of what is seen in a 3 x 3 window below which coarser versions of the image are asked: a corner alone has
1 / 16. (In three dimensions a corner has 1 / 64, and alone does not count.)"""


@dataclass(frozen=True)
class LocalContrast:
    """Over what surroundings the local mean and contrast are taken.

    Attributes
    ----------
    scale : float
        Standard deviation of the Gaussian window, in pixels; a pixel has 1 / (2 pi scale ** 2) of the weight in its own
        surroundings, 0.25 % with 8. Measured: benchmarks/constants.py.
    least_weight : float
        Part of the window that has to be observed; with less, as in the middle of a wide gap, surroundings are those
        of the rim. A straight rim is then 3 scales away. Measured: benchmarks/constants.py.
    least_deviation : float
        Least contrast, in units of [0, 1]; without it a flat part could not be divided by its contrast. It is a
        fortieth of a gray level of 8 bits.
    """

    scale: float = 8.0
    least_weight: float = 1e-3
    least_deviation: float = 1e-4


@dataclass(frozen=True)
class Relaxation:
    """How a filled-in surface is bent.

    Attributes
    ----------
    steps : int
        How often; each reaches two pixels further. Small gaps need no more. Measured: benchmarks/constants.py.
    momentum : float
        Part of a step that is kept for the next. Measured: benchmarks/constants.py.
    size : float
        Of a step, over the inverse of the largest eigenvalue; 2 would be unstable without momentum.
        Measured: benchmarks/constants.py.
    """

    steps: int = 10
    momentum: float = 0.5
    size: float = 1.6


@dataclass(frozen=True)
class Solver:
    """How the smoothest surface is found.

    Attributes
    ----------
    most_direct, most_if_deep : int
        Unknown pixels up to which the equations are solved by elimination, and the same with deep gaps, which would
        take thousands of steps. With more its time and memory grow fast: a surface that was found on half of the pixels
        along each axis is improved step by step.
    deep : float
        From this depth on, in pixels, a gap is deep.
    tolerance : float
        What is left of the equations where the steps end, relative to their right side.
    steps : int
        Most steps. Shallow gaps need a few dozen; in a deep one what is left after so many is a little bending.
    """

    most_direct: int = 30_000
    most_if_deep: int = 150_000
    deep: float = 16.0
    tolerance: float = 1e-5
    steps: int = 500


LOCAL_CONTRAST, RELAXATION, SOLVER = LocalContrast(), Relaxation(), Solver()


def local_contrast(values: Tensor, observed: Tensor, window: LocalContrast = LOCAL_CONTRAST) -> tuple[Tensor, Tensor]:
    """Give the local mean of each channel, and the local standard deviation of all, in a window around each pixel.

    Only observed pixels count. A pixel has less than 1 % of the weight in its own surroundings.

    Parameters
    ----------
    values : (1, channels, [z,] y, x) Tensor
    observed : (1, 1, [z,] y, x) Tensor
        1 where a pixel was measured.
    window : LocalContrast, optional

    Returns
    -------
    mean : Tensor
        (1, channels, [z,] y, x).
    deviation : Tensor
        (1, 1, [z,] y, x), never zero.
    """

    def blur(x: Tensor) -> Tensor:
        axes = tuple(range(2, x.ndim))
        blurred = gaussian_filter(x.cpu().numpy(), window.scale, mode="reflect", axes=axes)
        return torch.from_numpy(blurred).to(x.device)

    weight = blur(observed)
    near = (weight > window.least_weight).float()
    weight = weight.clamp_min(window.least_weight)
    mean = fill(blur(values * observed) / weight, near)
    squared = ((values - mean) ** 2 * observed).mean(1, keepdim=True)
    return mean, fill((blur(squared) / weight).sqrt(), near).clamp_min(window.least_deviation)


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
    mean = near / near_weight.clamp_min(LEAST_WEIGHT)
    missing = (near_weight < NEARBY) & (seen == 0)
    if missing.any() and min(image.shape[2:]) > 1:
        coarse_weight = pool(weight, 2, ceil_mode=True)
        coarse = pool(value, 2, ceil_mode=True) / coarse_weight.clamp_min(LEAST_WEIGHT)
        coarse = fill(coarse, (coarse_weight > 0).float())
        mode = "bilinear" if dims == 2 else "trilinear"
        wide = F.interpolate(coarse, size=image.shape[2:], mode=mode)
        mean = torch.where(missing, wide, mean)
    return torch.where(seen > 0, image, mean)


def relax(image: Tensor, seen: Tensor, how: Relaxation = RELAXATION) -> Tensor:
    """Bend the pixels that are not seen towards the smoothest surface through those that are.

    A few damped steps down the bending energy of a thin plate, whose minimum is biharmonic inpainting (Damelin, Hoang,
    IEEE Trans. Image Process. 27, 2018).

    Parameters
    ----------
    image : (1, channels, [z,] y, x) Tensor
        Filled in where it is not seen.
    seen : (1, 1, [z,] y, x) Tensor
        1 where a pixel stays as it is.
    how : Relaxation, optional
    """
    free, speed = 1 - seen, torch.zeros_like(image)
    # the largest eigenvalue of the squared Laplacian is (4 * dims) ** 2; steps of twice its inverse would be unstable
    size = how.size / (4 * (image.ndim - 2)) ** 2
    for _ in range(how.steps):
        speed = how.momentum * speed - size * _laplacian(_laplacian(image)) * free
        image = image + speed
    return image


def biharmonic(image: Tensor, seen: Tensor, how: Solver = SOLVER) -> Tensor:
    """Fill in the pixels that are not seen with the smoothest surface through those that are.

    It has the least sum of squares of its Laplacian, borders repeated, within the range of what is seen. Where nothing
    is seen, it is zero.

    Parameters
    ----------
    image : (1, channels, [z,] y, x) Tensor
        Taken where it is seen only.
    seen : (1, 1, [z,] y, x) Tensor
        1 where a pixel stays as it is.
    how : Solver, optional

    References
    ----------
    Damelin, Hoang: On surface completion and image inpainting by biharmonic functions: numerical aspects. Int. J. Math.
    Math. Sci., 2018.
    """
    known = seen[0, 0].cpu().numpy() > 0
    if not known.any():
        return torch.zeros_like(image)
    planes = image[0].cpu().double().numpy()
    solved = torch.from_numpy(_smoothest(planes, known, how)).to(image.dtype).to(image.device)
    low, high = (x.view(1, -1, *[1] * known.ndim) for x in _range_of(image, seen > 0))
    return torch.where(seen > 0, image, solved[None].clamp(low, high))


def _range_of(image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest value of each channel."""
    values = image[0][:, known[0, 0]]
    return values.amin(1), values.amax(1)


def _smoothest(planes: np.ndarray, known: np.ndarray, how: Solver) -> np.ndarray:
    """Solve for the unknown pixels of (channels, [z,] y, x); the others are as they were."""
    unknown = np.flatnonzero(~known)
    if not len(unknown):
        return planes
    bend = _bending(known.shape)
    free = bend[:, unknown]
    normal = (free.T @ free).tocsc()
    values = np.where(known, planes, 0).reshape(len(planes), -1)
    wanted = -(free.T @ (bend @ values.T)).T
    most = how.most_if_deep if deepest_gap(known) >= how.deep else how.most_direct
    if len(unknown) <= most or min(known.shape) < 4:
        # symmetric and positive definite: no pivoting, and the order of least degree
        solved = splu(normal, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve(wanted.T).T
    else:
        start = _from_coarse(planes, known, how).reshape(len(planes), -1)[:, unknown]
        easier = sparse.diags_array(1 / normal.diagonal())
        rows, pairs = normal.tocsr(), zip(wanted, start, strict=True)
        solved = np.stack(
            [cg(rows, right, begin, rtol=how.tolerance, maxiter=how.steps, M=easier)[0] for right, begin in pairs]
        )
    values[:, unknown] = solved
    return values.reshape(planes.shape)


def _from_coarse(planes: np.ndarray, known: np.ndarray, how: Solver) -> np.ndarray:
    """Find the surface on half as many pixels along each axis, and enlarge it."""
    value = torch.from_numpy(np.where(known, planes, 0))[None]
    weight = torch.from_numpy(known.astype(float))[None, None]
    flat = value.ndim == 4
    pool = F.avg_pool2d if flat else F.avg_pool3d
    share = pool(weight, 2, ceil_mode=True)
    means = (pool(value, 2, ceil_mode=True) / share.clamp_min(LEAST_WEIGHT))[0].numpy()
    coarse = torch.from_numpy(_smoothest(means, share[0, 0].numpy() > 0, how))
    wide = F.interpolate(coarse[None], scale_factor=2, mode="bilinear" if flat else "trilinear")
    for axis, n in enumerate(known.shape, 2):
        wide = wide.narrow(axis, 0, n)
    return wide[0].numpy()


def _bending(shape: tuple[int, ...]) -> sparse.csc_array:
    """Give the matrix of the Laplacian of an image, borders repeated."""
    total = sparse.csc_array((np.prod(shape), np.prod(shape)))
    for axis, n in enumerate(shape):
        middle = np.full(n, -2.0)
        middle[[0, -1]] += 1
        along = sparse.diags_array([np.ones(n - 1), middle, np.ones(n - 1)], offsets=[-1, 0, 1])
        parts = [along if one == axis else sparse.eye_array(size) for one, size in enumerate(shape)]
        total += reduce(sparse.kron, parts).tocsc()
    return total


def deepest_gap(observed: np.ndarray) -> float:
    """Distance in pixels from the middle of the largest gap to what was measured."""
    return float(distance_transform_edt(~observed).max())


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
