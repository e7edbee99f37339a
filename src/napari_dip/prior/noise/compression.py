"""The error of block-wise compression (JPEG and its kin), found from the steps between its blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FLAT = 1e-12
"""Least squared step; keeps the ratio of two of them finite in an image without any."""


@dataclass(frozen=True)
class BlockSteps:
    """How compression is told by the steps between its blocks.

    Attributes
    ----------
    side : int
        Side of a block in pixels; 8 in JPEG (ITU-T T.81).
    least_blocks : int
        Blocks along an axis below which nothing is told: fewer steps than three have no median to speak of.
    certain : float
        How many times the next largest step, squared, the one between blocks has to be; along both axes, 1 is what
        chance gives. Measured: benchmarks/constants.py.
    white_factor : float
        The error of compression is alike in neighbouring pixels; white noise stands for it if it is taken to be this
        many times as strong, in standard deviations. Measured: benchmarks/constants.py.
    """

    side: int = 8
    least_blocks: int = 4
    certain: float = 1.3
    white_factor: float = 1.5


JPEG = BlockSteps()


def compression_error(planes: np.ndarray, steps: BlockSteps = JPEG) -> tuple[float, bool]:
    """Find the error of block-wise compression from the steps between its blocks.

    The errors of two blocks are independent, so a step between them is, squared, larger than one within a block by
    twice their variance. The grid may start anywhere, as in a cut-out.

    Parameters
    ----------
    planes : (n, y, x) array
        Values near [0, 1].
    steps : BlockSteps, optional

    Returns
    -------
    deviation : float
        Root mean square of the error.
    certain : bool
        Whether the steps stand out along both axes as they do in no image without such blocks.

    References
    ----------
    Fan, de Queiroz: Identification of bitmap compression history. IEEE Trans. Image Process. 12, 2003 (steps between
    blocks tell of compression).
    """
    if min(planes.shape[1:]) < steps.least_blocks * steps.side:
        return 0.0, False
    variance, ratios = 0.0, []
    for axis in (1, 2):
        lines = (np.diff(planes, axis=axis) ** 2).mean((0, 3 - axis))
        # the median, since one frame or horizon must not count for a grid
        squares = np.array([np.median(lines[phase :: steps.side]) for phase in range(steps.side)])
        second, largest = np.sort(squares)[-2:]
        variance += (largest - np.median(squares)) / 4  # twice the variance, and the mean of two axes
        ratios.append(largest / max(second, FLAT))
    return float(np.sqrt(max(variance, 0.0))), bool(min(ratios) > steps.certain)
