"""What a linear predictor of a pixel from those around it leaves behind: a bound of the noise, before any network.

Noise cannot be predicted from other pixels, so what is left has at least its variance. A pattern that repeats itself,
fine as it may be, can be.

References
----------
Widrow, Stearns: Adaptive Signal Processing. 1985 (least-squares prediction). Batson, Royer: Noise2Self. ICML 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import minimum_filter
from scipy.signal import oaconvolve


@dataclass(frozen=True)
class LinearPredictor:
    """How a pixel is predicted.

    Attributes
    ----------
    reach : int
        Pixels to each side that it is predicted from, in an image that has enough of them.
    rows : int
        Pixels that the weights are found from, at the most.
    rows_per_weight : int
        So many at the least: of fewer, noise would be predicted by chance.
    ridge : float
        Added to the diagonal of the normal equations, in units of their mean.
    """

    reach: int = 8
    rows: int = 20_000
    rows_per_weight: int = 20
    ridge: float = 1e-4

    def residuals(
        self, planes: np.ndarray, observed: np.ndarray, radii: Sequence[int] = (0, 0)
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Find what is left of each pixel.

        Parameters
        ----------
        planes : (n, y, x) array
        observed : (n, y, x) bool array
            Pixels that were measured.
        radii : (int, int)
            How far around a pixel others say nothing that is independent of its noise, along y and x.

        Returns
        -------
        left : (n, y, x) array
        known : (n, y, x) bool array
            Pixels all of whose surroundings were measured.
        None
            Where there are too few of these.
        """
        for reach in range(self.reach, max(radii), -1):
            side = 2 * reach + 1
            if side > min(planes.shape[1:]):
                continue
            known = np.stack([_inside(minimum_filter(one, side, mode="nearest"), reach) for one in observed])
            weights = side * side - (2 * radii[0] + 1) * (2 * radii[1] + 1)
            if known.sum() >= self.rows_per_weight * weights:
                return self._left(planes, known, reach, radii), known
        return None

    def _left(self, planes: np.ndarray, known: np.ndarray, reach: int, radii: Sequence[int]) -> np.ndarray:
        side = 2 * reach + 1
        mean = planes[known].mean()
        used = np.ones((side, side), bool)
        used[reach - radii[0] : reach + radii[0] + 1, reach - radii[1] : reach + radii[1] + 1] = False
        at = np.argwhere(known)
        if len(at) > self.rows:  # at random, or a pattern of the image would be met in the same phase
            at = at[np.random.default_rng(0).choice(len(at), self.rows, replace=False)]
        windows = sliding_window_view(planes, (side, side), axis=(1, 2))
        rows = windows[at[:, 0], at[:, 1] - reach, at[:, 2] - reach][:, used].astype(np.float64) - mean
        target = planes[tuple(at.T)] - mean
        square = rows.T @ rows
        square[np.diag_indices_from(square)] += self.ridge * np.trace(square) / len(square) + 1e-12
        kernel = np.zeros((side, side))
        kernel[used] = np.linalg.solve(square, rows.T @ target)
        centred = planes.astype(np.float64) - mean
        predicted = np.stack([oaconvolve(one, kernel[::-1, ::-1], mode="same") for one in centred])
        return np.asarray(centred - predicted)


LINEAR = LinearPredictor()


def _inside(known: np.ndarray, reach: int) -> np.ndarray:
    """Leave out what is too near to the border."""
    whole = np.zeros_like(known, bool)
    inner = (slice(reach, known.shape[0] - reach), slice(reach, known.shape[1] - reach))
    whole[inner] = known[inner]
    return whole
