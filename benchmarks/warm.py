"""What a fitted prior is worth to the next image: as it is, brought up to date at several rates, and fitted anew.

    python benchmarks/warm.py FOLDER [--noise]

FOLDER holds input.tif and truth.tif, a stack whose first half is fitted to and whose second half is restored; with
`--noise`, noise is added to the second half instead, to see from which strength on the weights of the fit do harm.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

import napari_dip as dip
from napari_dip.prior import presets
from napari_dip.run import start
from napari_dip.run.fits import groups_at_work
from napari_dip.run.fitted_prior import FittedPrior
from napari_dip.run.stack_pool import Pool

RATES = 0.5, 1.0, 3.0, 10.0
UPDATES = 20, 50
Images = np.ndarray[Any, Any]


def psnr(image: Images, truth: Images) -> float:
    """PSNR on the range of the truth."""
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean((image.astype(float) - truth) ** 2)))


def tell(name: str, image: Images, truth: Images, seconds: float | None = None) -> None:
    """Print a line."""
    took = "" if seconds is None else f" {seconds:7.1f} s"
    print(f"{name:28} {psnr(image, truth):6.2f} dB{took}", flush=True)


def halves(folder: Path) -> tuple[Images, Images, Images]:
    """Give the first half, and the second one with its truth."""
    noisy, truth = (tifffile.imread(folder / f"{name}.tif").astype(np.float32) for name in ("input", "truth"))
    middle = len(noisy) // 2
    return noisy[:middle], noisy[middle:], truth[middle:]


def updates(prior: FittedPrior, noisy: Images, truth: Images, how: dict[str, Any]) -> None:
    """Bring it up to date at several rates."""
    for rate in RATES:
        presets.WARM = rate
        for count in UPDATES:
            started = time.perf_counter()
            found = prior.restore(noisy, iterations=count, **how)
            tell(f"warm, {count} at rate {rate:g}", found.image, truth, time.perf_counter() - started)


def stronger(prior: FittedPrior, noisy: Images, truth: Images, how: dict[str, Any]) -> None:
    """Add noise, and compare the prior of the usual noise with one of that noise."""
    start.MOST_APART = np.inf
    (fitted,), sigma = prior.weights.channels, float(np.std(noisy - truth))
    assert fitted is not None
    for times in (2.0, 3.0, 5.0):
        extra = np.random.default_rng(0).normal(0, sigma * np.sqrt(times**2 - 1), noisy.shape)
        image = (noisy + extra).astype(np.float32)
        request = prior.request(image, how["axes"], 0, {"threads": 1})
        (group,) = groups_at_work(request.source, request.task).values()
        here = Pool.of([(request.source, group)], request.settings, "cpu").relative_noise
        print(f"noise {times:g} times as strong, {here / fitted.noise:.2f} times that of the fit beside the contrast")
        tell("  as it is", prior.restore(image, **how).image, truth)
        for rate in (1.0, 10.0):
            presets.WARM = rate
            tell(f"  50 at rate {rate:g}", prior.restore(image, iterations=50, **how).image, truth)
        tell("  anew", dip.denoise(image, **how).image, truth)


def main() -> None:
    """Measure."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--axes", default="ZYX")
    asked.add_argument("--noise", action="store_true")
    given = asked.parse_args()
    how: dict[str, Any] = {"axes": given.axes, "threads": 1, "device": "cpu"}
    first, noisy, truth = halves(given.folder)
    started = time.perf_counter()
    prior = dip.fit("denoise", first, **how)
    print(f"fitted to the first half in {time.perf_counter() - started:.0f} s: {prior}", flush=True)
    if given.noise:
        stronger(prior, noisy, truth, how)
        return
    tell("noisy", noisy, truth)
    started = time.perf_counter()
    tell("as it is", prior.restore(noisy, **how).image, truth, time.perf_counter() - started)
    updates(prior, noisy, truth, how)
    for count in (50, None):
        started = time.perf_counter()
        found = dip.denoise(noisy, max_iterations=count, **how)
        tell(f"cold, {found.record['iterations']} iterations", found.image, truth, time.perf_counter() - started)


if __name__ == "__main__":
    main()
