"""The command line: commands made from the tables of tasks and settings, and the exit status of each.

They are made with click, and not with what makes commands from the signatures of functions: in click a command and its
parameters are values, so that a row of a table can become one.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic.fields import FieldInfo

import napari_dip
from napari_dip.cli import batch as batch_command
from napari_dip.cli import replay as replay_command
from napari_dip.cli.terminal import farewell, say, watching
from napari_dip.errors import InputError, Interrupted, in_words, reason
from napari_dip.files.formats import ABOUT, COARSE, NAMES, READ_NAMES
from napari_dip.interrupts import ending, guarded
from napari_dip.settings import MOST_ITERATIONS, Settings, field, read_settings
from napari_dip.tasks import TASKS, Input, Task

# batch (files, then torch) is imported once there is work to do, so that --help comes at once

PATH = click.Path(path_type=Path, readable=False)  # what cannot be read is said by whoever reads it
DTYPE_HELP = (
    "Type of the values that are written: same, that of the image if it is uint8 or uint16, rounded and clipped."
)
BY_SUFFIX = ", by its suffix"
FILES = [("IN", f"Image to restore: {READ_NAMES}{BY_SUFFIX}."), ("OUT", f"File to write: {NAMES}{BY_SUFFIX}.")]
AXES_HELP = """One letter of T Z C Y X S for each dimension, in their order, such as TCYX; left out, what the file
says, or else a guess."""
EPILOG = f"""{ABOUT} Ctrl-C ends a run and writes the best so far.
Exit status: 0 done, 1 something cannot be used, 2 wrong usage, 130 interrupted
(143 or 129 if it was the system that ended it, or the terminal; the best so far is written, too)."""
KEPT = ("prior", "update", "save_prior")
SECOND = f"""The uncertainty is written beside OUT, as cells-uncertainty.tif for cells.tif ({COARSE}).
"""


class _Command(click.Command):
    """A command that says what its files are; click below 8.5 has no words for arguments."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the files above the options."""
        with formatter.section("Arguments"):
            formatter.write_dl(FILES)
        super().format_options(ctx, formatter)


def _option(name: str, **how: Any) -> click.Option:
    return click.Option([f"--{name.replace('_', '-')}"], **how)


def _setting(name: str) -> click.Option:
    """Make the option of a setting from its one definition."""
    info = field(name)
    how = {"is_flag": True} if info.annotation is bool else {"type": _type(info), "show_default": True}
    return _option(name, help=info.description, default=info.default, callback=_check, **how)


def _type(info: FieldInfo) -> Any:
    """Give what an option is read as: a Literal is a choice, bounds make a range; None is said by leaving it out."""
    kind: Any = info.annotation
    if get_origin(kind) is not Literal:
        kind = next((part for part in get_args(kind) if part is not NoneType), kind)
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    ends = {"min": "ge", "max": "le"}  # gt is left to _check: click would say less clearly what is wrong
    found = ((end, getattr(rule, ends[end], None)) for end in ends for rule in info.metadata)
    bounds = {end: value for end, value in found if value is not None}
    return {int: click.IntRange, float: click.FloatRange}[kind](**bounds) if bounds else kind


def _check(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    """Have the settings check a value, too."""
    try:
        read_settings({str(option.name): value})
    except InputError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _input(one: Input) -> click.Option:
    """Make the option of what a task takes beside the image."""
    kind: Any = click.IntRange(one.choices[0], one.choices[-1]) if one.kind == "number" else PATH
    # a default of None would be one, too, so that nothing would be required
    how = {"required": True} if one.default is None else {"default": one.default, "show_default": True}
    return _option(one.name, help=one.help, type=kind, **how)


def _kept_options() -> list[click.Option]:
    """Make the options of what can be kept of a fit."""
    return [
        _option("prior", help="Restore with a fitted prior from this file instead of fitting anew.", type=PATH),
        _option(
            "update",
            help="Iterations that bring it up to date first.",
            type=click.IntRange(0, MOST_ITERATIONS),
            default=0,
        ),
        _option("save_prior", help="Also write what was fitted, as a prior for other images.", type=PATH),
    ]


def _command(task: Task) -> click.Command:
    """Make the command of a task: its files and inputs, what all commands have, and the settings that it uses."""
    params = [
        click.Argument(["source"], metavar="IN", type=PATH),
        click.Argument(["target"], metavar="OUT", type=PATH),
        *map(_input, task.inputs),
        _option("axes", help=AXES_HELP),
        *(_setting(name) for name in Settings.model_fields if task.uses(name)),
        _option("record", help="Write what is needed to repeat the run, as JSON.", type=PATH),
        *(_kept_options() if task.keeps else []),
        _option("force", help="Replace files that exist.", is_flag=True),
        _option(
            "series",
            help="Which of several images in the file, from 1.  [default: the largest]",
            type=click.IntRange(1),
        ),
        _option("dtype", help=DTYPE_HELP, type=click.Choice(["float32", "same"]), default="float32", show_default=True),
    ]
    epilog = SECOND + EPILOG if task.uses("uncertainty") else EPILOG

    def callback(**given: Any) -> None:
        sys.exit(_guarded(lambda: _restore(task, **given)))

    return _Command(task.command, params=params, callback=callback, help=task.summary, epilog=epilog)


app = click.Group(
    "napari-dip",
    commands=[
        *(_command(task) for task in TASKS),
        batch_command.make([_setting(name) for name in Settings.model_fields], lambda work: _guarded(work)),
        replay_command.make(lambda work: _guarded(work)),
    ],
    help="Restore a single image without training data, with a deep image prior.",
    epilog=EPILOG,
)
click.version_option(napari_dip.__version__, message="napari-dip %(version)s")(app)


def main() -> None:
    """Run the command line."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what a library warns of is no message of ours
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    guarded(app)


def _guarded(work: Callable[[], int]) -> int:
    """Do it, and put what goes wrong for reasons outside of this program into one sentence."""
    try:
        return work()
    except (KeyboardInterrupt, Interrupted) as error:
        say("Interrupted; there is no result.")
        return 128 + getattr(error, "number", signal.SIGINT)
    except Exception as error:
        if ending.number:  # whatever became of it on its way through a library
            raise Interrupted(ending.number) from None
        return _failed(error)


def _failed(error: Exception) -> int:
    """Say what went wrong; give the exit status. What is no reason outside of this program stays as it is."""
    try:
        raise error
    except InputError as error:
        say(str(error))
    except OSError as error:
        if "usable temporary directory" in str(error):  # torch looks for one while it is imported
            say("There is no folder for temporary files that can be written to; set TMPDIR to one that can.")
            return 1
        say(f"{error.strerror or error}: {error.filename}." if error.filename else f"{error.strerror or error}.")
    except (MemoryError, RuntimeError) as error:
        say(in_words(error))
    except ImportError as error:
        say(f"A library that is needed cannot be loaded ({reason(error)}); mend or install it anew.")
    return 1


def _restore(task: Task, source: Path, target: Path, **given: Any) -> int:
    """Restore a file while its progress is shown; give the exit status."""
    inputs = {one.name: given.pop(one.name) for one in task.inputs}
    others: dict[str, Any] = {
        name: given.pop(name) for name in ("axes", "record", "force", "dtype", "series", *KEPT) if name in given
    }
    if others.get("prior"):  # what was not said is as it was when that was fitted
        said = click.get_current_context().get_parameter_source
        given = {name: value for name, value in given.items() if said(name) is not ParameterSource.DEFAULT}
    # torch makes a folder for what it compiles, which is nothing here: it takes one that is there, and needs no other
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(target.absolute().parent))
    with watching() as watch:
        from napari_dip.jobs.file import restore_file

        others |= {"watch": watch, "announce": watch.announce, "settled": watch.stop.settle}
        result = restore_file(task.name, source, target, inputs=inputs, settings=given, **others)
    for note in result.notes:
        say(note)
    farewell(result, stopped=bool(watch.signal))
    if others.get("save_prior") and result.prior is None:
        say("The run ended before everything was fitted, so no prior is written.")
    return 128 + watch.signal if watch.signal else 0
