"""A batch that is written down: a YAML file with settings for all files and for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_dip.errors import InputError, reason

LARGEST = 2**24
"""Bytes of a specification or a list: some hundred thousand files."""
DEEPEST = 8
"""Levels of a specification; its own need four."""
Scalar = bool | int | float | str | None


class Entry(BaseModel):
    """A file, or all files that a pattern finds, and what holds for them alone."""

    model_config = ConfigDict(extra="forbid")
    source: str
    target: str | None = None
    task: str | None = None
    axes: str | None = None
    inputs: dict[str, Scalar] = {}
    settings: dict[str, Scalar] = {}
    series: int | Literal["all"] | None = None


class Spec(BaseModel):
    """What holds for all files, and the files."""

    model_config = ConfigDict(extra="forbid")
    files: list[str | Entry]
    task: str | None = None
    axes: str | None = None
    inputs: dict[str, Scalar] = {}
    settings: dict[str, Scalar] = {}
    series: int | Literal["all"] | None = None


def read_spec(path: Path) -> Spec:
    """Read a specification; only plain values are taken, no objects and no aliases.

    Raises
    ------
    InputError
        If it cannot be read, or says what is not known.
    """
    try:
        found = _load(_text(path))
    except InputError:
        raise
    except Exception as error:  # the parser has many; a nest too deep is a RecursionError
        words = " ".join(str(error).split())[:200]
        raise InputError(f"The specification {str(path)!r} cannot be read as YAML: {words}.") from None
    try:
        return Spec.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InputError(f"The specification {str(path)!r} cannot be used: {where}: {first['msg']}.") from None


def read_list(path: Path) -> list[str]:
    """Read a list of files or patterns, one a line; empty lines and those that begin with # are left out.

    Raises
    ------
    InputError
    """
    lines = (line.strip() for line in _text(path).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
        if len(found) > LARGEST:
            raise InputError(f"The file {str(path)!r} is larger than {LARGEST >> 20} MiB; split it.")
        return found.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The file {str(path)!r} cannot be read: {reason(error)}.") from None


def _load(text: str) -> Any:
    import yaml

    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):  # a few aliases, nested, would unfold to gigabytes
        if isinstance(event, yaml.AliasEvent):
            raise InputError("Aliases (*name) are not taken in a specification; write the values out.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:  # what this takes grows with the square of the depth
            raise InputError("The specification cannot be read as YAML: it is nested too deeply.")
    return yaml.safe_load(text)
