"""Who does the items: this process, workers on this machine, or a cluster of Dask that is running."""

from __future__ import annotations

import logging
import os
import queue
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from napari_dip.errors import InputError, reason
from napari_dip.jobs.job import Job, Outcome, in_records
from napari_dip.jobs.work import do

if TYPE_CHECKING:
    from napari_dip.run.restoration import Progress

Tell = Callable[[Outcome], Any]
LOOK = 0.5
"""Seconds between two looks at whether the scheduler is still there."""
GONE = 20.0
"""Seconds without the scheduler after which it is given up."""
DEATHS = 2
"""Workers that may die with an item before it counts as failed: the next one is its last."""


@contextmanager
def local(workers: int, out: Path) -> Iterator[Any]:
    """Give a client of workers on this machine, each a process with one item at a time; all they write lies in `out`.

    Raises
    ------
    InputError
        If Dask is not installed, or workers cannot be started.
    """
    distributed = _distributed()
    import dask

    folder = in_records(out, f".workers-{os.getpid()}")
    folder.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)  # its certificates pass through a file
    # certificates: without, any user of this machine could have the workers run code
    how = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "memory_limit": 0, "security": True}
    places = {
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
        "local_directory": str(folder),
        "silence_logs": 50,
    }
    settings = {
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.worker.profile.enabled": False,  # a hundred looks a second at what a worker is doing
        # Dask has workers give back all memory at once, only to ask for it again: a quarter more time for an item
        "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
    }
    try:
        with (
            _hushed(),
            dask.config.set(settings),
            distributed.LocalCluster(**how, **places) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
    finally:
        tempfile.tempdir = before
        rmtree(folder, ignore_errors=True)


@contextmanager
def remote(address: str) -> Iterator[Any]:
    """Give a client of a scheduler that is running.

    Raises
    ------
    InputError
        If there is none at the address.
    """
    distributed = _distributed()
    with _hushed():
        try:
            client = distributed.Client(address, timeout=GONE)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"There is no Dask scheduler at {address!r}: {reason(error)}.") from None
        try:
            yield client
        finally:
            client.close(timeout=2)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep Dask from logging what is said in a sentence anyway."""
    found = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]
    before = {name: logging.getLogger(name).level for name in found}
    for name in found:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def one_by_one(jobs: Sequence[Job], tell: Tell, watch: Callable[[Job, float], Any] | None = None) -> None:
    """Do the items in this process."""
    for job in jobs:
        tell(do(job, None if watch is None else _part_of(job, watch)))


def _part_of(job: Job, watch: Callable[[Job, float], Any]) -> Callable[[Progress], Any]:
    return lambda progress: watch(job, progress.done)


def on_workers(client: Any, jobs: Sequence[Any], tell: Tell, work: Callable[[Any], Outcome] = do) -> None:
    """Do the items on the workers of a client, as many at a time as there are workers.

    A job is a `Job`, or what has its `key`, `label` and `target`. No more are handed out than there are workers, since
    Dask holds the death of a worker against every item that it was given.

    Raises
    ------
    InputError
        If the scheduler is gone.
    """
    finished: queue.Queue[Any] = queue.Queue()
    waiting = list(reversed(jobs))
    running: dict[str, tuple[Any, Any]] = {}
    seen = time.monotonic()
    try:
        while waiting or running:
            there = _workers(client)
            seen = time.monotonic() if there is not None else seen
            if time.monotonic() - seen > GONE or client.status == "closed":
                raise _gone()
            while waiting and len(running) < (there or 0):
                job = waiting.pop()
                future = client.submit(work, job, key=job.key, pure=False)
                running[future.key] = job, future
                future.add_done_callback(finished.put)
            for future in _taken(finished):
                if future.key in running:
                    tell(_outcome(running.pop(future.key)[0], future))
    finally:
        if running and client.status == "running":
            client.cancel([future for _, future in running.values()], force=True)


def _taken(finished: queue.Queue[Any]) -> Iterator[Any]:
    """Give what has finished; wait a little if nothing has."""
    try:
        yield finished.get(timeout=LOOK)
        while True:
            yield finished.get_nowait()
    except queue.Empty:
        return


def _workers(client: Any) -> int | None:
    """Give how many workers there are; None if the scheduler does not answer."""
    if client.status != "running":
        return None
    try:
        return len(client.sync(client.scheduler.ncores, callback_timeout=GONE / 4))
    except (OSError, TimeoutError, ValueError):
        return None


def _outcome(job: Any, future: Any) -> Outcome:
    """Give what came of a future."""
    if future.status == "finished":
        try:
            found: Outcome = future.result(timeout=GONE)
            return found
        except (OSError, TimeoutError):
            raise _gone() from None
    source, target = job.label, job.target
    if future.status in ("cancelled", "lost"):
        raise _gone()
    error = future.exception(timeout=GONE)
    why = f"The worker failed with {type(error).__name__}: {' '.join(str(error).split())}"
    if type(error).__name__ == "KilledWorker":
        why = f"{DEATHS + 1} workers died with it; there may not be enough memory for this image."
    if isinstance(error, ImportError):
        why = f"The worker cannot load napari-dip: {error}; install it where the workers run."
    return Outcome(source, target, "failed", why)


class Gone(InputError):
    """The scheduler does not answer any more."""


def _gone() -> Gone:
    return Gone(
        "The Dask scheduler is gone; what is done is kept, and the same command does the rest once there is one."
    )


def _distributed() -> Any:
    try:
        import cryptography  # noqa: F401
        import distributed
    except ImportError:
        raise InputError(
            'Several workers need Dask; install it with: pip install "napari-dip[cluster]", or take one worker.'
        ) from None
    return distributed


def alone(client: Any, work: Callable[[Any], Outcome], given: Any, job: Job) -> list[Outcome]:
    """Have one worker do one thing, and wait for it.

    Raises
    ------
    InputError
        If the scheduler is gone.
    """
    found: list[Outcome] = []
    on_workers(client, [job], found.append, _Given(work, given))
    return found


class _Given:
    """Work on something else than the job."""

    def __init__(self, work: Callable[[Any], Outcome], given: Any):
        self.work, self.given = work, given

    def __call__(self, job: Job) -> Outcome:
        return self.work(self.given)
