"""One restoration: the planes of an image one by one, and the record of them all."""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import napari_dip
import napari_dip.prior  # sets how torch's threads wait, which they read when torch is imported

# isort: split
import numpy as np
import torch

from napari_dip.image.source import Plane, Source
from napari_dip.noise_settings import known_noise
from napari_dip.prior.fit import Diverged, Fit, fit, has_fast_bfloat16
from napari_dip.prior.presets import Recipe, choose, prepare
from napari_dip.prior.stopping import Limits
from napari_dip.settings import Settings, Task

PIXELS_PER_THREAD = 40_000
"""256 x 256 pixels are done sooner by one thread than by two."""
CURVE_POINTS = 200
"""Most points of the loss curve that a record keeps for a plane."""


@dataclass(frozen=True)
class Restoration:
    """A restored image, and what made it.

    Attributes
    ----------
    image : float32 array
        Of the axes of the input and in its units; super-resolution makes Y and X larger.
    axes : str
        One letter for each dimension.
    record : dict
        JSON-ready. `record["settings"]` given to the same function, with the same image, axes, mask and factor, on the
        same machine, repeats the run bit for bit.
    """

    image: np.ndarray
    axes: str
    record: dict[str, Any]
    uncertainty: np.ndarray | None = None


@dataclass(frozen=True)
class Progress:
    """Where a restoration stands after an iteration.

    Attributes
    ----------
    plane, planes : int
        The plane at work, counted from 0, and how many there are.
    iteration, iterations : int
        Iterations of this plane, done and planned.
    loss : float
        What is minimised.
    error : float
        Mean squared error of the prediction, in the squared units of a plane scaled to [0, 1]; of pixels that were
        held out, where the preset hides some.
    seconds : float
        Computing time so far, of all planes.
    done : float
        Part of the planned work that is done, 0 to 1.
    preview : callable
        Gives the image so far, float32 in the caller's units; call it before taking the next step.
    stop : callable
        Ends the run after this iteration and keeps the result.
    """

    plane: int
    planes: int
    iteration: int
    iterations: int
    loss: float
    error: float
    seconds: float
    done: float
    preview: Callable[[], np.ndarray] = field(repr=False)
    stop: Callable[[], None] = field(repr=False)


class Run:
    """One restoration: its planes one by one, and the record of them all."""

    def __init__(self, task: Task, source: Source, factor: int, settings: Settings, device: str):
        self.task, self.source, self.factor, self.settings, self.device = task, source, factor, settings, device
        self.asked = False
        self.seconds = 0.0
        self.planes: list[dict[str, Any]] = []
        self.started = datetime.now(UTC)

    def steps(self) -> Generator[Progress, None, Restoration]:
        """Walk the planes."""
        # libgomp keeps this for each thread that asks, so it is set where the work is done
        threads = torch.get_num_threads()
        torch.set_num_threads(self._threads(threads))
        try:
            result = self.source.result(self.factor)
            # what a run does not come to is unknown
            uncertainty = np.full_like(result, np.nan) if self.settings.uncertainty else None
            for number, index in enumerate(self.source):
                plane = self.source.plane(index)
                if not self._wants(plane, number):
                    self._fill_constant(index, plane, result)
                    if uncertainty is not None:
                        self.source.put(uncertainty, index, 0.0)
                    continue
                if self._is_over():
                    break
                try:
                    end = yield from self._fit_plane(number, index, plane, result)
                except Diverged:
                    if len(self.source.indices) == 1:
                        raise
                    self.planes.append({"plane": number, "iterations": 0, "seconds": 0.0, "stopped_by": "diverged"})
                    continue  # the plane stays as it was, and the others are not lost
                self._put(result, index, plane, end.result.image)
                if uncertainty is not None and end.result.variance is not None:
                    self._put_uncertainty(uncertainty, index, plane, end.result.variance)
            return Restoration(result, self.source.axes, self._record(), uncertainty)
        finally:
            torch.set_num_threads(threads)

    def _threads(self, most: int) -> int:
        """Give the threads to use: more than suit the size of a plane would mostly wait for each other."""
        if self.settings.threads or self.settings.preset == "paper":
            return self.settings.threads or most
        pixels = int(self.source.sizes["Y"]) * int(self.source.sizes["X"]) * self.factor**2
        return max(1, min(most, pixels // PIXELS_PER_THREAD))

    def _is_over(self) -> bool:
        """Whether the run was stopped, now or when it was recorded; planes it did not come to stay as they were."""
        stop_at = self.settings.stop_at
        return self.asked or (stop_at is not None and len(self.planes) >= len(stop_at))

    def _wants(self, plane: Plane, number: int) -> bool:
        """Whether there is anything to do: constant planes, and those without a masked pixel, stay as they are."""
        if not plane.visible.any() or np.ptp(plane.values[:, plane.visible]) == 0:
            return False
        return self.task != "inpaint" or not plane.visible.all()

    def _fill_constant(self, index: tuple[int, ...], plane: Plane, result: np.ndarray) -> None:
        """Fill in what is masked in a constant plane."""
        hidden = ~plane.visible.repeat(self.factor, 0).repeat(self.factor, 1)
        if not hidden.all():
            self.source.put(result, index, plane.low, where=hidden)

    def _fit_plane(
        self, number: int, index: tuple[int, ...], plane: Plane, result: np.ndarray
    ) -> Generator[Progress, None, Fit]:
        recipe = choose(self.settings.preset, self.task, plane.visible, self.factor, self.settings.noise)
        prepared = prepare(
            recipe,
            plane.values,
            plane.visible,
            factor=self.factor,
            device=self.device,
            seed=self.settings.seed,
            given=known_noise(self.settings, plane.low, plane.span),
        )
        limits = self._limits(recipe, number)
        before = self.seconds

        def stop() -> None:
            self.asked = limits.asked = True

        def preview() -> np.ndarray:
            self._put(result, index, plane, prepared.objective.preview())
            return result.copy()

        rule = prepared.rule if self.settings.stop_at is None else None
        steps = fit(prepared.objective, recipe.optimisation, limits, rule, with_variance=self.settings.uncertainty)
        while True:
            try:
                now = next(steps)
            except StopIteration as end:
                found = _in_units(prepared.found, plane)
                if rule is not None and end.value.stopped_by == "held-out":
                    found["why"] = rule.why()
                self._note(number, recipe, found, end.value)
                return end.value  # type: ignore[no-any-return]
            self.seconds = before + now.seconds
            yield Progress(
                plane=number,
                planes=len(self.source.indices),
                iteration=now.iteration,
                iterations=now.iterations,
                loss=now.loss,
                error=now.error,
                seconds=self.seconds,
                done=(number + now.iteration / now.iterations) / len(self.source.indices),
                preview=preview,
                stop=stop,
            )

    def _limits(self, recipe: Recipe, number: int) -> Limits:
        settings, stop_at = self.settings, self.settings.stop_at
        left = len(self.source.indices) - number
        return Limits(
            iterations=settings.max_iterations or recipe.iterations,
            stop_at=stop_at[len(self.planes)] if stop_at is not None else None,
            seconds=max(settings.max_seconds - self.seconds, 0) / left if settings.max_seconds else None,
        )

    def _put(self, result: np.ndarray, index: tuple[int, ...], plane: Plane, image: torch.Tensor) -> None:
        """Write a restored plane into the result, in the caller's units; inpainting leaves what is known as it is."""
        values = image[0].float().cpu().numpy()
        if self.factor == 1:  # nothing is darker or brighter than what was measured; enlarged detail may be
            values = values.clip(0, 1)
        where = ~plane.visible if self.task == "inpaint" else True
        self.source.put(result, index, plane.to_units(values), where)

    def _put_uncertainty(
        self, uncertainty: np.ndarray, index: tuple[int, ...], plane: Plane, variance: torch.Tensor
    ) -> None:
        """Write the standard deviation of a restored plane; what is known exactly has none."""
        deviation = plane.span * variance[0].float().sqrt().cpu().numpy()
        self.source.put(
            uncertainty, index, np.where(plane.visible, 0.0, deviation) if self.task == "inpaint" else deviation
        )

    def _note(self, number: int, recipe: Recipe, found: dict[str, object], end: Fit) -> None:
        step = max(1, -(-len(end.losses) // CURVE_POINTS))
        self.planes.append(
            {
                "plane": number,
                "recipe": recipe.name,
                "iterations_planned": self.settings.max_iterations or recipe.iterations,
                "iterations": end.iterations,
                "seconds": round(end.seconds, 3),
                "stopped_by": end.stopped_by,
                "fallbacks": end.fallbacks,
                "losses": end.losses[::step],
                "losses_every": step,
                **found,
            }
        )

    def _record(self) -> dict[str, Any]:
        """Everything needed to repeat the run."""
        reasons = [plane["stopped_by"] for plane in self.planes]
        cut_short = self.asked or any(reason in ("asked", "seconds") for reason in reasons)
        settings = self.settings.model_copy(
            update={
                "device": self.device,
                "threads": torch.get_num_threads(),
                "stop_at": tuple(plane["iterations"] for plane in self.planes) if cut_short else self.settings.stop_at,
                "max_seconds": None,  # the clock may run otherwise next time
            }
        )
        return {
            "task": self.task,
            "settings": settings.model_dump(mode="json"),
            "seed": settings.seed,
            "axes": self.source.axes,
            "axes_guessed": self.source.guessed,
            "factor": self.factor if self.task == "super_resolve" else None,
            "shape": list(self.source.array.shape),
            "dtype": str(self.source.array.dtype),
            "device": self.device,
            "bfloat16": has_fast_bfloat16(self.device) and self.settings.preset != "paper",
            "iterations": sum(plane["iterations"] for plane in self.planes),
            "seconds": round(sum(plane["seconds"] for plane in self.planes), 3),
            "stopped_by": "asked" if self.asked else _worst(reasons),
            "planes_in_image": len(self.source.indices),
            "planes_restored": len(self.planes),
            "planes": self.planes,
            "losses": self.planes[-1].get("losses", []) if self.planes else [],
            "started": self.started.isoformat(timespec="seconds"),
            "versions": {
                "napari-dip": napari_dip.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "machine": f"{platform.system()} {platform.machine()}",
        }


def _worst(reasons: list[str]) -> str:
    """Of the reasons for which planes ended, the one that matters most."""
    order = ("diverged", "seconds", "asked", "held-out")
    return next((reason for reason in order if reason in reasons), "iterations")


def _in_units(found: dict[str, Any], plane: Plane) -> dict[str, Any]:
    """Bring what was found of the noise to the units of the image."""
    if "noise_variance" not in found:
        return dict(found)
    strength = found["noise_variance"]
    return {
        **found,
        "noise_variance": {
            "sigma": float(strength["read"] ** 0.5 * plane.span),
            "gain": strength["gain"] * plane.span,
            "multiplicative": strength["multiplicative"],
            "offset": strength["offset"] * plane.span + plane.low,
        },
    }
