"""One prior for all files of a batch: fitted to some of them, and kept until they or the settings change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_dip.errors import InputError, in_words
from napari_dip.files.bounded import parse_json, read_bytes, write_json
from napari_dip.files.formats import peek, read_image, replacing
from napari_dip.jobs import engines, seal
from napari_dip.jobs.job import Job, Outcome, in_records

MOST, BYTES = 32, 1e9
"""Files that a prior is fitted to at most, and their size together."""
PRIOR = "fitted.prior"
DONE = f"{PRIOR}.done"


def fit_for(jobs: Sequence[Job], client: Any) -> Path:
    """Give the file of a prior for the jobs: the one that is there if it was fitted as asked, or a new one.

    A file that is added to the folder leaves it as it is, so that what is done stays done.

    Raises
    ------
    InputError
        If nothing can be fitted to the files.
    """
    path = in_records(jobs[0].out, PRIOR)
    in_records(jobs[0].out, DONE)
    first, settings = jobs[0], seal.asked(jobs[0])["settings"]
    if any(seal.asked(job)["settings"] != settings or job.item.axes != first.item.axes for job in jobs):
        raise InputError("One prior for all files needs the same settings for all of them.")
    if _holds(path, jobs):
        return path
    found: list[Outcome] = []
    sample = _sample(jobs)
    if client is None:
        found.append(_fit(sample))
    else:
        found += engines.alone(client, _fit, sample, first)
    if found[0].status == "failed":
        raise InputError(f"No prior could be fitted to the files: {found[0].why}")
    return path


def _holds(path: Path, jobs: Sequence[Job]) -> bool:
    """Whether a prior is there that was fitted as it is asked for now, to files that are as they were."""
    try:
        found = parse_json(read_bytes(path.with_name(DONE), "seal"))
        there = {str(job.item.source) for job in jobs}
        return bool(
            found["asked"] == seal.asked(jobs[0])
            and found["sha256"] == seal.digest(path)
            and set(found["files"]) <= there
            and all(seal.digest(Path(name)) == was for name, was in found["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _sample(jobs: Sequence[Job]) -> list[Job]:
    """Give some of the jobs, evenly spaced, of the kind that is the commonest."""
    kinds = [_kind(job) for job in jobs]
    most = Counter(kinds).most_common(1)[0][0]
    like = [job for job, kind in zip(jobs, kinds, strict=True) if kind == most]
    step = max(1.0, len(like) / MOST)
    chosen: list[Job] = []
    size = 0.0
    for number in range(min(len(like), MOST)):
        job = like[int(number * step)]
        try:
            size += seal.look(job.item.source)["size"]
        except OSError:
            continue
        if chosen and size > BYTES:
            break
        chosen.append(job)
    return chosen


def _kind(job: Job) -> Any:
    """Tell apart files with other channels, samples or dimensions."""
    found = peek(job.item.source)
    if found is None or found[1].axes is None:
        return job.item.source.suffix.lower()
    sizes = dict(zip(found[1].axes, found[0], strict=False))
    return tuple(sizes), sizes.get("C"), sizes.get("S")


def _fit(sample: Sequence[Job]) -> Outcome:
    """Fit a prior to files that can be read, and seal it; done by one worker."""
    from napari_dip.run.fitted_prior import fit

    first = sample[0]
    path = in_records(first.out, PRIOR)
    try:
        images: list[Any] = []
        used: dict[str, str] = {}
        axes: str | None = None
        for job in sample:
            try:
                picture = read_image(job.item.source, job.item.series)
            except InputError:  # it fails later, by itself
                continue
            here = job.item.axes or picture.axes
            if images and here != axes:
                continue
            images.append(picture.array)
            axes = here
            used[str(job.item.source)] = seal.digest(job.item.source)
        fit(first.item.task, images, axes=axes, **{"threads": 1, **first.item.settings}).save(path)
        content = {"asked": seal.asked(first), "sha256": seal.digest(path), "files": used}
        with replacing(path.with_name(DONE)) as file:
            file.write(write_json(content, indent=1))
    except Exception as error:
        return Outcome("", str(path), "failed", in_words(error))
    return Outcome("", str(path), "done")
