"""Muon: steps of convolution kernels are made orthogonal, so that a few hundred of them are enough.

torch has one too, which works in bfloat16: three to four times slower than the network itself on processors without it.

References
----------
Jordan et al.: Muon, an optimizer for hidden layers in neural networks. 2024.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic whose iteration brings singular values near 1 (Jordan et al., 2024)."""
ITERATIONS = 5
LEAST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal matrix by matrix.

    Parameters
    ----------
    params : iterable of (m, n) Parameter
    lr : float
        Spectral norm of a step, more for tall matrices.
    momentum : float
        Part of the past gradient that is kept (Nesterov).
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move all matrices; those of one shape at once."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                step = orthogonal(torch.stack([self._update(one, group) for one in matrices]))
                rate = group["lr"] * math.sqrt(max(1, shape[0] / shape[1]))
                for one, update in zip(matrices, step, strict=True):
                    one.add_(update, alpha=-rate)

    def _update(self, matrix: Tensor, group: dict[str, Any]) -> Tensor:
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        past: Tensor = state["momentum"]
        past.lerp_(matrix.grad, 1 - group["momentum"])
        return matrix.grad.lerp(past, group["momentum"])


def orthogonal(matrices: Tensor) -> Tensor:
    """Bring all singular values of some matrices (count, m, n) near 1, between 0.7 and 1.2.

    The polynomial of the iteration is worked out on the smaller of the two Gram matrices, which shares its factors.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonal(matrices.transpose(1, 2)).transpose(1, 2)
    matrices = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(LEAST_NORM)
    gram = matrices @ matrices.transpose(1, 2)
    a, b, c = COEFFICIENTS
    product = one = torch.eye(gram.shape[1], device=gram.device).expand_as(gram)
    for _ in range(ITERATIONS):
        step = a * one + b * gram + c * gram @ gram
        product, gram = step @ product, step @ gram @ step
    return product @ matrices
