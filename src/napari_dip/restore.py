"""Restore an image: array in, `Restoration` out. The public functions, and how a record is repeated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_dip.errors import InputError
from napari_dip.prior.fitting.weights import HasWeights, Start
from napari_dip.run import checkpoint
from napari_dip.run import record as records
from napari_dip.run.fits import plan
from napari_dip.run.preparation import checked, present_devices
from napari_dip.run.record import PlaneRecord, Record
from napari_dip.run.request import Request
from napari_dip.run.restoration import Progress, Restoration
from napari_dip.run.run import Run
from napari_dip.run.start import check_start

__all__ = [
    "Progress",
    "Restoration",
    "Run",
    "denoise",
    "inpaint",
    "load_run",
    "replay",
    "replay_steps",
    "restore_steps",
    "super_resolve",
]


def denoise(image: Any, *, axes: str | None = None, out: Any = None, **settings: Any) -> Restoration:
    """Remove noise from an image, knowing nothing but that image.

    Parameters
    ----------
    image : array-like
        2D, a volume, a time series, or any stack of them. Any real dtype; it is not changed. Pixels that are masked
        (`numpy.ma`) count as NaN. One network is fitted to all planes of a stack and applied to each with a look at its
        neighbours (presets fast and best). The channels of axis C are restored one by one, so that none bleeds into
        another, unless `channels` says otherwise; the samples of axis S (RGB) are restored together, and an alpha
        sample is left as it is.
    axes : str, optional
        One letter of T Z C Y X S for each dimension, in their order, which may be any. Left out, they are guessed to be
        YX, ZYX, TZYX or TZCYX; three samples after that are RGB, four RGBA in 8 bits and channels otherwise. The guess
        is in the record.
    out : array, optional
        float32 array of the shape of the result, in memory or mapped to a file, that it is written to part by part.
    **settings
        Fields of `Settings`, by name.

    Returns
    -------
    Restoration

    Raises
    ------
    InputError
        If image, axes or settings cannot be used, or memory is short; a ValueError whose message says what to do.

    Examples
    --------
    >>> import napari_dip as dip
    >>> result = dip.denoise(image, axes="YX")  # doctest: +SKIP
    """
    return restore_steps("denoise", image, axes=axes, out=out, **settings).result


def inpaint(image: Any, mask: Any, *, axes: str | None = None, out: Any = None, **settings: Any) -> Restoration:
    """Fill in the masked pixels of an image; all others stay exactly as they are.

    Parameters
    ----------
    image : array-like
        As in `denoise`.
    mask : array-like
        Nonzero where a pixel is to be filled in. Of the shape of the image, or without any of its axes but Y and X, in
        the same order: a mask ZYX serves all frames of an image TZYX. Where sizes fit several, the innermost count.
    axes, out, **settings
        As in `denoise`.

    Returns
    -------
    Restoration

    Raises
    ------
    InputError
        Also if the mask has another shape, is empty, or covers everything.
    """
    return restore_steps("inpaint", image, mask=mask, axes=axes, out=out, **settings).result


def super_resolve(
    image: Any, factor: int = 4, *, axes: str | None = None, out: Any = None, **settings: Any
) -> Restoration:
    """Enlarge an image so that, shrunk again, it gives the one there is.

    Parameters
    ----------
    image : array-like
        As in `denoise`.
    factor : int
        2 to 8; the result is this many times larger along Y and X.
    axes, out, **settings
        As in `denoise`.

    Returns
    -------
    Restoration

    Raises
    ------
    InputError
        Also if the factor is not one of those.
    """
    return restore_steps("super_resolve", image, factor=factor, axes=axes, out=out, **settings).result


def restore_steps(task: str, image: Any, *, axes: str | None = None, out: Any = None, **given: Any) -> Run:
    """Make a run, for those who want to watch, stop, pause or go on.

    Everything is checked here and now; the work is done while the run is iterated.

    Parameters
    ----------
    task : str
        "denoise", "inpaint", "super_resolve": the name of a row of `napari_dip.tasks.TASKS`.
    image, axes, out
        As in the function of that name.
    **given
        What else that function takes, such as mask or factor, and settings.

    Returns
    -------
    Run
        Iterate it for `Progress`, then take its `result`.

    Raises
    ------
    InputError
        As the function of that name does.
    """
    return Run(checked(task, image, axes, given, keeps_result=out is None), out=out)


def replay(
    record: Record | str | bytes,
    image: Any,
    *,
    other_image: bool = False,
    prior: HasWeights | None = None,
    **inputs: Any,
) -> Restoration:
    """Repeat a run from its record: the same bytes, with the same image on the same machine.

    A run that was stopped, by hand or by the clock, or gone on with, ends where it ended.

    Parameters
    ----------
    record : dict, str or bytes
        `Restoration.record`, or the text of a file that holds it.
    image : array-like
        The image that was restored.
    other_image : bool
        Restore another image in the same way, instead of refusing it: all of it, with as many iterations. It may have
        other planes, and the machine another device.
    prior : FittedPrior, optional
        The one that the run began with, if it did.
    **inputs
        Arrays that the task takes, such as `mask`; numbers stand in the record.

    Raises
    ------
    InputError
        If the record cannot be used, or an array is not that of the run.
    """
    return replay_steps(record, image, other_image=other_image, prior=prior, **inputs).result


def replay_steps(
    record: Record | str | bytes,
    image: Any,
    *,
    other_image: bool = False,
    prior: HasWeights | None = None,
    **inputs: Any,
) -> Run:
    """Make the run of `replay`, for those who want to watch.

    Raises
    ------
    InputError
        As `replay` does.
    """
    found = records.read(record)
    return _repeated(found, image, inputs, script=found["planes"], other_image=other_image, prior=prior)


def load_run(path: str | Path, image: Any, *, prior: HasWeights | None = None, **inputs: Any) -> Run:
    """Take up a run that `Run.save` has written; it goes on to the same bytes as if it had never been broken off.

    Parameters
    ----------
    path : str or Path
    image : array-like
        The image that it was restoring.
    prior : FittedPrior, optional
        The one that the run began with, if it did.
    **inputs
        Arrays that the task takes, such as `mask`.

    Raises
    ------
    InputError
        If the file holds no run, or an array is not that of the run.
    """
    record, state = checkpoint.read(Path(path))
    record["settings"]["max_seconds"] = state["max_seconds"]
    run = _repeated(record, image, inputs, prior=prior)
    try:
        run.load_state(state)
    except InputError:
        raise
    except ValueError as error:
        raise checkpoint.damaged(Path(path), "run") from error
    return run


def _repeated(
    record: Record,
    image: Any,
    inputs: dict[str, Any],
    *,
    script: list[PlaneRecord] | None = None,
    other_image: bool = False,
    prior: HasWeights | None = None,
) -> Run:
    """Make a run like that of a record."""
    start = _start_of(record, prior)
    settings = record["settings"] | {"device": _device_of(record, other_image=other_image)}
    request = checked(record["task"], image, record["axes"], {**record["inputs"], **inputs, **settings})
    changed = [name for name, digest in record["digest"].items() if request.digests.get(name) != digest]
    if changed and not other_image:
        raise InputError(
            f"The {changed[0]} is not the one of the record: its values differ; give that one, or other_image=True to "
            "restore this one in the same way."
        )
    if start is not None and changed:
        check_start(request, start)
    request = replace(request, start=start, on_crops=record.get("on_crops", False))
    return Run(request, script=_adapted(script, request) if script is not None and changed else script)


def _adapted(script: list[PlaneRecord], request: Request) -> list[PlaneRecord | None]:
    """Say how often to iterate for another image: as the record has it; its blocks and what it left out do not count.

    What is not in the record, or failed there, is done as planned.
    """
    known = [None if records.has_failed(plane) else _without_blocks(plane) for plane in script]
    return [*known, *[None] * len(plan(request))]


def _without_blocks(plane: PlaneRecord) -> PlaneRecord:
    other = plane.copy()
    other.pop("blocks", None)
    return other


def _device_of(record: Record, *, other_image: bool) -> str:
    """Give the device of a record; another one, where this machine lacks it, would give other bytes."""
    name: str = record["settings"].get("device", "auto")
    if name == "auto" or present_devices().get(name, True):  # what no machine has is no setting, either
        return name
    if other_image:
        return "auto"
    raise InputError(
        f"The run was begun on {name}, which this machine does not have or torch cannot use; elsewhere it would come "
        "to other values, so go on there, or restore the image anew."
    )


def _start_of(record: Record, prior: HasWeights | None) -> Start | None:
    """Give what the run of a record began with; the prior has to be that one."""
    noted = record.get("prior")
    if noted is None:
        if prior is not None:
            raise InputError("The run of the record began without a prior; leave it out.")
        return None
    if prior is None:
        raise InputError("The run of the record began with a fitted prior; give that one as prior=...")
    if prior.weights.digest != noted["sha256"]:
        raise InputError("The prior is not the one of the record: its weights differ; give that one.")
    return Start(prior.weights, noted["iterations"])
