"""The range of values of a work item, and back: the prior sees [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

LARGEST = float(np.finfo(np.float32).max)
MOST_RANGE = 500.0
"""Standard deviations of the noise that become 1: its variance is then four times the least one of a likelihood."""


@dataclass(frozen=True)
class Scaling:
    """`low + span * x` is a value in the caller's units for x in [bottom, top]; all are found once for an item.

    `top` is 1 unless the range is so large beside the noise that constants of the prior, which are small in [0, 1],
    would not be small beside that noise. A bead or a bar as bright as that must not set the scale for the rest.
    `bottom` is 0 unless there are values below those in which the range was found.
    """

    low: float
    span: float
    top: float = 1.0
    bottom: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray, floor: float = 0.0) -> Scaling:
        """Find the range of some values with noise of that standard deviation; of none, or of equal ones, it is 1."""
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        if not high > low:
            return cls(low, 1.0)
        span = min(high - low, MOST_RANGE * floor) if floor > 0 else high - low
        return cls(low, span, (high - low) / span)

    def reaching(self, low: float, high: float) -> Scaling:
        """Give the same scale, for an image with values that lie beyond those in which it was found."""
        bottom, top = ((value - self.low) / self.span for value in (low, high))
        return replace(self, top=max(self.top, top), bottom=min(self.bottom, bottom))

    def to_prior(self, values: np.ndarray) -> np.ndarray:
        """Give values of the caller's units as float64 in [0, 1]."""
        return np.asarray((values - self.low) / self.span)

    def to_units(self, values: np.ndarray) -> np.ndarray:
        """Give values of [0, 1] as float32 in the caller's units; what float32 cannot hold becomes its largest."""
        found = values.astype(np.float64) * self.span + self.low
        return np.asarray(found.clip(-LARGEST, LARGEST).astype(np.float32))

    def deviation(self, deviation: np.ndarray) -> np.ndarray:
        """Give a float32 standard deviation of [0, 1] in the caller's units, float32."""
        # a span that float32 holds is rounded to it first: the product is that of float32, but cannot overflow
        span = float(np.float32(self.span)) if self.span <= LARGEST else self.span
        found = span * deviation.astype(np.float64)
        return np.asarray(found.clip(0, LARGEST).astype(np.float32))
