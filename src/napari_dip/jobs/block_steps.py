"""What a worker does of a store that is restored brick by brick: plan, brick, or smaller levels of some planes."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, FailFast, Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from napari_dip.errors import InputError, InUse
from napari_dip.files import formats as files
from napari_dip.files.bounded import parse_json, read_bytes
from napari_dip.files.metadata import Picture
from napari_dip.files.zarr_result import ZarrResult
from napari_dip.image.axes import guess_axes
from napari_dip.image.bricks import Layout, key_of
from napari_dip.jobs import seal, work
from napari_dip.jobs.file import z_step_of
from napari_dip.jobs.job import Job, Outcome
from napari_dip.settings import AS_THEY_ARE, OF_PRIOR, read_settings
from napari_dip.tasks import task_named

if TYPE_CHECKING:
    from napari_dip.run.brick_restoration import Bricks

# brick_restoration (torch) is imported where it is needed, since whoever hands out the work can do without

TASK = "denoise"
PLAN, PRIOR = "plan.json", "fitted.prior"
_known: dict[bytes, tuple[Picture, Bricks]] = {}
"""What a process has at hand of the plan that it works for; one at a time."""


Found = TypeVar("Found")


class Plan(TypedDict):
    """What the work was planned to be."""

    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(max_length=8)]
    axes: Annotated[str, Field(max_length=8)]
    dtype: str
    views: Annotated[list[dict[str, tuple[int, int]]], FailFast()]
    settings: dict[str, Any]
    prior: str
    source: seal.FileState
    started: str
    seconds: FiniteFloat


class BrickDone(TypedDict):
    """What came of a brick."""

    found: dict[str, int]
    residual: dict[str, Any] | None
    seconds: FiniteFloat


class SlabDone(TypedDict):
    """The planes whose smaller levels are written, each with its least and largest value, by the name of the store."""

    ends: dict[str, list[tuple[tuple[int, ...], float, float]]]


def _with_notes(found: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(found.get("files"), dict) or not isinstance(found.get("notes"), list):
        raise ValueError("it is no record of blocks")
    return found


_plans, BRICKS, SLABS = TypeAdapter(Plan), TypeAdapter(BrickDone), TypeAdapter(SlabDone)
RECORDS = TypeAdapter(Annotated[dict[str, Any], AfterValidator(_with_notes)])


@dataclass(frozen=True)
class Step:
    """What one worker does in one go.

    Attributes
    ----------
    job : Job
    folder : Path
        Of the work.
    kind : str
        "plan", "brick" or "slab" (of smaller levels).
    number : int
        Of the brick or the slab.
    """

    job: Job
    folder: Path
    kind: str
    number: int = 0

    @property
    def key(self) -> str:
        """Tell it from all others."""
        return f"{self.job.key}-{self.folder.name}-{self.kind}-{self.number}"

    @property
    def label(self) -> str:
        """What a report calls it."""
        return self.job.label

    @property
    def target(self) -> str:
        """Where the result will be."""
        return self.job.target

    @property
    def done(self) -> Path:
        """The file that is there once it is done."""
        return self.folder / (PLAN if self.kind == "plan" else f"{self.kind}-{self.number}.json")


def do(step: Step) -> Outcome:
    """Do a step, unless it is done; what a worker is handed. Whatever goes wrong is told, never raised."""
    return work.told(step, lambda: _do(step))


def _do(step: Step) -> tuple[str, ...] | None:
    work.check_wanted(step.job)
    if step.done.exists():
        return None
    content = {"plan": _plan, "brick": _brick, "slab": _slab}[step.kind](step)
    with suppress(InUse):  # a worker of a batch that was ended is sealing the same
        write(step.done, content)
    return ()


def _plan(step: Step) -> dict[str, Any]:
    """Choose views, fit a prior to them, and make the stores."""
    from napari_dip.run.brick_restoration import choose_views, fit_to_views
    from napari_dip.run.fitted_prior import load_prior

    job, folder, began = step.job, step.folder, datetime.now(UTC)
    shutil.rmtree(folder)
    folder.mkdir()
    picture, axes = source_of(job)
    layout, settings = Layout(tuple(picture.array.shape), axes), _settings(job, picture, axes)
    views = choose_views(picture.array, layout)
    if job.prior is None:
        fit_to_views(TASK, picture.array, layout, views, {**settings, "uncertainty": False}).save(folder / PRIOR)
    else:
        shutil.copyfile(job.prior, folder / PRIOR)
        prior = load_prior(folder / PRIOR)
        if prior.settings.values not in AS_THEY_ARE:
            raise InputError(
                f"The prior was fitted to {prior.settings.values} values, and by blocks they are fitted as they are; "
                "give another prior, or restore without blocks."
            )
        prior.request(picture.array[key_of(views[0], axes)], axes, 0, settings)
    for name in ("image", "uncertainty") if settings.get("uncertainty") else ("image",):
        ZarrResult(folder / f"{name}.zarr", layout.shape, axes, picture).make_levels()
    return {
        "shape": layout.shape,
        "axes": axes,
        "dtype": str(picture.array.dtype),
        "views": views,
        "settings": settings,
        "prior": seal.digest(folder / PRIOR),
        "source": seal.look(job.item.source),
        "started": began.isoformat(timespec="seconds"),
        "seconds": (datetime.now(UTC) - began).total_seconds(),
    }


def _brick(step: Step) -> dict[str, Any]:
    """Restore a brick."""
    began = time.monotonic()
    picture, bricks = _at_hand(step)
    brick = bricks.layout.bricks[step.number]
    restored = bricks.restore(brick)
    for name, values in (("image", restored.image), ("uncertainty", restored.uncertainty)):
        if values is not None:
            store = store_of(step.folder, name, bricks.layout, picture)
            store[key_of(brick, bricks.layout.axes)] = values
            store.keep(brick)
    residual = None if restored.residual is None else asdict(restored.residual)
    return {"found": restored.found, "residual": residual, "seconds": time.monotonic() - began}


def _slab(step: Step) -> dict[str, Any]:
    """Write the smaller levels of some planes."""
    picture, axes = source_of(step.job)
    layout = layout_of(read_plan(step.folder), picture, axes)
    slab = layout.slabs[step.number]
    ends = {}
    for name in names_of(step.folder):
        store = store_of(step.folder, name, layout, picture)
        ends[name] = [store.fill(index) for index in store.planes(slab)]
        store.keep(slab, all_levels=True)
    return {"ends": ends}


def names_of(folder: Path) -> list[str]:
    """Give the names of the stores in the making, the uncertainty first: once the image is there, all is."""
    return [name for name in ("uncertainty", "image") if (folder / f"{name}.zarr").exists()]


def store_of(folder: Path, name: str, layout: Layout, picture: Picture) -> ZarrResult:
    """Open a store in the making."""
    return ZarrResult(folder / f"{name}.zarr", layout.shape, layout.axes, picture, make=False)


def layout_of(plan: Plan, picture: Picture, axes: str) -> Layout:
    """Give the bricks of a plan, which has to be of this image.

    Raises
    ------
    InputError
        If it is of another.
    """
    if tuple(plan["shape"]) != tuple(picture.array.shape) or plan["axes"] != axes:
        raise InputError("The plan of the blocks is of another image; remove its folder in the records.")
    return Layout(tuple(plan["shape"]), plan["axes"])


def source_of(job: Job) -> tuple[Picture, str]:
    """Read the image, as lazily as it is stored, and give its axes."""
    picture = replace(files.read_image(job.item.source, job.item.series), series=job.item.series)
    axes = job.item.axes or picture.axes or guess_axes(picture.array.shape, picture.array.dtype)
    return picture, axes.upper()


def _settings(job: Job, picture: Picture, axes: str) -> dict[str, Any]:
    """Give the settings of each block: without those of the fit, if a prior is given."""
    # the bytes must not depend on how many workers there are, nor the scale of the values on what a block holds
    settings = {"threads": 1, **job.item.settings, "values": "linear"}
    if job.prior is not None:
        settings = {name: value for name, value in settings.items() if name not in OF_PRIOR}
    return settings | z_step_of(read_settings(job.item.settings), task_named(TASK), picture, axes)


def _at_hand(step: Step) -> tuple[Picture, Bricks]:
    """Give what bricks are restored with; loaded once in a process."""
    from napari_dip.run.brick_restoration import Bricks
    from napari_dip.run.fitted_prior import load_prior

    told = read_bytes(step.folder / PLAN, "block")
    if told not in _known:
        _known.clear()
        plan, (picture, axes) = read_plan(step.folder), source_of(step.job)
        layout, prior = layout_of(plan, picture, axes), load_prior(step.folder / PRIOR)
        _known[told] = picture, Bricks(picture.array, layout, plan["views"], prior, plan["settings"])
    return _known[told]


def read_plan(folder: Path) -> Plan:
    """Read the plan of the work; see `read`."""
    return read(folder / PLAN, _plans)


def read(path: Path, adapter: TypeAdapter[Found]) -> Found:
    """Read a file of the work.

    Raises
    ------
    InputError
        If it is not as it has to be.
    """
    try:
        return adapter.validate_python(parse_json(read_bytes(path, "block")))
    except InputError:
        raise
    except ValueError:
        raise InputError(f"The file {str(path)!r} is damaged; remove its folder, and start the batch again.") from None


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a file of the work: it is complete, or not there."""
    with files.replacing(path) as file:
        file.write(json.dumps(content, default=str).encode())
