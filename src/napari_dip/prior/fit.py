"""The optimisation loop: a generator of `Progress` that ends in a `Fit`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Generator
from copy import deepcopy
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from napari_dip.prior.network import matrices
from napari_dip.prior.objective import Objective, Result
from napari_dip.prior.stopping import Limits, Rule, StoppedBy

CHECKPOINT_EVERY = 10
JUMP = 10**0.5
"""An error this much above the worst of late is a divergence: 5 dB, as in the published method."""
JUMPS = 3
"""So many of them in a row are one: a single one may be a bright spot that was asked for."""
RETRIES = 5
"""How often a run goes back to its last good weights, each time with half of the step."""


class Diverged(RuntimeError):
    """The optimisation failed before it had any result."""


@dataclass(frozen=True)
class Progress:
    """Where a fit stands after an iteration.

    Attributes
    ----------
    iteration, iterations : int
        Iterations done and planned.
    loss : float
        What is minimised.
    error : float
        Mean squared error of the pixels the network was asked for, in squared units of [0, 1]; on pixels that were
        held out where the objective hides some.
    seconds : float
        Computing time so far.
    preview : callable
        Gives the image so far; to be called before the generator goes on.
    """

    iteration: int
    iterations: int
    loss: float
    error: float
    seconds: float
    preview: Callable[[], Tensor] = field(repr=False)


@dataclass(frozen=True)
class Fit:
    """The end of a fit: what came out of it, how it went, and what ended it."""

    result: Result
    iterations: int
    seconds: float
    stopped_by: StoppedBy
    losses: list[float]
    fallbacks: int


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

    def build(self, objective: Objective) -> list[torch.optim.Optimizer]:
        """Make the optimisers.

        Muon (Jordan et al., 2024) orthogonalises each update and needs a fifth of Adam's iterations here.
        """
        parameters = list(objective.network.parameters())
        if self.optimiser == "adam":
            return [torch.optim.Adam(parameters, lr=self.rate)]
        kernels = list(matrices(objective.network))
        taken = {id(m) for m in kernels}
        rest = [p for p in parameters if id(p) not in taken]
        return [
            torch.optim.Muon(kernels, lr=self.kernel_rate, weight_decay=0.0),
            torch.optim.Adam(rest, lr=self.rate),
        ]

    def schedule(self, iteration: int, iterations: int) -> float:
        """Part of the learning rate that is used in an iteration, counted from 0."""
        return self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * iteration / iterations))


def fit(
    objective: Objective,
    optimisation: Optimisation,
    limits: Limits,
    rule: Rule | None = None,
    *,
    with_variance: bool = False,
) -> Generator[Progress, None, Fit]:
    """Fit the network of an objective, one iteration a step, until a limit is reached or a rule finds it time.

    A loss that is not finite, or an error far above the usual, takes the fit back to its last good weights with half of
    the step, a bounded number of times; then it ends with the image so far.

    Raises
    ------
    Diverged
        If it fails before there is an image.
    """
    state = _State(objective, optimisation)
    losses: list[float] = []
    seconds, iteration = 0.0, 0
    stopped: StoppedBy | None = None
    while stopped is None:
        started = perf_counter()
        went_well = state.step(iteration, limits.iterations)
        seconds += perf_counter() - started
        if not went_well:
            stopped = "diverged" if state.fallbacks > RETRIES else None
            continue
        iteration += 1
        losses.append(state.loss)
        yield Progress(iteration, limits.iterations, state.loss, state.error, seconds, objective.preview)
        stopped = limits.reached(iteration, seconds)
        if stopped is None and rule is not None:
            stopped = _judged(rule, objective, iteration)
    if not iteration:
        raise Diverged("The optimisation diverged from its first steps on and has no result.")
    started = perf_counter()
    result = objective.finish(with_variance=with_variance)
    seconds += perf_counter() - started
    return Fit(result, iteration, seconds, stopped, losses, state.fallbacks)


def _judged(rule: Rule, objective: Objective, iteration: int) -> StoppedBy | None:
    """Ask the rule, once every network of the objective has had its turn."""
    turns, rest = divmod(iteration, objective.networks)
    if rest or turns % rule.every:
        return None
    held_out = objective.held_out()
    return "held-out" if held_out is not None and rule.wants_stop(turns, held_out) else None


class _Errors:
    """The errors of late, of one network."""

    def __init__(self) -> None:
        self.usual: list[float] = []
        self.jumps: list[float] = []

    def take(self, error: float) -> bool | None:
        """Say whether an error is as usual; None if the network has gone wrong."""
        if not math.isfinite(error):
            return None
        if len(self.usual) >= 10 and error > JUMP * max(self.usual):
            self.jumps.append(error)
            if len(self.jumps) < JUMPS:
                return False
            self.jumps = []
            return None
        self.usual = [*self.usual, *self.jumps, error][-30:]  # what was no divergence is usual from now on
        self.jumps = []
        return True


class _State:
    """Weights, optimisers and the last good copy of both."""

    def __init__(self, objective: Objective, optimisation: Optimisation):
        self.objective, self.optimisation = objective, optimisation
        self.optimisers = optimisation.build(objective)
        self.device = objective.data.measured.device.type
        self.autocast = optimisation.bfloat16 and has_fast_bfloat16(self.device)
        self.scale, self.fallbacks = 1.0, 0
        self.good: list[dict[str, Any]] = []
        self.histories: dict[int, _Errors] = defaultdict(_Errors)
        self.loss = self.error = math.nan
        self._keep()

    def step(self, iteration: int, iterations: int) -> bool:
        """Do one iteration; False if it went wrong and was taken back."""
        rate = self.scale * self.optimisation.schedule(iteration, iterations)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
            loss, error = self.objective.loss()
        self.loss, self.error = loss.item(), error.item()
        usual = self.histories[self.objective.turn].take(self.error)
        if usual is None or not math.isfinite(self.loss):
            self._go_back()
            return False
        if iteration % CHECKPOINT_EVERY == 0 and usual:
            self._keep()  # before the step: only these weights have been seen to be good
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group.setdefault("full_lr", group["lr"]) * rate
            optimiser.step()
        if usual:
            self.objective.collect()
        return True

    @property
    def _parts(self) -> list[Any]:
        return [self.objective.network, *self.optimisers]

    def _keep(self) -> None:
        if not all(torch.isfinite(weights).all() for weights in self.objective.network.parameters()):
            return
        self.good = [deepcopy(part.state_dict()) for part in self._parts]

    def _go_back(self) -> None:
        self.fallbacks += 1
        self.scale /= 2
        for part, state in zip(self._parts, self.good, strict=True):
            part.load_state_dict(deepcopy(state))


def has_fast_bfloat16(device: str) -> bool:
    """Whether convolutions in bfloat16 are faster than in float32 there."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
