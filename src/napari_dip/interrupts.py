"""Signals that end the command line, from its first moment on: one sentence, and the exit status of the signal.

Light, so that it is there before anything that takes its time to be imported.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from napari_dip.errors import Interrupted

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask for the end: Ctrl-C, the end of a job's time, a terminal that was closed."""
GRACE = 2.0
"""Seconds for clearing up, in which another signal does not matter."""
NO_RESULT = "napari-dip: Interrupted; there is no result."


class Ending:
    """What is done with signals while there is nothing to keep, and once all is kept.

    Attributes
    ----------
    number : int
        Of the first signal, or 0.
    over : bool
        Whether the result is there: no signal matters any more.
    """

    def __init__(self) -> None:
        self.number, self.over = 0, False
        self._last = -GRACE

    def take(self) -> None:
        """Take the signals; those that are ignored stay so, as a shell may want it for a program in the background."""
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """End the program, unless it is ending already."""
        now = time.monotonic()
        if self.over or now - self._last < GRACE:
            return
        self.number, self._last = self.number or number, now
        raise Interrupted(number)


ending = Ending()
"""That of this process; `take` makes it so."""


def guarded(work: Callable[[], None]) -> None:
    """Take the signals, and do it; a sentence if one comes. The process has to end then: it hears none any more."""
    try:
        ending.take()
        work()
    except BaseException as error:  # what is half imported may fail in any way
        if not ending.number or isinstance(error, SystemExit):
            raise
        with suppress(OSError):  # the terminal may be gone
            print(NO_RESULT, file=sys.stderr, flush=True)
        sys.exit(128 + ending.number)
    finally:
        for number in ENDING:  # on its way out Python would give a signal back its own way, and its own exit status
            signal.signal(number, signal.SIG_IGN)
