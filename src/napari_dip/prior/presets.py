"""Which network, which objective and how many iterations: the presets, task by task.

The rows of `PAPER` are the published settings (Ulyanov et al., IJCV 2020 and its supplement); nothing in them is ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from napari_dip.prior.fit import Optimisation
from napari_dip.prior.forward_model import Downsample, Identity, Measurement
from napari_dip.prior.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.masked_prediction import Ensemble, MaskedPrediction
from napari_dip.prior.network import Border, Hourglass, Prior, SlimPrior
from napari_dip.prior.noise_estimation import KnownNoise, NoiseModel, estimate_noise
from napari_dip.prior.objective import Data, LatentPrior, Objective
from napari_dip.prior.stopping import HeldOut

Preset = Literal["fast", "best", "paper"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a fit but the data and the seed.

    Attributes
    ----------
    name : str
        What the record calls it.
    iterations : int
        How many are planned.
    objective : str
        "latent" (`LatentPrior`) or "masked" (`MaskedPrediction`).
    network : str
        "hourglass" (`Hourglass`) or "slim" (`SlimPrior`).
    """

    name: str
    iterations: int
    objective: Literal["latent", "masked"] = "latent"
    network: Literal["hourglass", "slim"] = "hourglass"
    channels: tuple[int, ...] = (128,) * 5
    skip: tuple[int, ...] = (4,) * 5
    down_size: int = 3
    upsample: str = "linear"
    border: Border = "reflect"
    mix: bool = True
    latent_channels: int = 32
    latent_noise: float = 1 / 30
    latent_step: int = 1
    warm_up: int = 0
    lobes: int = 2
    members: int = 1  # networks that take turns
    width: int = 64
    dropout: float = 0.05
    hidden: float = 0.3
    hidden_with_neighbours: float = 0.65  # where noise reaches into neighbouring pixels
    correct_fill: bool = False
    reserved: float = 0.0  # pixels kept apart to judge when to stop
    worth: float | None = None  # part of the held-out error that going on has to gain; None: to the end of the plan
    deep_gap: float = np.inf  # from this depth on, in pixels, gaps like the missing ones are hidden
    noise_variance: float | None = None  # None: estimated from the image
    optimisation: Optimisation = field(default_factory=Optimisation)


_nearest = Recipe("", 0, upsample="nearest", skip=(128,) * 5, latent_noise=0.03)
PAPER = {
    "denoise": Recipe("denoise", 1800),
    "compression": Recipe(
        "compression artefacts", 2400, channels=(8, 16, 32, 64, 128), skip=(0, 0, 0, 4, 4), latent_channels=3
    ),
    "scattered": Recipe("scattered pixels", 11000, latent_noise=0.03, optimisation=Optimisation(rate=0.001)),
    "text": replace(_nearest, name="text-like mask", iterations=6000),
    "hole": replace(
        _nearest,
        name="large hole",
        iterations=3000,
        channels=(16, 32, 64, 128, 128, 128),
        skip=(0,) * 6,
        down_size=5,
        mix=False,
        latent_channels=1,
        latent_noise=0.0,
    ),
    "x4": Recipe("enlarge by 4", 2000, latent_noise=0.03),
    "x8": Recipe("enlarge by 8", 4000, latent_noise=0.05),
}

_muon = Optimisation("muon", final_rate=0.05, bfloat16=True)
_masked = Recipe(
    "masked prediction",
    160,
    "masked",
    "slim",
    upsample="nearest",
    border="zeros",
    reserved=0.02,
    worth=0.01,
    optimisation=replace(_muon, kernel_rate=0.04),
)
_inpaint = replace(
    _masked,
    name="masked prediction of gaps",
    iterations=300,
    optimisation=_muon,
    upsample="linear",
    border="reflect",
    reserved=0.0,
    worth=None,
    hidden=0.2,
    dropout=0.0,
    correct_fill=True,
    deep_gap=4,
    noise_variance=1e-4,
)
_latent = Recipe(
    "latent",
    400,
    "latent",
    "slim",
    latent_noise=0.01,
    latent_step=2,
    warm_up=9,
    dropout=0.0,
    lobes=3,
    optimisation=_muon,
)
FAST: dict[str, Recipe] = {"denoise": _masked, "inpaint": _inpaint, "super_resolve": _latent}
# with noise to learn by heart the mean of several networks is better; without, one gains from working longer
BEST: dict[str, Recipe] = {
    "denoise": replace(
        _masked, name="masked prediction, mean of four", members=4, iterations=4 * _masked.iterations, worth=0.003
    ),
    "inpaint": replace(_inpaint, iterations=3 * _inpaint.iterations),
    "super_resolve": replace(_latent, iterations=2 * _latent.iterations),
}


@dataclass(frozen=True)
class Prepared:
    """What a fit needs.

    Attributes
    ----------
    objective : Objective
    rule : HeldOut or None
        Ends the fit before its plan does.
    found : dict
        What was estimated from the image, for the record.
    """

    objective: Objective
    rule: HeldOut | None
    found: dict[str, Any]


def choose(preset: Preset, task: str, visible: np.ndarray, factor: int, noise: str = "auto") -> Recipe:
    """Give the recipe of a preset for a task; `paper` has several: by the noise, the look of the mask, the factor."""
    if preset != "paper":
        return (FAST if preset == "fast" else BEST)[task]
    if task == "denoise":
        return PAPER["compression" if noise == "compression" else "denoise"]
    if task == "super_resolve":
        return PAPER["x4" if factor < 6 else "x8"]
    deepest = _deepest(visible)
    if deepest >= 16:
        return PAPER["hole"]
    return PAPER["scattered" if visible.mean() < 0.7 and deepest < 8 else "text"]


def prepare(
    recipe: Recipe,
    planes: np.ndarray,
    visible: np.ndarray,
    *,
    factor: int,
    device: str,
    seed: int,
    given: KnownNoise | None = None,
) -> Prepared:
    """Build network and objective for one image.

    Parameters
    ----------
    planes : (channels, [z,] y, x) float32 array
        The image, scaled to [0, 1].
    visible : ([z,] y, x) bool array
        Pixels that were measured.
    factor : int
        Enlargement; 1 for none.
    given : KnownNoise, optional
        What is known of the noise.

    Returns
    -------
    Prepared
    """
    generator = torch.Generator().manual_seed(seed)
    data = Data(
        torch.from_numpy(planes[None]).to(device),
        torch.from_numpy(visible[None, None].astype(np.float32)).to(device),
    )
    if recipe.objective == "masked":
        return _masked_prediction(recipe, data, planes, visible, generator, given)
    return Prepared(_latent_prior(recipe, data, factor, generator), None, {})


def _masked_prediction(
    recipe: Recipe,
    data: Data,
    planes: np.ndarray,
    visible: np.ndarray,
    generator: torch.Generator,
    given: KnownNoise | None,
) -> Prepared:
    if recipe.noise_variance is not None:
        found = NoiseModel(Gaussian(NoiseVariance(recipe.noise_variance)), 0, "gaussian")
    else:
        found = estimate_noise(_flat(planes), _flat(np.broadcast_to(visible, planes.shape)), given)
    noise, reach = found.likelihood, found.correlation_radius
    channels = planes.shape[0]
    like_missing = _deepest(visible) >= recipe.deep_gap
    members = [
        MaskedPrediction(
            _network(recipe, channels + 1, channels + 1, data, generator),
            data,
            noise,
            generator,
            hidden=recipe.hidden_with_neighbours if reach else recipe.hidden,
            radius=reach,
            like_missing=like_missing,
            correct_fill=recipe.correct_fill,
            reserved=recipe.reserved,
        )
        for _ in range(recipe.members)
    ]
    objective = Ensemble(members) if len(members) > 1 else members[0]
    told = {"noise": found.kind, "noise_variance": asdict(noise.noise), "correlation_radius": reach}
    # neighbours tell of correlated noise, so held-out pixels are soon predicted too well
    if recipe.worth is None:
        return Prepared(objective, None, told)
    return Prepared(objective, HeldOut(tolerance=0.03, least=20) if reach else HeldOut(tolerance=recipe.worth), told)


def _latent_prior(recipe: Recipe, data: Data, factor: int, generator: torch.Generator) -> Objective:
    *outer, y, x = data.measured.shape[2:]
    size = (*outer, y * factor, x * factor)
    measurement: Measurement = Identity()
    if factor > 1:
        measurement = Downsample(factor, size[-2:], recipe.lobes, data.measured.device)
    return LatentPrior(
        _network(recipe, recipe.latent_channels, data.measured.shape[1], data, generator),
        data,
        measurement,
        generator,
        latent_channels=recipe.latent_channels,
        latent_noise=recipe.latent_noise,
        latent_step=recipe.latent_step,
        warm_up=recipe.warm_up,
        size=size,
    )


def _network(recipe: Recipe, inputs: int, outputs: int, data: Data, generator: torch.Generator) -> Prior:
    dims = data.measured.ndim - 2
    if recipe.network == "hourglass":
        network: Prior = Hourglass(
            inputs,
            outputs,
            recipe.channels,
            recipe.skip,
            dims=dims,
            down_size=recipe.down_size,
            upsample=recipe.upsample,
            mix=recipe.mix,
        )
    else:
        network = SlimPrior(
            inputs,
            outputs,
            generator,
            channels=recipe.width,
            dropout=recipe.dropout,
            upsample=recipe.upsample,
            border=recipe.border,
            dims=dims,
        )
    network.initialise(generator)
    return network.to(data.measured.device)


def _flat(planes: np.ndarray) -> np.ndarray:
    """Lay channels and slices in one row, (n, y, x)."""
    return planes.reshape(-1, *planes.shape[-2:])


def _deepest(visible: np.ndarray) -> float:
    """Distance in pixels from the middle of the largest gap to what is visible."""
    return float(distance_transform_edt(~visible).max())
