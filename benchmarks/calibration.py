"""Check the uncertainty: how often the truth lies within it, and what it costs.

    python benchmarks/calibration.py SCOREBOARD --threads 1 --json calibration.json

On the inputs of the folder's suites for denoising and inpainting, and on simulated noise. The error of each pixel that
was restored (all of them, or those of a gap) is compared with its uncertainty: of a normal distribution, 50 % would be
within 0.67 of it, and so on, and the rms of their ratio would be 1. Each image is restored with and without the
uncertainty in turns, so that the seconds can be compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import numpy as np
from cases import Case, full, load, unit
from report import options, read, save, table
from simulate import KINDS, noisy, psnr, truths

import napari_dip as dip

SUITES = ("denoise-*", "fluorescence", "inpaint-*")
WITHIN = {50: 0.6745, 68: 0.9945, 90: 1.6449, 95: 1.9600}
"""How many standard deviations hold so many per cent of a normal distribution."""
BINS = 5


def cases(given: argparse.Namespace) -> Iterator[Case]:
    """Give the images of the suites, then those with simulated noise."""
    clean = truths(given.folder, given.images, given.crop) if given.kinds else {}
    for path in sorted(path.parent for path in given.folder.glob("*/*/truth.png")):
        suite, image = path.parent.name, path.name
        if any(fnmatch(suite, pattern) for pattern in given.suite) and image in (given.images or [image]):
            yield load(path, given.crop)
    for kind in given.kinds:
        for name, truth in clean.items():
            image = noisy(truth, kind, given.sigma)
            yield Case(f"simulated {kind} {given.sigma:g}", name, image, truth, None, 1)


def restore(case: Case, settings: dict[str, Any]) -> tuple[dip.Restoration, float]:
    """Restore one image; give the seconds, too."""
    run = dip.restore_steps(case.task, case.input, axes=case.axes, **case.inputs, **settings)
    started = time.perf_counter()
    restored = run.result
    return restored, time.perf_counter() - started


def compare(case: Case, settings: dict[str, Any], *, first: bool) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Restore with and without the uncertainty; give the figures, and error and uncertainty of each restored value."""
    runs = {wanted: restore(case, {**settings, "uncertainty": wanted}) for wanted in (first, not first)}
    restored, seconds = runs[True]
    assert restored.uncertainty is not None
    image, deviation = (x / full(case.input) for x in (restored.image, restored.uncertainty))
    where = np.ones(case.truth.shape[:2], bool) if case.mask is None else case.mask
    error, deviation = (image - unit(case.truth))[where], deviation[where].clip(1e-9)
    ratio = np.abs(error) / deviation
    figures = {
        "suite": case.suite,
        "image": case.image,
        "psnr": psnr(image, unit(case.truth)),
        "coverage": {within: float(np.mean(ratio < z)) for within, z in WITHIN.items()},
        "rms": float(np.sqrt(np.mean(ratio**2))),
        "seconds": seconds,
        "seconds_without": runs[False][1],
        "same_image": bool(np.array_equal(restored.image, runs[False][0].image)),
    }
    return figures, error.ravel(), deviation.ravel()


def reliability(error: np.ndarray, deviation: np.ndarray) -> list[tuple[float, float]]:
    """Sort the values by uncertainty into bins of one size; give rms uncertainty and rms error of each, of 255."""
    bins = np.array_split(np.argsort(deviation, kind="stable"), BINS)
    return [(255 * rms(deviation[inside]), 255 * rms(error[inside])) for inside in bins]


def rms(values: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(values.astype(np.float64) ** 2)))


def read_arguments() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--suite", nargs="*", default=SUITES, metavar="NAME", help=f"default: {' '.join(SUITES)}")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS), help="simulated noise (default: all)")
    parser.add_argument("--sigma", type=float, default=25, help="strength of simulated noise (default: %(default)s)")
    return read(parser)


def show(results: list[dict[str, Any]], pooled: dict[str, list[tuple[float, float]]]) -> None:
    """Print both tables."""

    def line(one: dict[str, Any]) -> list[object]:
        covered = [f"{100 * part:.0f} %" for part in one["coverage"].values()]
        extra = one["seconds"] - one["seconds_without"]
        share = f"{extra:+.1f} s ({100 * extra / one['seconds_without']:+.0f} %)"
        return [one["suite"], one["image"], one["psnr"], *covered, one["rms"], share]

    header = [
        "suite",
        "image",
        "PSNR (dB)",
        *(f"within {n} %" for n in WITHIN),
        "rms error / uncertainty",
        "extra time",
    ]
    table("Coverage", header, map(line, results))
    header = ["suite", *(f"fifth {n + 1}" for n in range(BINS))]
    rows = ([suite, *(f"{told:.1f}: {true:.1f}" for told, true in bins)] for suite, bins in pooled.items())
    table("Uncertainty: rms error (of 255), from the most certain fifth of the values to the least", header, rows)


def main() -> int:
    """Restore all, then print."""
    given = read_arguments()
    settings: dict[str, Any] = {"max_iterations": given.iterations, "threads": given.threads}
    results: list[dict[str, Any]] = []
    values: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    pooled: dict[str, list[tuple[float, float]]] = {}
    for number, case in enumerate(cases(given)):
        figures, error, deviation = compare(case, settings, first=number % 2 == 0)
        values[case.suite].append((error, deviation))
        errors, deviations = (np.concatenate(one) for one in zip(*values[case.suite], strict=True))
        pooled[case.suite] = reliability(errors, deviations)
        results.append({**figures, "reliability": reliability(error, deviation)})
        save(given, results)
        print(f"{case.suite} {case.image}: {figures['seconds']:.0f} s", file=sys.stderr, flush=True)
    show(results, pooled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
