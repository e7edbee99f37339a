"""What was read of a fit is checked whole, before anything is computed with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

import torch
from pydantic import BeforeValidator, ConfigDict, FailFast, Field, FiniteFloat, PlainValidator, TypeAdapter, with_config
from torch import Tensor
from typing_extensions import TypedDict

from napari_dip.prior.fitting.stopping import StoppedBy

if TYPE_CHECKING:
    from napari_dip.prior.fitting.fit import Fit

MOST_ITERATIONS = 100_000
"""Of a fit, as the settings have it."""
MOST_WEIGHT = 1e6
"""Absolute value of a weight; those of a fit are within some hundred."""


def check_tensor(found: Any) -> Tensor:
    """Take a plain tensor of float32 for one; a ValueError for anything else."""
    plain = type(found) is Tensor and found.layout == torch.strided and found.device.type == "cpu"
    if not plain or found.dtype != torch.float32:
        raise ValueError("it is no tensor of float32")
    tensor: Tensor = found
    return tensor


FloatTensor = Annotated[Any, PlainValidator(check_tensor)]
Named = dict[str, FloatTensor]
Iterations = Annotated[int, Field(ge=0, le=MOST_ITERATIONS)]
Place = Annotated[int, Field(ge=0)]
Curve = Annotated[list[FiniteFloat], Field(max_length=MOST_ITERATIONS)]
Few = Annotated[list[FiniteFloat], Field(max_length=1000)]
Number = Annotated[FiniteFloat | None, BeforeValidator(lambda x: None if isinstance(x, float) and isnan(x) else x)]
"""None where it is not known, which NaN says, too."""
MOST_GRADIENT, MOST_VARIANCE = 1e25, 1e38
"""Of squared gradients, and of averaged predictions with their noise, which may be any that single precision holds."""
Strict = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


@with_config(Strict)
class HistoryState(TypedDict):
    """The errors of late of one network."""

    safeguard: None
    usual: Few
    jumps: Few


@with_config(Strict)
class LimitsState(TypedDict):
    """What ends a fit."""

    iterations: Annotated[int, Field(ge=1, le=MOST_ITERATIONS)]
    stop_at: Iterations | None
    seconds: Annotated[FiniteFloat, Field(ge=0)] | None
    asked: bool
    stopped_by: StoppedBy


@with_config(Strict)
class OptimiserState(TypedDict):
    """Momentum and rates."""

    state: dict[int, dict[str, FloatTensor]]
    param_groups: Annotated[list[dict[str, Any]], Field(max_length=8)]


@with_config(Strict)
class Here(TypedDict):
    """Where a fit stands."""

    iteration: Iterations
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    stopped_by: StoppedBy | None
    losses: Curve
    held_out_error: FiniteFloat | None
    loss: Number
    error: Number
    scale: Annotated[FiniteFloat, Field(gt=0, le=1)]
    fallbacks: Iterations


@with_config(Strict)
class FitState(TypedDict, total=False):
    """The state of a fit; older files lack limits and whether it is judged."""

    network: Named
    optimisers: Annotated[list[OptimiserState], Field(max_length=8)]
    averages: Annotated[list[dict[str, Any]], FailFast()]
    histories: Annotated[list[HistoryState], FailFast()]
    generator: Any
    rule: dict[str, Any] | None
    limits: LimitsState
    judged: bool
    good: Annotated[list[Any], Field(max_length=9)]
    here: Here


@with_config(Strict)
class ItemState(TypedDict):
    """The state of the fit of a plane."""

    fit: dict[str, Any]


@with_config(Strict)
class StackState(TypedDict):
    """The state of the fit of a stack, and of how far it is applied; older files lack the residuals."""

    fit: dict[str, Any]
    done: Annotated[list[Place], Field(max_length=1 << 20)]
    residuals: NotRequired[list[tuple[FiniteFloat, tuple[FiniteFloat, FiniteFloat, FiniteFloat], FiniteFloat]]]
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    focus: Place


@with_config(Strict)
class TwoFits(TypedDict):
    """The state of two fits, one after the other."""

    first: dict[str, Any]
    fit: dict[str, Any] | None
    limits: LimitsState
    stopped_by: StoppedBy | None


_item, _stack, _two_fits = TypeAdapter(ItemState), TypeAdapter(StackState), TypeAdapter(TwoFits)
_fit = TypeAdapter(FitState)
_optimiser = TypeAdapter(OptimiserState)
_values = TypeAdapter(dict[int, FiniteFloat])
_count = TypeAdapter(Annotated[int, Field(ge=0, le=2**40)])
_best = TypeAdapter(tuple[float, Iterations])
_rate = TypeAdapter(Annotated[FiniteFloat, Field(ge=0, le=1)])
RATES = ("lr", "initial_lr")
REQUIRED = {"network", "optimisers", "averages", "histories", "generator", "rule", "good", "here"}


def check_item(found: Any) -> ItemState:
    """Take the state of the fit of a plane for one; a ValueError for anything else."""
    return _item.validate_python(found)


def check_two_fits(found: Any) -> TwoFits:
    """Take the state of two fits, one after the other, for one; a ValueError for anything else."""
    return _two_fits.validate_python(found)


def check_stack(found: Any, blocks: int, planes: Sequence[int]) -> StackState:
    """Take the state of the fit of a stack for one.

    Parameters
    ----------
    found : Any
    blocks : int
        How many there are.
    planes : sequence of int
        Their numbers.

    Raises
    ------
    ValueError
    """
    state = _stack.validate_python(found)
    done = state["done"]
    if len(set(done)) < len(done) or max(done, default=0) >= blocks or state["focus"] not in planes:
        raise ValueError("it has blocks or planes that the image has not")
    return state


def check_fit(fit: Fit, found: Any) -> None:
    """See that a state is one that a fit can go on from.

    Raises
    ------
    ValueError
    """
    state = _fit.validate_python(found)
    if not set(state) >= REQUIRED:
        raise ValueError("a part of the state is missing")
    network = fit.network.state_dict()
    check_named(state["network"], network)
    _same_number(state["optimisers"], fit.optimisers)
    for own, optimiser in zip(state["optimisers"], fit.optimisers, strict=True):
        _check_optimiser(own, optimiser)
    _same_number(state["averages"], fit.averages)
    for average, one, objective in zip(state["averages"], fit.averages, fit.problem.objectives, strict=True):
        _check_average(average, one.state(), objective.network.state_dict())
        if average.get("image") is not None:
            _check_image(average, objective.observation)
    _same_number(state["histories"], fit.histories)
    _check_generator(state["generator"], fit.problem.generator.get_state())
    _check_rule(state["rule"], fit.problem.rule)
    if state["good"]:
        _same_number(state["good"], [network, *fit.optimisers])
        check_named(state["good"][0], network)
        for one, optimiser in zip(state["good"][1:], fit.optimisers, strict=True):
            _check_optimiser(_optimiser.validate_python(one), optimiser)


def check_named(found: Any, like: Mapping[str, Tensor]) -> None:
    """See that tensors have the names and shapes of others, and hold numbers."""
    if not isinstance(found, Mapping) or set(found) != set(like):
        raise ValueError("the weights are those of another network")
    for name, value in found.items():
        _check_shape(value, like[name].shape)


def _check_shape(found: Any, shape: Sequence[int], most: float = MOST_WEIGHT) -> None:
    if check_tensor(found).shape != torch.Size(shape):
        raise ValueError(f"a tensor has the shape {tuple(found.shape)[:8]}, and not {tuple(shape)}")
    if not (found.abs() <= most).all():
        raise ValueError("a tensor holds NaN, or values far beyond those of a fit")


def _check_optimiser(found: OptimiserState, like: torch.optim.Optimizer) -> None:
    groups = like.state_dict()["param_groups"]
    parameters = [one for group in like.param_groups for one in group["params"]]
    _same_number(found["param_groups"], groups)
    for one, group in zip(found["param_groups"], groups, strict=True):
        if any(name not in RATES and one[name] != value for name, value in group.items() if name in one):
            raise ValueError("the optimiser is another one")
        for name in RATES:
            _rate.validate_python(one.get(name, 0.0))
    names = {"momentum"} if "betas" not in groups[0] else {"step", "exp_avg", "exp_avg_sq"}
    for number, values in found["state"].items():
        if not 0 <= number < len(parameters) or set(values) != names:
            raise ValueError("the optimiser is another one")
        for name, value in values.items():
            _check_shape(value, () if name == "step" else parameters[number].shape, MOST_GRADIENT)


def _check_average(found: dict[str, Any], like: dict[str, object], network: Mapping[str, Tensor]) -> None:
    if set(found) != set(like):
        raise ValueError("the averages are of another kind")
    _count.validate_python(found["count"])
    if found.get("weights"):
        check_named(found["weights"], network)


def _check_image(found: dict[str, Any], observation: Any) -> None:
    """See that averaged predictions have the size of the image that is sought."""
    size = tuple(observation.image_size)
    shapes = {"image": (1, observation.values.shape[1], *size), "total": (1, 1, *size), "weight": (1, 1, *size)}
    for name, shape in shapes.items():
        if found[name] is not None or name == "total":
            _check_shape(found[name], shape, MOST_VARIANCE)


def _check_generator(found: Any, like: Tensor) -> None:
    if type(found) is not Tensor or found.dtype != like.dtype or found.shape != like.shape:
        raise ValueError("the state of the random numbers is none")
    torch.Generator().set_state(found)


def _check_rule(found: dict[str, Any] | None, rule: Any) -> None:
    """See that a rule has the constants of the one that is used; what it has looked at may be anything."""
    if (found is None) != (rule is None):
        raise ValueError("the rule that ends it is another one")
    if found is None:
        return
    seen = ("values", "best")
    ours = {name: value for name, value in vars(rule).items() if name not in seen}
    if {name: value for name, value in found.items() if name not in seen} != ours or set(found) != set(vars(rule)):
        raise ValueError("the rule that ends it is another one")
    for name, adapter in (("values", _values), ("best", _best)):
        if name in found:
            adapter.validate_python(found[name])


def _same_number(found: Sequence[Any], like: Sequence[Any]) -> None:
    if len(found) != len(like):
        raise ValueError(f"it has {len(found)} parts where {len(like)} are due")
