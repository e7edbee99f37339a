"""A noise model: how strong the noise is, and how far that of one pixel reaches into its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from napari_dip.prior.physics.likelihood import Likelihood


@dataclass(frozen=True)
class KnownNoise:
    """What is known of the noise beforehand, in units of the scaled image.

    Attributes
    ----------
    kind : str
        "auto", "gaussian", "poisson", "poisson-gaussian" or "compression".
    sigma : float or None
        Standard deviation of what does not depend on brightness.
    gain : float or None
        Value of one photon.
    offset : float or None
        Value of a pixel without light; unknown, the variance is a line over brightness that may start anywhere.
    reach : int or None
        How many pixels the noise of one pixel reaches into its neighbours.
    top : float
        Largest value that was measured: there, or at 0, the instrument may have saturated.
    circle : (float, float) or None
        Of sine and cosine of angles: what 0 became, and how much 1 is more than that.
    """

    kind: str = "auto"
    sigma: float | None = None
    gain: float | None = None
    offset: float | None = None
    reach: int | None = None
    top: float = 1.0
    circle: tuple[float, float] | None = None


@dataclass(frozen=True)
class NoiseModel:
    """The noise of an image.

    Attributes
    ----------
    likelihood : Likelihood
    correlation_radius : int
        How many pixels the noise of one pixel reaches into its neighbours: 0 for white noise.
    kind : str
        "gaussian", "poisson", "poisson-gaussian", "multiplicative", "compression" or "phase".
    along : (int, int), optional
        How far it reaches along y and x, where that differs.
    told : bool
        Whether its strength was given, and is believed whatever a prediction leaves.
    undecided_radius : int
        How many pixels it reaches if grain of the image is noise, too: neither was proven. 0 where that is decided.
    free_of_structure : bool
        Whether no structure is in its strength: a prediction that leaves more than that is off itself.
    circle : (float, float) or None
        Of sine and cosine of angles: the middle of the circle, and the mean length of their vectors.
    """

    likelihood: Likelihood
    correlation_radius: int
    kind: str
    along: tuple[int, int] | None = None
    told: bool = False
    undecided_radius: int = 0
    free_of_structure: bool = False
    circle: tuple[float, float] | None = None

    @property
    def radii(self) -> tuple[int, int]:
        """How far it reaches along y and x."""
        return self.along or (self.correlation_radius, self.correlation_radius)

    @property
    def edges(self) -> tuple[float, float]:
        """Where values were cut off; infinite where they were not."""
        return getattr(self.likelihood, "low", -inf), getattr(self.likelihood, "high", inf)

    @property
    def clipped(self) -> bool:
        """Whether values were cut off: the mean of some of these is no such value."""
        return any(map(isfinite, self.edges))
