"""The noise of an angle that is fitted as its sine and cosine: it moves a point along the circle, never across.

Where the sine is 1 or -1 it hardly changes with the angle, where it is 0 it changes most, so its noise is strongest in
the middle of its range; the same holds for the cosine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_dip.prior.noise.evidence import Evidence
from napari_dip.prior.noise.flat_blocks import differences
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel

CARRIER = 4.0
"""Width, in pixels, of the Gaussian mean to which an angle is compared: far beyond the reach of noise."""
LEAST_RESULTANT = 0.1
"""Mean length of the vectors of one angle with its noise: with less nothing is left of the angle."""

RANDOM = 0.7
"""Part of the variance of random angles from which on what is correlated is no noise, or nothing was measured: noise of
0.8 radians has as much, fine orientations have 0.9 and more."""
UNIFORM = 1 / 8
"""Variance of half the sine of angles of which each is as frequent."""


def phase_noise(evidence: Evidence, usual: NoiseModel) -> NoiseModel:
    """Give the noise of angles that reaches as far as a usual model of sine and cosine says.

    Parameters
    ----------
    evidence : Evidence
        Its planes are sine and cosine by turns.
    usual : NoiseModel
    """
    config, (zero, amplitude) = evidence.config, evidence.known.circle or (0.5, 0.5)
    pairs = [(evidence.planes[n::2], evidence.observed[n::2]) for n in (0, 1)]
    sine, cosine = (differences(*pair, max(usual.radii) + 1, config.differences)[1] for pair in pairs)
    total = float(np.median(sine + cosine)) / amplitude**2 if sine.size else config.curve.unseen
    resultant = max(1 - total, LEAST_RESULTANT) ** 0.5
    curve, circle = variance_of_phase(resultant, zero, amplitude), (zero, resultant * amplitude)
    return replace(usual, likelihood=Gaussian(curve), kind="phase", circle=circle)


def off_the_carrier(planes: np.ndarray, observed: np.ndarray, zero: float) -> np.ndarray:
    """Give how far each angle (n, y, x) is from that around it, as a sine in [0, 1]: noise, but hardly fringes.

    Parameters
    ----------
    planes : (2 n, y, x) array
        Sine and cosine by turns.
    observed : (2 n, y, x) bool array
        Pixels that were measured.
    zero : float
        What 0 became on the scale of the planes.
    """
    vectors = (planes[1::2] - zero) + 1j * (planes[::2] - zero)
    known = np.where(observed[::2], vectors, 0)
    width = (0, CARRIER, CARRIER)
    carrier = gaussian_filter(known.real, width) + 1j * gaussian_filter(known.imag, width)
    across = np.sin(np.angle(vectors * carrier.conj()))  # bounded: few pixels are far off
    return np.asarray((across / 2 + 0.5).astype(np.float32))


def is_random(usual: NoiseModel) -> bool:
    """Whether noise of what `off_the_carrier` gives would leave nothing of the angles."""
    return usual.likelihood.noise.read > RANDOM * UNIFORM


def variance_of_phase(resultant: float, zero: float, amplitude: float) -> NoiseVariance:
    """Give the variance of sine and cosine.

    Parameters
    ----------
    resultant : float
        Mean length of the vectors of one angle with its noise, taken as a wrapped normal distribution: of a mean sine
        `m` the variance is `across + (along - across) * (1 - (m / resultant) ** 2)`.
    zero, amplitude : float
        What 0 and the difference of 1 and 0 become on the scale of the image.

    References
    ----------
    Mardia, Jupp: Directional Statistics. Wiley 2000, section 3.4 (trigonometric moments).
    """
    square = resultant**2
    along, across = (1 - square**2) / 2, (1 + square**2) / 2 - square
    return NoiseVariance(
        read=across * amplitude**2,
        gain=2 * (along - across) / resultant * amplitude,
        multiplicative=-(along - across) / square,
        offset=zero - resultant * amplitude,
    )
