"""Masked prediction on crops: one network for a whole set of planes, each seen together with its neighbours.

What fitting costs does not depend on how much data there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_dip.prior.networks.network import ChannelDropout, Normalise, Prior, VarianceHead
from napari_dip.prior.objectives.objective import Prediction
from napari_dip.prior.objectives.stack import Place, Stack
from napari_dip.prior.physics.fill import fill
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation, mean_where

SETTLING = 8
"""Batches over which the mean and variance of each channel are taken for averaged weights: half a million values."""
JUDGED = 2
"""Batches on which a fit is judged."""


@dataclass(frozen=True)
class Crops:
    """What is drawn in each iteration.

    Attributes
    ----------
    count : int
        Crops in a batch.
    side : int
        Of a crop, in pixels: twice the coarsest step of the network. With an early version 96 gained 0.05 dB for twice
        the time.
    """

    count: int = 8
    side: int = 64


@dataclass(frozen=True)
class View:
    """How a network looks at planes: what it is shown, and how its answer is read.

    Attributes
    ----------
    reach : int
        Planes on each side that are shown beside the plane whose pixels are hidden, and whole.
    context : int
        Channels of `Stack.context` that are shown, too.
    variance_head : VarianceHead
    """

    reach: int = 0
    context: int = 0
    variance_head: VarianceHead = field(default_factory=VarianceHead)

    def inputs(self, channels: int) -> int:
        """Give the number of channels that a network takes."""
        return (2 * self.reach + 1) * channels + self.context + 1

    def predict(
        self, network: Prior, places: Sequence[Place], size: tuple[int, int], hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Predict the hidden pixels of some crops, and all others beside them.

        Parameters
        ----------
        network : Prior
        places : sequence of Place
        size : (y, x)
            Of the crops.
        hidden : (crops, 1, y, x) Tensor
            1 where a pixel is hidden.

        Returns
        -------
        mean, variance : Tensor
            (crops, channels, y, x) and (crops, 1, y, x).
        """
        base, contrast = cut(places, size, "base"), cut(places, size, "contrast")
        seen = cut(places, size, "observed") * (1 - hidden)
        shown = [fill(cut(places, size, "values"), seen)]
        shown += [cut(places, size, "beside_others", shift) for shift in range(-self.reach, self.reach + 1) if shift]
        parts = [*((one - base) / contrast for one in shown), 1 - seen]
        if self.context:
            parts.append(cut(places, size, "context"))
        raw = network(torch.cat(parts, 1)).float()
        return base + contrast * raw[:, :-1], self.variance_head(raw[:, -1:], contrast)


def cut(places: Sequence[Place], size: tuple[int, int], name: str, shift: int = 0) -> Tensor:
    """Cut crops (crops, channels, y, x) out of an attribute of their stacks, or of planes so far beside them."""
    crops = []
    for stack, plane, y, x in places:
        there = stack.beside(plane, shift) if shift else plane
        crops.append(getattr(stack, name)[there, :, y : y + size[0], x : x + size[1]])
    return torch.stack(crops)


class CropPrediction:
    """Draw crops from some stacks, hide random pixels of them, and let the network predict those.

    Parameters
    ----------
    network : Prior
        With normalisation that remembers.
    stacks : sequence of Stack
        A crop comes from any plane of them with the same probability.
    noise : NoiseModel
    view : View
    generator : torch.Generator
    crops : Crops
    hidden : float
        Part of the pixels that is hidden in each iteration, those that the noise of a target reaches included.

    Attributes
    ----------
    observation : Observation
        What is known of the crops that were drawn last.
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
        self.network, self.stacks, self.noise, self.view = network, list(stacks), noise, view
        self.generator, self.crops, self.hidden = generator, crops, hidden
        # what planes beside do not show is hidden in its own, too
        self.hide_held_out = any(stack.shown is not None for stack in stacks)
        self.planes = [(stack, plane) for stack in stacks for plane in range(len(stack))]
        height, width = (min(stack.size[axis] for stack in stacks) for axis in (0, 1))
        self.size = min(crops.side, height), min(crops.side, width)
        seed = int(torch.randint(0, 2**31, (1,), generator=generator))
        self.judged = self._judged(seed)
        self.settling = seed
        self.observation = self._observe(self.judged[0][0])

    def predict(self) -> Prediction:
        """Draw crops, and predict what is hidden of them."""
        places = self._draw(self.generator)
        self.observation = self._observe(places)
        target, hidden = self._hide(self.observation, self.generator)
        mean, variance = self.view.predict(self.network, places, self.size, hidden)
        return Prediction(mean, variance, target)

    def settled(self, weights: Mapping[str, Tensor], batches: int = SETTLING) -> Prior:
        """Give a network of averaged weights, ready to be applied.

        The mean and variance of each channel that were remembered are those of the weights at that time, so they are
        taken anew (Izmailov et al.: Averaging weights leads to wider optima. UAI 2018). Nothing random is used up.
        """
        network = deepcopy(self.network)
        network.load_state_dict(dict(weights))
        generator = torch.Generator().manual_seed(self.settling)
        network.train()
        for module in network.modules():
            if isinstance(module, ChannelDropout):
                module.eval()
        with torch.no_grad():
            for done in range(batches):
                for module in network.modules():
                    if isinstance(module, Normalise):
                        module.forgetting = 1 / (done + 1)
                places = self._draw(generator)
                hidden = self._hide(self._observe(places), generator)[1]
                self.view.predict(network, places, self.size, hidden)
        return network.eval()

    def held_out_error(self, weights: Mapping[str, Tensor]) -> float | None:
        """Mean squared error of averaged weights on held-out pixels, in units of their noise; None without any."""
        network = self.settled(weights, JUDGED)
        errors = []
        with torch.no_grad():
            for places, hidden in self.judged:
                mean, _ = self.view.predict(network, places, self.size, hidden)
                known = self._observe(places)
                if known.held_out is None or not known.held_out.any():
                    return None
                noise = self.noise.likelihood.noise_variance(cut(places, self.size, "base"))
                errors.append(float(mean_where((mean - known.values) ** 2 / noise, known.held_out)))
        return sum(errors) / len(errors)

    def _judged(self, seed: int) -> list[tuple[list[Place], Tensor]]:
        """Draw the crops on which it is judged, the held-out pixels of them hidden with others."""
        generator, judged = torch.Generator().manual_seed(seed), []
        for _ in range(JUDGED):
            places = self._draw(generator)
            known = self._observe(places)
            hidden = self._hide(known, generator)[1]
            if known.held_out is not None:
                hidden = torch.maximum(hidden, known.widened(known.held_out))
            judged.append((places, hidden))
        return judged

    def _draw(self, generator: torch.Generator) -> list[Place]:
        places = []
        chosen = torch.randint(0, len(self.planes), (self.crops.count,), generator=generator).tolist()
        for (stack, plane), at in zip(
            (self.planes[i] for i in chosen), torch.rand(self.crops.count, 2, generator=generator).tolist(), strict=True
        ):
            y, x = (int(part * (n - side + 1)) for part, n, side in zip(at, stack.size, self.size, strict=True))
            places.append((stack, plane, y, x))
        return places

    def _observe(self, places: Sequence[Place]) -> Observation:
        held_out = None if places[0][0].held_out is None else cut(places, self.size, "held_out")
        values, observed = cut(places, self.size, "values"), cut(places, self.size, "observed")
        return Observation(values, observed, noise=self.noise, held_out=held_out)

    def _hide(self, observation: Observation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw the target, and all pixels that are hidden for it."""
        target = observation.targets(self.hidden, generator)
        if self.hide_held_out and observation.held_out is not None:
            target = torch.maximum(target, observation.held_out)
        return target, observation.widened(target)
