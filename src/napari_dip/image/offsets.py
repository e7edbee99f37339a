"""What an instrument adds to a plane, beside noise: offsets of single rows and columns, and waves through all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_dip.image.planes import Region
from napari_dip.image.waves import Wave, wave_values


@dataclass(frozen=True)
class Offsets:
    """What is taken off the samples of a plane.

    Attributes
    ----------
    rows, columns : (samples, y) array, (samples, x) array
    waves : tuple of (tuple of Wave)
        Of each sample.
    """

    rows: np.ndarray
    columns: np.ndarray
    waves: tuple[tuple[Wave, ...], ...]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.rows.any() or self.columns.any() or any(self.waves))

    def at(self, region: Region) -> np.ndarray:
        """Give what they come to in a region, (samples, y, x)."""
        total = self.rows[:, region[0], None] + self.columns[:, None, region[1]]
        if any(self.waves):
            total = total + np.stack([wave_values(own, region) for own in self.waves])
        return np.asarray(total)
