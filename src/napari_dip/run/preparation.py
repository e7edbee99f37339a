"""What is checked before any work: all that was given to a run becomes its request."""

from __future__ import annotations

from typing import Any

import napari_dip.prior  # noqa: F401 (sets how torch's threads wait, which they read when torch is imported)

# isort: split
import torch

from napari_dip.errors import InputError
from napari_dip.image.arrays import as_array, read_array
from napari_dip.image.source import Source, axes_of_image
from napari_dip.image.value_map import LINEAR
from napari_dip.run.estimate import check_memory, estimate_run
from napari_dip.run.noise_settings import check_noise
from napari_dip.run.request import Request
from napari_dip.run.value_settings import choose_values
from napari_dip.settings import Settings, read_settings
from napari_dip.tasks import TASKS, Task, task_named


def checked(
    task: str,
    image: Any,
    axes: str | None,
    given: dict[str, Any],
    *,
    keeps_result: bool = True,
    is_brick: bool = False,
) -> Request:
    """Check all that was given.

    Parameters
    ----------
    task, image, axes
        As in `restore_steps`.
    given : dict
        Inputs and settings.
    keeps_result : bool
        Whether the result takes memory that has to be free.
    is_brick : bool
        Whether the image is a part that was cut to fit into memory.

    Raises
    ------
    InputError
        If anything of it cannot be used, or it needs more memory than there is.
    """
    row = task_named(task)
    known = {one.name for other in TASKS for one in other.inputs}
    inputs = {name: value for name, value in given.items() if name in known}
    settings = read_settings({name: value for name, value in given.items() if name not in known})
    row.check(settings, inputs)
    mask = next((inputs.pop(one.name) for one in row.inputs if one.kind == "mask"), None)
    inputs |= {one.name: read_array(one.name, inputs[one.name]) for one in row.inputs if one.kind == "image"}
    device = choose_device(settings.device)
    array = as_array(image)
    named = axes_of_image(array, axes)
    if not is_brick:
        found = estimate_run(row, array, named, inputs.get("factor"), settings)
        check_memory(row, found, device, elsewhere=0 if keeps_result else found.result)
    source = _source(row, array, axes, mask, settings)
    if source.values is LINEAR:
        check_noise(settings, *source.range)
    return Request(row, source, inputs, settings, device)


def _source(row: Task, array: Any, axes: str | None, mask: Any, settings: Settings) -> Source:
    """Read an image, and settle which values of it are fitted."""
    suspects = row.suspects if settings.preset != "paper" else ()
    if settings.waves == "keep":
        suspects = tuple(name for name in suspects if name != "waves")
    found = () if settings.values == "circular" else suspects  # angles that wrap look like outliers
    source = Source(array, axes, mask, allow_nonfinite=settings.nonfinite == "inpaint", suspects=found)
    values = choose_values(row, source, settings)
    return source if values is LINEAR else source.with_values(values, suspects)


def choose_device(name: str) -> str:
    """Give the torch device that a setting stands for.

    Raises
    ------
    InputError
        If this machine lacks it.
    """
    present = present_devices()
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if present[device])
    if not present[name]:
        here = ", ".join(device for device, is_here in present.items() if is_here)
        raise InputError(f"This machine has no device {name!r} that torch can use; it has {here}.")
    return name


def present_devices() -> dict[str, bool]:
    """Say which devices this machine has."""
    return {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
