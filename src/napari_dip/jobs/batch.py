"""Restore many files: planned, done by whoever is there, and told. Started again, only what is missing is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal

from napari_dip.errors import InputError, reason
from napari_dip.files.bounded import read_bytes, write_json
from napari_dip.files.formats import replacing
from napari_dip.jobs import blocks, engines, seal
from napari_dip.jobs.items import Asked, check_apart, find_items
from napari_dip.jobs.job import RECORDS, Item, Job, Outcome, in_records
from napari_dip.jobs.pace import Pace
from napari_dip.jobs.spec import Entry
from napari_dip.jobs.work import TOKEN, check_places
from napari_dip.tasks import task_named

if TYPE_CHECKING:
    Watch = Callable[["Report", Pace], Any]

REPORT = "report.json"
MOST_WORKERS = 256


@dataclass
class Report:
    """What came of a batch.

    Attributes
    ----------
    outcomes : list of Outcome
        In the order in which they ended.
    total : int
        How many items there are.
    interrupted : bool
        Whether Ctrl-C has ended it.
    """

    total: int
    outcomes: list[Outcome] = field(default_factory=list)
    interrupted: bool = False

    def of(self, status: str) -> list[Outcome]:
        """Give those that were "done", "skipped" or "failed"."""
        return [one for one in self.outcomes if one.status == status]

    @property
    def ok(self) -> bool:
        """Whether all are there."""
        return not self.of("failed") and len(self.outcomes) == self.total

    def to_dict(self) -> dict[str, Any]:
        """Give it ready for JSON; `missing` are those that the batch did not come to."""
        counts = {status: len(self.of(status)) for status in ("done", "skipped", "failed")}
        missing = self.total - len(self.outcomes)
        return {"schema": 1, **counts, "missing": missing, "items": [one.to_dict() for one in self.outcomes]}


@dataclass(frozen=True)
class How:
    """How a batch is done.

    Attributes
    ----------
    workers : int
        Processes on this machine; 1 is this process alone.
    scheduler : str or None
        Address of a scheduler of Dask, instead.
    prior : Path or None
        File of a fitted prior for all items.
    fit_once : bool
        Fit one to files of the batch first.
    force : bool
        Replace files that no batch has made.
    blocks : bool
        Restore each store brick by brick, all workers at one.
    """

    workers: int = 1
    scheduler: str | None = None
    prior: Path | None = None
    fit_once: bool = False
    force: bool = False
    blocks: bool = False

    def check(self) -> None:
        """Refuse what does not go together.

        Raises
        ------
        InputError
        """
        if not 1 <= self.workers <= MOST_WORKERS:
            raise InputError(f"The number of workers {self.workers} is not allowed; take 1 to {MOST_WORKERS}.")
        if self.scheduler is not None and self.workers > 1:
            raise InputError("A scheduler has workers of its own; leave the number of workers out.")
        if self.prior is not None and self.fit_once:
            raise InputError("A prior is either given or fitted to the files; leave one of them out.")
        if self.blocks and self.fit_once:
            raise InputError("By blocks a prior is fitted to each store by itself; give one, or leave fit once out.")
        if self.prior is not None and not self.prior.is_file():
            raise InputError(f"There is no file {str(self.prior)!r}.")


def map_restore(
    task: str,
    sources: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    axes: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    prior: str | Path | None = None,
    fit_once: bool = False,
    force: bool = False,
    blocks: bool = False,
    series: int | Literal["all"] | None = None,
    **settings: Any,
) -> Report:
    """Restore many files into a folder; run again, only what is missing or was changed is done.

    Parameters
    ----------
    task : str
        Name of a row of `TASKS`.
    sources : path or several
        Files, or patterns such as "plate/*/*.tif".
    out : path
        Folder for results; records lie in its folder "records".
    axes : str, optional
        One letter for each dimension, of all files; left out, what each file says.
    inputs : dict, optional
        As `restore_file` takes them; in a path, {stem}, {name} and {folder} stand for those of each source.
    workers : int
        Processes on this machine. A script needs `if __name__ == "__main__":` around the call from 2 on.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers see the same files; instead of `workers`.
    prior : path, optional
        File of a fitted prior for all files.
    fit_once : bool
        Fit one prior to files of the batch first, and apply it to all of them.
    force : bool
        Replace files that no batch has made.
    blocks : bool
        Restore each file, a Zarr store of any size, brick by brick: with one prior, that is fitted to views all over
        it, and no more in memory than a brick. All workers are at one store.
    series : int or "all", optional
        Which of several images in each file, from 1, or each of them; left out, the first of the largest.
    **settings
        Fields of `Settings`, by name. Each item takes one thread, unless `threads` says more.

    Returns
    -------
    Report
        A file that cannot be restored is in it as failed, and ends nothing else.

    Raises
    ------
    InputError
        Before any work, if what is asked cannot be used; later, if the scheduler is gone.

    Examples
    --------
    >>> report = dip.map_restore("denoise", "plate/*.tif", "restored", workers=4)  # doctest: +SKIP
    >>> report.ok, report.of("failed")  # doctest: +SKIP
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    asked = Asked(task, axes, dict(inputs or {}), settings, series)
    items = find_items([Entry(source=str(one)) for one in given], asked, Path(out), Path.cwd())
    how = How(workers, scheduler, None if prior is None else Path(prior), fit_once, force, blocks)
    report = run_batch(items, Path(out), how)
    if report.interrupted:
        raise KeyboardInterrupt
    return report


def run_batch(items: Sequence[Item], out: Path, how: How, watch: Watch | None = None) -> Report:
    """Do the items of a batch, and write the report of them into the folder of records.

    Parameters
    ----------
    items : sequence of Item
    out : Path
    how : How
    watch : callable, optional
        Is handed report and pace whenever one of them has changed.

    Returns
    -------
    Report
        Also where Ctrl-C has ended it: some items are missing in it then.

    Raises
    ------
    InputError
        As `map_restore` does.
    """
    import napari_dip

    how.check()
    check_apart(items)
    out = out.absolute()
    if how.blocks:
        blocks.check(items)
    _check_prior(items, how)
    report, token = Report(len(items)), token_hex(8)
    jobs = [Job(item, out, token, napari_dip.__version__, force=how.force, blocks=how.blocks) for item in items]
    for job in jobs:
        check_places(job)
    _claim(out, token)
    try:
        _work(jobs, out, how, report, watch)
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        _release(out, token)
        with replacing(in_records(out, REPORT)) as file:
            file.write(write_json(report.to_dict(), indent=1) + b"\n")
    return report


def _work(jobs: list[Job], out: Path, how: How, report: Report, watch: Watch | None) -> None:
    """Skip what is done, and have the rest done."""
    with ExitStack() as stack:
        client = _client(stack, how, out)
        if how.fit_once or how.prior is not None:
            jobs = _with_prior(jobs, how, client)
        left = []
        for job in jobs:
            if seal.holds(job, thorough=False):
                report.outcomes.append(Outcome(job.item.label, str(job.item.target), "skipped"))
            else:
                left.append(job)
        pace = Pace([job.item for job in left], how.workers)
        show = watch or (lambda report, pace: None)

        def tell(outcome: Outcome) -> None:
            report.outcomes.append(outcome)
            pace.tell(outcome)
            show(report, pace)

        def see(job: Job, part: float) -> None:
            pace.at_work(job.item.target, part)
            show(report, pace)

        show(report, pace)
        if how.blocks:
            for job in left:
                tell(blocks.restore(client, job, see))
        elif client is None:
            engines.one_by_one(left, tell, see)
        elif left:
            pace.workers = max(1, len(client.nthreads()))
            engines.on_workers(client, left, tell)


def _client(stack: ExitStack, how: How, out: Path) -> Any:
    """Give a client of those who do the work; None for this process."""
    if how.scheduler is not None:
        return stack.enter_context(engines.remote(how.scheduler))
    return stack.enter_context(engines.local(how.workers, out)) if how.workers > 1 else None


def _check_prior(items: Sequence[Item], how: How) -> None:
    if how.prior is None and not how.fit_once:
        return
    for item in items:
        task_named(item.task).check_keeps(str(item.settings.get("preset", "fast")))


def _with_prior(jobs: Sequence[Job], how: How, client: Any) -> list[Job]:
    """Give the jobs with the prior that is given, or with one that is fitted to them first."""
    prior = how.prior
    if prior is None:
        from napari_dip.jobs.once import fit_for

        prior = fit_for(jobs, client)
    prior, told = prior.absolute(), seal.digest(prior)
    return [replace(job, prior=prior, prior_digest=told) for job in jobs]


def _claim(out: Path, token: str) -> None:
    """Make the folder, and have what another batch left running in it drop its items."""
    for name in (TOKEN, REPORT):
        in_records(out, name)
    try:
        (out / RECORDS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {str(out)!r} cannot be made: {reason(error)}.") from None
    with replacing(in_records(out, TOKEN)) as file:
        file.write(token.encode())


def _release(out: Path, token: str) -> None:
    """Have what is still running drop its items, unless another batch has begun since."""
    with suppress(InputError, OSError):
        path = in_records(out, TOKEN)
        if read_bytes(path, "token") == token.encode():
            os.unlink(path)
