"""What torch is set to while a run computes, whatever the caller has set; the caller's own settings come back after.

A run gives the same bytes under `torch.no_grad`, `inference_mode`, another default type or device, or autocast.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_forked = False


def _note_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def is_forked() -> bool:
    """Whether this process was forked from one that had loaded torch.

    The threads that waited for work there are gone here, and the first loop that is shared among them would wait for
    them for ever. A single thread is safe.
    """
    return _forked


def most_threads() -> int:
    """Give as many threads as the caller lets torch have; one where more would wait for ever."""
    return 1 if is_forked() else torch.get_num_threads()


@contextmanager
def surroundings(threads: int, device: str) -> Iterator[None]:
    """Compute with so many threads, with gradients, in float32, without autocast.

    The number of threads is kept by each thread that asks for it, so it is set where the work is done, at every step.
    """
    before, dtype = torch.get_num_threads(), torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in {"cpu", device}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":  # only then: it costs time at every call of torch
            stack.enter_context(torch.device("cpu"))
        if before != threads:
            torch.set_num_threads(threads)
            stack.callback(torch.set_num_threads, before)
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        yield
