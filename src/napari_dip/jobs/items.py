"""Which files a batch is of, and where their results go."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_dip.errors import InputError, reason
from napari_dip.files.formats import EXACT, FORMATS, READ, count_images, format_of
from napari_dip.files.inside import is_inside
from napari_dip.files.zarr_store import is_store
from napari_dip.jobs.job import RECORDS, Item
from napari_dip.jobs.spec import Entry
from napari_dip.settings import read_settings
from napari_dip.tasks import task_named

KNOWN = {suffix for form in READ for suffix in form.suffixes}
WRITTEN = {suffix for form in FORMATS for suffix in form.suffixes}


@dataclass(frozen=True)
class Asked:
    """What holds for all files of a batch that say nothing else."""

    task: str | None = None
    axes: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    series: int | Literal["all"] | None = None


def find_items(entries: Sequence[Entry], asked: Asked, out: Path, base: Path) -> list[Item]:
    """Find the files, and check what is asked of each, before any work.

    Parameters
    ----------
    entries : sequence of Entry
        Of two for one file, the later holds.
    asked : Asked
    out : Path
        The output folder. Results lie in it as their sources lie below the part of a pattern that has no wildcard.
    base : Path
        What is relative is meant from here.

    Raises
    ------
    InputError
        If there is no file, a result would lie outside, or something cannot be used.
    """
    found: dict[tuple[Path, int | None], Item] = {}
    out = out.absolute()
    for entry in entries:
        sources = list(_hits(entry.source, base, out))
        if not sources:
            raise InputError(f"There is no file {entry.source!r} to restore.")
        series = entry.series if entry.series is not None else asked.series
        for source, below in sources:
            for key in [key for key in found if key[0] == source]:
                del found[key]  # said again, of other images perhaps
            for number, name in _images(source, below, series):
                found[source, number] = _item(entry, asked, out, base, source, name, number)
    return list(found.values())


def _images(source: Path, below: Path, series: int | str | None) -> Iterator[tuple[int | None, Path]]:
    """Give the numbers of the images of a file that are wanted, and where their results lie."""
    if series is None:
        yield None, below
        return
    count = count_images(source)
    stem, ending = format_of(below, READ).split(below.name)
    for number in range(1, count + 1) if series == "all" else [int(series)]:
        alone = series == "all" and count == 1
        numbered = below.with_name(f"{stem}-{number:0{len(str(count))}}{ending}")
        yield (None, below) if alone else (number, numbered)


def _hits(pattern: str, base: Path, out: Path) -> Iterable[tuple[Path, Path]]:
    """Give files, and where they lie below the fixed part of the pattern; results of before are none."""
    whole = base / pattern
    try:
        exists = whole.exists()
    except OSError as error:
        raise InputError(f"The file {pattern!r} cannot be read: {reason(error)}.") from None
    if exists or not glob.has_magic(pattern):
        source = whole.absolute()
        if source.is_dir() and not is_store(source):
            raise InputError(f"{pattern!r} is a folder; give a pattern such as {pattern.rstrip('/') + '/*.tif'!r}.")
        if source.resolve().is_relative_to(out.resolve()):
            raise InputError(f"The file {pattern!r} lies in the output folder; choose another folder for the results.")
        yield source, Path(source.name)
        return
    fixed = next(parent for parent in whole.absolute().parents if not glob.has_magic(str(parent)))
    if fixed.resolve() == out.resolve():
        raise InputError(f"The results would lie among the files of {pattern!r}; choose another output folder.")
    for name in sorted(glob.glob(str(whole), recursive=True)):
        source = Path(name).absolute()
        if _is_image(source, fixed) and not source.resolve().is_relative_to(out.resolve()):
            yield source, source.relative_to(fixed)


def _is_image(source: Path, fixed: Path) -> bool:
    """Whether it is one by its name: a file, or a folder that counts as one; what lies in such a folder is none."""
    if source.suffix.lower() not in KNOWN or not (source.is_file() or is_store(source)):
        return False
    return not any(is_store(parent) for parent in source.parents if parent.is_relative_to(fixed))


def _item(entry: Entry, asked: Asked, out: Path, base: Path, source: Path, below: Path, series: int | None) -> Item:
    name = entry.task or asked.task
    if name is None:
        raise InputError(f"What to do with {str(source)!r} is not said; give a task.")
    row = task_named(name.replace("-", "_"))
    if below.suffix.lower() in KNOWN - WRITTEN:
        below = below.with_suffix(EXACT.suffixes[0])
    target = out / (_filled(entry.target, source, series) if entry.target else below)
    if not is_inside(target, out) or target.resolve() == out.resolve():
        raise InputError(
            f"The result {str(entry.target or below)!r} would lie outside of the output folder; rename it."
        )
    target = Path(*target.parts) if ".." not in target.parts else target.resolve()
    inputs = {**asked.inputs, **entry.inputs}
    for one in row.inputs:
        if one.kind != "number" and isinstance(inputs.get(one.name), str | Path):
            inputs[one.name] = str((base / _filled(str(inputs[one.name]), source, series)).absolute())
    settings = {**asked.settings, **entry.settings}
    row.check(read_settings(settings), row.defaults | inputs)
    below_out = target.relative_to(out if target.is_relative_to(out) else out.resolve())
    if below_out.parts[0] == RECORDS:
        raise InputError(f"The folder {RECORDS!r} in the output folder holds the records; name the result otherwise.")
    name, axes = below_out.as_posix(), entry.axes or asked.axes
    return Item(source, target, name, row.name, axes, inputs, settings, series)


def _filled(template: str, source: Path, series: int | None = None) -> str:
    """Put parts of the name of a file in their places.

    >>> _filled("masks/{stem}.png", Path("/data/cells.tif"))
    'masks/cells.png'
    """
    told = {"stem": source.stem, "name": source.name, "folder": source.parent, "series": series or 1}
    for word, value in told.items():
        template = template.replace(f"{{{word}}}", str(value))
    return template


def check_apart(items: Sequence[Item]) -> None:
    """See that no two files have one result.

    Raises
    ------
    InputError
    """
    taken: dict[str, Item] = {}
    for item in items:
        other = taken.setdefault(item.name.casefold(), item)
        if other is not item:
            raise InputError(
                f"The files {str(other.source)!r} and {str(item.source)!r} would have the same result {item.name!r}; "
                "use a pattern that begins above both, or name the results."
            )
