"""Which values of an image are fitted, as the settings have it or the image proves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_dip.errors import InputError
from napari_dip.image.source import Source
from napari_dip.image.value_choice import circular, logarithmic, proportional
from napari_dip.image.value_map import LINEAR, Circular, Logarithmic, ValueMap
from napari_dip.settings import STRENGTH, Settings
from napari_dip.tasks import Task


def choose_values(task: Task, source: Source, settings: Settings) -> ValueMap:
    """Choose the value map of an image that was scanned with its values as they are.

    By itself it is logarithmic only where noise is removed of which nothing is told, and which proves it.

    Raises
    ------
    InputError
        If the values of the image do not suit the choice of the settings.
    """
    if settings.values == "circular":
        return circular(source, settings.period)
    if settings.values == "logarithmic":
        return logarithmic(source)
    is_told = settings.noise != "auto" or any(getattr(settings, name) is not None for name in STRENGTH)
    if settings.values == "linear" or task.name != "denoise" or is_told or settings.preset == "paper":
        return LINEAR
    return proportional(source) or LINEAR


def common_values(maps: Sequence[ValueMap]) -> ValueMap:
    """Give the value map that several images are fitted with together.

    Angles are given back in the interval of each, and of logarithms it is the one that all values have. Where only some
    of them prove a logarithmic scale, none is taken.

    Raises
    ------
    InputError
        If angles have different periods.
    """
    circles = [one for one in maps if isinstance(one, Circular)]
    if len({one.period for one in circles}) > 1:
        periods = " and ".join(f"{period:g}" for period in sorted({one.period for one in circles}))
        raise InputError(f"The images have the periods {periods}; set the period that all of them have.")
    logarithms = [one for one in maps if isinstance(one, Logarithmic)]
    if len(logarithms) == len(maps):
        return max(logarithms, key=lambda one: one.scale)
    return circles[0] if circles else LINEAR


def settings_of(values: ValueMap) -> dict[str, Any]:
    """Give the settings by which another image is fitted in the same way."""
    return {"values": values.name, "period": values.period if isinstance(values, Circular) else None}
