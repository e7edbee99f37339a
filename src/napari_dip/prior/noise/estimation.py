"""The noise of an image, estimated from that image alone, before anything is fitted."""

from __future__ import annotations

import numpy as np

from napari_dip.prior.noise.config import ESTIMATION, Estimation
from napari_dip.prior.noise.evidence import Evidence
from napari_dip.prior.noise.hypotheses import judge
from napari_dip.prior.noise.model import KnownNoise, NoiseModel
from napari_dip.prior.noise.phase import phase_noise


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
    evidence = Evidence(planes, observed, known, how)
    noise = judge(evidence)
    return noise if known.circle is None else phase_noise(evidence, noise)
