"""What an objective is: it says what goes into the network and which pixels are to be predicted from that.

Likelihood, held-out error, running average, posterior, uncertainty and the last step stand outside, and are the same
for every objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from napari_dip.prior.physics.observation import Observation, mean_where


@dataclass(frozen=True)
class Prediction:
    """What the network makes of its input.

    Attributes
    ----------
    image : Tensor
        (1, channels, [z,] y, x), near [0, 1].
    variance : Tensor or None
        (1, 1, [z,] y, x), of the error of the image as the network sees it; None where it says nothing of that.
    target : Tensor or None
        (1, 1, [z,] y, x) of the measurement, 1 for the pixels that are predicted without having been seen; None: all.
    """

    image: Tensor
    variance: Tensor | None = None
    target: Tensor | None = None


class Objective(Protocol):
    """One way to fit a network to an observation."""

    @property
    def network(self) -> nn.Module:
        """What learns."""
        ...

    @property
    def observation(self) -> Observation:
        """What is known of the image."""
        ...

    def predict(self) -> Prediction:
        """Draw an input and a target, and run the network once."""
        ...


def loss_of(prediction: Prediction, observation: Observation) -> tuple[Tensor, Tensor]:
    """Score a prediction by the likelihood of what was measured.

    Returns
    -------
    loss : Tensor
        Mean negative log-likelihood of the target, through the forward model; held-out pixels are left out.
    error : Tensor
        Mean squared error on the same pixels, without gradient.
    """
    model, likelihood, values = observation.forward_model, observation.noise.likelihood, observation.values
    image = model(prediction.image)
    variance = image.new_zeros(()) if prediction.variance is None else model(prediction.variance).clamp_min(0)
    scored = observation.learned if prediction.target is None else prediction.target * observation.learned
    loss = mean_where(likelihood(image, variance, values), scored)
    return loss, mean_where((image.detach() - values) ** 2, scored)


class RunningAverage:
    """Average of predictions over the iterations, pixel by pixel; late ones count most.

    Parameters
    ----------
    keep : float
        Weight of the past.
    warm_up : int
        With 0 that weight holds from the start; otherwise it rises to it as i / (i + warm_up), so that the first
        outputs are soon forgotten.

    Attributes
    ----------
    image : Tensor or None
        (1, channels, [z,] y, x); None before the first prediction.
    total : Tensor or None
        (1, 1, [z,] y, x): variance of the prediction and of the noise together.
    """

    NOTHING = 1e-6
    """Weight of a pixel that was never a target: enough to divide by."""
    NEXT_TO_NOTHING = 1e-5
    """Below this a pixel has not been a target yet: it takes the last prediction for the time being."""

    def __init__(self, keep: float, warm_up: int):
        self.keep, self.warm_up, self.count = keep, warm_up, 0
        self.image: Tensor | None = None
        self.total: Tensor | None = None
        self.weight: Tensor | None = None

    def add(self, image: Tensor, total: Tensor, target: Tensor | None) -> None:
        """Take in a prediction, where it is one; everywhere if `target` is None."""
        self.count += 1
        keep = min(self.keep, self.count / (self.count + self.warm_up))
        if target is None:
            if self.image is None or self.total is None:
                self.image, self.total = image.clone(), total.clone()
            self.image.lerp_(image, 1 - keep)
            self.total.lerp_(total, 1 - keep)
            return
        if self.image is None or self.total is None or self.weight is None:
            self.image, self.total = torch.zeros_like(image), torch.zeros_like(total)
            self.weight = torch.full_like(total, self.NOTHING)
        weight = keep * self.weight + (1 - keep) * target
        part = (1 - keep) * target / weight.clamp_min(self.NOTHING)
        part = torch.where(weight < self.NEXT_TO_NOTHING, 1.0, part)
        self.image.lerp_(image, part.expand_as(image))
        self.total.lerp_(total, part)
        self.weight = weight

    def state(self) -> dict[str, object]:
        """Give all that it has seen, for `load_state`."""
        return {"count": self.count, "image": self.image, "total": self.total, "weight": self.weight}

    def load_state(self, state: dict[str, object]) -> None:
        """Go on from there."""
        self.__dict__.update(state)
