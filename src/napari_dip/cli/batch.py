"""The command that restores many files: its options, what it shows, and its exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from napari_dip.cli.terminal import batch_bar, say
from napari_dip.errors import InputError, printable
from napari_dip.interrupts import ENDING
from napari_dip.settings import Settings
from napari_dip.tasks import TASKS

if TYPE_CHECKING:
    from napari_dip.jobs.batch import Report
    from napari_dip.jobs.job import Item

PATH = click.Path(path_type=Path, readable=False)  # what cannot be read is said by whoever reads it
SUMMARY = """Restore many files into a folder: PATTERN is a file, or a pattern such as 'plate/*/*.tif' (in quotes).

Started again, only what is missing or was changed is done. A file that fails does not end the others."""
EPILOG = """Results lie in the folder as their sources lie below the fixed part of the pattern; records, seals and the
report of the batch (report.json) in its folder "records". Ctrl-C drops what is at work and keeps what is done.
Exit status: 0 all done, 1 some failed or something cannot be used, 2 wrong usage, 130 interrupted."""


class Series(click.ParamType):  # type: ignore[type-arg]  # it is generic from click 8.3 on
    """The number of an image in a file, or the word "all"."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        if value == "all" or (str(value).isascii() and str(value).isdigit() and int(value) > 0):
            return value if value == "all" else int(value)
        self.fail(f"{value!r} is neither the number of an image, from 1, nor all.", param, ctx)


def make(settings: Sequence[click.Option], guarded: Callable[[Callable[[], int]], int]) -> click.Command:
    """Make the command.

    Parameters
    ----------
    settings : sequence of Option
        One for each of `Settings`.
    guarded : callable
        Does what it is handed, and puts what goes wrong into one sentence; gives the exit status.
    """
    params = [click.Argument(["patterns"], metavar="PATTERN...", nargs=-1), *_own(), *_inputs(), *settings]

    def callback(**given: Any) -> None:
        sys.exit(guarded(lambda: _batch(**given)))

    return click.Command("batch", params=params, callback=callback, help=SUMMARY, epilog=EPILOG)


def _own() -> list[click.Option]:
    tasks = click.Choice([task.command for task in TASKS])
    return [
        click.Option(["--task"], type=tasks, help="What to do; a specification may say it, too."),
        click.Option(["--out"], type=PATH, required=True, help="Folder for the results; made if it is not there."),
        click.Option(["--list", "listed"], type=PATH, help="Text file with a file or pattern in each line."),
        click.Option(["--spec"], type=PATH, help="YAML file with files and settings of their own; see the README."),
        click.Option(["--workers"], type=click.IntRange(1), default=1, show_default=True, help="Processes at work."),
        click.Option(["--scheduler"], metavar="ADDRESS", help="Have the workers of a Dask scheduler do it instead."),
        click.Option(["--prior"], type=PATH, help="Restore all with a fitted prior from this file."),
        click.Option(["--fit-once"], is_flag=True, help="Fit one prior to the files first, and apply it to all."),
        click.Option(["--force"], is_flag=True, help="Replace files that no batch has made."),
        click.Option(["--blocks"], is_flag=True, help="Restore each Zarr store brick by brick, whatever its size."),
        click.Option(["--axes"], help="One letter of T Z C Y X S for each dimension; left out, what each file says."),
        click.Option(["--series"], type=Series(), help="Which of several images in each file, or all; left out, one."),
    ]


def _inputs() -> list[click.Option]:
    """Make options of what tasks take beside the image; what a task needs is checked once its files are known."""
    found = []
    for task in TASKS:
        for one in task.inputs:
            is_number = one.kind == "number"
            kind = click.IntRange(one.choices[0], one.choices[-1]) if is_number else click.STRING
            also = "" if is_number else " {stem}, {name} and {folder} stand for those of each file."
            found.append(click.Option([f"--{one.name}"], type=kind, help=f"For {task.command}: {one.help}{also}"))
    return found


def _batch(
    patterns: tuple[str, ...],
    task: str | None,
    out: Path,
    listed: Path | None,
    spec: Path | None,
    workers: int,
    scheduler: str | None,
    prior: Path | None,
    fit_once: bool,
    force: bool,
    blocks: bool,
    axes: str | None,
    series: int | Literal["all"] | None,
    **given: Any,
) -> int:
    """Find the files, restore them while progress is shown, and tell what came of them; give the exit status."""
    from napari_dip.jobs.batch import How, run_batch
    from napari_dip.jobs.items import Asked

    said = click.get_current_context().get_parameter_source
    told = {name: value for name, value in given.items() if said(name) is not ParameterSource.DEFAULT}
    settings = {name: value for name, value in told.items() if name in Settings.model_fields}
    inputs = {name: value for name, value in told.items() if name not in settings}
    items = _items(patterns, listed, spec, Asked(task, axes, inputs, settings, series), out)
    heard = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]  # all end it as Ctrl-C does
    before = {number: signal.signal(number, _interrupt) for number in heard}
    try:
        with batch_bar() as show:
            report = run_batch(items, out, How(workers, scheduler, prior, fit_once, force, blocks), show)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    _tell(report, out)
    if report.interrupted:
        say("Interrupted; what is done is kept, and the same command does the rest.")
        return 128 + signal.SIGINT
    return int(not report.ok)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _items(patterns: Sequence[str], listed: Path | None, spec: Path | None, asked: Any, out: Path) -> list[Item]:
    """Find the files of all that was given; where one is found twice, what is said in the specification holds."""
    from napari_dip.jobs.items import find_items
    from napari_dip.jobs.spec import Entry, read_list, read_spec

    names = [*patterns, *(read_list(listed) if listed is not None else [])]
    found: dict[tuple[Path, int | None], Item] = {}
    if names:
        items = find_items([Entry(source=name) for name in names], asked, out, Path.cwd())
        found.update({(item.source, item.series): item for item in items})
    if spec is not None:
        read = read_spec(spec)
        entries = [Entry(source=one) if isinstance(one, str) else one for one in read.files]
        whole = _merged(asked, read)
        items = find_items(entries, whole, out, spec.absolute().parent)
        said = {item.source for item in items}
        found = {key: item for key, item in found.items() if key[0] not in said}
        found.update({(item.source, item.series): item for item in items})
    if not found:
        raise InputError("There are no files to restore; give a pattern, --list or --spec.")
    return list(found.values())


def _merged(asked: Any, read: Any) -> Any:
    """Let what the command line says go before what a specification says of all files."""
    from napari_dip.jobs.items import Asked

    def both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        return {**one, **other}

    inputs, settings = both(read.inputs, asked.inputs), both(read.settings, asked.settings)
    series = asked.series if asked.series is not None else read.series
    return Asked(asked.task or read.task, asked.axes or read.axes, inputs, settings, series)


def _tell(report: Report, out: Path) -> None:
    """Print what came of each file, and how many of each there are."""
    for one in report.outcomes:
        words = one.why or (f"{one.seconds:.1f} s" if one.status == "done" else "")
        click.echo(f"{one.status:8}{printable(one.source, most=4096)}  {words}".rstrip())
        for note in one.notes:
            click.echo(f"        {note}")
    counts = report.to_dict()
    missing = f", {counts['missing']} not begun or dropped" if counts["missing"] else ""
    click.echo(
        f"{counts['done']} done, {counts['skipped']} skipped, {counts['failed']} failed{missing}; in {str(out)!r}."
    )
