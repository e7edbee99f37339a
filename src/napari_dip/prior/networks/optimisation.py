"""How the weights are moved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from napari_dip.prior.networks.muon import Muon
from napari_dip.prior.networks.network import matrices


@dataclass(frozen=True)
class Optimisation:
    """How the weights are moved.

    Attributes
    ----------
    optimiser : str
        "adam" for all weights, or "muon" for the convolution kernels and Adam for the rest.
    rate : float
        Learning rate of Adam.
    kernel_rate : float
        Learning rate of Muon.
    final_rate : float
        Part of the rate that is left at the end of a cosine schedule; 1 for a constant rate.
    bfloat16 : bool
        Whether convolutions may run in bfloat16 where the device is faster with it.
    """

    optimiser: str = "adam"
    rate: float = 0.01
    kernel_rate: float = 0.02
    final_rate: float = 1.0
    bfloat16: bool = False

    def build(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        """Make the optimisers.

        Muon (Jordan et al., 2024) orthogonalises each update and needs a fifth of Adam's iterations here.
        """
        parameters = list(network.parameters())
        if self.optimiser == "adam":
            return [torch.optim.Adam(parameters, lr=self.rate)]
        kernels = list(matrices(network))
        taken = {id(m) for m in kernels}
        rest = [p for p in parameters if id(p) not in taken]
        return [
            Muon(kernels, lr=self.kernel_rate),
            torch.optim.Adam(rest, lr=self.rate),
        ]

    def schedule(self, iteration: int, iterations: int) -> float:
        """Part of the learning rate that is used in an iteration, counted from 0; the last one goes on for ever."""
        angle = math.pi * min(iteration, iterations) / max(iterations, 1)
        return self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(angle))


def has_fast_bfloat16(device: str) -> bool:
    """Whether convolutions in bfloat16 are faster than in float32 there."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
