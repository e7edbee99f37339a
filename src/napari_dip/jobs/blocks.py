"""One large store restored brick by brick, by whoever is there: each brick is sealed, so that none is done twice.

All is written in a folder beside the records first, whose name tells what was asked and the image. It holds the plan,
the prior, the stores in the making, a seal for each brick, and at last the record: once that is there, all that is left
to do is to put everything in its place.
"""

from __future__ import annotations

import glob
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_dip.errors import InputError
from napari_dip.files import formats as files
from napari_dip.files.bounded import write_json
from napari_dip.files.journal import to_disk
from napari_dip.files.metadata import Metadata
from napari_dip.files.zarr_store import is_store
from napari_dip.jobs import block_steps, engines, seal, work
from napari_dip.jobs.block_steps import (
    BRICKS,
    PRIOR,
    SLABS,
    TASK,
    BrickDone,
    Plan,
    Step,
    do,
    layout_of,
    names_of,
    read,
    read_plan,
    source_of,
    store_of,
    write,
)
from napari_dip.jobs.job import Item, Job, Outcome
from napari_dip.run import record as records
from napari_dip.settings import AS_THEY_ARE
from napari_dip.tasks import task_named

RECORD = "record.json"
"""The name of the record in the folder of the work; it is there once all is ready."""
SAID = ("settings", "axes", "shape", "dtype", "views", "started")
"""What the record says of the plan."""
PLANNING, LEVELS = 0.03, 0.05
"""Parts of the work that planning and smaller levels count for, where progress is told."""


def check(items: Sequence[Item]) -> None:
    """Refuse what cannot be restored by blocks, before any work.

    Raises
    ------
    InputError
    """
    for item in items:
        name = repr(str(item.source))
        if item.task != TASK:
            raise InputError(f"By blocks an image can only be denoised, and not {item.task}; leave the blocks out.")
        found = files.peek(item.source)
        if found is None or not is_store(item.source):
            raise InputError(f"By blocks only a Zarr store can be restored, which {name} is not; leave the blocks out.")
        if files.format_of(item.target).begin is None:
            raise InputError(f"By blocks only a Zarr store can be written, which {str(item.target)!r} is not.")
        if "S" in (item.axes or found[1].axes or "").upper():
            raise InputError(f"The image {name} has samples (RGB), which are not restored by blocks; leave them out.")
        if item.settings.get("channels") == "together":
            raise InputError("By blocks each channel is restored by itself; leave the channels together out.")
        if item.settings.get("values", "auto") not in AS_THEY_ARE:
            raise InputError("By blocks values are fitted as they are; leave values out, or restore without blocks.")
        task_named(item.task).check_keeps(str(item.settings.get("preset", "fast")))


def restore(client: Any, job: Job, see: Callable[[Job, float], Any]) -> Outcome:
    """Restore a store, as far as that is not done.

    Parameters
    ----------
    client : Client or None
        Whose workers do it; None for this process.
    job : Job
    see : callable
        Is handed the job, and the part of it that is done, from 0 to 1.

    Returns
    -------
    Outcome

    Raises
    ------
    InputError
        If the scheduler is gone.
    """
    began = time.monotonic()
    try:
        notes = _restore(client, job, see)
    except engines.Gone:
        raise
    except Exception as error:  # nothing that one store does may end the others
        seconds = round(time.monotonic() - began, 3)
        return Outcome(job.label, job.target, "failed", work.sentence(error, job.label), seconds)
    finally:
        work.unmark(job)
    return Outcome(job.label, job.target, "done", "", round(time.monotonic() - began, 3), notes)


def _restore(client: Any, job: Job, see: Callable[[Job, float], Any]) -> tuple[str, ...]:
    """Do each step that is left; give notes on how the store was read."""
    ours = work.begin(job)
    folder = _folder_of(job)
    if not (folder / RECORD).exists():
        _all(client, [Step(job, folder, "plan")], lambda part: see(job, PLANNING * part))
        layout = layout_of(read_plan(folder), *source_of(job))
        bricks = [Step(job, folder, "brick", n) for n in range(len(layout.bricks))]
        _all(client, bricks, lambda part: see(job, PLANNING + (1 - PLANNING - LEVELS) * part))
        slabs = [Step(job, folder, "slab", n) for n in range(len(layout.slabs))]
        _all(client, slabs, lambda part: see(job, 1 - LEVELS * (1 - part)))
        _complete(job, folder, bricks, slabs)
    return _put(job, folder, force=job.force or ours)


def _all(client: Any, steps: Sequence[Step], see: Callable[[float], Any]) -> None:
    """Do the steps that are left; if one has failed, raise what it said once the others are done."""
    left = [step for step in steps if not step.done.exists()]
    failed: list[str] = []
    done = len(steps) - len(left)

    def tell(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        failed.extend([outcome.why] if outcome.status == "failed" else [])
        see(done / len(steps))

    see(done / len(steps))
    if client is None:
        for step in left:
            tell(do(step))
    elif left:
        engines.on_workers(client, left, tell, do)
    if failed:
        more = f" ({len(failed)} of {len(steps)} blocks failed; the others are kept.)" if len(steps) > 1 else ""
        raise InputError(failed[0] + more)


def _folder_of(job: Job) -> Path:
    """Make the folder of the work, if it is not there, and clear those of what was asked before."""
    told = json.dumps([seal.asked(job), seal.look(job.item.source)], sort_keys=True)
    folder = job.beside(f"blocks-{hashlib.sha256(told.encode()).hexdigest()[:12]}")
    name = f"{Path(job.item.name).name}.blocks-"
    for other in folder.parent.glob(f"{glob.escape(name)}*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _complete(job: Job, folder: Path, bricks: Sequence[Step], slabs: Sequence[Step]) -> None:
    """Write what is said of the result, and the record as the very last."""
    plan, (picture, axes) = read_plan(folder), source_of(job)
    if seal.look(job.item.source) != plan["source"]:
        raise InputError(f"The store {job.label!r} was changed while it was restored; start the batch again.")
    layout, notes = layout_of(plan, picture, axes), list(picture.notes)
    ends = [read(slab.done, SLABS)["ends"] for slab in slabs]
    for name in names_of(folder):
        store = store_of(folder, name, layout, picture)
        own = [end for one in ends for end in one[name]]
        try:
            store.describe(picture, own)
        except (InputError, OSError, MemoryError):
            raise
        except Exception:
            store.describe(replace(picture, metadata=Metadata(picture.axes)), own)
            notes += [files.PLAINLY] if files.PLAINLY not in notes else []
        for left in (folder / f"{name}.zarr").rglob("*.partial"):  # of workers that died while they wrote it
            left.unlink(missing_ok=True)
        for said in (folder / f"{name}.zarr").glob("*"):
            to_disk(said)
    write(folder / RECORD, _record(job, plan, [read(brick.done, BRICKS) for brick in bricks], notes, names_of(folder)))


def _record(
    job: Job, plan: Plan, bricks: Sequence[BrickDone], notes: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    """Say what was done, ready for JSON."""
    residuals = [brick["residual"] for brick in bricks if brick["residual"] is not None]
    counts = {name: sum(brick["found"].get(name, 0) for brick in bricks) for name in ("areas", "outliers")}
    made = {"input": job.item.source, **_targets(job, names), "prior": job.prior or job.beside(seal.PRIOR)}
    return {
        "schema": records.SCHEMA,
        "kind": records.BLOCKS,
        "task": job.item.task,
        **{name: plan[name] for name in SAID},  # type: ignore[literal-required]
        "prior": {"sha256": plan["prior"], "fitted": job.prior is None},
        "bricks": len(bricks),
        "seconds": round(plan["seconds"] + sum(brick["seconds"] for brick in bricks), 3),
        "unmeasured": counts,
        "residual": _usual(residuals),
        "files": {role: str(path) for role, path in made.items()},
        "notes": list(notes),
        "versions": records.versions(),
        "command": f"napari-dip {records.versions()['napari-dip']}",
    }


def _usual(residuals: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    from napari_dip.run.brick_restoration import usual

    return usual(residuals) if residuals else None


def _put(job: Job, folder: Path, *, force: bool) -> tuple[str, ...]:
    """Put everything in its place and seal it; broken off, it goes on where it was."""
    record, names = read(folder / RECORD, block_steps.RECORDS), names_of(folder)
    targets = {name: path for name, path in _targets(job, ("image", "uncertainty")).items() if name in record["files"]}
    made = [*targets.values(), job.beside(seal.RECORD)]
    with files.together(made) as unit:
        files.check_outputs([targets[name] for name in names], [job.item.source], force=force)
        for name in names:
            _replace(folder / f"{name}.zarr", targets[name], folder / f"{name}.old")
        if job.prior is None and (folder / PRIOR).exists():
            (folder / PRIOR).replace(job.beside(seal.PRIOR))
        with unit.replacing(job.beside(seal.RECORD)) as file:
            file.write(write_json(record, indent=2) + b"\n")
        unit.commit()
    before = {str(job.item.source): seal.look(job.item.source)}
    seal.write(job, before, made, record["notes"], tell=seal.look)
    shutil.rmtree(folder, ignore_errors=True)
    return tuple(record["notes"])


def _replace(store: Path, target: Path, old: Path) -> None:
    """Put a store in its place; what was there goes once it is."""
    if target.exists():
        target.replace(old)
    store.replace(target)
    to_disk(target.parent)


def _targets(job: Job, names: Sequence[str]) -> dict[str, Path]:
    """Give the places of the stores by their names."""
    target = job.item.target
    return {name: target if name == "image" else files.companion(target, name) for name in names}
