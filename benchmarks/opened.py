"""A restoration with its parts laid open, to look into it while it runs or to hand in others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from cases import Case
from torch import Tensor

from napari_dip.image.source import Plane, Source
from napari_dip.prior.estimators.posterior import Estimate
from napari_dip.prior.fitting.fit import Fit, Problem
from napari_dip.prior.fitting.stopping import Limits
from napari_dip.prior.physics import forward_model
from napari_dip.prior.physics.observation import Observation
from napari_dip.prior.presets import Preset, choose, observe
from napari_dip.run.noise_settings import known_noise
from napari_dip.settings import read_settings
from napari_dip.tasks import Task, task_named


@dataclass(frozen=True)
class Opened:
    """What an image is restored from; `dataclasses.replace` hands in another preset or observation."""

    task: Task
    plane: Plane
    preset: Preset
    observation: Observation
    seed: int = 0

    def problem(self) -> Problem:
        """Make networks and objectives, as the product does it."""
        return self.preset.build(self.observation, torch.Generator().manual_seed(self.seed))

    def fit(self, iterations: int | None = None, problem: Problem | None = None) -> Fit:
        """Give a fit to be iterated; `iterations` if it is not to be as the preset plans."""
        return Fit(problem or self.problem(), Limits(iterations or self.preset.iterations))

    def image(self, values: Tensor) -> np.ndarray:
        """Give (1, channels, y, x) values as the image that the product would give, in the axes of the input."""
        restored = values[0].float().cpu().numpy()
        if self.task.bounded:
            restored = restored.clip(0, 1)
        image = self.plane.scaling.to_units(restored)
        if self.task.writes == "gaps":
            image = np.where(self.plane.missing, image, self.plane.original.astype(np.float32))
        return image[0] if image.shape[0] == 1 else np.moveaxis(image, 0, -1)


def opened(image: np.ndarray, seed: int = 0, *, noise: str = "auto", preset: Preset | None = None) -> Opened:
    """Prepare a denoising of a gray or RGB image as the product does it; `noise` is its setting of that name."""
    return _opened("denoise", image, None, {}, seed, noise, preset)


def opened_case(case: Case, seed: int = 0, *, preset: Preset | None = None) -> Opened:
    """Prepare what a case of the scoreboard asks for."""
    inputs = {"factor": case.factor} if case.task == "super_resolve" else {}
    return _opened(case.task, case.input, case.mask, inputs, seed, "auto", preset)


def to_end(fit: Fit) -> Estimate:
    """Iterate a fit to its end, and finish it."""
    for _ in fit:
        pass
    return fit.finish()


def _opened(
    task: str,
    image: np.ndarray,
    mask: np.ndarray | None,
    inputs: dict[str, Any],
    seed: int,
    noise: str,
    preset: Preset | None,
) -> Opened:
    row = task_named(task)
    source = Source(image, "YX" if image.ndim == 2 else "YXS", mask)
    plane = source.plane(source.items[0])
    preset = preset or choose("fast", task, plane.observed, inputs)
    model = forward_model.build(row.forward_model, plane.observed.shape, inputs, lobes=preset.lobes, device="cpu")
    known = known_noise(read_settings({"noise": noise}), plane.scaling.low, plane.scaling.span)
    observation = observe(preset, plane.values, plane.observed, forward_model=model, known=known)
    return Opened(row, plane, preset, observation, seed)
