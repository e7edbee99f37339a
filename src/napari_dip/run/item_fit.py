"""One work item from its values to its result: fitted as a preset has it, given back in the caller's units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dip.image.scaling import Scaling
from napari_dip.image.source import Plane
from napari_dip.image.value_map import ValueMap
from napari_dip.image.work import Item
from napari_dip.prior.estimators.coarse import OnGrids
from napari_dip.prior.estimators.second_opinion import PredictedOrSmooth
from napari_dip.prior.fitting.denoised_first import DenoisedFirst
from napari_dip.prior.fitting.fit import Fit
from napari_dip.prior.fitting.fit_chain import FitChain
from napari_dip.prior.fitting.second_reading import SecondReading
from napari_dip.prior.fitting.state_check import check_item
from napari_dip.prior.fitting.stopping import Limits
from napari_dip.prior.noise.verification import Residual, residual
from napari_dip.prior.physics import forward_model
from napari_dip.prior.physics.noise_model import KnownNoise, NoiseModel
from napari_dip.prior.physics.observation import Observation
from napari_dip.prior.presets import LatentPreset, MaskedPreset, Preset, choose, observe
from napari_dip.run import record as records
from napari_dip.run.noise_settings import noise_known_of
from napari_dip.run.record import FoundResidual, PlaneRecord
from napari_dip.run.request import Request


@dataclass(frozen=True)
class Piece:
    """A part of a plane that is restored.

    Attributes
    ----------
    item : Item
        With the region that it is.
    image, deviation
        (all samples, y, x) and (samples, y, x), float32; the latter None where it was not asked for.
    complete : bool
        Whether its plane is complete with it.
    """

    item: Item
    image: np.ndarray
    deviation: np.ndarray | None
    complete: bool = True


class ItemFit:
    """A work item with its fit; nothing is computed here but by `fit`, `image` and `finish`.

    Parameters
    ----------
    request : Request
    item : Item
    plane : Plane
    whole : Plane, optional
        What that is a part of, in the same range: the noise is estimated from it.
    seconds : float, optional
        Computing time that it may take.
    script : PlaneRecord, optional
        End after the iterations that this one had, whatever rule and clock say.

    Attributes
    ----------
    fit : Fit or FitChain
    """

    def __init__(
        self,
        request: Request,
        item: Item,
        plane: Plane,
        *,
        whole: Plane | None = None,
        seconds: float | None = None,
        script: PlaneRecord | None = None,
    ):
        self.request, self.item, self.plane, self.whole = request, item, plane, whole
        settings, device = request.settings, request.device
        self.preset = choose(settings.preset, request.task.name, plane.observed, request.inputs, settings.noise)
        model = forward_model.build(
            request.task.forward_model, plane.observed.shape, request.inputs, lobes=self.preset.lobes, device=device
        )
        known = noise_known_of(settings, plane.scaling, request.source.values)
        noise = self._noise_of_whole(self.preset, known)
        observation = observe(
            self.preset, plane.values, plane.observed, forward_model=model, known=known, noise=noise, device=device
        )
        self.noise, self.observation = observation.noise, observation
        self.residual: Residual | None = None  # of what was finished last
        self.filtered = 0.0
        self.fit: Fit | FitChain = (
            self._denoised_first(observation, seconds, script)
            or self._second_reading(observation, known, seconds, script)
            or self._fit_to(self.preset, observation, seconds, script)
        )
        self.left = [item]
        self.done: list[Item] = []
        self.announced = True  # it is restored in no time

    def _noise_of_whole(self, preset: Preset, known: KnownNoise) -> NoiseModel | None:
        """Estimate the noise of what the plane is a part of; None where it is no part."""
        return None if self.whole is None else preset.noise_model(self.whole.values, self.whole.observed, known)

    def _fit_to(
        self,
        preset: Preset,
        observation: Observation,
        seconds: float | None,
        script: PlaneRecord | None,
        planned: int | None = None,
    ) -> Fit:
        """Make a fit of a preset, of so many iterations; left out, as many as the settings or the preset say."""
        problem = preset.build(observation, torch.Generator().manual_seed(self.request.settings.seed))
        usual = preset.iterations * len(problem.objectives) // getattr(preset, "members", 1)
        limits = limits_of(planned or self.request.settings.max_iterations or usual, seconds, script)
        return Fit(problem, limits, judged=script is None)

    def _denoised_first(
        self, observation: Observation, seconds: float | None, script: PlaneRecord | None
    ) -> DenoisedFirst | None:
        """Make a fit that removes the noise first; None where there is none, or the preset has no use for that.

        Of a number of iterations that is given, both have a part. What is repeated was denoised first if the record
        says so.
        """
        preset, most = self.preset, self.request.settings.max_iterations
        if not isinstance(preset, LatentPreset) or preset.denoising is None:
            return None
        first = None if most is None else most // preset.sure.part
        if (first is not None and first < preset.sure.fewest) or (script and "denoised_after" not in script):
            return None
        plane, values = self.plane, observation.values
        known = KnownNoise(top=plane.scaling.top)
        noise, device = self._noise_of_whole(preset.denoising, known), self.request.device
        noisy = observe(preset.denoising, plane.values, plane.observed, known=known, noise=noise, device=device)
        if not preset.sure.suspects(noisy):
            return None
        denoising = self._fit_to(preset.denoising, noisy, None, None, first)
        if script:
            denoising.limits.stop_at, denoising.judged = script["denoised_after"], False

        def then(denoised: Tensor | None) -> Fit:
            known = values if denoised is None else denoised.clamp(0, plane.scaling.top)
            left = None if most is None or first is None else most - first
            return self._fit_to(preset, replace(observation, values=known), None, script, left)

        self.noise = noisy.noise
        planned = most or denoising.limits.iterations + preset.iterations
        limits = limits_of(planned, seconds, script)
        return DenoisedFirst(denoising, then, limits, observation=noisy, size=observation.image_size, sure=preset.sure)

    def _second_reading(
        self, observation: Observation, known: KnownNoise, seconds: float | None, script: PlaneRecord | None
    ) -> SecondReading | None:
        """Make a fit whose reading of the noise is judged; None where it needs none, or there is no time for another.

        What is repeated was judged before.
        """
        preset, noise = self.preset, observation.noise
        is_read = noise.correlation_radius > 0 and not noise.told and known.reach is None
        judged = isinstance(preset, MaskedPreset) and is_read and observation.dims == 2
        if not judged or self.request.settings.max_iterations is not None:
            return None
        rejected = None if script is None else "rejected_radius" in script
        if rejected is False:
            return None
        first = self._fit_to(preset, observation, None, None)
        if script:
            first.limits.stop_at, first.judged = script["rejected_after"], False
        seen, white = self.whole or self.plane, replace(known, reach=0)

        def then() -> Fit:
            noise = preset.noise_model(seen.values, seen.observed, white)
            self.noise, self.observation = noise, replace(observation, noise=noise)
            return self._fit_to(preset, self.observation, None, script)

        limits = limits_of(2 * first.limits.iterations, seconds, script)
        return SecondReading(first, then, limits, rejected=rejected)

    @property
    def numbers(self) -> list[int]:
        """Of the planes: one."""
        return [self.item.number]

    @property
    def seconds(self) -> float:
        """Computing time so far."""
        return self.fit.seconds

    @property
    def part(self) -> float:
        """Part of the work that is done, 0 to 1: of its plan, or of its time where that ends it sooner."""
        limits = self.fit.limits
        of_time = self.seconds / limits.seconds if limits.seconds else 0.0
        return min(max(self.fit.iteration / limits.iterations, of_time), 1.0)

    def look_at(self, item: Item) -> None:
        """There is one plane to look at."""

    def apply_next(self) -> Iterator[Piece]:
        """Give the plane."""
        self.left = []
        yield Piece(self.item, *self.finish())

    def state(self) -> dict[str, Any]:
        """Give all that changes."""
        return {"fit": self.fit.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.fit.load_state(check_item(state)["fit"])

    def image(self) -> np.ndarray:
        """Give a look at the plane (all samples, y, x) as float32, near to what `finish` would give."""
        return self._in_units(self.fit.preview())

    def finish(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Give the plane (all samples, y, x) as float32, and its uncertainty (samples, y, x) where it was asked for."""
        estimate = self.fit.finish(with_variance=self.request.settings.uncertainty)
        self.filtered = estimate.filtered
        if self.request.task.name == "denoise" and self.noise.kind:
            self.residual = residual(self.noise, estimate.image, self.observation.values, self.observation.observed)
        image = self._in_units(estimate.image)
        if estimate.variance is None:
            return image, None
        scaling, mean = self.plane.scaling, self._bounded(estimate.image)
        deviation = scaling.deviation(estimate.variance[0].float().sqrt().cpu().numpy())
        deviation = np.hypot(deviation, np.float32(self.request.source.line_error))
        deviation = self.request.source.values.deviation(scaling.to_units(mean), deviation)
        if self.request.task.writes == "gaps":
            deviation = np.where(self.plane.missing, deviation, np.float32(0))
        return image, deviation

    def extend(self, iterations: int) -> None:
        """Let it go on for so many iterations, whatever rule and clock say."""
        self.fit.extend(iterations)
        self.left = [self.item]

    def note(self, stopped_by: str) -> PlaneRecord:
        """Say what was done."""
        note = note_of(self.fit, self.item, self.preset.name, stopped_by, self.seconds)
        step = self.fit.problem.last_step
        if isinstance(step, OnGrids):
            note["together"] = step.side
        if isinstance(step, PredictedOrSmooth) and isinstance(self.fit, Fit) and self.fit.has_result:
            note["smooth"] = round(step.smooth(self.fit.averaged()), 3)
        if self.filtered:
            note["filtered"] = round(self.filtered, 3)
        if self.residual is not None:
            note["residual"] = noted(self.residual)
        if isinstance(self.fit, SecondReading) and self.fit.fit:
            note["rejected_radius"] = self.fit.first.problem.objectives[0].observation.noise.correlation_radius
            note["rejected_after"] = self.fit.first.iteration
        if isinstance(self.fit, DenoisedFirst):
            note["denoised_after"] = self.fit.first.iteration
            if not self.fit.is_noisy:
                return note
        found = found_noise(self.noise, self.plane.scaling, self.request.source.values)
        return note | found  # type: ignore[return-value]

    def failed(self) -> PlaneRecord:
        """Say that nothing came of it."""
        return note_of_failure(self.item, self.seconds)

    def _in_units(self, image: Tensor) -> np.ndarray:
        """Give a restored plane in the caller's units; inpainting leaves what is known as it is."""
        whole, source = self.request.enlarged(self.plane.original), self.request.source
        restored = source.in_units(self.plane.scaling.to_units(self._bounded(image)))
        for sample, own in source.samples_of.items():
            where = self.plane.missing[own] if self.request.task.writes == "gaps" else True
            np.copyto(whole[sample], restored[own], where=where)
        return source.with_areas(whole, self.item)

    def _bounded(self, image: Tensor) -> np.ndarray:
        """Give a restored plane (samples, y, x) in [0, 1], neither darker nor brighter than what was measured."""
        values = image[0].float().cpu().numpy()
        return values.clip(0, self.plane.scaling.top) if self.request.task.bounded else values


def limits_of(planned: int, seconds: float | None, script: PlaneRecord | None) -> Limits:
    """Limit a fit to a plan and a time; what it repeats, if that is given, ends it instead."""
    if script is None:
        return Limits(planned, seconds=seconds)
    return Limits(planned, stop_at=script["iterations"], seconds=seconds, stopped_by=script["stopped_by"])


def note_of(fit: Fit | FitChain, item: Item, recipe: str, stopped_by: str, seconds: float) -> PlaneRecord:
    """Say what was done in a fit; `item` is its plane, or the first of them."""
    losses, every = records.thin(fit.losses)
    note: PlaneRecord = {
        "plane": item.number,
        "index": list(item.index),
        "recipe": recipe,
        "iterations_planned": fit.limits.iterations,
        "iterations": fit.iteration,
        "seconds": round(seconds, 3),
        "stopped_by": stopped_by,  # type: ignore[typeddict-item]
        "fallbacks": fit.fallbacks,
        "losses": losses,
        "losses_every": every,
    }
    if fit.problem.rule is not None and stopped_by == "held-out" and fit.judged:
        note["why"] = fit.problem.rule.why()
    return note


def noted(residual: Residual) -> FoundResidual:
    """Say what was taken off, for a record."""
    return {
        "variance": residual.variance,
        "by_brightness": list(residual.by_brightness),
        "correlation": residual.correlation,
    }


def note_of_failure(item: Item, seconds: float) -> PlaneRecord:
    """Say that nothing came of a fit."""
    return {
        "plane": item.number,
        "index": list(item.index),
        "iterations": 0,
        "seconds": round(seconds, 3),
        "stopped_by": "diverged",
    }


def found_noise(noise: NoiseModel, scaling: Scaling, values: ValueMap) -> dict[str, Any]:
    """Say what noise was found, in the units of the image; nothing where none was looked for."""
    if not noise.kind:
        return {}
    found = noise.likelihood.noise
    strength = {
        "sigma": float(found.read**0.5 * scaling.span),
        "gain": found.gain * scaling.span,
        "multiplicative": found.multiplicative,
        "offset": found.offset * scaling.span + scaling.low,
    }
    kind, strength = values.noise(noise.kind, strength)
    undecided = {"undecided_radius": noise.undecided_radius} if noise.undecided_radius else {}
    radii = {"correlation_radius": noise.correlation_radius, **undecided}
    return {"noise": kind, **radii, "noise_variance": strength}
