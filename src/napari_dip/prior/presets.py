"""The presets, task by task: which network, which objective, how many iterations. Each builds itself.

The rows of `PAPER` are the published settings (Ulyanov et al., IJCV 2020 and its supplement); nothing in them is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from napari_dip.prior.estimators.coarse import GROUPING, Grouping, OnGrids
from napari_dip.prior.estimators.enlarged_detail import Enlarged
from napari_dip.prior.estimators.nonlocal_bayes import FINE
from napari_dip.prior.estimators.posterior import AsPredicted, LastStep, Refined
from napari_dip.prior.estimators.second_opinion import PredictedOrSmooth
from napari_dip.prior.fitting.averages import Averaging
from napari_dip.prior.fitting.denoised_first import SureNoise
from napari_dip.prior.fitting.fit import Problem
from napari_dip.prior.fitting.stopping import HeldOut, Rule
from napari_dip.prior.networks.architecture import Published, Slim
from napari_dip.prior.networks.network import VarianceHead
from napari_dip.prior.networks.optimisation import Optimisation
from napari_dip.prior.noise.config import ESTIMATION, Estimation
from napari_dip.prior.noise.estimation import estimate_noise
from napari_dip.prior.objectives.crop_prediction import CropPrediction, Crops, View
from napari_dip.prior.objectives.latent_prior import LatentPrior
from napari_dip.prior.objectives.like_gaps import HoldOut
from napari_dip.prior.objectives.masked_prediction import MaskedPrediction
from napari_dip.prior.objectives.stack import Stack
from napari_dip.prior.physics.fill import RELAXATION, Relaxation, deepest_gap
from napari_dip.prior.physics.forward_model import ForwardModel, Identity
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import KnownNoise, NoiseModel
from napari_dip.prior.physics.observation import UNKNOWN_NOISE, Observation

MUON = Optimisation("muon", final_rate=0.05, bfloat16=True)
"""Rates of Muon and of Adam beside it. Measured: benchmarks/constants.py."""
FASTER_MUON = replace(MUON, kernel_rate=0.04)
"""For noisy images, where the fit ends early. Measured: benchmarks/constants.py."""
WARM = 10.0
"""Rate at which fitted weights are brought up to date, over that at the end of a fit: half of that at its beginning. It
loses nothing where all is as it was, and learns other noise faster than 1. Measured: benchmarks/warm.py."""
OF_WEIGHTS = Averaging(0.98, 9, of="weights")
"""Averages of weights."""
OF_TARGETS = Averaging(0.985, 9)
"""Averages of masked predictions. Measured: benchmarks/constants.py."""
FEW_HELD_OUT, MOST_HELD_OUT = 300, 0.1
"""So many pixels are held out at the least, but no more than that part of all."""


@dataclass(frozen=True)
class MaskedPreset:
    """Fit by masked prediction.

    Attributes
    ----------
    name : str
        What the record calls it.
    iterations : int
        How many are planned. Measured: benchmarks/constants.py.
    network : Slim
    optimisation : Optimisation
    averaging : Averaging
        An iteration out of 67 counts; the first ones, which know nothing, are forgotten.
    last_step : LastStep
    members : int
        Networks that take turns.
    hidden, hidden_if_correlated : float
        Part of the pixels that is hidden in each iteration, in white noise and in noise that reaches into neighbouring
        pixels. Measured: benchmarks/constants.py.
    correct_fill : float or None
        See `MaskedPrediction`; Muon's steps are all of one size, and a fifth of the contrast makes them fine enough for
        what is left to correct. Measured: benchmarks/constants.py.
    held_out : float
        Part of the pixels that is kept apart to judge when to stop. Measured: benchmarks/constants.py.
    like_gaps : HoldOut or None
        How pixels are held out to judge what is in gaps by, instead; they are hidden together. None: a random part of
        them.
    stopping, stopping_if_correlated : Rule or None
        When to stop; None: at the end of the plan. Neighbours tell of correlated noise, so held-out pixels are soon
        predicted too well there.
    deep_gap : float
        From this depth on, in pixels, gaps like the missing ones are hidden. Measured: benchmarks/constants.py.
    noise_variance : float or None
        In squared units of [0, 1]; None: estimated from the image.
    lobes : int
        Of the Lanczos window of super-resolution; 3 is what most programs shrink images with.
    estimation : Estimation
        How the noise is estimated before anything is known.
    variance_head : VarianceHead
    relaxation : Relaxation
    grouping : Grouping or None
        When pixels are taken together; None: never.
    """

    name: str = "masked prediction"
    iterations: int = 160
    network: Slim = field(default_factory=Slim)
    optimisation: Optimisation = FASTER_MUON
    averaging: Averaging = OF_TARGETS
    last_step: LastStep = field(default_factory=Refined)
    members: int = 1
    hidden: float = 0.3
    hidden_if_correlated: float = 0.65
    correct_fill: float | None = None
    held_out: float = 0.02
    like_gaps: HoldOut | None = None
    stopping: Rule | None = field(default_factory=HeldOut)
    stopping_if_correlated: Rule | None = field(default_factory=lambda: HeldOut(tolerance=0.03, least=20))
    deep_gap: float = np.inf
    noise_variance: float | None = None
    lobes: int = 3
    estimation: Estimation = ESTIMATION
    variance_head: VarianceHead = field(default_factory=VarianceHead)
    relaxation: Relaxation = RELAXATION
    grouping: Grouping | None = GROUPING

    def noise_model(self, planes: np.ndarray, observed: np.ndarray, known: KnownNoise | None) -> NoiseModel:
        """Find the noise of (channels, [z,] y, x) values, of which ([z,] y, x) were `observed`."""
        if self.noise_variance is not None:
            return NoiseModel(Gaussian(NoiseVariance(self.noise_variance)), 0, "gaussian")
        return estimate_noise(_flat(planes), _flat(np.broadcast_to(observed, planes.shape)), known, self.estimation)

    def _held_out(self, observation: Observation) -> float:
        """Give the part of the pixels that is held out."""
        return _part_held_out(self.held_out, float(observation.observed.sum()))

    def build(self, observation: Observation, generator: torch.Generator) -> Problem:
        """Make networks and objectives."""
        correlated = observation.noise.correlation_radius > 0
        like_missing = deepest_gap(observation.observed[0, 0].cpu().numpy() > 0) >= self.deep_gap
        inputs, outputs = _channels(observation) + 1 + _guides(observation), _channels(observation) + 1
        grids = self.grouping.grids(observation) if self.grouping else []
        objectives, last_step = [], self.last_step
        if grids:
            last_step = OnGrids(last_step, grids, observation.image_size)
        split = self.like_gaps.split if self.like_gaps else lambda x, drawn: x.split(self._held_out(x), drawn)
        for seen in [grid.pooled(observation) for grid in grids] or [observation] * self.members:
            network = self.network.build(inputs, outputs, seen.dims, generator)
            objectives.append(
                MaskedPrediction(
                    network.to(seen.values.device),
                    split(seen, generator),
                    generator,
                    hidden=self.hidden_if_correlated if correlated else self.hidden,
                    like_missing=like_missing,
                    correct_fill=self.correct_fill,
                    hide_held_out=self._held_out(seen) > self.held_out,
                    together=self.like_gaps is not None,
                    variance_head=self.variance_head,
                    relaxation=self.relaxation,
                )
            )
        stopping = self.stopping_if_correlated if correlated else self.stopping
        rule = None if self.stopping is None else deepcopy(stopping)
        return Problem(objectives, self.optimisation, generator, self.averaging, last_step, rule)


@dataclass(frozen=True)
class LatentPreset:
    """Fit from a random latent; see `LatentPrior`.

    Attributes
    ----------
    name : str
        What the record calls it.
    iterations : int
        How many are planned.
    network : Published or Slim
    optimisation : Optimisation
    averaging : Averaging
    latent_channels, latent_noise, latent_step
        See `LatentPrior`.
    lobes : int
        Of the Lanczos window of super-resolution; 3 is what most programs shrink images with.
    held_out : float
        Part of the pixels that is kept apart to judge when to stop.
    stopping : Rule or None
        When to stop; None: at the end of the plan.
    noise : NoiseModel or None
        None: estimated from the image.
    last_step : LastStep
    denoising : MaskedPreset or None
        How noise is removed first where there surely is some; None: never.
    sure : SureNoise
        When that is.
    """

    name: str
    iterations: int
    network: Published | Slim = field(default_factory=Published)
    optimisation: Optimisation = field(default_factory=Optimisation)
    averaging: Averaging = field(default_factory=Averaging)
    latent_channels: int = 32
    latent_noise: float = 1 / 30
    latent_step: int = 1
    lobes: int = 2
    held_out: float = 0.0
    stopping: Rule | None = None
    noise: NoiseModel | None = UNKNOWN_NOISE
    last_step: LastStep = field(default_factory=AsPredicted)
    denoising: MaskedPreset | None = None
    sure: SureNoise = field(default_factory=SureNoise)

    def noise_model(self, planes: np.ndarray, observed: np.ndarray, known: KnownNoise | None) -> NoiseModel:
        """Find the noise of (channels, [z,] y, x) values, of which ([z,] y, x) were `observed`."""
        if self.noise is not None:
            return self.noise
        return estimate_noise(_flat(planes), _flat(np.broadcast_to(observed, planes.shape)), known)

    def build(self, observation: Observation, generator: torch.Generator) -> Problem:
        """Make network and objective."""
        inputs, outputs = self.latent_channels + _guides(observation), _channels(observation)
        network = self.network.build(inputs, outputs, observation.dims, generator).to(observation.values.device)
        if self.held_out:
            observation = observation.split(self.held_out, generator)
        objective = LatentPrior(
            network,
            observation,
            generator,
            latent_channels=self.latent_channels,
            latent_noise=self.latent_noise,
            latent_step=self.latent_step,
        )
        return Problem(
            [objective], self.optimisation, generator, self.averaging, self.last_step, deepcopy(self.stopping)
        )


@dataclass(frozen=True)
class StackPreset:
    """Fit one network by masked prediction on crops of many planes; see `CropPrediction`.

    Attributes
    ----------
    name : str
        What the record calls it.
    iterations : int
        How many are planned for each network; noise of few pixels is known by heart sooner, which held-out pixels tell.
    network : Slim
    optimisation : Optimisation
    averaging : Averaging
    last_step : LastStep
    members : int
        Networks that take turns.
    crops : Crops
    hidden, hidden_if_correlated : float
        Part of the pixels that is hidden in each iteration, in white noise and in noise that reaches into neighbours.
    held_out : float
        Part of the pixels that is kept apart to judge when to stop.
    stopping : Rule or None
        When to stop: once held-out pixels are predicted worse than before, by more than the error of that figure. While
        they are predicted better, if only by a little, the last step gains from going on. None: at the end of the plan.
    estimation : Estimation
    variance_head : VarianceHead
    """

    name: str = "one network for all planes"
    iterations: int = 300
    network: Slim = field(default_factory=lambda: Slim(thin=32, dropout=0.0, remembers=True))
    optimisation: Optimisation = FASTER_MUON
    averaging: Averaging = OF_WEIGHTS
    last_step: Refined = field(default_factory=Refined)
    members: int = 1
    crops: Crops = field(default_factory=Crops)
    hidden: float = 0.3
    hidden_if_correlated: float = 0.65
    held_out: float = 0.02
    stopping: Rule | None = field(default_factory=lambda: HeldOut(tolerance=-0.005, least=100, every=25))
    estimation: Estimation = ESTIMATION
    variance_head: VarianceHead = field(default_factory=VarianceHead)
    grouping: Grouping = GROUPING

    @property
    def planned(self) -> int:
        """Iterations of all networks together, whatever the amount of data."""
        return self.members * self.iterations

    def noise_model(self, planes: np.ndarray, observed: np.ndarray, known: KnownNoise | None) -> NoiseModel:
        """Find the noise of (n, y, x) values, of which (n, y, x) were `observed`."""
        return estimate_noise(planes, observed, known, self.estimation)

    def begun_with(self, networks: int) -> StackPreset:
        """Say how so many networks that were fitted before are brought up to date: all plans are short ones.

        The rate does not change, and the average goes on from the weights that are given.
        """
        last = self.optimisation.final_rate
        slow = replace(
            self.optimisation,
            rate=WARM * last * self.optimisation.rate,
            kernel_rate=WARM * last * self.optimisation.kernel_rate,
            final_rate=1.0,
        )
        return replace(self, members=networks, optimisation=slow, stopping=None)

    def view(self, reach: int, context: int = 0) -> View:
        """Say how a network looks at planes."""
        return View(reach, context, self.variance_head)

    def objectives(
        self, stacks: Sequence[Stack], noise: NoiseModel, view: View, generator: torch.Generator
    ) -> list[CropPrediction]:
        """Make networks, and an objective for each."""
        channels, device = stacks[0].values.shape[1], stacks[0].values.device
        hidden = self.hidden_if_correlated if noise.correlation_radius else self.hidden
        part = _part_held_out(self.held_out, sum(float(stack.observed.sum()) for stack in stacks))
        hide = not noise.correlation_radius  # what such noise reaches would be hidden with them, which is too much
        made = []
        for _ in range(self.members):
            network = self.network.build(view.inputs(channels), channels + 1, 2, generator).to(device)
            split = [stack.split(part, generator, hide=hide) for stack in stacks]
            made.append(CropPrediction(network, split, noise, view, generator, crops=self.crops, hidden=hidden))
        return made

    def problem(self, objectives: Sequence[CropPrediction], generator: torch.Generator) -> Problem:
        """Say how they are fitted."""
        return Problem(
            objectives, self.optimisation, generator, self.averaging, self.last_step, deepcopy(self.stopping)
        )


Preset = MaskedPreset | LatentPreset

_nearest = LatentPreset("", 0, Published(upsample="nearest", skip=(128,) * 5), latent_noise=0.03)
_large_hole = Published((16, 32, 64, 128, 128, 128), (0,) * 6, down_size=5, upsample="nearest", mix=False)
PAPER = {
    "denoise": LatentPreset("denoise", 1800),
    "compression": LatentPreset(
        "compression artefacts", 2400, Published((8, 16, 32, 64, 128), (0, 0, 0, 4, 4)), latent_channels=3
    ),
    "scattered": LatentPreset("scattered pixels", 11000, latent_noise=0.03, optimisation=Optimisation(rate=0.001)),
    "text": replace(_nearest, name="text-like mask", iterations=6000),
    "hole": replace(
        _nearest, name="large hole", iterations=3000, network=_large_hole, latent_channels=1, latent_noise=0.0
    ),
    "x4": LatentPreset("enlarge by 4", 2000, latent_noise=0.03),
    "x8": LatentPreset("enlarge by 8", 4000, latent_noise=0.05),
}

_masked = MaskedPreset()
_inpaint = MaskedPreset(
    grouping=None,
    name="masked prediction of gaps",
    iterations=300,
    optimisation=MUON,
    network=Slim(dropout=0.0, upsample="linear", border="reflect"),
    like_gaps=HoldOut(),
    stopping=None,
    hidden=0.2,
    correct_fill=0.2,
    deep_gap=4,
    noise_variance=1e-4,  # what is clean is reckoned with noise of 1 % of its range
    last_step=PredictedOrSmooth(),
)
_latent = LatentPreset(
    "latent",
    400,
    Slim(dropout=0.0, upsample="linear", border="reflect"),
    MUON,
    Averaging(0.99, 9),
    latent_noise=0.01,
    latent_step=2,
    lobes=3,
    last_step=Enlarged(),
)
FAST: dict[str, Preset] = {
    "denoise": _masked,
    "inpaint": _inpaint,
    "super_resolve": replace(_latent, denoising=_masked),
}
# with noise to learn by heart the mean of several networks is better; without, one gains from working longer
_mean_of_four = replace(
    _masked,
    name="masked prediction, mean of four",
    members=4,
    iterations=4 * _masked.iterations,
    stopping=HeldOut(tolerance=0.003),
    last_step=Refined(groups=FINE),
)
BEST: dict[str, Preset] = {
    "denoise": _mean_of_four,
    "inpaint": replace(_inpaint, iterations=3 * _inpaint.iterations),
    "super_resolve": replace(_latent, iterations=2 * _latent.iterations, denoising=_mean_of_four),
}
_stack = StackPreset()
STACK = {
    "fast": _stack,
    "best": replace(_stack, name="one network for all planes, mean of four", members=4, last_step=Refined(groups=FINE)),
}
"""For the planes of a volume, a time series, a large image or a set of them, where noise is to be removed."""
LARGE_FACTOR = 6
"""From here on the published settings for x8 are nearer than those for x4."""
DEEP_HOLE, DEEP_TEXT, DENSE = 16, 8, 0.7
"""The published masks have holes of 16 pixels' depth and more, or letters, or half of the pixels scattered: a mask with
gaps under 8 pixels' depth that leaves less than 70 % counts as scattered."""


def choose(preset: str, task: str, observed: np.ndarray, inputs: dict[str, Any], noise: str = "auto") -> Preset:
    """Give the settings of a preset for a task; `paper` has several: by the noise, the look of the mask, the factor."""
    if preset != "paper":
        return (FAST if preset == "fast" else BEST)[task]
    if task == "super_resolve":
        return PAPER["x4" if inputs["factor"] < LARGE_FACTOR else "x8"]
    if task != "inpaint":
        return PAPER["compression" if noise == "compression" else task]
    deepest = deepest_gap(observed)
    if deepest >= DEEP_HOLE:
        return PAPER["hole"]
    return PAPER["scattered" if observed.mean() < DENSE and deepest < DEEP_TEXT else "text"]


def observe(
    preset: Preset,
    planes: np.ndarray,
    observed: np.ndarray,
    *,
    forward_model: ForwardModel | None = None,
    known: KnownNoise | None = None,
    noise: NoiseModel | None = None,
    device: str = "cpu",
) -> Observation:
    """Gather what is known of an image, its noise included.

    Parameters
    ----------
    planes : (channels, [z,] y, x) float32 array
        Scaled to [0, 1].
    observed : ([z,] y, x) bool array
        Pixels that were measured.
    forward_model : ForwardModel, optional
        Left out, the identity.
    known : KnownNoise, optional
        What need not be found.
    noise : NoiseModel, optional
        Left out, as the preset finds it in the planes.
    """
    return Observation(
        torch.from_numpy(planes[None]).to(device),
        torch.from_numpy(observed[None, None].astype(np.float32)).to(device),
        forward_model or Identity(),
        noise or preset.noise_model(planes, observed, known),
    )


def _part_held_out(usual: float, pixels: float) -> float:
    """Give the part of so many pixels that is held out: of few, more, to be sure of anything."""
    return max(usual, min(FEW_HELD_OUT / max(pixels, 1.0), MOST_HELD_OUT)) if usual else 0.0


def _channels(observation: Observation) -> int:
    return int(observation.values.shape[1])


def _guides(observation: Observation) -> int:
    return 0 if observation.guide is None else int(observation.guide.shape[1])


def _flat(planes: np.ndarray) -> np.ndarray:
    """Lay channels and slices in one row, (n, y, x)."""
    return planes.reshape(-1, *planes.shape[-2:])
