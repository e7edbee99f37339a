"""A batch that is written down: a YAML file with settings for all files and for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from napari_dip.errors import InputError, complaint, printable, reason
from napari_dip.files.bounded import read_bytes

DEEPEST = 8
"""Levels of a specification; its own need four."""
MOST_PARTS = 200_000
"""Values, mappings and lists in a specification: ten thousand files with settings of their own have less."""
LONGEST = 4096
"""Letters of a value: numbers of many more take a time that grows with the square of them."""
Scalar = bool | int | float | str | None
Scalars = Annotated[dict[str, Scalar], Field(max_length=100)]


class Entry(BaseModel):
    """A file, or all files that a pattern finds, and what holds for them alone."""

    model_config = ConfigDict(extra="forbid")
    source: str
    target: str | None = None
    task: str | None = None
    axes: str | None = None
    inputs: Scalars = {}
    settings: Scalars = {}
    series: int | Literal["all"] | None = None


class Spec(BaseModel):
    """What holds for all files, and the files."""

    model_config = ConfigDict(extra="forbid")
    files: Annotated[list[str | Entry], FailFast()]
    task: str | None = None
    axes: str | None = None
    inputs: Scalars = {}
    settings: Scalars = {}
    series: int | Literal["all"] | None = None


def read_spec(path: Path) -> Spec:
    """Read a specification; only plain values are taken, no objects and no aliases.

    Raises
    ------
    InputError
        If it cannot be read, or says what is not known.
    """
    try:
        found = _load(_text(path, "specification"))
    except InputError:
        raise
    except Exception as error:  # the parser has many; a nest too deep is a RecursionError
        words = printable(" ".join(str(error).split()), most=200)
        raise InputError(f"The specification {str(path)!r} cannot be read as YAML: {words}.") from None
    try:
        return Spec.model_validate(found)
    except ValidationError as error:
        raise InputError(f"The specification {str(path)!r} cannot be used: {complaint(error)}.") from None


def read_list(path: Path) -> list[str]:
    """Read a list of files or patterns, one a line; empty lines and those that begin with # are left out.

    Raises
    ------
    InputError
    """
    lines = (line.strip() for line in _text(path, "list").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _text(path: Path, kind: str) -> str:
    try:
        return read_bytes(path, kind).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"The file {str(path)!r} cannot be read: {reason(error)}.") from None


def _load(text: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, ten times as fast
    depth = 0
    for number, event in enumerate(yaml.parse(text, loader)):  # a few aliases, nested, would unfold to gigabytes
        if number > MOST_PARTS:
            raise InputError("The specification cannot be read as YAML: it has too many values; split it.")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST:
            raise InputError(f"The specification cannot be read as YAML: a value has more than {LONGEST} letters.")
        if isinstance(event, yaml.AliasEvent):
            raise InputError("Aliases (*name) are not taken in a specification; write the values out.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:  # what this takes grows with the square of the depth
            raise InputError("The specification cannot be read as YAML: it is nested too deeply.")
    return yaml.load(text, loader)
