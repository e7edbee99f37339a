"""The command that repeats a run from its record."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from napari_dip.cli.terminal import say, watching
from napari_dip.tasks import TASKS

PATH = click.Path(path_type=Path, readable=False)  # what cannot be read is said by whoever reads it
SUMMARY = """Repeat a run from its RECORD, and say whether it comes to the same result.

The files that it began with are those that the record names, unless others are given; they have to hold the same."""
EPILOG = """With -o, the result is written, too.
Exit status: 0 the same, 1 another one or something cannot be used, 2 wrong usage, 130 interrupted."""


def make(guarded: Callable[[Callable[[], int]], int]) -> click.Command:
    """Make the command.

    Parameters
    ----------
    guarded : callable
        Does what it is handed, and puts what goes wrong into one sentence; gives the exit status.
    """
    others = dict.fromkeys(one.name for task in TASKS for one in task.inputs if one.kind != "number")
    params: list[click.Parameter] = [
        click.Argument(["record"], metavar="RECORD", type=PATH),
        click.Option(["--input", "source"], type=PATH, help="The image that was restored."),
        *(click.Option([f"--{name}"], type=PATH, help=f"The {name} of the run.") for name in [*others, "prior"]),
        click.Option(["-o", "--out", "target"], type=PATH, help="File to write the result to."),
        click.Option(["--force"], is_flag=True, help="Replace files that exist."),
    ]

    def callback(**given: Any) -> None:
        sys.exit(guarded(lambda: _replay(**given)))

    return click.Command("replay", params=params, callback=callback, help=SUMMARY, epilog=EPILOG)


def _replay(record: Path, source: Path | None, target: Path | None, force: bool, **inputs: Path | None) -> int:
    """Repeat a run while its progress is shown; give the exit status."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((target or record).absolute().parent))  # as in cli.py
    with watching() as watch:
        from napari_dip.jobs.replay import repeat_file

        done = repeat_file(record, source, target, inputs=inputs, force=force, watch=watch, settled=watch.stop.settle)
    where = f"; it is in {str(target)!r}" if target else ""
    if watch.signal:
        say(f"Interrupted, so it cannot be compared with the record{where}.")
        return 128 + (watch.signal or signal.SIGINT)
    for note in done.notes:
        say(note)
    if done.same is None:
        say(f"The record does not tell its result, so it cannot be compared{where}.")
    elif done.same:
        click.echo(f"The result is the same as that of the record, bit for bit{where}.")
    else:
        say(f"The result is another one than that of the record{where}.")
    return int(done.same is False)
