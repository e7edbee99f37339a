"""Work that is shared among threads, with results that come in the order of the jobs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")


class Interrupted(Exception):
    """Somebody wants to be heard before all is done."""


interrupts: ContextVar[Callable[[], bool]] = ContextVar("interrupts", default=lambda: False)
"""Says between two jobs whether `in_order` is to break off."""


def in_order(work: Callable[[Job], Result], jobs: Iterable[Job], device: torch.device) -> Iterator[Result]:
    """Give what comes of each job, first that of the first.

    On a CPU so many threads work as torch may use here (`torch.get_num_threads`), each of them on a job of its own;
    with one, and on other devices, the caller does all by itself.

    Raises
    ------
    Interrupted
        If `interrupts` says so.
    """
    wanted = interrupts.get()
    for result in _in_order(work, jobs, device):
        if wanted():
            raise Interrupted
        yield result


def _in_order(work: Callable[[Job], Result], jobs: Iterable[Job], device: torch.device) -> Iterator[Result]:
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    if threads == 1:
        yield from map(work, jobs)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for job in jobs:
                waiting.append(pool.submit(work, job))
                if len(waiting) > 2 * threads:  # no more results than these are kept
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)  # threads to come start with what was set last, wherever that was
