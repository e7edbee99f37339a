"""Restore an image: array in, `Restoration` out. The public functions, and the checks that come before any work."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import napari_dip.prior  # noqa: F401 (sets how torch's threads wait, which they read when torch is imported)

# isort: split
import numpy as np
import torch

from napari_dip.errors import InputError
from napari_dip.image.source import Source
from napari_dip.noise_settings import check_noise
from napari_dip.run import Progress, Restoration, Run
from napari_dip.settings import FACTORS, STRENGTH, STRENGTH_OF, TASKS, Settings, Task, read_settings

__all__ = ["Progress", "Restoration", "choose_device", "denoise", "inpaint", "restore_steps", "super_resolve"]


def denoise(image: Any, *, axes: str | None = None, **settings: Any) -> Restoration:
    """Remove noise from an image, knowing nothing but that image.

    Parameters
    ----------
    image : array-like
        2D, or a stack whose planes are restored one by one (true 3D priors are still to come). Any real dtype; it is
        not changed. The channels of axis C are restored one by one, so that none bleeds into another; the samples of
        axis S (RGB) are restored together, and an alpha sample is left as it is.
    axes : str, optional
        One letter of T Z C Y X S for each dimension. Left out, it is guessed, and the guess is in the record.
    **settings
        Fields of `Settings`, by name.

    Returns
    -------
    Restoration

    Raises
    ------
    InputError
        If image, axes or settings cannot be used; a ValueError whose message says what to do.

    Examples
    --------
    >>> import napari_dip as dip
    >>> result = dip.denoise(image, axes="YX")  # doctest: +SKIP
    """
    return _finish(restore_steps("denoise", image, axes=axes, **settings))


def inpaint(image: Any, mask: Any, *, axes: str | None = None, **settings: Any) -> Restoration:
    """Fill in the masked pixels of an image; all others stay exactly as they are.

    Parameters
    ----------
    image : array-like
        As in `denoise`.
    mask : array-like
        Nonzero where a pixel is to be filled in. Of the shape of the image, with or without axis S, or of one plane.
    axes, **settings
        As in `denoise`.

    Returns
    -------
    Restoration

    Raises
    ------
    InputError
        Also if the mask has another shape, is empty, or covers everything.
    """
    return _finish(restore_steps("inpaint", image, mask=mask, axes=axes, **settings))


def super_resolve(image: Any, factor: int = 4, *, axes: str | None = None, **settings: Any) -> Restoration:
    """Enlarge an image so that, shrunk again, it gives the one there is.

    Parameters
    ----------
    image : array-like
        As in `denoise`.
    factor : int
        2 to 8; the result is this many times larger along Y and X.
    axes, **settings
        As in `denoise`.

    Returns
    -------
    Restoration

    Raises
    ------
    InputError
        Also if the factor is not one of those.
    """
    return _finish(restore_steps("super_resolve", image, factor=factor, axes=axes, **settings))


def restore_steps(
    task: Task, image: Any, *, axes: str | None = None, mask: Any = None, factor: int | None = None, **settings: Any
) -> Generator[Progress, None, Restoration]:
    """Restore step by step, for those who want to watch, stop or pause.

    Everything is checked here and now; the work is done while the generator is walked. Leaving it drops the run,
    `Progress.stop` ends it and keeps the result, which is the generator's return value.

    Parameters
    ----------
    task : str
        "denoise", "inpaint" (with `mask`) or "super_resolve" (with `factor`).
    image, axes, mask, factor, **settings
        As in the function of that name.

    Yields
    ------
    Progress

    Returns
    -------
    Restoration

    Raises
    ------
    InputError
        As the function of that name does.
    """
    chosen = read_settings(settings)
    if task not in TASKS:
        raise InputError(f"There is no task named {task!r}; the tasks are {', '.join(TASKS)}.")
    if (mask is not None) != (task == "inpaint"):
        raise InputError("Inpainting needs a mask." if task == "inpaint" else f"The task {task} takes no mask.")
    if (factor is not None) != (task == "super_resolve"):
        raise InputError(
            "Super-resolution needs a factor." if task == "super_resolve" else f"The task {task} takes no factor."
        )
    if factor is not None and (not isinstance(factor, int | np.integer) or factor not in FACTORS):
        raise InputError(f"The factor {factor!r} is not allowed; take a whole number from 2 to {FACTORS[-1]}.")
    _check_together(task, chosen)
    source = Source(image, axes, mask, allow_nonfinite=chosen.nonfinite == "inpaint")
    check_noise(chosen, *source.range)
    return Run(task, source, int(factor or 1), chosen, choose_device(chosen.device)).steps()


def _check_together(task: Task, chosen: Settings) -> None:
    """Refuse settings that would do nothing together."""
    given = [name for name in STRENGTH if getattr(chosen, name) is not None]
    if (given or chosen.noise != "auto") and task != "denoise":
        raise InputError(f"What the noise is like is asked for in denoising only; leave {(given or ['noise'])[0]} out.")
    if given and chosen.preset == "paper":
        raise InputError(f"The preset paper does not use {given[0]}; leave it out or take another preset.")
    for name in given:
        if name not in STRENGTH_OF[chosen.noise]:
            raise InputError(f"Noise of the kind {chosen.noise} has no {name}; leave it out or take another kind.")
    if chosen.uncertainty and (task == "super_resolve" or chosen.preset == "paper"):
        raise InputError("The uncertainty is known for denoising and inpainting with the presets fast and best only.")


def choose_device(name: str) -> str:
    """Give the torch device that a setting stands for.

    Raises
    ------
    InputError
        If this machine lacks it.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if present[device])
    if not present[name]:
        here = ", ".join(device for device, is_here in present.items() if is_here)
        raise InputError(f"This machine has no device {name!r} that torch can use; it has {here}.")
    return name


def _finish(steps: Generator[Progress, None, Restoration]) -> Restoration:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            restoration: Restoration = end.value
            return restoration
