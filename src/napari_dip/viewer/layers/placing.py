"""Two layers that are combined by where they lie in the world, not by the indices of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_dip.errors import InputError
from napari_dip.viewer.layers.layers import read_mask
from napari_dip.viewer.messages import Painted

ALIKE = 1e-3
"""Pixels within which two layers lie alike."""
COARSE = 96
"""Points along Y and X of a grid that tells about which part of an image is drawn on."""
ELSEWHERE = "Nothing of the mask lies on the image; move the mask there, or paint on the image."


def from_left_to_right(viewer: ViewerModel, layer: Any) -> tuple[int, int] | None:
    """Return the axis of a layer that the viewer shows horizontally, and 1, or -1 if the layer is mirrored.

    None if the layer has no such axis.
    """
    n = layer.ndim
    across = viewer.dims.displayed[-1] - (viewer.dims.ndim - n)
    if across < 0:
        return None
    directions = matrix_of(layer)[across, :n]
    axis = int(np.abs(directions).argmax())
    return axis, -1 if directions[axis] < 0 else 1


def matrix_of(layer: Any) -> np.ndarray:
    """Give the matrix from the index of a pixel to its place in the world, (n + 1, n + 1)."""
    n = layer.ndim
    origin = np.asarray(layer.data_to_world([0.0] * n))
    matrix = np.eye(n + 1)
    matrix[:n, n] = origin
    for axis, unit in enumerate(np.eye(n)):
        matrix[:n, axis] = np.asarray(layer.data_to_world(list(unit))) - origin
    return matrix


def between(image: Image, other: Any) -> np.ndarray:
    """Give the matrix from the index of a pixel of an image to that in another layer, which may lack leading axes.

    Parameters
    ----------
    image : Image
    other : layer
        With as many axes, or fewer: it then lies on every plane.

    Returns
    -------
    (n + 1, n + 1) array
        n are the axes of `other`.

    Raises
    ------
    InputError
        If it has more axes, or the image is turned so that the axes it has are mixed with those that it lacks.
    """
    n, lacking = other.ndim, image.ndim - other.ndim
    if lacking < 0:
        raise InputError(
            f"The mask “{other.name}” has {n} axes, and the image “{image.name}” {image.ndim}; paint one on the image."
        )
    whole = matrix_of(image)
    kept = [*range(lacking, image.ndim), image.ndim]
    if np.abs(whole[lacking:-1, :lacking]).max(initial=0) > 0:
        raise InputError(f"The image “{image.name}” is turned out of the plane of the mask; paint a mask on the image.")
    return np.asarray(np.linalg.inv(matrix_of(other)) @ whole[np.ix_(kept, kept)])


def lies_alike(matrix: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether all pixels of an image of that shape have the same index in the other layer."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(len(shape), -1)
    return bool(np.abs(matrix[:-1] @ np.vstack([corners, np.ones(corners.shape[1])]) - corners).max() < ALIKE)


def resampled(mask: np.ndarray, matrix: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Give a mask on the pixels of an image: each takes the nearest pixel, and False where there is none.

    Parameters
    ----------
    mask : bool array
    matrix : (n + 1, n + 1) array
        As `between` gives it.
    shape : sequence of int
        Of the last n axes of the image.

    Returns
    -------
    bool array of that shape
    """
    from scipy.ndimage import affine_transform

    linear, offset = matrix[:-1, :-1], matrix[:-1, -1]
    if np.abs(linear - np.diag(np.diag(linear))).max() < ALIKE / max(shape):
        found = np.zeros(tuple(shape), bool)
        near = [np.rint(np.arange(n) * linear[a, a] + offset[a]).astype(int) for a, n in enumerate(shape)]
        there = [np.flatnonzero((at >= 0) & (at < n)) for at, n in zip(near, mask.shape, strict=True)]
        found[_place(there)] = mask[_place([at[known] for at, known in zip(near, there, strict=True)])]
        return found
    turned = affine_transform(mask.astype(np.uint8), linear, offset, tuple(shape), order=0, mode="grid-constant")
    return np.asarray(turned > 0)


def _place(indices: list[np.ndarray]) -> tuple[Any, ...]:
    """Give the place of some rows, columns, ... of an array: slices where these follow each other, which is faster."""
    if all(len(at) and (np.diff(at) == 1).all() for at in indices):
        return tuple(slice(int(at[0]), int(at[-1]) + 1) for at in indices)
    return tuple(np.ix_(*indices))


def drawn(shapes: Shapes, image: Image, shape: Sequence[int]) -> np.ndarray:
    """Give labels of what is drawn in a Shapes layer on an image: 1 for its first shape, and so on.

    Parameters
    ----------
    shapes : Shapes
    image : Image
    shape : sequence of int
        Of the image, without colours.

    Raises
    ------
    InputError
        As `between` does.
    """
    moved = _vertices(shapes, image)
    if not moved:
        return np.zeros(tuple(shape), np.int32)
    copy = Shapes(moved, shape_type=list(shapes.shape_type))
    return np.asarray(np.broadcast_to(copy.to_labels(tuple(shape[-shapes.ndim :])), tuple(shape)))


def drawn_part(shapes: Shapes, image: Image, shape: Sequence[int], label: int) -> float:
    """Give about which part of an image is drawn on, from a grid of no more than `COARSE` points along Y and X.

    Parameters
    ----------
    shapes, image, shape
        As in `drawn`, which takes seconds where there are many shapes on a large image.
    label : int
        Of the shape that counts; 0 for all.
    """
    size = np.array(shape[-shapes.ndim :])
    grid = np.where(np.arange(len(size)) >= len(size) - 2, np.minimum(size, COARSE), size)
    scale = grid / size
    moved = [(one + 0.5) * scale - 0.5 for one in _vertices(shapes, image)]
    labels = Shapes(moved, shape_type=list(shapes.shape_type)).to_labels(tuple(int(n) for n in grid))
    return float(read_mask(labels, label).mean())


def lies_on(shapes: Shapes, image: Image, shape: Sequence[int]) -> bool:
    """Whether any shape may lie on an image, by the rectangles around them.

    Raises
    ------
    InputError
        As `between` does.
    """
    last = np.array(shape[-shapes.ndim :]) - 0.5
    return any((one.max(0) >= -0.5).all() and (one.min(0) <= last).all() for one in _vertices(shapes, image))


def _vertices(shapes: Shapes, image: Image) -> list[np.ndarray]:
    """Give the vertices of all shapes in pixels of an image."""
    onto = np.linalg.inv(between(image, shapes))
    return [np.asarray(one) @ onto[:-1, :-1].T + onto[:-1, -1] for one in shapes.data]


def mask_on_image(painted: Painted) -> np.ndarray:
    """Give a mask as it lies on the whole image: what a run fills in, and what a form reports of it.

    Raises
    ------
    InputError
        If none of it lies there.
    """
    mask = read_mask(painted.labels, painted.label)
    if painted.matrix is None:
        return mask
    placed = resampled(mask, painted.matrix, painted.shape[-mask.ndim :])
    if mask.any() and not placed.any():
        raise InputError(ELSEWHERE)
    return np.broadcast_to(placed, painted.shape)
