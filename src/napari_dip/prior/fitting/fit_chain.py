"""Two fits that are iterated as one: what the first one gives decides what the second one is of."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from napari_dip.prior.estimators.posterior import Estimate
from napari_dip.prior.fitting.fit import Diverged, Fit, Problem, Progress
from napari_dip.prior.fitting.state_check import check_two_fits
from napari_dip.prior.fitting.stopping import Limits, StoppedBy


class FitChain:
    """A fit that another one may follow.

    A subclass says which one follows.

    Parameters
    ----------
    first : Fit
    limits : Limits
        Of both together.

    Attributes
    ----------
    first : Fit
    fit : Fit or None
        The other one, once it has begun.
    stopped_by : str or None
        What ended the chain.
    """

    def __init__(self, first: Fit, limits: Limits):
        self.first, self.limits = first, limits
        self.fit: Fit | None = None
        self.stopped_by: StoppedBy | None = None
        self._planned = limits.iterations - first.limits.iterations

    def next_fit(self) -> Fit | None:
        """Give the fit that follows the first one, which has ended; None where none does."""
        raise NotImplementedError

    def remade_fit(self) -> Fit | None:
        """Give the fit that followed the first one before the state of both was saved."""
        return self.next_fit()

    def __iter__(self) -> FitChain:
        return self

    def __next__(self) -> Progress:
        """Do an iteration.

        Raises
        ------
        Diverged
            If it fails before there is an image.
        """
        if self.fit is None:
            self.stopped_by = self.limits.reached(self.iteration, self.seconds) if self.has_result else None
            if self.stopped_by is not None:
                raise StopIteration
            try:
                next(self.first)
                return self.progress
            except (StopIteration, Diverged):
                self._begin(self.next_fit())
        if self.fit is None:
            self.stopped_by = self.first.stopped_by
            raise StopIteration
        self.fit.limits.asked = self.limits.asked
        try:
            next(self.fit)
        finally:
            self.stopped_by = self.fit.stopped_by
        return self.progress

    @property
    def now(self) -> Fit:
        """The fit at work."""
        return self.fit or self.first

    @property
    def has_result(self) -> bool:
        """Whether there is anything to show."""
        return self.now.has_result

    @property
    def iteration(self) -> int:
        """Iterations of both."""
        return self.first.iteration + (self.fit.iteration if self.fit else 0)

    @property
    def seconds(self) -> float:
        """Computing time of both."""
        return self.first.seconds + (self.fit.seconds if self.fit else 0.0)

    @property
    def fallbacks(self) -> int:
        """How often they went back."""
        return self.first.fallbacks + (self.fit.fallbacks if self.fit else 0)

    @property
    def losses(self) -> list[float]:
        """Of the one at work: the two do not minimise the same."""
        return self.now.losses

    @property
    def problem(self) -> Problem:
        """Of the one at work."""
        return self.now.problem

    @property
    def judged(self) -> bool:
        """Whether a rule may end the one at work."""
        return self.now.judged

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        now = self.now.progress
        return Progress(self.iteration, self.limits.iterations, now.loss, now.error, now.held_out_error, self.seconds)

    def preview(self) -> Tensor:
        """Give an image to look at, near to what `finish` would give, in little time."""
        return self.now.preview()

    def finish(self, *, with_variance: bool = False) -> Estimate:
        """Give the image, with all that can still be done for it; the fit can go on afterwards."""
        return self.now.finish(with_variance=with_variance)

    def extend(self, iterations: int) -> None:
        """Let it go on for so many iterations, whatever rule and clock say."""
        limits = self.limits
        limits.stop_at, limits.stopped_by = self.iteration + iterations, "asked"
        limits.asked, limits.seconds = False, None
        if self.fit:
            self.fit.extend(iterations)

    def state(self) -> dict[str, Any]:
        """Give all that changes; see `Fit.state`."""
        return {
            "first": self.first.state(),
            "fit": self.fit.state() if self.fit else None,
            "limits": dict(vars(self.limits)),
            "stopped_by": self.stopped_by,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        found = check_two_fits(state)
        self.first.load_state(found["first"])
        vars(self.limits).update(found["limits"])
        self.stopped_by = found["stopped_by"]
        if found["fit"] is not None:
            seconds = self.first.seconds
            self._begin(self.remade_fit())
            assert self.fit is not None
            self.fit.load_state(found["fit"])
            self.first.seconds = seconds  # what is done again was counted before

    def _begin(self, fit: Fit | None) -> None:
        """Begin the other fit, with what is left of the limits."""
        self.fit = fit
        if fit is None:
            return
        done, limits = self.first, self.limits
        limits.iterations = done.iteration + self._planned
        at = None if limits.stop_at is None else max(limits.stop_at - done.iteration, 1)
        seconds = None if limits.seconds is None else max(limits.seconds - done.seconds, 0.0)
        vars(fit.limits).update(stop_at=at, seconds=seconds, stopped_by=limits.stopped_by)
