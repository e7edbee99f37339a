"""Cancellation of the preparation of a run: an image is read and scanned before there is a run that can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class PreparationCancelled(Exception):
    """The caller does not want the run any more."""


_cancelled: ContextVar[Callable[[], bool]] = ContextVar("cancelled", default=lambda: False)


@contextmanager
def cancel_if(cancelled: Callable[[], bool]) -> Iterator[None]:
    """Break off the preparation that is done in this context, soon after `cancelled` gives True.

    Raises
    ------
    PreparationCancelled
        From within.
    """
    token = _cancelled.set(cancelled)
    try:
        yield
    finally:
        _cancelled.reset(token)


def check_cancelled() -> None:
    """Break off, if that is wanted.

    Raises
    ------
    PreparationCancelled
    """
    if _cancelled.get()():
        raise PreparationCancelled
