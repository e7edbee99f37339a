"""The noise of an image, estimated from that image alone, before anything is fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_dip.prior.noise.config import ESTIMATION, Estimation
from napari_dip.prior.noise.evidence import Evidence
from napari_dip.prior.noise.hypotheses import judge
from napari_dip.prior.noise.phase import is_random, off_the_carrier, phase_noise
from napari_dip.prior.physics.noise_model import KnownNoise, NoiseModel


def estimate_noise(
    planes: np.ndarray, observed: np.ndarray, known: KnownNoise | None = None, how: Estimation = ESTIMATION
) -> NoiseModel:
    """Estimate how strong the noise of an image is, and how far it reaches into neighbouring pixels.

    Parameters
    ----------
    planes : (n, y, x) array
        Channels or slices, values near [0, 1].
    observed : (n or 1, y, x) bool array
        Pixels that were measured.
    known : KnownNoise, optional
        What need not be found.
    how : Estimation, optional
    """
    observed = np.broadcast_to(observed, planes.shape)
    known = known or KnownNoise()
    if known.circle is None:
        return judge(Evidence(planes, observed, known, how))
    angles = off_the_carrier(planes, observed, known.circle[0])
    usual = judge(Evidence(angles, observed[::2], known, how))
    if known.reach is None and max(usual.radii) and is_random(usual):  # no noise, but fine structure
        usual = judge(Evidence(angles, observed[::2], replace(known, reach=0), how))
    return phase_noise(Evidence(planes, observed, known, how), usual)
