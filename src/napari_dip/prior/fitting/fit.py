"""The optimisation: an object that is iterated, kept, saved, and gone on with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from napari_dip.prior.estimators.posterior import AsPredicted, Averaged, Estimate, LastStep
from napari_dip.prior.fitting.averages import Averaging, PredictionAverage, WeightAverage
from napari_dip.prior.fitting.safeguard import SAFEGUARD, Errors, Safeguard
from napari_dip.prior.fitting.state_check import check_fit
from napari_dip.prior.fitting.stopping import Limits, Rule, StoppedBy
from napari_dip.prior.networks.optimisation import Optimisation, has_fast_bfloat16
from napari_dip.prior.objectives.objective import Objective, loss_of


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
        Mean squared error of this iteration's target, in squared units of [0, 1]: a training error.
    held_out_error : float or None
        Mean squared error of averaged predictions on pixels that are never learned from, in units of their noise, when
        it was last looked at; None before the first look of a rule, and where none are held out.
    seconds : float
        Computing time so far.
    """

    iteration: int
    iterations: int
    loss: float
    error: float
    held_out_error: float | None
    seconds: float


@dataclass(frozen=True)
class Problem:
    """All that a fit needs.

    Attributes
    ----------
    objectives : sequence of Objective
        Of one observation, each with a network of its own. They take turns, one an iteration, and the image is made of
        their mean: each learns a part of the noise, but each another part (Ulyanov et al., CVPR 2018: the mean of two
        runs is better than one).
    optimisation : Optimisation
    averaging : Averaging
    last_step : LastStep
    rule : Rule or None
        Ends the fit before its plan does.
    generator : torch.Generator
        All that is drawn at random comes from it.
    safeguard : Safeguard
    """

    objectives: Sequence[Objective]
    optimisation: Optimisation
    generator: torch.Generator
    averaging: Averaging = field(default_factory=Averaging)
    last_step: LastStep = field(default_factory=AsPredicted)
    rule: Rule | None = None
    safeguard: Safeguard = SAFEGUARD


class Fit:
    """A fit of one or several networks to an observation: iterate it, then `finish`.

    Each step is one iteration, until a limit is reached or the rule finds it time. A loss that is not finite, or an
    error far above the usual, takes the fit back to its last good weights with half of the step, a bounded number of
    times; then it ends with the image so far.

    Parameters
    ----------
    problem : Problem
    limits : Limits
        May be changed from outside at any time; a fit that has ended goes on if they leave room again.
    judged : bool
        Whether the rule may end it.
    given : sequence of dict, optional
        Weights to begin with, of each network. They have a result by themselves: such a fit may end at once.

    Attributes
    ----------
    iteration : int
        Iterations done.
    seconds : float
        Computing time so far.
    stopped_by : str or None
        What ended it.
    losses : list of float
    fallbacks : int
        How often it went back.
    held_out_error : float or None
    """

    def __init__(
        self,
        problem: Problem,
        limits: Limits,
        *,
        judged: bool = True,
        given: Sequence[Mapping[str, torch.Tensor]] = (),
    ):
        self.problem, self.limits, self.judged = problem, limits, judged
        self.network = nn.ModuleList(objective.network for objective in problem.objectives)
        self.optimisers = problem.optimisation.build(self.network)
        self.averages = [problem.averaging.build() for _ in problem.objectives]
        self.histories = [Errors(problem.safeguard) for _ in problem.objectives]
        device = problem.objectives[0].observation.values.device.type
        bfloat16 = problem.optimisation.bfloat16 and has_fast_bfloat16(device)
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=bfloat16)
        self.iteration, self.seconds = 0, 0.0
        self.stopped_by: StoppedBy | None = None
        self.losses: list[float] = []
        self.held_out_error: float | None = None
        self.loss = self.error = math.nan
        self.scale, self.fallbacks = 1.0, 0
        self.schedulers = self._schedulers()
        self.good: list[dict[str, Any]] = []
        self._begin(given)
        self._keep()

    def __iter__(self) -> Fit:
        return self

    def __next__(self) -> Progress:
        """Do an iteration.

        Raises
        ------
        Diverged
            If it fails before there is an image.
        """
        self.stopped_by = self._ended()
        while self.stopped_by is None:
            started = perf_counter()
            went_well = self._step()
            self.seconds += perf_counter() - started
            if went_well:
                return self.progress
            if self.fallbacks > self.problem.safeguard.retries:
                self.stopped_by = "diverged"
        if not self.has_result:
            raise Diverged("The optimisation diverged from its first steps on and has no result.")
        raise StopIteration

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        return Progress(
            self.iteration, self.limits.iterations, self.loss, self.error, self.held_out_error, self.seconds
        )

    @property
    def has_result(self) -> bool:
        """Whether there is anything to apply."""
        return self.iteration > 0 or self._was_given

    @property
    def turn(self) -> int:
        """Which objective learns next."""
        return self.iteration % len(self.problem.objectives)

    def averaged(self) -> list[Averaged]:
        """Give what the networks that had their turn predict on average."""
        return [
            Averaged(objective.observation, average.image, average.total)
            for objective, average in zip(self.problem.objectives, self.averages, strict=True)
            if isinstance(average, PredictionAverage) and average.image is not None and average.total is not None
        ]

    def weights(self) -> list[dict[str, torch.Tensor]]:
        """Give the averaged weights of the networks that had their turn."""
        return [average.weights for average in self.averages if isinstance(average, WeightAverage) and average.weights]

    def preview(self) -> torch.Tensor:
        """Give an image (1, channels, [z,] y, x) to look at, near to what `finish` would give, in little time."""
        return self.problem.last_step.preview(self.averaged())

    def finish(self, *, with_variance: bool = False) -> Estimate:
        """Give the restored image, with all that can still be done for it; the fit can go on afterwards."""
        started = perf_counter()
        estimate = self.problem.last_step.finish(self.averaged(), with_variance=with_variance)
        self.seconds += perf_counter() - started
        return estimate

    def extend(self, iterations: int) -> None:
        """Let it go on for so many iterations, whatever rule and clock say."""
        limits = self.limits
        limits.stop_at, limits.stopped_by = self.iteration + iterations, "asked"
        limits.asked, limits.seconds, self.judged = False, None, False

    def state(self) -> dict[str, Any]:
        """Give weights, optimisers, averages, history and random numbers: tensors, numbers and text in dictionaries.

        A fit of the same problem that loads it goes on to the same bytes as this one. It is a copy, and stays as it is.
        """
        state = {
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "averages": [average.state() for average in self.averages],
            "histories": [dict(vars(history), safeguard=None) for history in self.histories],
            "generator": self.problem.generator.get_state(),
            "rule": None if self.problem.rule is None else vars(self.problem.rule),
            "limits": vars(self.limits),
            "judged": self.judged,
            "good": self.good,
            "here": {name: getattr(self, name) for name in _HERE},
        }
        return deepcopy(state)

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises
        ------
        ValueError
            If it is none of such a fit.
        """
        check_fit(self, state)
        state = deepcopy(state)
        self.network.load_state_dict(state["network"])
        for optimiser, one in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(one)
        for average, one in zip(self.averages, state["averages"], strict=True):
            average.load_state(one)
        for history, one in zip(self.histories, state["histories"], strict=True):
            history.usual, history.jumps = one["usual"], one["jumps"]
        self.problem.generator.set_state(state["generator"])
        if self.problem.rule is not None:
            vars(self.problem.rule).update(state["rule"])
        self.good = state["good"]
        vars(self).update(state["here"])
        vars(self.limits).update(state.get("limits", {}))  # older files lack them
        self.judged = state.get("judged", self.judged)
        self.schedulers = self._schedulers()

    def _begin(self, given: Sequence[Mapping[str, torch.Tensor]]) -> None:
        self._was_given = bool(given)
        if given:
            for network, average, weights in zip(self.network, self.averages, given, strict=True):
                network.load_state_dict(weights)
                assert isinstance(average, WeightAverage)
                average.begin(network.state_dict())

    def _ended(self) -> StoppedBy | None:
        """Say what ends the fit now."""
        if not self.has_result:
            return None  # without an iteration there is no image
        if self.stopped_by == "diverged":
            return "diverged"
        stopped = self.limits.reached(self.iteration, self.seconds)
        if stopped is None and self.judged and self._is_look() and self.held_out_error is not None:
            assert self.problem.rule is not None
            if self.problem.rule.wants_stop(self.iteration // len(self.averages), self.held_out_error):
                return "held-out"
        return stopped

    def _is_look(self) -> bool:
        """Whether the held-out error is looked at: now and then, once every network has had its turn."""
        turns, rest = divmod(self.iteration, len(self.averages))
        return self.problem.rule is not None and not rest and turns % self.problem.rule.every == 0

    def _step(self) -> bool:
        """Do one iteration; False if it went wrong and was taken back."""
        turn = self.turn
        objective = self.problem.objectives[turn]
        with self.autocast:
            prediction = objective.predict()
            loss, error = loss_of(prediction, objective.observation)
        self.loss, self.error = loss.item(), error.item()
        usual = self.histories[turn].take(self.error)
        if usual is None or not math.isfinite(self.loss):
            self._go_back()
            return False
        if self.iteration % self.problem.safeguard.checkpoint_every == 0 and usual:
            self._keep()  # before the step: only these weights have been seen to be good
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser, scheduler in zip(self.optimisers, self.schedulers, strict=True):
            optimiser.step()
            scheduler.step()
        if usual:
            self.averages[turn].take(objective, prediction)
        self.iteration += 1
        self.losses.append(self.loss)
        if self._is_look():
            self.held_out_error = self._held_out_error()
        return True

    def _held_out_error(self) -> float | None:
        """Give the mean over the networks; None if nothing is held out."""
        pairs = zip(self.averages, self.problem.objectives, strict=True)
        errors = [average.held_out_error(objective) for average, objective in pairs]
        known = [error for error in errors if error is not None]
        return sum(known) / len(known) if known and len(known) == len(errors) else None

    def _schedulers(self) -> list[LambdaLR]:
        """Let the learning rates fall as planned, from where the fit stands."""
        iterations, plan, scale = self.limits.iterations, self.problem.optimisation.schedule, self.scale
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group.setdefault("initial_lr", group["lr"])
        return [
            LambdaLR(optimiser, lambda at: scale * plan(at, iterations), last_epoch=self.iteration - 1)
            for optimiser in self.optimisers
        ]

    @property
    def _parts(self) -> list[Any]:
        return [self.network, *self.optimisers]

    def _keep(self) -> None:
        if not all(torch.isfinite(weights).all() for weights in self.network.parameters()):
            return
        self.good = [deepcopy(part.state_dict()) for part in self._parts]

    def _go_back(self) -> None:
        self.fallbacks += 1
        self.scale /= 2
        for part, state in zip(self._parts, self.good, strict=True):
            part.load_state_dict(deepcopy(state))
        self.schedulers = self._schedulers()


_HERE = ("iteration", "seconds", "stopped_by", "losses", "held_out_error", "loss", "error", "scale", "fallbacks")
"""What else a state holds."""
