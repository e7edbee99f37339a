"""What the command line shows on a terminal, and the signals it takes: a bar, sentences, Ctrl-C."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dip.restore import Progress


def say(sentence: str) -> None:
    """Write one line to where errors go."""
    print(f"napari-dip: {' '.join(sentence.split())}", file=sys.stderr)


class Stop:
    """Remembers the signal that asked for the end of the run."""

    signal = 0
    given_up = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: the first ends the run and keeps its result, the second gives it up."""
        if self.signal:
            self.given_up = True
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient third one would break off the farewell
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let Ctrl-C, and the end of a cluster job's time, end the run instead of the program."""
    stop = Stop()
    # a shell that starts a program in the background may have it ignore Ctrl-C: leave that as it is
    taken = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in taken}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            if not stop.given_up:
                signal.signal(number, handler)


@contextmanager
def bar() -> Iterator[Callable[[Progress | None], None]]:
    """Show a progress bar where there is a terminal to show it on; it is told of each step, and None at the end."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[state]}"))
    with Bar(*columns, console=Console(stderr=True)) as drawn:
        job = drawn.add_task("Starting", total=None, state="")

        def show(now: Progress | None) -> None:
            if now is None:
                drawn.update(job, total=1.0, completed=1.0, state="")
                return
            # a run mostly ends before its plan, so the plan is said to be the most there will be
            plane = f"Plane {now.plane + 1}/{now.planes}, iteration" if now.planes > 1 else "Iteration"
            words = f"{plane} {now.iteration} of at most {now.iterations}"
            left = now.seconds * (1 - now.done) / now.done
            state = f"loss {now.loss:.4g}, at most {int(left // 60)}:{int(left % 60):02} left"
            if now.done >= 1:
                state = "finishing"
            drawn.update(job, total=1.0, completed=now.done, description=words, state=state)

        yield show
