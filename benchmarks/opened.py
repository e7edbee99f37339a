"""A `fast` denoising with its parts laid open, to look into it while it runs or to change them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from napari_dip.image.source import Plane, Source
from napari_dip.noise_settings import known_noise
from napari_dip.prior.fit import Fit, Progress, fit
from napari_dip.prior.masked_prediction import MaskedPrediction
from napari_dip.prior.presets import Recipe, choose, prepare
from napari_dip.prior.stopping import Limits, Rule
from napari_dip.settings import read_settings


@dataclass
class Opened:
    """One plane with its recipe and objective; whatever is changed before `steps` takes effect."""

    plane: Plane
    recipe: Recipe
    objective: MaskedPrediction
    rule: Rule | None

    def steps(self, iterations: int | None = None) -> Generator[Progress, None, Fit]:
        """Fit, as the product does; `iterations` if it is not to be as the recipe plans."""
        limits = Limits(iterations or self.recipe.iterations)
        return fit(self.objective, self.recipe.optimisation, limits, self.rule)

    def image(self, values: Tensor) -> np.ndarray:
        """Give (1, channels, y, x) values as an image in the units and axes of the input."""
        image = self.plane.to_units(values[0].float().cpu().numpy())
        return image[0] if image.shape[0] == 1 else np.moveaxis(image, 0, -1)


def recipe_of(image: np.ndarray) -> Recipe:
    """Give the recipe of `fast` for an image."""
    return choose("fast", "denoise", np.ones(image.shape[:2], bool), 1)


def opened(image: np.ndarray, seed: int = 0, *, noise: str = "auto", recipe: Recipe | None = None) -> Opened:
    """Prepare a denoising of a gray or RGB image as the product does it; `noise` is its setting of that name."""
    plane = Source(image, "YX" if image.ndim == 2 else "YXS").plane(())
    recipe = recipe or recipe_of(image)
    given = known_noise(read_settings({"noise": noise}), plane.low, plane.span)
    prepared = prepare(recipe, plane.values, plane.visible, factor=1, device="cpu", seed=seed, given=given)
    assert isinstance(prepared.objective, MaskedPrediction)
    return Opened(plane, recipe, prepared.objective, prepared.rule)


def to_end(steps: Generator[Progress, None, Fit]) -> Fit:
    """Walk a fit to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Fit = end.value
            return result
