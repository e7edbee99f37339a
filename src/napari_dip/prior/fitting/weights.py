"""Fitted weights by themselves: what a prior is made of that is applied to other images than those it was fitted to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from napari_dip.prior.objectives.stack import Stack
from napari_dip.prior.physics.noise_model import NoiseModel

LEAST_SIGNAL = 0.02
"""Part of the variance of an image that is taken for signal at the least: of less nothing could be told."""


@dataclass(frozen=True, eq=False)
class ChannelWeights:
    """What was fitted to a channel.

    Attributes
    ----------
    networks : tuple of dict
        Averaged weights of each network, by name.
    reach : int
        Planes on each side that are looked at.
    noise : float
        See `relative_noise`.
    """

    networks: tuple[Mapping[str, Tensor], ...]
    reach: int
    noise: float

    def to_dict(self) -> dict[str, Any]:
        """Give it in plain containers."""
        return {"networks": [dict(one) for one in self.networks], "reach": self.reach, "noise": self.noise}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> ChannelWeights:
        """Take what `to_dict` gave."""
        return cls(tuple(state["networks"]), int(state["reach"]), float(state["noise"]))


@dataclass(frozen=True, eq=False)
class Weights:
    """What was fitted to an image, or to several.

    Attributes
    ----------
    channels : tuple of ChannelWeights or None
        By channel; None where there was nothing to learn from.
    samples : int
        Of a pixel.
    """

    channels: tuple[ChannelWeights | None, ...]
    samples: int

    @cached_property
    def digest(self) -> str:
        """Tells these weights from others: a SHA-256 of them, whatever the device."""
        digest = hashlib.sha256(str(self.samples).encode())
        for channel in self.channels:
            digest.update(f"channel {None if channel is None else channel.reach}".encode())
            for network in () if channel is None else channel.networks:
                digest.update(b"network")
                for name, value in sorted(network.items()):
                    digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                    digest.update(value.cpu().contiguous().numpy().data)
        return f"sha256:{digest.hexdigest()}"


class HasWeights(Protocol):
    """Something that was fitted."""

    @property
    def weights(self) -> Weights:
        """What came of it."""
        ...


@dataclass(frozen=True)
class Start:
    """What a run begins with.

    Attributes
    ----------
    weights : Weights
    iterations : int
        By which these are brought up to date before they are applied.
    """

    weights: Weights
    iterations: int = 0


def relative_noise(noise: NoiseModel, parts: Sequence[tuple[Stack, list[int]]]) -> float:
    """Give the standard deviation of noise at the mean brightness, over that of the image without its noise.

    Parameters
    ----------
    noise : NoiseModel
    parts : sequence of (Stack, list of int)
        Stacks, and planes of them that are looked at.
    """
    seen = torch.cat(
        [stack.values[rows][(stack.observed[rows] > 0).expand_as(stack.values[rows])] for stack, rows in parts]
    )
    total, strength = float(seen.var()), float(noise.likelihood.noise_variance(seen.mean()))
    return float((strength / max(total - strength, LEAST_SIGNAL * total, 1e-12)) ** 0.5)
