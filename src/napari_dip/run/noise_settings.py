"""What the settings say of the noise, in units of the image, brought to the scale of a plane."""

from __future__ import annotations

import numpy as np

from napari_dip.errors import InputError
from napari_dip.image.scaling import Scaling
from napari_dip.image.value_map import ValueMap
from napari_dip.prior.physics.noise_model import KnownNoise
from napari_dip.settings import Settings

MOST = 1e6
"""How many times the range of an image its noise may be: single precision has seven digits, so beside more of it
nothing of the image would be left. Most likely it was given in other units."""
LARGEST = 1e15
"""Largest size that is passed on, in ranges of a plane. Planes of a stack may be all but constant, and are not refused
for that; the square of this, and the product of two, are still far within single precision (3e38)."""


def check_noise(settings: Settings, low: float, high: float) -> None:
    """Refuse noise that cannot be that of an image.

    Parameters
    ----------
    settings : Settings
    low, high : float
        The least and the largest value of the whole image.

    Raises
    ------
    InputError
        If sigma, gain or the distance of the offset is more than a million times the range of the image.
    """
    most, span = MOST * (high - low), f"the range of the image ({low:g} to {high:g})"
    for name, value in (("noise sigma", settings.sigma), ("photon gain", settings.gain)):
        if value is not None and value > most:
            raise InputError(
                f"The {name} {value:g} is more than a million times {span}; give it in the units of the image."
            )
    offset = settings.offset
    if offset is not None and max(low - offset, offset - high) > most:
        raise InputError(
            f"The offset {offset:g} is more than a million times {span} away from it; give it in the units of the "
            "image."
        )


def noise_known_of(settings: Settings, scaling: Scaling, values: ValueMap) -> KnownNoise:
    """Bring what is known of the noise to the scale of what is fitted: of angles, that it moves them along a circle."""
    if values.channels == 1:
        return known_noise(settings, scaling.low, scaling.span, scaling.top)
    circle = -scaling.low / scaling.span, 1 / scaling.span
    return KnownNoise(kind="gaussian", reach=settings.reach, top=np.inf, circle=circle)


def known_noise(settings: Settings, low: float, span: float, top: float = 1.0) -> KnownNoise:
    """Bring what is known of the noise to the scale of a plane.

    Parameters
    ----------
    settings : Settings
        Those that `check_noise` lets pass give what they say; others are cut off at `LARGEST`.
    low, span : float
        Value of the plane that becomes 0, and how much more becomes 1.
    top : float
        What its largest value becomes.
    """
    kind, offset = settings.noise, settings.offset
    if kind == "auto" and (settings.gain is not None or offset is not None):
        kind = "poisson-gaussian"
    elif kind == "auto" and settings.sigma is not None:
        kind = "gaussian"
    if kind == "poisson" and offset is None:
        offset = 0.0

    def bounded(value: float) -> float:
        return max(-LARGEST, min(LARGEST, value))

    return KnownNoise(
        kind=kind,
        sigma=None if settings.sigma is None else bounded(settings.sigma / span),
        gain=None if settings.gain is None else bounded(settings.gain / span),
        offset=None if offset is None else bounded((offset - low) / span),
        reach=settings.reach,
        top=top,
    )
