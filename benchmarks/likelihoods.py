"""Compare likelihoods on photon counts: Gaussian with a variance by brightness, Poisson, and one variance for all.

    python benchmarks/likelihoods.py SCOREBOARD --peaks 1 5 30 --threads 1 --json likelihoods.json

Photons are counted, `peak` of them where the truth is 1. Preset fast, with its own stop; PSNR of the finished image.
"Poisson" is the negative binomial likelihood of `napari_dip.prior.physics.likelihood`. Its strength, like that of the
Gaussian, is found from the image: knowing nothing of it, or told that it is photons (the setting noise="poisson"). With
the setting noise="gaussian" a pile of zeros is taken for saturation; with one variance and nothing else it is not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from opened import opened, to_end
from report import options, read, save, table
from simulate import photons, psnr, truths

from napari_dip.prior.physics.likelihood import Gaussian, Likelihood, Poisson


def as_found(likelihood: Likelihood) -> Likelihood:
    """Keep the Gaussian that the product uses."""
    return likelihood


def unsaturated(likelihood: Likelihood) -> Likelihood:
    """Take a pile of zeros at its face: no photon is no sign of a cut-off."""
    return Gaussian(likelihood.noise)


def counts(likelihood: Likelihood) -> Likelihood:
    """Take the Poisson likelihood of the same strength."""
    return Poisson(likelihood.noise)


LIKELIHOODS: dict[str, tuple[str, Callable[[Likelihood], Likelihood]]] = {
    "Gaussian by brightness (used)": ("auto", as_found),
    "Poisson": ("auto", counts),
    "Gaussian, told photons": ("poisson", as_found),
    "Poisson, told photons": ("poisson", counts),
    "Gaussian, one variance": ("gaussian", unsaturated),
    "setting noise=gaussian": ("gaussian", as_found),
}
"""The setting of the noise, and what is made of the likelihood that the product would take."""


def restore(image: np.ndarray, truth: np.ndarray, name: str, seed: int, iterations: int | None) -> dict[str, Any]:
    """Fit with one of the likelihoods."""
    noise, make = LIKELIHOODS[name]
    case = opened(image, seed, noise=noise)
    found = case.observation.noise
    likelihood = make(found.likelihood)
    observation = replace(case.observation, noise=replace(found, likelihood=likelihood))
    fit = replace(case, observation=observation).fit(iterations)
    restored = to_end(fit)
    return {
        "likelihood": name,
        "psnr": psnr(case.image(restored.image), truth),
        "iterations": fit.iteration,
        "seconds": fit.seconds,
        "stopped_by": fit.stopped_by,
        "fallbacks": fit.fallbacks,
        "model": str(likelihood),
    }


def main() -> int:
    """Fit all, then print the means over the seeds."""
    parser = options(__doc__)
    parser.add_argument("--peaks", type=float, nargs="+", default=[1, 5, 30], help="photons (default: 1 5 30)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds of noise and fit (default: %(default)s)")
    given = read(parser)
    results: list[dict[str, Any]] = []
    rows: list[list[object]] = []
    for peak in given.peaks:
        of_peak = []
        for name, truth in truths(given.folder, given.images, given.crop).items():
            inputs, scores = [], []
            for seed in range(given.seeds):
                image = photons(truth, peak, seed)
                inputs.append(psnr(image, truth))
                for likelihood in LIKELIHOODS:
                    one = restore(image, truth, likelihood, seed, given.iterations)
                    results.append({"peak": peak, "image": name, "seed": seed, "input": inputs[-1], **one})
                    save(given, results)
                    scores.append(one["psnr"])
            means = np.reshape(scores, (given.seeds, -1)).mean(0)
            of_peak.append([float(np.mean(inputs)), *map(float, means)])
            rows.append([f"{peak:g}", name, *of_peak[-1]])
            print(f"peak {peak:g} {name}: done", file=sys.stderr, flush=True)
        rows.append([f"{peak:g}", "mean", *map(float, np.mean(of_peak, 0))])
    table("Photon counts: PSNR (dB)", ["peak", "image", "input", *LIKELIHOODS], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
