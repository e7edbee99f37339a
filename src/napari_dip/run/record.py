"""The record of a run: what repeats it, and what it found. Written, read and checked here alone."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import FailFast, Field, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from napari_dip.errors import InputError, complaint, printable
from napari_dip.files.bounded import parse_json, write_json
from napari_dip.settings import MOST_ITERATIONS, Settings, read_settings

if TYPE_CHECKING:
    from napari_dip.run.request import Request

SCHEMA = 2
"""Version of what a record holds; 1 had no number. A program reads its own and older ones from 2 on."""
BLOCKS = "blocks"
"""The kind of a record of a store that was restored brick by brick, which holds other things."""
CURVE_POINTS = 200
"""Most points of the loss curve that a record keeps for a plane."""


StoppedBy = Literal["iterations", "seconds", "asked", "held-out", "diverged"]
Count = Annotated[int, Field(ge=0)]
Counts = Annotated[list[Count], FailFast()]
Iterations = Annotated[int, Field(ge=0, le=MOST_ITERATIONS)]
Word = Annotated[str, Field(max_length=100)]
Curve = Annotated[list[FiniteFloat], Field(max_length=CURVE_POINTS)]
Words = Annotated[dict[str, str], Field(max_length=100)]


class FoundNoise(TypedDict):
    """How strong the noise of a plane is, in the units of the image."""

    sigma: FiniteFloat
    gain: FiniteFloat
    multiplicative: FiniteFloat
    offset: FiniteFloat


class FoundResidual(TypedDict):
    """What was taken off a plane, in standard deviations of its noise; see `prior.verification.Residual`."""

    variance: FiniteFloat
    by_brightness: Annotated[list[FiniteFloat], FailFast()]
    correlation: FiniteFloat


class PlaneRecord(TypedDict):
    """What was done to a plane, or to planes that were fitted together: `plane` is then the first of `planes`.

    `blocks` are the parts of them that were restored, in the order of their plan; `neighbours` how many planes on each
    side were looked at; `applying` the part of `seconds` in which they were restored, after the learning. `together` is
    the side of the groups in which pixels of few photons, or of strong noise, were restored. `smooth` is the part of
    the smoothest surface in what fills its gaps, from 0 to 1: the rest is of the network. `filtered` is the part of a
    Gaussian filter in what was made of the prediction, where held-out pixels speak for one.

    `correlation_radius` is how many pixels the noise of one pixel reaches into its neighbours; `undecided_radius` how
    many it may reach, where that could not be told from grain of the image, which was left.

    Where `rejected_radius` is there, noise that reaches so far was removed first. After the first `rejected_after` of
    the `iterations` what that had left behind was structure, so the others are a fit to white noise.

    In super-resolution `denoised_after` are those of the `iterations` in which noise was looked for; `noise` is there
    where it was found, and removed.

    A plane that diverged before it had an image has no iterations.
    """

    plane: Count
    index: Counts
    iterations: Iterations
    seconds: FiniteFloat
    stopped_by: StoppedBy
    recipe: NotRequired[str]
    iterations_planned: NotRequired[Iterations]
    fallbacks: NotRequired[Count]
    losses: NotRequired[Curve]
    losses_every: NotRequired[Count]
    noise: NotRequired[str]
    noise_variance: NotRequired[FoundNoise]
    correlation_radius: NotRequired[Count]
    undecided_radius: NotRequired[Count]
    why: NotRequired[str]
    planes: NotRequired[Counts]
    blocks: NotRequired[Counts]
    neighbours: NotRequired[Count]
    applying: NotRequired[FiniteFloat]
    denoised_after: NotRequired[Iterations]
    rejected_radius: NotRequired[Count]
    rejected_after: NotRequired[Iterations]
    together: NotRequired[Count]
    residual: NotRequired[FoundResidual]
    smooth: NotRequired[FiniteFloat]
    filtered: NotRequired[FiniteFloat]


class FoundWave(TypedDict):
    """A wave: its amplitude in the units of the image, its period in pixels, its direction from X to Y in degrees."""

    amplitude: FiniteFloat
    period: FiniteFloat
    direction: FiniteFloat


class Unmeasured(TypedDict):
    """What was found that was not measured: numbers of pixels in all planes, and samples left as they are.

    `areas` of one exact value hold no noise and stay as they are, as do the samples `left`; `outliers` are replaced. Of
    samples that are `alike`, one was restored. `rows` and `columns` had offsets of their own, of that standard
    deviation, which were taken off, as were `waves` through the whole image; of many planes, those of the one in which
    they are strongest.
    """

    areas: Count
    outliers: Count
    left: Counts
    alike: bool
    rows: FiniteFloat
    columns: FiniteFloat
    waves: NotRequired[Annotated[list[FoundWave], FailFast()]]


class FoundValues(TypedDict):
    """On which scale values were fitted, in the units of the image; see `image.value_map`.

    The period of `circular` ones and where their interval begins, or the scale of `logarithmic` ones: below it the
    logarithm becomes linear, 0 for nowhere.
    """

    kind: Word
    period: NotRequired[FiniteFloat]
    low: NotRequired[FiniteFloat]
    scale: NotRequired[FiniteFloat]


class PriorRecord(TypedDict):
    """The fitted prior that a run began with.

    `sha256` tells its weights; `iterations` were planned to bring these up to date.
    """

    sha256: Word
    iterations: Iterations


class Record(TypedDict):
    """All that is needed to repeat a run, and what it found; ready for JSON.

    `settings` are those that were given, with device and threads as they were used, and without a limit of time: the
    clock may run otherwise next time. `inputs` are the numbers that the
    task takes; `digest` tells the image, and each array that the task takes, by a SHA-256 of shape, type and values.
    `unreached` are the numbers of planes that are NaN in the result: a run that was stopped did not come to them, or
    they diverged, or nothing was measured in them. `unmeasured` is there where anything of that kind was found,
    `values` where they were not fitted as they are, `prior` where weights were given, and `on_crops` where even a small
    plane was fitted on crops. Of a run from file to file, `result` tells the restored image and its uncertainty like
    `digest`, before they were put into the types of files;
    `same_type` says whether that was the type of the source, `series` which image of
    its file was asked for, and `notes` what was left out or changed.
    """

    schema: Count
    task: Word
    settings: dict[str, Any]
    seed: Count
    inputs: Annotated[dict[str, int], Field(max_length=100)]
    digest: Words
    axes: Word
    axes_guessed: bool
    shape: Counts
    dtype: Word
    device: Word
    bfloat16: bool
    iterations: Count
    seconds: FiniteFloat
    stopped_by: str
    planes_in_image: Count
    planes_restored: Count
    unreached: Counts
    planes: Annotated[list[PlaneRecord], FailFast()]
    losses: Curve
    started: str
    versions: Words
    machine: str
    unmeasured: NotRequired[Unmeasured]
    values: NotRequired[FoundValues]
    prior: NotRequired[PriorRecord]
    on_crops: NotRequired[bool]
    files: NotRequired[Words]
    result: NotRequired[Words]
    notes: NotRequired[Annotated[list[str], FailFast()]]
    same_type: NotRequired[bool]
    series: NotRequired[Count]
    command: NotRequired[str]


_adapter = TypeAdapter(Record)


def versions() -> dict[str, str]:
    """Give the versions of what computes."""
    names = ("napari-dip", "torch", "numpy")
    return {**{name: metadata.version(name) for name in names}, "python": platform.python_version()}


def numbers(plane: PlaneRecord) -> list[int]:
    """Give the numbers of all planes that a record is of."""
    return plane.get("planes", [plane["plane"]])


def has_failed(plane: PlaneRecord) -> bool:
    """Whether nothing came of it."""
    return plane["stopped_by"] == "diverged" and not plane["iterations"]


def thin(losses: list[float]) -> tuple[list[float], int]:
    """Give at most so many points of a curve as a record keeps, and how many iterations lie between two of them."""
    step = max(1, -(-len(losses) // CURVE_POINTS))
    return losses[::step], step


def _worst(reasons: Sequence[str], *, asked: bool, left_out: bool) -> str:
    """Of the reasons for which planes ended, the one that matters most.

    It was asked to stop only if that has cut a plane short, or left some out.

    >>> _worst(["iterations", "seconds", "held-out"], asked=True, left_out=False)
    'seconds'
    """
    if asked and (left_out or "asked" in reasons):
        return "asked"
    order = ("diverged", "seconds", "asked", "held-out")
    return next((reason for reason in order if reason in reasons), "iterations")


def compose(
    request: Request,
    planes: list[PlaneRecord],
    *,
    threads: int,
    written: set[int],
    void: Sequence[int],
    asked: bool,
    started: datetime,
    bfloat16: bool,
) -> Record:
    """Make the record of a run.

    Parameters
    ----------
    request, planes
        What was asked for, and what was done.
    threads : int
        As they were used.
    written : set of int
        Planes that are in the result.
    void : sequence of int
        Planes in which nothing was measured.
    asked : bool
        Whether it was stopped by hand.
    started, bfloat16
        When it began, and whether convolutions ran in bfloat16.
    """
    source, items = request.source, len(request.source.items)
    used = {"device": request.device, "threads": threads or None, "max_seconds": None}
    settings = request.settings.model_copy(update=used)
    failed = [number for plane in planes if has_failed(plane) for number in numbers(plane)]
    unreached = [number for number in range(items) if number not in written]
    left_out = len(unreached) > len(failed) + len(void)
    found: Record = {
        "schema": SCHEMA,
        "task": request.task.name,
        "settings": settings.model_dump(mode="json"),
        "seed": settings.seed,
        "inputs": request.numbers,
        "digest": dict(request.digests),
        "axes": source.axes,
        "axes_guessed": source.guessed,
        "shape": [int(n) for n in source.array.shape],
        "dtype": str(source.array.dtype),
        "device": request.device,
        "bfloat16": bfloat16,
        "iterations": sum(plane["iterations"] for plane in planes),
        "seconds": round(sum(plane["seconds"] for plane in planes), 3),
        "stopped_by": _worst([plane["stopped_by"] for plane in planes], asked=asked, left_out=left_out),
        "planes_in_image": items,
        "planes_restored": len(written.intersection(chain.from_iterable(map(numbers, planes)))),
        "unreached": unreached,
        "planes": planes,
        "losses": planes[-1].get("losses", []) if planes else [],
        "started": started.isoformat(timespec="seconds"),
        "versions": versions(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    if unmeasured := _unmeasured(request):
        found["unmeasured"] = unmeasured
    if values := source.values.found():
        found["values"] = values  # type: ignore[typeddict-item]
    if request.start is not None:
        found["prior"] = {"sha256": request.start.weights.digest, "iterations": request.start.iterations}
    if request.on_crops:
        found["on_crops"] = True
    return found


def _unmeasured(request: Request) -> Unmeasured | None:
    source = request.source
    found: Unmeasured = {
        "areas": sum(source.areas.values()),
        "outliers": sum(source.outliers.values()),
        "left": [sample for sample in source.colours if sample not in source.samples_of],
        "alike": source.samples < len(source.samples_of),
        "rows": source.lines[0],
        "columns": source.lines[1],
    }
    if waves := source.waves:
        found["waves"] = [
            {"amplitude": one.amplitude, "period": one.period, "direction": one.direction} for one in waves
        ]
    return found if any(found.values()) else None


def write(record: Record) -> bytes:
    """Give a record as the text of a JSON file."""
    return write_json(record, indent=2) + b"\n"


def read(given: Any) -> Record:
    """Check a record: a dictionary, or the text of a JSON file.

    Raises
    ------
    InputError
        If it is no record, or one of a newer version.
    """
    if isinstance(given, str | bytes):
        try:
            given = parse_json(given)
        except ValueError as error:
            raise InputError(
                f"This is no record of napari-dip: it cannot be read as JSON ({printable(str(error))})."
            ) from None
    if not isinstance(given, dict) or not isinstance(given.get("schema"), int):
        raise InputError("This is no record of napari-dip, or one of before version 0.2: it has no schema number.")
    if given["schema"] > SCHEMA:
        raise InputError(
            f"The record has the schema {given['schema']}, and this version of napari-dip knows {SCHEMA} at most; "
            "update napari-dip."
        )
    if given.get("kind") == BLOCKS:
        raise InputError(
            "This is the record of a store that was restored by blocks; repeat that with batch --blocks, and with "
            "--prior and the prior that lies beside it for the same weights."
        )
    try:
        found = _adapter.validate_python(given)
    except ValidationError as error:
        raise InputError(f"The record cannot be used: {complaint(error)}.") from None
    # what is no setting of this version is refused where the run is repeated
    read_settings({name: value for name, value in found["settings"].items() if name in Settings.model_fields})
    return found
