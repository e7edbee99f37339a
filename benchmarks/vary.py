"""A preset with one number changed: where numbers stand, which other values they get, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from time import process_time
from typing import Any

import numpy as np
from cases import Case, full, measure
from opened import Opened, opened_case

from napari_dip.prior.estimators.posterior import Estimate
from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.noise.flat_blocks import block_means, differences
from napari_dip.prior.physics.fill import LOCAL_CONTRAST, LocalContrast
from napari_dip.prior.presets import Preset, choose

LAST = "preset.last_step"


@dataclass(frozen=True)
class Setup:
    """All that a number may stand in."""

    preset: Preset
    local_window: LocalContrast = LOCAL_CONTRAST
    seed: int = 0


def put(part: Any, path: str, value: Any) -> Any:
    """Give a part with another value of a field, or of a field of a field; names are joined by dots."""
    name, _, inner = path.partition(".")
    return replace(part, **{name: put(getattr(part, name), inner, value) if inner else value})


def look_up(part: Any, path: str) -> Any:
    """Give the value of such a field."""
    for name in path.split("."):
        part = getattr(part, name)
    return part


Make = Callable[[Setup, Any], Setup]
Others = Callable[[Any], tuple[Any, Any]]


def half_and_double(today: Any) -> tuple[Any, Any]:
    """Give both values to compare with."""
    if isinstance(today, int):
        return max(1, round(today / 2)), max(1, 2 * today)
    return today / 2, min(2 * today, (1 + today) / 2) if today < 1 else 2 * today


def from_one(today: float) -> tuple[float, float]:
    """Vary the distance from 1."""
    return 1 - (1 - today) / 2, 1 - 2 * (1 - today)


def odd(today: int) -> tuple[int, int]:
    """Keep the side of a window odd, so that it has a middle."""
    half, double = half_and_double(today)
    return half | 1, double | 1


def one_off(today: int) -> tuple[int, int]:
    """Give one less and one more, where each doubles something by itself."""
    return today - 1, today + 1


@dataclass(frozen=True)
class Row:
    """A number.

    Attributes
    ----------
    paths : str
        Where it stands in a `Setup`; several, between spaces, always have one value.
    on : tuple of str
        Images on which it counts: words that all have to be among their `tags`. Several are alternatives.
    others : callable
        Gives the two values it is compared with.
    also : callable, optional
        What follows from its value.
    """

    paths: str
    on: tuple[str, ...]
    others: Others = half_and_double
    also: Callable[[Setup], Setup] = lambda setup: setup

    def today(self, setup: Setup) -> Any:
        """Give its value."""
        return look_up(setup, self.paths.split()[0])

    def at(self, setup: Setup, value: Any) -> Setup:
        """Give it another value."""
        for path in self.paths.split():
            setup = put(setup, path, value)
        return self.also(setup)


def unbiased(setup: Setup) -> Setup:
    """Let the quantiles of flat blocks follow from their size, as white noise has them."""
    white = np.random.default_rng(0).normal(0, 1, (1, 800, 800))
    counts = np.ones(white.shape, bool)
    blocks = look_up(setup, "preset.estimation.differences")
    found = differences(white, counts, 1, blocks)[1]
    setup = put(setup, "preset.estimation.differences.bias", float(np.quantile(found, blocks.flattest)))
    blocks = look_up(setup, f"{LAST}.estimation.residuals")
    found = block_means(zip(white, white**2, counts, strict=True), blocks)[1]
    changed: Setup = put(setup, f"{LAST}.estimation.residuals.bias", float(np.quantile(found, blocks.flattest)))
    return changed


@dataclass
class Image:
    """An image with what today's values make of it; that is computed when it is needed first."""

    case: Case
    plan: int | None
    setup: Setup = field(init=False)

    def __post_init__(self) -> None:
        observed = np.ones(self.case.input.shape[:2], bool) if self.case.mask is None else ~self.case.mask
        self.setup = Setup(choose("fast", self.case.task, observed, self.case.inputs))

    @cached_property
    def today(self) -> Opened:
        """What is known of it."""
        return self.open(self.setup)

    @cached_property
    def fitted(self) -> tuple[Fit, float]:
        """The fit, ended, and its seconds."""
        return self.fit(self.today)

    @property
    def tags(self) -> set[str]:
        """What `Row.on` asks for."""
        noise, gray = self.today.observation.noise, self.case.input.ndim == 2
        task = "compressed" if noise.kind == "compression" else self.case.task
        kind = "correlated" if noise.correlation_radius else "white"
        return {task, self.case.suite, kind, "gray" if gray else "colour"}

    def open(self, setup: Setup) -> Opened:
        """Gather what is known of it, with other numbers."""
        case = opened_case(self.case, setup.seed, preset=setup.preset)
        return replace(case, observation=replace(case.observation, local_window=setup.local_window))

    def fit(self, case: Opened) -> tuple[Fit, float]:
        """Fit to the end; give the seconds of computing, which do not count what else the machine has to do."""
        started = process_time()
        fit = case.fit(self.plan)
        for _ in fit:
            pass
        return fit, process_time() - started

    def fits_alike(self, setup: Setup, case: Opened) -> bool:
        """Whether other numbers change nothing before the last step."""
        later = {one.name for one in fields(setup.preset)} & {"last_step", "estimation"}
        same = {name: getattr(self.setup.preset, name) for name in later}
        as_today = replace(setup, preset=replace(setup.preset, **same))
        return as_today == self.setup and case.observation.noise == self.today.observation.noise

    def restore(self, setup: Setup) -> dict[str, Any]:
        """Restore with other numbers."""
        case = self.open(setup)
        fit, seconds = self.fitted if self.fits_alike(setup, case) else self.fit(case)
        started = process_time()
        estimate = setup.preset.last_step.finish(fit.averaged(), with_variance=True)
        quality = measure(case.image(estimate.image) / full(self.case.input), self.case)[0]
        return {
            "psnr": quality,
            "uncertainty": self.surprise(case, estimate),
            "seconds": seconds + process_time() - started,
            "iterations": fit.iteration,
        }

    def surprise(self, case: Opened, estimate: Estimate) -> float:
        """Mean negative log-likelihood of the error, were it normal with the variance that is told; less is better."""
        assert estimate.variance is not None
        truth = np.moveaxis(np.atleast_3d(self.case.truth).astype(np.float64), -1, 0)
        error = estimate.image[0].numpy() - case.plane.scaling.to_prior(truth)
        variance = estimate.variance[0].numpy().clip(1e-9)
        score = 0.5 * (error**2 / variance + np.log(variance))
        return float(np.mean(score[case.plane.missing] if case.task.writes == "gaps" else score))
