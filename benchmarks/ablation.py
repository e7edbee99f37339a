"""Leave out one trick of preset fast at a time: what each of them gains, and what it costs.

    python benchmarks/ablation.py SCOREBOARD --threads 1 --json ablation.json --resume

Each row of the table is a denoising with one change: PSNR, the difference to all tricks together, seconds, and the
iterations after which it stopped by itself. A trick that does nothing on an image (nothing saturated, noise of one
pixel only) is left out there, and its difference counts as none.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from cases import Case, full, load, unit
from opened import Opened, opened, to_end
from report import options, read, save, saved, table
from simulate import psnr
from torch import Tensor, nn

from napari_dip.prior.estimators.posterior import AsPredicted, Averaged, Estimate, Refined, posterior_mean
from napari_dip.prior.fitting.fit import Problem
from napari_dip.prior.noise.config import Estimation
from napari_dip.prior.objectives.objective import Objective, Prediction
from napari_dip.prior.physics.fill import LocalContrast
from napari_dip.prior.physics.likelihood import Gaussian
from napari_dip.prior.physics.observation import Observation
from napari_dip.prior.presets import FAST, MaskedPreset

DEFAULT = (
    "denoise-sigma25/F16",
    "denoise-sigma50/kodim12",
    "fluorescence/Confocal_FISH_1",
    "fluorescence/WideField_BPAE_R_2",
)


class PosteriorMean:
    """A last step that ends with the posterior mean of each pixel."""

    def preview(self, averaged: Sequence[Averaged]) -> Tensor:
        """Give the same as in the end."""
        return self.finish(averaged).image

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Give the mean over the networks."""
        return Estimate(torch.stack([posterior_mean(one).image for one in averaged]).mean(0))


class GuidedByPrediction:
    """A last step that guides the patches by the bare prediction."""

    def preview(self, averaged: Sequence[Averaged]) -> Tensor:
        """Give the same as in the end."""
        return self.finish(averaged).image

    def finish(self, averaged: Sequence[Averaged], *, with_variance: bool = False) -> Estimate:
        """Refine predictions that are taken to be sure: to these the measured value of a pixel adds nothing."""
        return Refined().finish([replace(one, total=torch.zeros_like(one.total)) for one in averaged])


@dataclass(frozen=True)
class Judged:
    """An objective whose predictions are judged by another observation than the one that they were made from."""

    inner: Objective
    observation: Observation

    @property
    def network(self) -> nn.Module:
        """That of the inner one."""
        return self.inner.network

    def predict(self) -> Prediction:
        """Predict as the inner one does."""
        return self.inner.predict()


Preset = Callable[[MaskedPreset], MaskedPreset]


def preset(**changes: Any) -> Preset:
    """Change fields of the preset."""
    return lambda preset: replace(preset, **changes)


def optimisation(**changes: Any) -> Preset:
    """Move the weights in another way."""
    return lambda preset: replace(preset, optimisation=replace(preset.optimisation, **changes))


def network(**changes: Any) -> Preset:
    """Build another network."""
    return lambda preset: replace(preset, network=replace(preset.network, **changes))


def see_neighbours(case: Opened) -> Problem:
    """Hide single pixels, as in white noise; the rule and the last step still know how far the noise reaches."""
    assert isinstance(case.preset, MaskedPreset)
    noise = case.observation.noise
    preset = replace(case.preset, stopping=case.preset.stopping_if_correlated)
    white = replace(case.observation, noise=replace(noise, correlation_radius=0))
    problem = replace(case, preset=preset, observation=white).problem()
    judged = [Judged(one, replace(one.observation, noise=noise)) for one in problem.objectives]
    return replace(problem, objectives=judged)


def forget_saturation(case: Opened) -> Opened:
    """Take all values at their face."""
    noise = case.observation.noise
    return replace(
        case, observation=replace(case.observation, noise=replace(noise, likelihood=Gaussian(noise.likelihood.noise)))
    )


def contrast_of_all(case: Opened) -> Opened:
    """Scale by mean and deviation of the whole image: over a mirrored window of twice its size all counts alike."""
    window = LocalContrast(scale=2 * max(case.observation.image_size))
    return replace(case, observation=replace(case.observation, local_window=window))


def is_saturated(observation: Observation) -> bool:
    """Whether any edge was found."""
    likelihood = observation.noise.likelihood
    return isinstance(likelihood, Gaussian) and (math.isfinite(likelihood.low) or math.isfinite(likelihood.high))


def reaches(observation: Observation) -> bool:
    """Whether the noise reaches into neighbours."""
    return observation.noise.correlation_radius > 0


@dataclass(frozen=True)
class Change:
    """What is done to a denoising: to its preset, its setting of the noise, what is known, or how it is fitted."""

    preset: Preset = lambda preset: preset
    noise: str = "auto"
    parts: Callable[[Opened], Opened] = lambda case: case
    problem: Callable[[Opened], Problem] = Opened.problem
    matters: Callable[[Observation], bool] = lambda observation: True


ALL = "all tricks"
CHANGES: dict[str, Change] = {
    ALL: Change(),
    "no non-local Bayes": Change(preset(last_step=PosteriorMean())),
    "bare prediction as the guide of non-local Bayes": Change(preset(last_step=GuidedByPrediction())),
    "bare prediction as the result": Change(preset(last_step=AsPredicted())),
    "saturation ignored": Change(parts=forget_saturation, matters=is_saturated),
    "one noise for all brightness": Change(noise="gaussian"),
    "noise not corrected by residuals": Change(preset(last_step=Refined(estimation=Estimation(most_correction=1.0)))),
    "neighbours of correlated noise seen": Change(problem=see_neighbours, matters=reaches),
    "contrast of the whole image": Change(parts=contrast_of_all),
    "Adam instead of Muon": Change(optimisation(optimiser="adam")),
    "float32 instead of bfloat16": Change(optimisation(bfloat16=False)),
    "linear upsampling": Change(network(upsample="linear")),
    "reflected borders": Change(network(border="reflect")),
    "no dropout": Change(network(dropout=0.0)),
    "no stop by held-out pixels": Change(preset(stopping=None)),
}


def restore(case: Case, change: Change, seed: int, iterations: int | None) -> dict[str, Any] | None:
    """Denoise with a change; None where it would change nothing."""
    today = FAST["denoise"]
    assert isinstance(today, MaskedPreset)
    opening = opened(case.input, seed, noise=change.noise, preset=change.preset(today))
    if not change.matters(opening.observation):
        return None
    opening = change.parts(opening)
    fit = opening.fit(iterations, change.problem(opening))
    quality = psnr(opening.image(to_end(fit).image) / full(case.input), unit(case.truth))
    return {"psnr": quality, "seconds": fit.seconds, "iterations": fit.iteration, "stopped_by": fit.stopped_by}


def show(found: dict[tuple[str, str], dict[str, Any]], changes: list[str], names: list[str]) -> None:
    """Print a row for each change, and a column for each image."""

    def row(change: str) -> list[object]:
        cells, gains, slower = [], [], []
        for name in names:
            one, all_on = found[name, change], found[name, ALL]
            if one["psnr"] is None:
                cells.append("-")
                gains.append(0.0)
                continue
            gains.append(one["psnr"] - all_on["psnr"])
            slower.append(one["seconds"] / all_on["seconds"])
            cells.append(f"{one['psnr']:.2f} ({gains[-1]:+.2f}) / {one['seconds']:.0f} s / {one['iterations']}")
        return [change, *cells, f"{np.mean(gains):+.2f}", f"{np.mean(slower):.2f}" if slower else "-"]

    header = ["change", *names, "mean difference (dB)", "mean time (all tricks: 1)"]
    table("PSNR in dB (difference) / seconds / iterations", header, map(row, changes))


def read_arguments() -> argparse.Namespace:
    parser = options(__doc__, images=False)
    parser.add_argument("--images", nargs="+", metavar="SUITE/NAME", help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--changes", nargs="+", choices=CHANGES, metavar="NAME", help="only these (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--resume", action="store_true", help="keep the runs that are in the file of --json")
    return read(parser)


def main() -> int:
    """Run all changes on each image, then print."""
    given = read_arguments()
    there: list[str] = given.images or [name for name in DEFAULT if (given.folder / name).exists()]
    if not there:
        raise SystemExit(f"None of the default images is in {given.folder}; name some with --images SUITE/NAME.")
    changes = [name for name in CHANGES if name == ALL or name in (given.changes or CHANGES)]
    results = saved(given) if given.resume else []
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name in there:
        case = load(given.folder / name, given.crop)
        for change in changes:
            key = {"image": name, "change": change, "crop": given.crop, "seed": given.seed, "plan": given.iterations}
            one = next((one for one in results if key.items() <= one.items()), None)
            if one is None:
                one = {**key, **(restore(case, CHANGES[change], given.seed, given.iterations) or {"psnr": None})}
                results.append(one)
                save(given, results)
                print(f"{name}, {change}: {one['psnr']}", file=sys.stderr, flush=True)
            found[name, change] = one
    show(found, changes, there)
    return 0


if __name__ == "__main__":
    sys.exit(main())
