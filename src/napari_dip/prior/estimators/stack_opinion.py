"""What a fit to crops has left is looked at once, on a part of the planes that is bounded in size, and serves all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_dip.prior.estimators.simple_opinion import SIMPLE_OPINION, Looked, Mixture
from napari_dip.prior.networks.network import Prior
from napari_dip.prior.noise.config import Estimation
from napari_dip.prior.noise.corrected import variance_left
from napari_dip.prior.noise.verification import VERIFICATION
from napari_dip.prior.objectives.apply import predict_planes
from napari_dip.prior.objectives.crop_prediction import View
from napari_dip.prior.objectives.stack import Stack, as_planes, as_volume
from napari_dip.prior.physics.likelihood import NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation

Part = tuple[Stack, Sequence[int]]
"""Planes, and which of them are looked at; the others are seen beside them."""


@dataclass(frozen=True)
class StackOpinion:
    """What held-out pixels say of a fitted network.

    Attributes
    ----------
    left : NoiseVariance
        What predictions leave behind.
    most : float
        Part of its variance that the noise can have at the most; see `Verification`.
    mixture : Mixture or None
        Of the predictions and a simple filter; None where that tells nothing more.
    reach : int
        Planes on each side that the filter sees.
    """

    left: NoiseVariance
    most: float
    mixture: Mixture | None
    reach: int

    @classmethod
    def of(
        cls, network: Prior, view: View, parts: Sequence[Part], noise: NoiseModel, estimation: Estimation
    ) -> StackOpinion:
        """Let a network predict some parts of what it was fitted to, and look at what it leaves."""
        looked = []
        for stack, rows in parts:
            mean, _ = predict_planes(network, view, stack, rows, noise.radii)
            looked.append(_looked(as_volume(mean), stack, rows, noise))
        mixture = SIMPLE_OPINION.judged(looked, view.reach)
        means = [one.prediction if mixture is None else mixture.mixed(one, view.reach) for one in looked]
        mean = _in_a_row(means)
        values, observed = (_in_a_row([one.cut(getattr(one.observation, x)) for one in looked]) for x in _MEASURED)
        held_out = [one.cut(one.observation.held_out) for one in looked if one.observation.held_out is not None]
        most = VERIFICATION.most_noise(noise, mean, values, _in_a_row(held_out) if held_out else None)
        left = variance_left(noise.likelihood, mean, values, observed, estimation, noise.radii)
        return cls(left, most, mixture, view.reach)

    def mixed(
        self, mean: Tensor, variance: Tensor, stack: Stack, planes: Sequence[int], noise: NoiseModel
    ) -> tuple[Tensor, Tensor]:
        """Give the filter its part in what was predicted, (1, channels, planes, y, x), of some planes of a stack."""
        if self.mixture is None:
            return mean, variance
        return self.mixture.mixed(_looked(mean, stack, planes, noise), self.reach), self.mixture.left * variance


_MEASURED = ("values", "observed")


def _looked(prediction: Tensor, stack: Stack, planes: Sequence[int], noise: NoiseModel) -> Looked:
    held_out = None if stack.held_out is None else as_volume(stack.held_out)
    known = Observation(as_volume(stack.values), as_volume(stack.observed), noise=noise, held_out=held_out)
    return Looked(prediction, known, planes, as_volume(stack.base))


def _in_a_row(volumes: Sequence[Tensor]) -> Tensor:
    """Lay the planes of all volumes in one row, (planes, channels, y, x)."""
    return torch.cat([as_planes(volume) for volume in volumes])
