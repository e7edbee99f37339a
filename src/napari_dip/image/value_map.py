"""Value maps: from the units of the image to the values that a network is fitted to, and back, with errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_dip.image.scaling import LARGEST


class ValueMap(Protocol):
    """An invertible map of values; a range of what it gives is then scaled to [0, 1], see `Scaling`."""

    @property
    def name(self) -> str:
        """The choice of the setting `values`."""
        ...

    @property
    def channels(self) -> int:
        """How many values are fitted for one of the image."""
        ...

    @property
    def suspects(self) -> tuple[str, ...]:
        """What may be looked for that was not measured; see `Source`."""
        ...

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Give what is fitted, (samples x channels, y, x), of values (samples, y, x) in the units of the image."""
        ...

    def inverse(self, fitted: np.ndarray) -> np.ndarray:
        """Give values in the units of the image, float32."""
        ...

    def deviation(self, fitted: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Give the standard deviation in the units of the image, float32 (delta method)."""
        ...

    def noise(self, kind: str, strength: dict[str, float]) -> tuple[str, dict[str, float]]:
        """Give kind and strength of the noise in the units of the image, from those of what is fitted."""
        ...

    def found(self) -> dict[str, Any]:
        """Give what a record says of it; nothing of values that are fitted as they are."""
        ...


@dataclass(frozen=True)
class Linear:
    """Values are fitted as they are."""

    name = "linear"
    channels = 1
    suspects = ("areas", "outliers", "lines", "waves")

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Give the values."""
        return values

    def inverse(self, fitted: np.ndarray) -> np.ndarray:
        """Give the values."""
        return fitted

    def deviation(self, fitted: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Give the standard deviation."""
        return deviation

    def noise(self, kind: str, strength: dict[str, float]) -> tuple[str, dict[str, float]]:
        """Give kind and strength."""
        return kind, strength

    def found(self) -> dict[str, Any]:
        """Give nothing."""
        return {}


@dataclass(frozen=True)
class Logarithmic:
    """The logarithm is fitted: noise in proportion to the value is as strong everywhere there.

    Values over several decades, such as radiance or concentration. Where there is read noise as well, it is the
    inverse hyperbolic sine of `value / scale`, which is linear around 0 and a logarithm far above `scale`, the value
    for which both noises are as strong. The result is the median of what the pixel may be rather than its mean:
    below the mean by half the relative variance of the noise (0.7 % for noise of 12 %).

    Parameters
    ----------
    scale : float
        In the units of the image; 0 for the logarithm itself, which all values then have to have.

    References
    ----------
    Huber et al.: Variance stabilization applied to microarray data calibration. Bioinformatics 18, 2002.
    """

    scale: float = 0.0

    name = "logarithmic"
    channels = 1
    suspects = ("areas", "outliers", "lines")

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Give logarithms; NaN where there is none."""
        with np.errstate(all="ignore"):
            found = np.arcsinh(values / self.scale) if self.scale else np.log(values, dtype=np.float64)
        return np.where(np.isfinite(found), found, np.nan)

    def inverse(self, fitted: np.ndarray) -> np.ndarray:
        """Give what has these logarithms."""
        with np.errstate(over="ignore"):
            wide = fitted.astype(np.float64)
            found = self.scale * np.sinh(wide) if self.scale else np.exp(wide)
        return np.asarray(found.clip(-LARGEST, LARGEST).astype(np.float32))

    def deviation(self, fitted: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Give the standard deviation: that of the logarithm times the value, or the scale near 0."""
        slope = np.hypot(self.inverse(fitted).astype(np.float64), self.scale)
        return np.asarray((slope * deviation).clip(0, LARGEST).astype(np.float32))

    def noise(self, kind: str, strength: dict[str, float]) -> tuple[str, dict[str, float]]:
        """Give noise in proportion to the value, with read noise where there is a scale."""
        relative = strength["sigma"]
        own = {"sigma": self.scale * relative, "gain": 0.0, "multiplicative": relative**2, "offset": 0.0}
        return "multiplicative", own

    def found(self) -> dict[str, Any]:
        """Give kind and scale."""
        return {"kind": self.name, "scale": self.scale}


@dataclass(frozen=True)
class Circular:
    """Sine and cosine are fitted: of angles, phases, directions and hues, whose ends are one and the same.

    Parameters
    ----------
    period : float
        In the units of the image.
    low : float
        Where the interval of the values begins; results lie in it, too.
    """

    period: float
    low: float

    name = "circular"
    channels = 2
    suspects = ("areas",)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Give sine and cosine."""
        with np.errstate(invalid="ignore"):
            angle = values.astype(np.float64) * (2 * np.pi / self.period)
            return np.concatenate([np.sin(angle), np.cos(angle)])

    def inverse(self, fitted: np.ndarray) -> np.ndarray:
        """Give values of the interval."""
        sine, cosine = np.split(fitted.astype(np.float64), 2)
        found = np.arctan2(sine, cosine) * (self.period / (2 * np.pi))
        wrapped = ((found - self.low) % self.period + self.low).astype(np.float32)
        end = np.float32(self.low + self.period)
        return np.asarray(np.where(wrapped < end, wrapped, np.float32(self.low)))

    def deviation(self, fitted: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Give the standard deviation, at most that of an angle of which nothing is known."""
        (sine, cosine), both = np.split(fitted.astype(np.float64), 2), np.broadcast_to(deviation, fitted.shape)
        of_sine, of_cosine = np.split(both.astype(np.float64), 2)
        square = np.maximum(sine**2 + cosine**2, np.finfo(np.float32).tiny)
        found = np.hypot(cosine * of_sine, sine * of_cosine) / square * (self.period / (2 * np.pi))
        return np.asarray(found.clip(0, self.period / 12**0.5).astype(np.float32))

    def noise(self, kind: str, strength: dict[str, float]) -> tuple[str, dict[str, float]]:
        """Give noise of the angle with that variance of sine and cosine, as of a wrapped normal distribution."""
        if kind != "phase":
            return kind, strength
        # across, and 2 / resultant times what it is more along the circle: see `prior.noise.phase`
        read, gain = strength["sigma"] ** 2, strength["gain"]
        resultant = (gain**2 / 16 + 1 - 2 * read) ** 0.5 - gain / 4
        sigma = (-2 * np.log(resultant)) ** 0.5 * self.period / (2 * np.pi)
        return "gaussian", {"sigma": float(sigma), "gain": 0.0, "multiplicative": 0.0, "offset": 0.0}

    def found(self) -> dict[str, Any]:
        """Give kind, period and beginning of the interval."""
        return {"kind": self.name, "period": self.period, "low": self.low}


LINEAR = Linear()
