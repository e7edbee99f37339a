"""Masked prediction on crops: one network for a whole set of planes, each seen with its neighbours.

What fitting costs does not depend on how much data there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_dip.prior.fill import fill
from napari_dip.prior.network import Prior, VarianceHead
from napari_dip.prior.noise_estimation import NoiseModel
from napari_dip.prior.objective import Prediction
from napari_dip.prior.observation import Observation
from napari_dip.prior.stack import Place, Stack


@dataclass(frozen=True)
class Crops:
    """What is drawn in each iteration.

    Attributes
    ----------
    count : int
        Crops in a batch.
    side : int
        Of a crop, in pixels.
    """

    count: int = 8
    side: int = 64


@dataclass(frozen=True)
class View:
    """How a network looks at planes: what it is shown, and how its answer is read.

    Attributes
    ----------
    reach : int
        Planes on each side that are shown whole beside the plane whose pixels are hidden.
    variance_head : VarianceHead
    """

    reach: int = 0
    variance_head: VarianceHead = field(default_factory=VarianceHead)

    def inputs(self, channels: int) -> int:
        """Give the number of channels that the network takes."""
        return (2 * self.reach + 1) * channels + 1

    def predict(self, network: Prior, stack: Stack, places: Sequence[Place], size: tuple[int, int], hidden: Tensor):
        """Predict the hidden pixels, and all others beside them, of some crops.

        Parameters
        ----------
        hidden : (crops, 1, y, x) Tensor
            1 where a pixel is hidden.

        Returns
        -------
        mean, variance : Tensor
            (crops, channels, y, x) and (crops, 1, y, x).
        """

        def cut(source: Tensor, shift: int = 0) -> Tensor:
            planes = [stack.beside(z, shift) if shift else z for z, _, _ in places]
            return torch.stack(
                [source[i, :, y : y + size[0], x : x + size[1]] for i, (_, y, x) in zip(planes, places, strict=True)]
            )

        base, contrast, seen = cut(stack.base), cut(stack.contrast), cut(stack.observed) * (1 - hidden)
        shown = [fill(cut(stack.values), seen)]
        shown += [cut(stack.values, s) for s in range(-self.reach, self.reach + 1) if s]
        raw = network(torch.cat([(one - base) / contrast for one in shown] + [1 - seen], 1)).float()
        return base + contrast * raw[:, :-1], self.variance_head(raw[:, -1:], contrast)


class CropPrediction:
    """Draw crops from some stacks, hide random pixels of them, and let the network predict those.

    Parameters
    ----------
    network : Prior
    stacks : sequence of Stack
        A crop comes from any plane with the same probability.
    noise : NoiseModel
    view : View
    generator : torch.Generator
    crops : Crops
    hidden : float
        Part of the pixels that is hidden.
    """

    def __init__(
        self,
        network: Prior,
        stacks: Sequence[Stack],
        noise: NoiseModel,
        view: View,
        generator: torch.Generator,
        *,
        crops: Crops,
        hidden: float,
    ):
        self.network, self.stacks, self.noise, self.view = network, stacks, noise, view
        self.generator, self.crops, self.hidden = generator, crops, hidden
        self.planes = [(stack, plane) for stack in stacks for plane in range(len(stack))]
        size = stacks[0].size
        self.size = min(crops.side, size[0]), min(crops.side, size[1])
        self.observation: Observation = None

    def predict(self) -> Prediction:
        """Draw crops, and predict what is hidden of them."""
        stack = self.stacks[0]
        n = self.crops.count

        def draw(most: int) -> list[int]:
            return torch.randint(0, most, (n,), generator=self.generator).tolist()

        height, width = stack.size
        places = list(
            zip(draw(len(stack)), draw(height - self.size[0] + 1), draw(width - self.size[1] + 1), strict=True)
        )

        def cut(source):
            return torch.stack([source[z, :, y : y + self.size[0], x : x + self.size[1]] for z, y, x in places])

        observation = Observation(
            cut(stack.values),
            cut(stack.observed),
            noise=self.noise,
            held_out=None if stack.held_out is None else cut(stack.held_out),
        )
        radius = self.noise.correlation_radius
        density = 1 - (1 - self.hidden) ** (1 / (2 * radius + 1) ** 2)
        target = observation.random(density, self.generator)
        hidden = observation.widened(target)
        mean, variance = self.view.predict(self.network, stack, places, self.size, hidden)
        self.observation = observation
        return Prediction(mean, variance, target)
