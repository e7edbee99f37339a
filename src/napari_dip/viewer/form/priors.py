"""A fitted prior on the form: what to begin with, and whether what is fitted is to be kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, FileEdit, Widget

from napari_dip.errors import InputError
from napari_dip.run.record import Record
from napari_dip.viewer.form.number_boxes import whole_number
from napari_dip.viewer.messages import Beginning, Job

if TYPE_CHECKING:
    from napari_dip.restore import Run

FILES = "Fitted priors (*.prior);;All files (*)"
SUFFIX = ".prior"
MOST = 10_000
"""Iterations to update by: no one takes as many."""


class PriorFields:
    """The boxes for a prior.

    Attributes
    ----------
    file, update, keep : magicgui widgets
    """

    def __init__(self) -> None:
        self.file = FileEdit(
            name="prior",
            label="Prior",
            mode="r",
            filter=FILES,
            nullable=True,
            tooltip="A fitted prior, saved from another result: restores images like that one without fitting anew.",
        )
        self.file.line_edit.native.setPlaceholderText("none: fit anew")
        self.file.line_edit.native.setAccessibleName("File of a fitted prior")
        self.update = whole_number(
            0,
            MOST,
            name="update",
            label="Update",
            tooltip="Iterations that bring it up to date with this image first: some 50 where the noise differs.",
        )
        self.keep = CheckBox(
            name="keep",
            label="Keep",
            tooltip="Fit so that Save prior works afterwards; stacks and large planes are always fitted so.",
        )
        self.keep.native.setText("the fit, to save it")

    @property
    def widgets(self) -> list[Widget]:
        """As they stand on the form."""
        return [self.file, self.update, self.keep]

    @property
    def chosen(self) -> Path | None:
        """The file, if one is named."""
        text = str(self.file.line_edit.value).strip()
        return Path(text) if text else None

    def apply(self, record: Record) -> None:
        """Set the boxes as for a run; the file of its prior, which a record does not name, stays as it is."""
        self.keep.value = record.get("on_crops", False)
        if "prior" in record:
            self.update.value = record["prior"]["iterations"]
        else:
            self.file.line_edit.value = ""

    def fault(self) -> str:
        """Say that the file is not there; empty if it is, or none is named."""
        path = self.chosen
        if path is None or path.is_file():
            return ""
        return f"There is no file {path.name!r} for the prior; choose one, or leave the box empty."

    def read(self) -> Beginning:
        """Give what a run begins with.

        Raises
        ------
        InputError
            If the file is not there.
        """
        path = self.chosen
        if words := self.fault():
            raise InputError(words)
        return Beginning(path, int(self.update.value) if path else 0, bool(self.keep.value))


def save(run: Run, path: Path) -> str:
    """Write what a run has fitted to a file; say so.

    Raises
    ------
    InputError
        If there is nothing to keep, or the file cannot be written.
    """
    from napari_dip.run.fitted_prior import FittedPrior

    prior = FittedPrior.of(run)
    if prior is None:
        raise InputError("This run has no prior to save; tick Keep under More, and run again.")
    path = path if path.suffix else path.with_suffix(SUFFIX)
    prior.save(path)
    return f"The prior is saved as “{path.name}”; choose it under More to restore images like this one."


def begun(job: Job, inputs: dict[str, Any], restore_steps: Callable[..., Run]) -> Run:
    """Make the run of a job: with a prior if it begins with one, with the noise of the whole if it is of a part."""
    start = job.beginning
    if start.prior is None and not start.keep and job.around is None:
        return restore_steps(job.task, job.image, axes=job.axes, **inputs, **job.settings)
    from napari_dip.restore import Run
    from napari_dip.run.fitted_prior import load_prior
    from napari_dip.run.preparation import checked

    given = {**inputs, **job.settings}
    if start.prior is None:
        request = replace(checked(job.task, job.image, job.axes, given), on_crops=start.keep)
    else:
        prior = load_prior(start.prior)
        request = prior.request(job.image, job.axes, start.update, job.settings, on_crops=start.keep)
    if job.around is not None:
        request = request.part_of(checked(job.task, job.around, job.axes, given).source)
    return Run(request)
