"""What is to be done for one file, and what came of it: plain values that go from process to process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_dip.files.inside import inside

Status = Literal["done", "skipped", "failed"]
RECORDS = "records"
"""Folder in the output folder that holds records and seals."""


def in_records(out: Path, name: str) -> Path:
    """Give the place of a file in the folder of records.

    Raises
    ------
    InputError
        If it lies outside of the output folder, by a link.
    """
    return inside(out, f"{RECORDS}/{name}")


@dataclass(frozen=True)
class Item:
    """A file to restore, and how.

    Attributes
    ----------
    source, target : Path
        Absolute, so that it does not matter where a worker was started.
    name : str
        Of the target, below the output folder.
    task : str
    axes : str or None
    inputs, settings : dict
        As `restore_file` takes them.
    series : int or None
        Which of several images in the file, from 1; None: the first of the largest.
    """

    source: Path
    target: Path
    name: str
    task: str
    axes: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    series: int | None = None

    @property
    def label(self) -> str:
        """What a report calls it: the file, and which of its images."""
        return str(self.source) if self.series is None else f"{self.source} [{self.series}]"


@dataclass(frozen=True)
class Job:
    """An item as it goes to a worker.

    Attributes
    ----------
    item : Item
    out : Path
        The output folder.
    token : str
        Of the batch: once another has begun in the same folder, this one is dropped.
    version : str
        Of napari-dip where the batch was started.
    prior : Path or None
    prior_digest : str
        SHA-256 of its file.
    force : bool
        Replace files that no batch has made.
    blocks : bool
        Restore it brick by brick.
    """

    item: Item
    out: Path
    token: str
    version: str
    prior: Path | None = None
    prior_digest: str = ""
    force: bool = False
    blocks: bool = False

    @property
    def key(self) -> str:
        """Tell it from all others that a scheduler has."""
        return f"napari-dip-{self.token}-{self.item.name}"

    @property
    def label(self) -> str:
        """What a report calls it."""
        return self.item.label

    @property
    def target(self) -> str:
        """Where the result will be."""
        return str(self.item.target)

    def beside(self, ending: str) -> Path:
        """Give a file that belongs to the item, in the folder of records."""
        return in_records(self.out, f"{self.item.name}.{ending}")


@dataclass(frozen=True)
class Outcome:
    """What came of an item.

    Attributes
    ----------
    source, target : str
    status : str
        "done", "skipped" (it was done before), or "failed".
    why : str
        A sentence, where it failed.
    seconds : float
    notes : tuple of str
        Sentences about what was left out or mended in reading the image.
    """

    source: str
    target: str
    status: Status
    why: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give it ready for JSON."""
        return asdict(self)
