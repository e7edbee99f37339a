"""A record as text that repeats its run: a script in Python, or a command for the shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_dip.run.record import Record
from napari_dip.settings import OF_PRIOR, Settings
from napari_dip.tasks import Task, task_named

UNNAMED = {"input": "IMAGE.tif", "mask": "MASK.tif", "prior": "PRIOR.prior"}
"""What stands for files that nobody has named."""
WIDEST = 88


def as_python(record: Record, names: Mapping[str, str | Path] | None = None, layer: str = "") -> str:
    """Write a script that repeats a run.

    Parameters
    ----------
    record : Record
    names : dict, optional
        Files by their roles: "input", that of an input of the task such as "mask", "output". Left out, what the record
        says.
    layer : str
        Of an image that lies in no file: its name in napari, in whose console the script works then.

    Returns
    -------
    str
        Lines of Python. Without a file for the image, it is taken from napari's layers.

    Examples
    --------
    >>> found = {"task": "denoise", "settings": {"seed": 3}, "inputs": {}, "axes": "ZYX", "files": {"input": "a.tif"}}
    >>> print(as_python(found))
    import napari_dip as dip
    <BLANKLINE>
    dip.restore_file("denoise", "a.tif", "a-denoised.tif", axes="ZYX", settings={"seed": 3})
    """
    row, named = task_named(record["task"]), _names(record, names)
    settings, update = told_settings(record), _update(record)
    if "input" not in named and layer and not record.get("on_crops"):
        given = [f"viewer.layers[{_quoted(layer)}].data"]
        given += [f"{one.name}={_input(record, one)}" for one in row.inputs]
        given += [f"axes={_quoted(record['axes'])}", *(f"{name}={_quoted(value)}" for name, value in settings.items())]
        name = f"dip.{row.name}"
        if "prior" in record:
            given += [f"iterations={update}"] * bool(update)
            name = f"dip.load_prior({_quoted(_file(named, 'prior'))}).restore"
        return f"import napari_dip as dip\n\nresult = {_call(name, given)}"
    given = [_quoted(row.name), _quoted(_file(named, "input")), _quoted(_target(row, record, named))]
    given.append(f"axes={_quoted(record['axes'])}")
    inputs = {one.name: _given(record, named, one) for one in row.inputs}
    given += [f"inputs={_dict(inputs)}"] * bool(inputs)
    given += [f"series={record['series']}"] if "series" in record else []
    given += [f"prior={_quoted(named['prior'])}"] if "prior" in named else []
    given += [f"update={update}"] * bool(update)
    given += [f"save_prior={_quoted(_kept(named))}"] if record.get("on_crops") else []
    given += [f"settings={_dict(settings)}"] * bool(settings)
    return f"import napari_dip as dip\n\n{_call('dip.restore_file', given)}"


def as_command(record: Record, names: Mapping[str, str | Path] | None = None) -> str:
    """Write a command that repeats a run.

    Parameters
    ----------
    record : Record
    names : dict, optional
        As in `as_python`.

    Examples
    --------
    >>> found = {"task": "denoise", "settings": {"seed": 3}, "inputs": {}, "axes": "ZYX", "files": {"input": "a.tif"}}
    >>> as_command(found)
    'napari-dip denoise a.tif a-denoised.tif --axes ZYX --seed 3'
    """
    row, named = task_named(record["task"]), _names(record, names)
    words = ["napari-dip", row.command, _file(named, "input"), _target(row, record, named), "--axes", record["axes"]]
    for one in row.inputs:
        words += [f"--{one.name}", str(_given(record, named, one))]
    for name in ("series", "prior"):
        value = record["series"] if name == "series" and "series" in record else named.get(name)
        words += [f"--{name}", str(value)] if value is not None else []
    words += ["--update", str(update)] if (update := _update(record)) else []
    words += ["--save-prior", _kept(named)] if record.get("on_crops") else []
    for name, value in told_settings(record).items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    return shlex.join(words)


def told_settings(record: Record) -> dict[str, Any]:
    """Give the settings of a run that are not what they are by themselves; the seed always.

    What a fitted prior brings along is left out.
    """
    of_prior = OF_PRIOR if "prior" in record else ()
    usual = Settings().model_dump()
    settings = {name: value for name, value in record["settings"].items() if name not in of_prior}
    return {name: value for name, value in settings.items() if value != usual.get(name, value) or name == "seed"}


def _update(record: Record) -> int:
    """Give the iterations that brought a prior up to date."""
    return record["prior"]["iterations"] if "prior" in record else 0


def _kept(named: Mapping[str, str]) -> str:
    """Name a file for what is fitted: to be kept, it is fitted in another way, which comes to other bytes."""
    return f"{Path(_file(named, 'input')).stem}.prior"


def _names(record: Record, names: Mapping[str, str | Path] | None) -> dict[str, str]:
    found = {**record.get("files", {}), **(names or {})}
    return {role: str(path) for role, path in found.items() if path is not None}


def _file(named: Mapping[str, str], role: str) -> str:
    return named.get(role) or UNNAMED.get(role, f"{role.upper()}.tif")


def _target(row: Task, record: Record, named: Mapping[str, str]) -> str:
    """Name a file for the result: that of before may be there still."""
    source = Path(_file(named, "input"))
    suffix = source.suffix if source.suffix.lower() in (".tif", ".tiff", ".npy", ".zarr") else ".tif"
    return f"{source.stem}-{row.suffix.format(**record['inputs']).replace(' ', '-')}{suffix}"


def _given(record: Record, named: Mapping[str, str], one: Any) -> Any:
    return record["inputs"][one.name] if one.kind == "number" else _file(named, one.name)


def _input(record: Record, one: Any) -> str:
    """Give an input of the task for a script in napari, where a mask is a layer."""
    return str(record["inputs"][one.name]) if one.kind == "number" else f'viewer.layers["{one.name}"].data > 0'


def _quoted(value: Any) -> str:
    """Write a value as in a script, text in double quotes."""
    text = repr(value)
    if isinstance(value, str) and "'" not in value and '"' not in value:
        return f'"{text[1:-1]}"'
    return text


def _dict(values: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{_quoted(name)}: {_quoted(value)}" for name, value in values.items()) + "}"


def _call(name: str, given: list[str]) -> str:
    """Write a call in one line, or one for each argument."""
    line = f"{name}({', '.join(given)})"
    if len(line) <= WIDEST:
        return line
    lines = "".join(f"    {one},\n" for one in given)
    return f"{name}(\n{lines})"
