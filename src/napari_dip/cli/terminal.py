"""What the command line shows on a terminal, and the signals it takes: a bar, sentences, Ctrl-C."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from napari_dip.errors import Interrupted
from napari_dip.interrupts import ENDING, ending
from napari_dip.run.summary import findings, what_is_missing, where_it_stands, why_it_ended
from napari_dip.run.time_left import TimeLeft

if TYPE_CHECKING:
    from napari_dip.jobs.file import FileResult
    from napari_dip.restore import Progress


def say(sentence: str) -> None:
    """Write one line to where errors go."""
    with suppress(OSError):  # a terminal that was closed is no reason to lose a result
        print(f"napari-dip: {' '.join(sentence.split())}", file=sys.stderr, flush=True)


def as_option(setting: str, value: object) -> str:
    """Name a value of a setting as the command line does.

    >>> as_option("max_seconds", 2)
    '--max-seconds 2'
    """
    return f"--{setting.replace('_', '-')} {value}"


def farewell(result: FileResult, *, stopped: bool) -> None:
    """Say how a run ended; where there is no terminal, only if it was stopped."""
    record = result.restoration.record
    done = f"{record['iterations']} iterations in {record['seconds']:.0f} s"
    also = f", its uncertainty in {str(result.uncertainty)!r}" if result.uncertainty else ""
    where = f"is in {str(result.image)!r}{also}"
    missing = what_is_missing(record)
    if stopped:
        say(f"Interrupted after {done}; the best so far {where}.")
    if missing:
        say(missing)
    if not stopped and sys.stderr.isatty():
        for sentence in (
            why_it_ended(record),
            *findings(record, as_option),
            f"{done}; the result {where}.",
        ):
            if sentence:
                say(sentence)


@contextmanager
def watching() -> Iterator[Watch]:
    """Give what watches a run: it draws a bar, and lets Ctrl-C end the run instead of the program."""
    is_terminal = sys.stderr.isatty()  # the bar puts something else in its place
    with bar() as show:
        watch = Watch(show, is_terminal=is_terminal)
        try:
            yield watch
        finally:
            watch.stop.give_back()
        if not watch.signal:
            show(None)


class Watch:
    """Shows each step of a run, and says when a signal has asked for its end.

    Signals are taken from the first iteration on: before that there is nothing to keep, and Ctrl-C ends the program.
    While a network learns from several planes, the first ends that, and the planes are restored; a second keeps only
    those that are restored by then.
    """

    def __init__(self, show: Callable[[Progress | None], None], *, is_terminal: bool = False):
        self.stop = Stop()
        self.is_terminal = is_terminal
        self._show = show
        self._said = 0

    @property
    def signal(self) -> int:
        """The number of the signal that asked for the end, or 0."""
        return self.stop.signal

    def announce(self, words: str) -> None:
        """Say what will be restored, where there is a terminal."""
        if self.is_terminal:
            say(f"Restoring {words}.")

    def __call__(self, progress: Progress) -> bool:
        """Show a step; give whether a signal has come since the one before."""
        if ending.number:  # it was lost in a library that was being imported
            raise Interrupted(ending.number)
        if not self._said:
            self.stop.spare = int(progress.together > 1 and not progress.restored)
        self.stop.take()
        with suppress(OSError):
            self._show(progress)
        if self.stop.count == self._said:
            return False
        self._said = self.stop.count
        if self._said <= self.stop.spare:
            say("Learning has ended; restoring the planes. Ctrl-C once more keeps only those that are done by then.")
        else:
            say("Stopping; Ctrl-C once more gives up the result.")
        return True


class Stop:
    """Remembers the signal that asked for the end of the run: Ctrl-C, the end of a job's time, a closed terminal.

    Attributes
    ----------
    signal, count : int
        The number of the signal, or 0, and how many came.
    spare : int
        How many more than one are taken before the next gives up the result.
    """

    def __init__(self) -> None:
        self.signal = self.count = self.spare = 0
        self._before: dict[int, Any] = {}
        self._over = False

    def take(self) -> None:
        """Take the signals, unless that is done already."""
        # a shell that starts a program in the background may have it ignore Ctrl-C: leave that as it is
        for number in ENDING:
            if number not in self._before and signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self)

    def give_back(self) -> None:
        """Leave the signals to those who had them before."""
        while self._before:
            signal.signal(*self._before.popitem())

    def settle(self) -> None:
        """All files are in their places: from now on no signal can do anything to the result."""
        self._over = ending.over = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: the first ends the run and keeps its result, the one after the spare ones gives it up."""
        if self._over:
            return
        self.count += 1
        if self.count > 1 + self.spare:
            self._over = ending.over = True  # an impatient third one would break off the farewell
            raise Interrupted(self.signal)
        self.signal = self.signal or number


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
    drawn = Bar(*columns, console=Console(stderr=True))
    job = drawn.add_task("Starting", total=None, state="")
    left = TimeLeft()

    def show(now: Progress | None) -> None:
        if now is None:
            drawn.update(job, total=1.0, completed=1.0, state="")
            return
        words = where_it_stands(now)
        left.note(now, now.held_out_error)
        state = left.words().lower()
        if now.stage == "fit":
            state = f"loss {now.loss:.4g}, {state}"
        if now.done >= 1:
            state = "finishing"
        drawn.update(job, total=1.0, completed=left.done, description=words, state=state)

    try:
        drawn.start()
        yield show
    except BaseException:
        drawn.live.transient = True  # no bar stays behind where there is no result
        raise
    finally:
        with suppress(OSError):  # the terminal may be gone
            drawn.stop()


@contextmanager
def batch_bar() -> Iterator[Callable[[Any, Any], None]]:
    """Show how far a batch is where there is a terminal; it is told of report and pace."""
    if not sys.stderr.isatty():
        yield lambda report, pace: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[state]}"))
    with Bar(*columns, console=Console(stderr=True)) as drawn:
        job = drawn.add_task("Starting", total=1.0, state="")

        def show(report: Any, pace: Any) -> None:
            failed = len(report.of("failed"))
            words = f"{len(report.outcomes)} of {report.total} files" + (f", {failed} failed" if failed else "")
            left = pace.left
            state = "" if left is None else f"about {int(left // 60)}:{int(left % 60):02} left"
            drawn.update(job, completed=pace.done, description=words, state=state)

        yield show
