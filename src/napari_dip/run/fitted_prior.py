"""A prior that is fitted once and applied to many images: fitted, kept in a file, brought up to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_dip.errors import InputError
from napari_dip.files.replace import Unit
from napari_dip.prior.fitting.weights import ChannelWeights, Start, Weights
from napari_dip.prior.surroundings import most_threads, surroundings
from napari_dip.prior.weight_check import check_weights
from napari_dip.run import checkpoint
from napari_dip.run import record as records
from napari_dip.run.fits import groups_at_work
from napari_dip.run.preparation import checked
from napari_dip.run.request import Request
from napari_dip.run.restoration import Restoration
from napari_dip.run.run import Run, check_threads, suited_threads
from napari_dip.run.stack_fit import StackFit
from napari_dip.run.stack_pool import Part
from napari_dip.run.start import check_shape, check_start
from napari_dip.run.value_settings import common_values, settings_of
from napari_dip.settings import MOST_ITERATIONS, OF_PRIOR, Settings, read_settings
from napari_dip.tasks import task_named

VERSION = 1
"""Of what a file holds."""
OWN = ("device", "threads", "max_iterations", "max_seconds", "uncertainty")
"""Settings of the fit alone; the others hold for what is restored with it, unless they are given anew."""


@dataclass(frozen=True, eq=False)
class FittedPrior:
    """Weights that were fitted to images, to restore others like those.

    Attributes
    ----------
    task : str
    settings : Settings
        Of the fit.
    weights : Weights
    record : dict
        Of the fit, ready for JSON: digests of the images, what was done for each channel, versions.
    """

    task: str
    settings: Settings
    weights: Weights
    record: dict[str, Any]

    def restore(
        self, image: Any, *, axes: str | None = None, out: Any = None, iterations: int = 0, **settings: Any
    ) -> Restoration:
        """Restore an image with it; the prior stays as it is.

        The range of values and the noise are found anew.

        Parameters
        ----------
        image : array-like
            With the channels and samples of those it was fitted to; a stack, if that was one.
        axes, out
            As in `denoise`.
        iterations : int
            By which the weights are first brought up to date with this image.
        **settings
            Fields of `Settings` but preset, values, period and max_iterations. Left out, noise, sigma, gain, offset,
            nonfinite and seed are those of the fit.

        Returns
        -------
        Restoration

        Raises
        ------
        InputError
            Also if its noise is more than 3 times as strong or weak beside its contrast as that of the fit, and there
            are no iterations to get used to it.
        """
        return self.restore_steps(image, axes=axes, out=out, iterations=iterations, **settings).result

    def restore_steps(
        self, image: Any, *, axes: str | None = None, out: Any = None, iterations: int = 0, **settings: Any
    ) -> Run:
        """Make a run of `restore`, for those who want to watch, stop, pause or go on.

        Raises
        ------
        InputError
            As `restore` does.
        """
        return Run(self.request(image, axes, iterations, settings), out=out)

    def updated(self, image: Any, iterations: int, *, axes: str | None = None, **settings: Any) -> FittedPrior:
        """Give another prior: this one, brought up to date with an image.

        Raises
        ------
        InputError
            As `restore` does, and if there are no iterations.
        """
        if iterations < 1:
            raise InputError(f"A prior cannot be brought up to date by {iterations} iterations; give 1 or more.")
        return _fitted([self.request(image, axes, iterations, settings)])

    def request(
        self, image: Any, axes: str | None, iterations: int, settings: dict[str, Any], *, on_crops: bool = False
    ) -> Request:
        """Check all that is given to restore an image with this prior.

        Raises
        ------
        InputError
            As `restore` does.
        """
        if not isinstance(iterations, int) or isinstance(iterations, bool) or not 0 <= iterations <= MOST_ITERATIONS:
            raise InputError(
                f"The iterations {iterations!r} are not allowed; give a whole number, 0 or more and at most "
                f"{MOST_ITERATIONS}."
            )
        for name in OF_PRIOR:
            own = None if name in OWN else getattr(self.settings, name, None)
            if settings.get(name) not in (None, own):
                raise InputError(f"With a fitted prior there is no {name} to choose; leave it out.")
        request = replace(self.unchecked(image, axes, settings, iterations, is_brick=False), on_crops=on_crops)
        assert request.start is not None
        check_start(request, request.start)
        return request

    def unchecked(
        self, image: Any, axes: str | None, settings: dict[str, Any], iterations: int = 0, *, is_brick: bool = True
    ) -> Request:
        """Give the same, without a look at whether the image is like those of the fit: for parts of one that is.

        Raises
        ------
        InputError
            If something cannot be used by itself.
        """
        kept = {name: value for name, value in self.settings.model_dump().items() if name not in OWN}
        request = checked(self.task, image, axes, kept | settings, is_brick=is_brick)
        return replace(request, start=Start(self.weights, iterations))

    def save(self, path: str | Path, *, unit: Unit | None = None) -> None:
        """Write it to a file, which `napari_dip.load_prior` reads; it is complete, or not there at all.

        Parameters
        ----------
        path : str or Path
        unit : Unit, optional
            Whose `commit` puts the file in its place, together with others; left out, it gets there at once.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        channels = [None if channel is None else channel.to_dict() for channel in self.weights.channels]
        content = {
            "version": VERSION,
            "task": self.task,
            "settings": self.settings.model_dump(mode="json"),
            "samples": self.weights.samples,
            "channels": channels,
            "record": self.record,
        }
        checkpoint.write_plain(Path(path), "prior", content, unit)

    @classmethod
    def of(cls, run: Run) -> FittedPrior | None:
        """Take what a run on crops has fitted; None if it did not come to every channel."""
        request, fitted = run.request, run.state.fitted
        if not fitted or set(groups_at_work(request.source, request.task)) - set(fitted):
            return None
        return _prior([request], fitted, dict(enumerate(run.state.planes)), run.started)

    def __repr__(self) -> str:
        channels = [channel for channel in self.weights.channels if channel is not None]
        count, reach = len(self.weights.channels), max((channel.reach for channel in channels), default=0)
        return (
            f"<FittedPrior: {self.task}, preset {self.settings.preset}, {count} channel{'s' * (count != 1)} of "
            f"{self.weights.samples} sample{'s' * (self.weights.samples != 1)}, {reach} neighbours on each side, "
            f"{self.record['iterations']} iterations, {self.weights.digest[:15]}>"
        )


def fit(task: str, images: Any, *, axes: str | None = None, **settings: Any) -> FittedPrior:
    """Fit a prior to images, to restore others like those with it.

    Parameters
    ----------
    task : str
        "denoise".
    images : array-like, or list or tuple of them
        One (a stack, for example, and lazy ones, too), or several. These may differ in size, but not in channels and
        samples.
    axes : str, optional
        Of each of them, as in `denoise`.
    **settings
        Fields of `Settings`, by name; the preset is fast or best.

    Returns
    -------
    FittedPrior

    Raises
    ------
    InputError
        If the task has no such prior, or an image or a setting cannot be used.

    Examples
    --------
    >>> prior = dip.fit("denoise", [first, second])  # doctest: +SKIP
    >>> result = prior.restore(third)  # doctest: +SKIP
    """
    task_named(task).check_keeps(settings.get("preset", "fast"))
    given = list(images) if isinstance(images, list | tuple) else [images]
    if not given:
        raise InputError("There is no image to fit to; give one or more.")
    requests = [checked(task, image, axes, dict(settings), keeps_result=False) for image in given]
    first = requests[0].source
    like = Start(Weights((None,) * first.sizes.get("C", 1), first.samples))
    for request in requests[1:]:
        check_shape(request.source, like)
    return _fitted(with_common_values(requests))


def load_prior(path: str | Path) -> FittedPrior:
    """Read a prior that `FittedPrior.save` has written; nothing but tensors, numbers and text is ever loaded.

    Raises
    ------
    InputError
        If the file cannot be read, or holds anything else.
    """
    with surroundings(most_threads(), "cpu"):
        return _loaded(Path(path))


def _loaded(path: Path) -> FittedPrior:
    found = checkpoint.read_plain(path, "prior")
    version = found.get("version")
    if isinstance(version, int) and version > VERSION:
        raise InputError(
            f"The prior in {str(path)!r} is of version {version}, and this version of napari-dip knows {VERSION}; "
            "update napari-dip."
        )
    try:
        return _checked(checkpoint.check_prior(found))
    except ValueError as error:
        raise InputError(f"The prior in {str(path)!r} is damaged and cannot be used.") from error


def _checked(found: checkpoint.PriorFile) -> FittedPrior:
    """Check what a file holds: that the weights are those of the network of its preset above all."""
    channels = [None if one is None else ChannelWeights.of(one) for one in found["channels"]]
    task, settings = task_named(found["task"]), read_settings({"values": "linear", **found["settings"]})
    task.check_keeps(settings.preset)
    weights = Weights(tuple(channels), found["samples"])
    check_weights(weights, settings.preset, together=settings.channels == "together")
    return FittedPrior(task.name, settings, weights, found["record"])


def with_common_values(requests: Sequence[Request]) -> list[Request]:
    """Have the same values fitted in all images."""
    values = common_values([request.source.values for request in requests])
    return [
        request
        if request.source.values == values
        else replace(request, source=request.source.with_values(values, request.task.suspects))
        for request in requests
    ]


def _fitted(requests: Sequence[Request]) -> FittedPrior:
    """Fit to the images of some requests, channel by channel; or bring up to date what they begin with."""
    first, started = requests[0], datetime.now(UTC)
    threads = suited_threads(first)
    check_threads(threads)
    groups = [groups_at_work(request.source, request.task) for request in requests]
    channels = sorted(set().union(*groups))
    fitted: dict[int, ChannelWeights] = {}
    notes: dict[int, Any] = {}
    left = first.settings.max_seconds
    with surroundings(threads, first.device):
        for done, channel in enumerate(channels):
            pairs = zip(requests, groups, strict=True)
            parts = [(request.source, group[channel]) for request, group in pairs if channel in group]
            at = _fit(first, parts, left / (len(channels) - done) if left is not None else None)
            fitted[channel], notes[channel] = at.weights(), at.note(at.fit.stopped_by or "iterations")
            left = None if left is None else max(left - at.seconds, 0.0)
    return _prior(requests, fitted, notes, started)


def _fit(request: Request, parts: Sequence[Part], seconds: float | None) -> StackFit:
    """Fit to the planes of a channel, to the end."""
    source, group = parts[0]
    at = StackFit(replace(request, source=source), group, seconds=seconds, others=parts[1:])
    for _ in at.fit:
        pass
    return at


def _prior(
    requests: Sequence[Request], fitted: dict[int, ChannelWeights], notes: dict[int, Any], started: datetime
) -> FittedPrior:
    """Put together what was fitted to some images."""
    first, source = requests[0], requests[0].source
    weights = Weights(tuple(fitted.get(channel) for channel in range(source.sizes.get("C", 1))), source.samples)
    record: dict[str, Any] = {
        "digests": [request.source.digest for request in requests],
        "axes": [request.source.axes for request in requests],
        "shapes": [[int(n) for n in request.source.array.shape] for request in requests],
        "iterations": sum(note["iterations"] for note in notes.values()),
        "seconds": round(sum(note["seconds"] for note in notes.values()), 3),
        "channels": list(notes.values()),
        "device": first.device,
        "started": started.isoformat(timespec="seconds"),
        "versions": records.versions(),
    }
    if first.start is not None:
        record["prior"] = {"sha256": first.start.weights.digest, "iterations": first.start.iterations}
    settings = first.settings.model_copy(update=settings_of(source.values))
    return FittedPrior(first.task.name, settings, weights, record)
