"""Compare rules for when to stop: how far below the best of its run each of them ends.

    python benchmarks/stopping.py SCOREBOARD --threads 1 --json stopping.json --resume

Each case (a kind of noise, its strength, an image) is fitted with preset fast, to the end of its plan. What the
finished image would be is looked at every few iterations, with the truth; what each rule would have seen is recorded,
and the rules are replayed on that record afterwards. Best is the first look within 0.05 dB of the best of a run, the
gap how much PSNR is lost by the stop; between two looks the PSNR is interpolated. With --resume a case that is in the
file is not fitted again, but the rules are replayed as they are now.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from opened import Opened, opened
from report import options, read, save, saved, table
from simulate import KINDS, noisy, psnr, truths
from torch import Tensor

from napari_dip.prior.fitting.stopping import Discrepancy, OutputVariance, Rule
from napari_dip.prior.objectives.objective import Objective, Prediction
from napari_dip.prior.physics.observation import mean_where

EACH = 5
"""Iterations between two values that a rule sees."""
WINDOW, AVERAGED = 12, 10
"""Outputs whose variance is taken, and iterations over which the error of learned pixels is averaged."""
NEAR, LATE = 0.05, 1.5
"""What counts as the best of a run, in dB, and so many times its iterations as late."""


@dataclass
class Fixed:
    """Stop after a number of iterations, whatever the image."""

    number: int
    every: int = EACH

    def wants_stop(self, iteration: int, value: float) -> bool:
        """Say whether it is time."""
        return iteration >= self.number

    def why(self) -> str:
        """Say that it is always so."""
        return f"There were {self.number} iterations."


PRODUCT = "held-out pixels (used)"
RULES: dict[str, tuple[str, Callable[[Rule | None], Rule | None]]] = {
    PRODUCT: ("held-out", lambda used: used),
    "variance of the outputs": ("variance", lambda _: OutputVariance()),
    "discrepancy": ("discrepancy", lambda _: Discrepancy()),
    "60 iterations": ("held-out", lambda _: Fixed(60)),
    "100 iterations": ("held-out", lambda _: Fixed(100)),
    "150 iterations": ("held-out", lambda _: Fixed(150)),
    "never": ("held-out", lambda _: None),
}
"""What each rule looks at, and how it is made; the first is the one that the product would use for the image."""


class Remembering:
    """An objective that keeps its last prediction, for rules that look at the outputs of the network."""

    def __init__(self, inner: Objective):
        self.inner, self.network, self.observation = inner, inner.network, inner.observation
        self.last: Prediction | None = None

    def predict(self) -> Prediction:
        """Predict as the inner one does."""
        self.last = self.inner.predict()
        return self.last


def record(case: Opened, truth: np.ndarray, iterations: int | None, every: int) -> dict[str, Any]:
    """Fit to the end of the plan; give the PSNR at each look, and what the rules would have seen."""
    problem = case.problem()
    objective = Remembering(problem.objectives[0])
    fit = case.fit(iterations, replace(problem, objectives=[objective], rule=None))
    observation = objective.observation
    outputs: deque[Tensor] = deque(maxlen=WINDOW)
    errors: deque[float] = deque(maxlen=AVERAGED)
    noise = observation.noise.likelihood.noise_variance(observation.local[0])
    looks: list[tuple[int, float]] = []
    seen: dict[str, list[tuple[int, float]]] = {"held-out": [], "variance": [], "discrepancy": []}
    for now in fit:
        assert objective.last is not None and objective.last.target is not None
        output = objective.last.image.detach()
        outputs.append(output)
        squared = (output - observation.values) ** 2 / noise
        errors.append(float(mean_where(squared, objective.last.target * observation.learned)))
        if now.iteration % EACH == 0:
            held_out = observation.held_out_error(fit.averaged()[0].image)
            if held_out is not None:
                seen["held-out"].append((now.iteration, held_out))
            if len(outputs) == WINDOW:
                seen["variance"].append((now.iteration, float(torch.stack(list(outputs)).var(0).mean())))
            seen["discrepancy"].append((now.iteration, float(np.mean(errors))))
        if now.iteration % every == 0 or now.iteration == now.iterations:
            looks.append((now.iteration, psnr(case.image(fit.finish().image), truth)))
    return {"looks": looks, "seen": seen, "seconds": fit.seconds}


def replay(rule: Rule | None, seen: list[tuple[int, float]], last: int) -> int:
    """Give the iteration after which a rule would have stopped."""
    for iteration, value in seen:
        if rule is not None and iteration % rule.every == 0 and iteration < last and rule.wants_stop(iteration, value):
            return iteration
    return last


def judge(result: dict[str, Any], used: Rule | None) -> dict[str, dict[str, float]]:
    """Replay all rules on the record of one case."""
    at, quality = (np.array(column) for column in zip(*result["looks"], strict=True))
    best, first = float(quality.max()), int(at[np.argmax(quality >= quality.max() - NEAR)])
    verdicts = {}
    for name, (what, make) in RULES.items():
        stop = replay(make(used), result["seen"][what], int(at[-1]))
        reached = float(np.interp(stop, at, quality))
        verdicts[name] = {
            "best": best,
            "best_at": first,
            "stop": reached,
            "stop_at": stop,
            "gap": best - reached,
            "late": stop > LATE * first,
        }
    return verdicts


def show(cases: list[tuple[dict[str, Any], dict[str, dict[str, float]]]]) -> None:
    """Print both tables."""

    def over_all(rule: str) -> list[object]:
        verdicts = [verdict[rule] for _, verdict in cases]
        gaps, stops = ([one[key] for one in verdicts] for key in ("gap", "stop_at"))
        late = sum(bool(one["late"]) for one in verdicts)
        return [rule, float(np.mean(gaps)), float(max(gaps)), round(float(np.mean(stops))), f"{late} of {len(cases)}"]

    def one_case(case: dict[str, Any], verdict: dict[str, float]) -> list[object]:
        best, stop = (f"{verdict[key]:.2f} @ {verdict[key + '_at']}" for key in ("best", "stop"))
        return [case["kind"], f"{case['sigma']:g}", case["image"], case["noisy"], best, stop, verdict["gap"]]

    header = ["rule", "mean gap (dB)", "worst gap (dB)", "mean iterations", f"later than {LATE} x best"]
    table(f"Rules, {len(cases)} runs", header, map(over_all, RULES))
    header = ["noise", "sigma", "image", "input (dB)", "best (dB @ iteration)", "stop", "gap (dB)"]
    table(f"Run by run: {PRODUCT}", header, (one_case(case, verdict[PRODUCT]) for case, verdict in cases))


def read_arguments() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--sigma", type=float, nargs="+", default=[10, 25, 50], help="strengths (default: 10 25 50)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of noise (default: all)")
    parser.add_argument("--every", type=int, default=10, metavar="N", help="iterations between looks (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise and of the fit (default: %(default)s)")
    parser.add_argument("--resume", action="store_true", help="keep the cases that are in the file of --json")
    return read(parser)


def main() -> int:
    """Fit what is not recorded yet, then replay."""
    given = read_arguments()
    images = truths(given.folder, given.images, given.crop)
    results = saved(given) if given.resume else []
    cases = []
    for sigma, kind, (name, truth) in product(given.sigma, given.kinds, images.items()):
        image = noisy(truth, kind, sigma, given.seed)
        key = {"kind": kind, "sigma": sigma, "image": name, "noisy": psnr(image, truth)}
        key |= {"crop": given.crop, "iterations": given.iterations, "every": given.every, "seed": given.seed}
        case = opened(image, given.seed)
        used = case.problem().rule
        result = next((one for one in results if key.items() <= one.items()), None)
        if result is None:
            result = {**key, **record(case, truth, given.iterations, given.every)}
            results.append(result)
            save(given, results)
            best = max(quality for _, quality in result["looks"])
            print(
                f"{kind} {sigma:g} {name}: best {best:.2f} dB, {result['seconds']:.0f} s", file=sys.stderr, flush=True
            )
        cases.append((key, judge(result, used)))
    show(cases)
    return 0


if __name__ == "__main__":
    sys.exit(main())
