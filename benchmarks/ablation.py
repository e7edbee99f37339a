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
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from cases import Case, full, load, unit
from opened import Opened, opened, recipe_of, to_end
from report import options, read, save, saved, table
from simulate import psnr
from torch import Tensor

from napari_dip.prior.likelihood import Gaussian, Likelihood
from napari_dip.prior.masked_prediction import MaskedPrediction, _finish
from napari_dip.prior.objective import Result
from napari_dip.prior.presets import Recipe

DEFAULT = (
    "denoise-sigma25/F16",
    "denoise-sigma50/kodim12",
    "fluorescence/Confocal_FISH_1",
    "fluorescence/WideField_BPAE_R_2",
)


class WithoutPatches(MaskedPrediction):
    """End with the posterior mean of each pixel."""

    def finish(self, *, with_variance: bool = False) -> Result:
        """Give the estimate."""
        return Result(self.estimate(), None)


class Bare(MaskedPrediction):
    """End with what was predicted, the measured value of a pixel unused."""

    def finish(self, *, with_variance: bool = False) -> Result:
        """Give the averaged prediction."""
        return Result(self._mean, None)


class GuidedByPrediction(MaskedPrediction):
    """Guide the patches by the bare prediction."""

    def finish(self, *, with_variance: bool = False) -> Result:
        """Refine the averaged prediction."""
        return _finish(self, self._mean, self._total, pilot=self._mean)


class SeesNeighbours(MaskedPrediction):
    """Hide single pixels, however far the noise reaches."""

    def _draw(self) -> tuple[Tensor, Tensor]:
        asked = self._random(self.hidden)
        return asked, asked


def of_class(new: type[MaskedPrediction]) -> Callable[[Opened], None]:
    """Let the objective behave as another class."""

    def change(case: Opened) -> None:
        case.objective.__class__ = new

    return change


def see_neighbours(case: Opened) -> None:
    """Hide as many single pixels as with white noise."""
    case.objective.__class__ = SeesNeighbours
    case.objective.hidden = case.recipe.hidden


def forget_saturation(case: Opened) -> None:
    """Take all values at their face."""
    case.objective.likelihood = Gaussian(case.objective.likelihood.noise)


def contrast_of_all(case: Opened) -> None:
    """Scale by mean and deviation of the whole image."""
    objective = case.objective
    deviation, mean = torch.std_mean(objective.data.measured)
    objective.base, objective.contrast = (torch.full_like(x, 1) for x in (objective.base, objective.contrast))
    objective.base *= mean
    objective.contrast *= deviation


def no_rule(case: Opened) -> None:
    """Go on to the end of the plan."""
    case.rule = None


def is_saturated(case: Opened) -> bool:
    """Whether any edge was found."""
    likelihood = case.objective.likelihood
    return isinstance(likelihood, Gaussian) and (math.isfinite(likelihood.low) or math.isfinite(likelihood.high))


def reaches(case: Opened) -> bool:
    """Whether the noise reaches into neighbours."""
    return case.objective.radius > 0


def estimated_noise(noise: Likelihood, prediction: Tensor, measured: Tensor, visible: Tensor) -> Tensor:
    """Stand in for `corrected_noise`."""
    return noise.noise_variance(prediction)


def optimisation(**changes: Any) -> Callable[[Recipe], Recipe]:
    """Move the weights in another way."""
    return lambda recipe: replace(recipe, optimisation=replace(recipe.optimisation, **changes))


def recipe(**changes: Any) -> Callable[[Recipe], Recipe]:
    """Change fields of the recipe."""
    return lambda recipe: replace(recipe, **changes)


@dataclass(frozen=True)
class Change:
    """What is done to a denoising: to its recipe, its setting of the noise, its prepared parts, or the code it runs."""

    recipe: Callable[[Recipe], Recipe] = lambda recipe: recipe
    noise: str = "auto"
    prepared: Callable[[Opened], None] = lambda case: None
    running: Callable[[], AbstractContextManager[Any]] = nullcontext
    matters: Callable[[Opened], bool] = lambda case: True


ALL = "all tricks"
CHANGES: dict[str, Change] = {
    ALL: Change(),
    "no non-local Bayes": Change(prepared=of_class(WithoutPatches)),
    "bare prediction as the guide of non-local Bayes": Change(prepared=of_class(GuidedByPrediction)),
    "bare prediction as the result": Change(prepared=of_class(Bare)),
    "saturation ignored": Change(prepared=forget_saturation, matters=is_saturated),
    "one noise for all brightness": Change(noise="gaussian"),
    "noise not corrected by residuals": Change(
        running=lambda: patch("napari_dip.prior.masked_prediction.corrected_noise", estimated_noise)
    ),
    "neighbours of correlated noise seen": Change(prepared=see_neighbours, matters=reaches),
    "contrast of the whole image": Change(prepared=contrast_of_all),
    "Adam instead of Muon": Change(recipe=optimisation(optimiser="adam")),
    "float32 instead of bfloat16": Change(recipe=optimisation(bfloat16=False)),
    "linear upsampling": Change(recipe=recipe(upsample="linear")),
    "reflected borders": Change(recipe=recipe(border="reflect")),
    "no dropout": Change(recipe=recipe(dropout=0.0)),
    "no stop by held-out pixels": Change(prepared=no_rule),
}


def restore(case: Case, change: Change, seed: int, iterations: int | None) -> dict[str, Any] | None:
    """Denoise with a change; None where it would change nothing."""
    opening = opened(case.input, seed, noise=change.noise, recipe=change.recipe(recipe_of(case.input)))
    if not change.matters(opening):
        return None
    change.prepared(opening)
    with change.running():
        end = to_end(opening.steps(iterations))
    quality = psnr(opening.image(end.result.image) / full(case.input), unit(case.truth))
    return {"psnr": quality, "seconds": end.seconds, "iterations": end.iterations, "stopped_by": end.stopped_by}


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
