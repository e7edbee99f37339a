"""The command line: a thin face on `restore`."""

from __future__ import annotations

import inspect
import logging
import signal
import sys
import warnings
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, get_args, get_origin

import typer

import napari_dip
from napari_dip.errors import InputError, in_words
from napari_dip.settings import Settings, field, read_settings
from napari_dip.summary import noise_found, why_it_ended
from napari_dip.tasks import TASKS, Task
from napari_dip.terminal import say, watching

if TYPE_CHECKING:
    from napari_dip.batch import FileResult

# batch (files, then torch) is imported once there is work to do, so that --help comes at once

SPECIAL = {"stop_at"}
"""Settings that only a record has a use for."""
FORMATS = "TIFF, PNG or NPY, by its suffix"
EPILOG = """TIFF keeps axes and pixel size, and TIFF and NPY results are float32 in the units of the image. PNG holds
whole numbers of 8 or 16 bits, so results are rounded and clipped there. Ctrl-C ends a run and writes the best so far.
Exit status: 0 done, 1 something cannot be used, 2 wrong usage, 130 interrupted
(143 if it was the system that ended it; the best so far is written, too)."""
SECOND = """The uncertainty is written beside OUT, as cells-uncertainty.tif for cells.tif (for a PNG, as a TIFF).
"""

app = typer.Typer(
    name="napari-dip",
    help="Restore a single image without training data, with a deep image prior.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what a library warns of is no message of ours
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-dip {napari_dip.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def _kind(annotation: Any) -> Any:
    """Give the type that an option is read as: a choice for a Literal, and what may be None without it."""
    if get_origin(annotation) is Literal:
        return Enum("Choice", {str(value): value for value in get_args(annotation)}, type=str)
    some = [part for part in get_args(annotation) if part is not NoneType]
    return _kind(some[0]) if some else annotation


def _setting(name: str) -> inspect.Parameter:
    """Make the option of a setting from its one definition."""
    info = field(name)
    kind = _kind(info.annotation)
    bounds = {
        end: rule
        for part in info.metadata
        for end, key in (("min", "ge"), ("max", "le"))
        if (rule := getattr(part, key, None)) is not None
    }

    def check(value: Any) -> Any:
        try:
            read_settings({name: _plain(value)})
        except InputError as error:
            raise typer.BadParameter(str(error)) from None
        return value

    option = typer.Option(f"--{name.replace('_', '-')}", help=info.description, callback=check, **bounds)
    return _parameter(name, kind, option, info.default)


def _parameter(name: str, kind: Any, info: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    if default is None:
        kind = Optional[kind]  # noqa: UP045 (Typer 0.12 takes no `kind | None`)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


SOURCE = _parameter("source", Path, typer.Argument(metavar="IN", help=f"Image to restore: {FORMATS}."))
TARGET = _parameter("target", Path, typer.Argument(metavar="OUT", help=f"File to write: {FORMATS}."))
MASK = _parameter("mask", Path, typer.Option("--mask", help="Image that is not zero where pixels are to be filled in."))
FACTOR = _parameter(
    "factor",
    int,
    typer.Option("--factor", min=2, max=8, help="How many times larger along Y and X."),
    4,
)
AXES = _parameter(
    "axes",
    str,
    typer.Option("--axes", help="One letter of T Z C Y X S for each dimension; left out, what the file says."),
    None,
)
RECORD = _parameter(
    "record", Path, typer.Option("--record", help="Write what is needed to repeat the run, as JSON."), None
)
FORCE = _parameter("force", bool, typer.Option("--force", help="Replace files that exist."), False)


def _add_command(task: Task, *own: inspect.Parameter) -> None:
    """Add a command whose options are those of all commands, the settings, and its own."""
    settings = [_setting(key) for key in Settings.model_fields if key not in SPECIAL and task.uses(key)]

    def command(**given: Any) -> None:
        chosen = {parameter.name: _plain(given.pop(parameter.name)) for parameter in settings}
        raise typer.Exit(_guarded(lambda: _restore(task.name, chosen, **given)))

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [SOURCE, TARGET, *own, AXES, *settings, RECORD, FORCE]
    )
    epilog = SECOND + EPILOG if task.uses("uncertainty") else EPILOG
    app.command(task.command, help=task.summary, epilog=epilog)(command)


for _task in TASKS:
    _add_command(_task, *({"mask": MASK, "factor": FACTOR}[one.name] for one in _task.inputs))


def _guarded(work: Callable[[], int]) -> int:
    """Do it, and put what goes wrong for reasons outside of this program into one sentence."""
    try:
        return work()
    except KeyboardInterrupt:
        say("Interrupted; there is no result.")
        return 128 + signal.SIGINT
    except InputError as error:
        say(str(error))
    except OSError as error:
        say(f"{error.strerror or error}: {error.filename}." if error.filename else f"{error.strerror or error}.")
    except (MemoryError, RuntimeError) as error:
        say(in_words(error))
    return 1


def _restore(
    task: str,
    settings: dict[str, Any],
    *,
    source: Path,
    target: Path,
    axes: str | None,
    record: Path | None,
    force: bool,
    mask: Path | None = None,
    factor: int | None = None,
) -> int:
    """Restore a file, with a bar where there is a terminal; give the exit status."""
    given = {"mask": mask, "factor": factor}
    with watching() as watch:
        from napari_dip.batch import restore_file

        result = restore_file(
            task,
            source,
            target,
            axes=axes,
            inputs={name: value for name, value in given.items() if value is not None},
            record=record,
            force=force,
            settings=settings,
            watch=watch,
        )
    return _farewell(result, watch.signal)


def _farewell(result: FileResult, stopped_by: int) -> int:
    """Say how it ended where there is someone to read it; give the exit status."""
    record = result.restoration.record
    done = f"{record['iterations']} iterations in {record['seconds']:.0f} s"
    also = f", its uncertainty in {str(result.uncertainty)!r}" if result.uncertainty else ""
    where = f"is in {str(result.image)!r}{also}"
    if stopped_by:
        say(f"Interrupted after {done}; the best so far {where}.")
        return 128 + stopped_by
    if sys.stderr.isatty():
        for sentence in (why_it_ended(record), noise_found(record), f"{done}; the result {where}."):
            if sentence:
                say(sentence)
    return 0
