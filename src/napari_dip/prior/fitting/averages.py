"""What a fit is averaged to: predictions of the one image there is, or weights that are to be applied elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from napari_dip.prior.objectives.objective import Objective, Prediction, RunningAverage


class Average(Protocol):
    """Takes what an objective gives in each iteration."""

    def take(self, objective: Any, prediction: Prediction) -> None:
        """Take in an iteration, after its step."""
        ...

    def held_out_error(self, objective: Any) -> float | None:
        """Mean squared error of the average on held-out pixels, in units of their noise; None if there are none."""
        ...

    def state(self) -> dict[str, object]:
        """Give all that it has seen, for `load_state`."""
        ...

    def load_state(self, state: dict[str, object]) -> None:
        """Go on from there."""
        ...


class PredictionAverage(RunningAverage):
    """Average of what was predicted of each pixel."""

    def take(self, objective: Objective, prediction: Prediction) -> None:
        """Take in a prediction with its variance, and that of the noise."""
        observation = objective.observation
        image, target = prediction.image.detach(), prediction.target
        total = observation.noise.likelihood.noise_variance(image).mean(1, keepdim=True)
        if prediction.variance is not None:
            total = prediction.variance.detach() + total
        if target is not None:  # what was never measured is always a prediction
            target = observation.forward_model.to_image(torch.maximum(target, 1 - observation.observed))
        self.add(image, total, target)

    def held_out_error(self, objective: Objective) -> float | None:
        """Give the error of the averaged predictions."""
        return None if self.image is None else objective.observation.held_out_error(self.image)


class WeightAverage:
    """Average of the weights, late ones most, which is as good as an average of predictions.

    References
    ----------
    Izmailov et al.: Averaging weights leads to wider optima and better generalization. UAI 2018.
    """

    def __init__(self, keep: float, warm_up: int):
        self.keep, self.warm_up, self.count = keep, warm_up, 0
        self.weights: dict[str, Tensor] = {}

    def begin(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with weights that are an average already."""
        self.count = round(self.warm_up * self.keep / (1 - self.keep))
        self.weights = {name: value.clone() for name, value in weights.items()}

    def take(self, objective: Any, prediction: Prediction) -> None:
        """Take in the weights as they are now."""
        self.count += 1
        keep = min(self.keep, self.count / (self.count + self.warm_up))
        for name, value in objective.network.state_dict().items():
            if name in self.weights:
                self.weights[name].lerp_(value, 1 - keep)
            else:
                self.weights[name] = value.clone()

    def held_out_error(self, objective: Any) -> float | None:
        """Give the error of a network of the averaged weights."""
        found: float | None = objective.held_out_error(self.weights) if self.weights else None
        return found

    def state(self) -> dict[str, object]:
        """Give all that it has seen, for `load_state`."""
        return {"count": self.count, "weights": self.weights}

    def load_state(self, state: dict[str, object]) -> None:
        """Go on from there."""
        self.__dict__.update(state)


@dataclass(frozen=True)
class Averaging:
    """How iterations are averaged.

    Attributes
    ----------
    keep, warm_up
        See `RunningAverage`.
    of : str
        "predictions" or "weights".
    """

    keep: float = 0.99
    warm_up: int = 0
    of: Literal["predictions", "weights"] = "predictions"

    def build(self) -> PredictionAverage | WeightAverage:
        """Make one."""
        kind = PredictionAverage if self.of == "predictions" else WeightAverage
        return kind(self.keep, self.warm_up)
