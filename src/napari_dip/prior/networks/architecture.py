"""Networks as configs that build themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from napari_dip.prior.networks.network import Border, Hourglass, Prior, SlimPrior


@dataclass(frozen=True)
class Published:
    """The published encoder-decoder; see `Hourglass`."""

    channels: tuple[int, ...] = (128,) * 5
    skip: tuple[int, ...] = (4,) * 5
    down_size: int = 3
    upsample: str = "linear"
    mix: bool = True

    def build(self, inputs: int, outputs: int, dims: int, generator: torch.Generator) -> Prior:
        """Make the network, its weights drawn."""
        network = Hourglass(
            inputs,
            outputs,
            self.channels,
            self.skip,
            dims=dims,
            down_size=self.down_size,
            upsample=self.upsample,
            mix=self.mix,
        )
        network.initialise(generator)
        return network


@dataclass(frozen=True)
class Slim:
    """A fast network; see `SlimPrior`."""

    width: int = 64
    depth: int = 4
    skip: int = 8
    thin: int = 16
    dropout: float = 0.05
    upsample: str = "nearest"
    border: Border = "zeros"
    remembers: bool = False

    def build(self, inputs: int, outputs: int, dims: int, generator: torch.Generator) -> Prior:
        """Make the network, its weights drawn."""
        network = SlimPrior(
            inputs,
            outputs,
            generator,
            channels=self.width,
            depth=self.depth,
            skip=self.skip,
            thin=self.thin,
            dropout=self.dropout,
            upsample=self.upsample,
            border=self.border,
            dims=dims,
            remembers=self.remembers,
        )
        network.initialise(generator)
        return network
