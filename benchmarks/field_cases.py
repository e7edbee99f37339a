"""Score restorations of images with a trouble each, beside what simple methods make of them and what is asked.

FOLDER holds NAME.tif or NAME.png, its truth as an .npy file, and NAME-mask.png where pixels are to be filled in. The
names, what is wrong with each and what is asked stand in `CASES`; those that are not in the folder are left out.

PSNR is over the range of the truth (largest less smallest value), both in what is scored alone: data bars, padding,
outliers and two pixels around them are not, and of images to be filled in only what was missing, or they say otherwise.
"Cheap" is the best of the input, a Gaussian and a median filter (oracles: their widths are the best by the truth, which
no user has), biharmonic filling and bicubic enlargement. "Best simple" has non-local means as well, and BM3D with the
noise stabilised where it is installed. "Ours" are the public functions with their defaults: good if they are no more
than 0.1 dB below the cheap answer and reach what is asked, a number or what a simple method gives.

With --set uncertainty=true a second table says how much of the truth lies within 1.645 uncertainties of the result, of
all that is scored, and of the half of it that is least certain: 90 %, of a normal distribution.

    python benchmarks/field_cases.py FOLDER --cases hot-pixels-65535 sparse-grid --threads 1 --json field-cases.json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import baselines
import numpy as np
from calibration import WITHIN, rms
from report import read, save, table
from scoreboard import say

import napari_dip as dip
from napari_dip.files import formats

SLACK = 0.1
"""How far below the cheap answer is still level with it, in dB."""
ROUNDING = 0.005
"""How far below what is asked is the same, as a table shows it, in dB."""
FAR = 4
"""How many times the largest true value an outlier is at least; noise of these images ends far below."""
CHEAP = ("input", "gaussian", "median", "biharmonic", "bicubic")


@dataclass(frozen=True)
class Loaded:
    """An image as read, the sample of it that is scored, the truth of that, and where pixels are missing if any are."""

    image: np.ndarray
    axes: str | None
    plain: np.ndarray
    truth: np.ndarray
    mask: np.ndarray | None

    @property
    def factor(self) -> int:
        """How many times larger than the image the truth is."""
        return round(len(self.truth) / len(self.image))

    def enlarged(self, image: np.ndarray) -> np.ndarray:
        """Repeat each pixel as often as the truth is larger."""
        return image.repeat(self.factor, 0).repeat(self.factor, 1)


def far_from_outliers(case: Loaded) -> np.ndarray:
    """Leave out pixels that are far brighter than anything there is, and two pixels around them."""
    from scipy.ndimage import binary_dilation

    return ~case.enlarged(binary_dilation(case.plain > FAR * case.truth.max(), np.ones((5, 5))))


PARTS: dict[str, Callable[[Loaded], Any]] = {
    "whole": lambda case: np.ones(case.truth.shape, bool),
    "missing": lambda case: case.mask,
    "no bar": lambda case: ~np.isin(case.truth, (0, 255)).all(1, keepdims=True) & np.ones(case.truth.shape, bool),
    "not zero": lambda case: case.truth > 0,  # padding and backgrounds that were cut off
    "no bead": lambda case: case.truth <= 500,  # cells reach 400
    "no outliers": far_from_outliers,
}
"""What is scored."""


@dataclass(frozen=True)
class FieldCase:
    """An input with a trouble.

    Attributes
    ----------
    name, trouble : str
    asked : float or str
        PSNR (dB), or the simple method whose PSNR it is.
    scored : str
        One of the `PARTS`.
    task : str
    file, truth : str
        Of image and truth, without endings, where they are not named after the case.
    sample : int, optional
        Of RGB, the one that is scored.
    instead : str
        File of the image that the method is applied to, where it is another.
    settings : dict
    """

    name: str
    trouble: str
    asked: float | str
    scored: str = "whole"
    task: str = "denoise"
    file: str = ""
    truth: str = ""
    sample: int | None = None
    instead: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


FELT = "fine structure everywhere"
FILL: dict[str, Any] = {"task": "inpaint", "scored": "missing"}
SPARSE: dict[str, Any] = {**FILL, "truth": "sparse"}
SMALL: dict[str, Any] = {"task": "super_resolve", "truth": "small"}
CASES = (
    FieldCase("sem-data-bar", "data bar under a micrograph", 36.5, "no bar"),
    FieldCase("registered-frame", "zeros where an aligned frame has no partner", 40.0, "not zero"),
    FieldCase("green-dye", "one dye saved as RGB", 36.5, truth="dye", sample=1),
    FieldCase("cut-out-cells", "all around cells set to zero", 33.5, "not zero"),
    FieldCase("overexposed-brightfield", "most of the image saturated", 36.5),
    FieldCase("hot-pixels-65535", "hot pixels far above a dim image", 45.5, "no outliers", truth="hot-pixels"),
    FieldCase("bright-bead", "saturated bead beside dim cells", 44.0, "no bead"),
    FieldCase("mass-cytometry", "ion counts with hot pixels", 33.5, "no outliers"),
    FieldCase("texture-felt", FELT, 34.0),
    FieldCase("texture-felt-told", f"{FELT}, sigma told", 34.0, file="texture-felt", settings={"sigma": 60}),
    FieldCase("two-amplifiers", "noise that depends on place", 32.6),
    FieldCase("noisy-8-quality-85", "noisy, then saved as JPEG", 38.0, truth="noisy-jpeg"),
    FieldCase("enlarged-before", "noisy, then enlarged", 29.5),
    FieldCase("smeared-along-the-line", "noise correlated along rows", 30.5),
    FieldCase("few-photons-3", "at most 3 photons a pixel", "gaussian"),
    FieldCase("few-photons-1", "at most 1 photon a pixel", 28.3),
    FieldCase("scan-lines", "rows with offsets of their own", 34.5),
    FieldCase("salt-and-pepper", "salt and pepper, and noise", 32.5),
    FieldCase("sparse-random", "all but 1 of 20 pixels missing", "biharmonic", **SPARSE),
    FieldCase("sparse-grid", "all but 1 of 16 pixels missing, on a grid", 31.5, **SPARSE),
    FieldCase("sparse-rows", "all but 1 of 8 rows missing", "biharmonic", **SPARSE),
    FieldCase("drawn-edges", "half of a drawing missing", 30.0, task="inpaint"),
    FieldCase("holes-cells", "holes of 20 pixels", "biharmonic", **FILL),
    FieldCase("small-hot", "hot pixel in a small image", "bicubic", "no outliers", instead="small-clean", **SMALL),
    FieldCase("small-noisy", "noise in a small image", 28.5, **SMALL),
)


def path_of(folder: Path, name: str) -> Path:
    """Name the file of an image, whether it is there or not."""
    png = folder / f"{name}.png"
    return png if png.exists() else folder / f"{name}.tif"


def load(case: FieldCase, folder: Path, name: str = "") -> Loaded:
    """Read the files of a case, or another image in the place of its own."""
    name = name or case.file or case.name
    picture = formats.read_image(path_of(folder, name))
    plain = (picture.array if case.sample is None else picture.array[..., case.sample]).astype(np.float64)
    truth = np.load(folder / f"{case.truth or name}-truth.npy").astype(np.float64)
    mask = formats.read_mask(folder / f"{name}-mask.png") if case.task == "inpaint" else None
    return Loaded(picture.array, picture.axes, plain, truth, mask)


def simple(case: Loaded, scored: np.ndarray, threads: int) -> dict[str, np.ndarray]:
    """Restore by the simple methods for what there is to do."""
    found = {"input": case.enlarged(case.plain)}
    if case.mask is not None:
        return {**found, "biharmonic": baselines.biharmonic(case.plain, case.mask)[0]}
    if case.factor > 1:
        return {**found, "bicubic": baselines.bicubic(case.plain, case.factor)[0]}
    found["gaussian"], _ = baselines.gaussian(case.plain, case.truth, scored=scored)
    found["median"], _ = baselines.median(case.plain, case.truth, scored=scored)
    found["nlm"], _ = baselines.nlm(case.plain)
    if find_spec("bm3d"):
        found["vst-bm3d"], _ = baselines.vst_bm3d(case.plain, threads)
    return found


def ours(case: FieldCase, loaded: Loaded, settings: dict[str, Any]) -> dip.Restoration:
    """Restore by the public function of the task."""
    inputs: dict[str, Any] = {} if loaded.mask is None else {"mask": loaded.mask}
    if case.task == "super_resolve":
        inputs["factor"] = loaded.factor
    call: Callable[..., dip.Restoration] = getattr(dip, case.task)
    return call(loaded.image, axes=loaded.axes, **inputs, **{**case.settings, **settings})


def psnr(result: np.ndarray, truth: np.ndarray, scored: np.ndarray) -> float:
    """PSNR (dB) of the scored pixels, over the range of the truth in them."""
    error = float(np.mean((result[scored] - truth[scored]) ** 2))
    return float(10 * np.log10(np.ptp(truth[scored]) ** 2 / error)) if error else float("inf")


def judge(ours: float, cheap: float, asked: float | None) -> str:
    """Say whether it is good, or what it is below."""
    below = ["cheap"] * (ours < cheap - SLACK) + ["asked"] * (asked is not None and ours < asked - ROUNDING)
    return f"below {' and '.join(below)}" if below else "good"


def score(case: FieldCase, folder: Path, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Score a case; one to be filled in that is scored as a whole, in the missing pixels as well."""
    loaded, threads = load(case, folder), int(settings.get("threads", 0))
    scored, asked = PARTS[case.scored](loaded), case.asked
    images = simple(loaded, scored, threads)
    if case.instead:
        other = simple(load(case, folder, case.instead), scored, threads)
        asked = psnr(other[str(asked)], loaded.truth, scored)
    started = time.perf_counter()
    result = ours(case, loaded, settings)
    seconds = time.perf_counter() - started
    images["ours"] = result.image if case.sample is None else result.image[..., case.sample]
    for part in (case.scored, *["missing"] * (case.task == "inpaint" and case.scored != "missing")):
        found = {name: psnr(image, loaded.truth, PARTS[part](loaded)) for name, image in images.items()}
        cheap = max(set(found) & set(CHEAP), key=found.__getitem__)
        best = max(set(found) - {"ours"}, key=found.__getitem__)
        goal = None if part != case.scored else found[asked] if isinstance(asked, str) else asked
        row: dict[str, Any] = {
            "case": case.name,
            "trouble": case.trouble,
            "scored": part,
            "psnr": found,
            "cheap": cheap,
            "simple": best,
        }
        verdict = judge(found["ours"], found[cheap], goal)
        if result.uncertainty is not None:
            spread = result.uncertainty if case.sample is None else result.uncertainty[..., case.sample]
            row["coverage"] = coverage(images["ours"] - loaded.truth, spread, PARTS[part](loaded))
        yield {**row, "asked": goal, "seconds": seconds, "verdict": verdict, "notes": dict(result.record)}


def coverage(error: np.ndarray, spread: np.ndarray, scored: np.ndarray) -> list[float]:
    """Give the part of errors within an interval of 90 %, of all and of the less certain half; their rms ratio."""
    off, said = np.abs(error[scored]), spread[scored]
    off, said = off[said > 0], said[said > 0]
    if not said.size:
        return []
    inside, doubtful = off <= WITHIN[90] * said, said >= np.median(said)
    return [float(inside.mean()), float(inside[doubtful].mean()), rms(off / said)]


def cells(row: dict[str, Any]) -> list[str | float]:
    """Give a row of the table."""
    found, asked = row["psnr"], "-" if row["asked"] is None else row["asked"]
    first, last = ([row[name] for name in names] for names in (("case", "trouble", "scored"), ("seconds", "verdict")))
    best = [f"{found[row[name]]:.2f} ({row[name]})" for name in ("cheap", "simple")]
    return [*first, found["input"], *best, found["ours"], asked, *last]


def held(row: dict[str, Any]) -> list[str | float]:
    """Give a row of the table of uncertainties."""
    *parts, ratio = row["coverage"]
    return [row["case"], row["scored"], *(f"{100 * part:.0f} %" for part in parts), ratio]


def main() -> int:
    """Score the cases; the exit status is 1 if any failed."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds the images")
    parser.add_argument("--cases", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings for ours")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: as many as each takes)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure here")
    parser.set_defaults(crop=None)
    given = read(parser)
    settings: dict[str, Any] = dict(pair.split("=", 1) for pair in given.set)
    if given.threads:
        settings["threads"] = given.threads
    there = [case.name for case in CASES if path_of(given.folder, case.file or case.name).exists()]
    cases = [case for case in CASES if case.name in (given.cases or there)]
    for module in ("napari_dip.restore", "skimage.restoration", "scipy.ndimage", "PIL.Image"):
        import_module(module)  # before any clock runs
    results: list[dict[str, Any]] = []
    failed = 0
    for case in cases:
        try:
            results += score(case, given.folder, settings)
            say(f"{case.name}: {results[-1]['verdict']}")
        except Exception as error:  # the other cases are still worth having
            say(f"{case.name} failed: {type(error).__name__}: {error}")
            failed += 1
        save(given, results, settings)
    header = ["case", "trouble", "scored", "before", "cheap", "best simple", "ours", "asked", "s", "verdict"]
    table("Field cases: PSNR (dB)", header, map(cells, results))
    covered = [row for row in results if row.get("coverage")]
    if covered:
        header = ["case", "scored", "within 90 %", "less certain half", "rms error / uncertainty"]
        table("Uncertainty: how much of the truth an interval of 90 % holds", header, map(held, covered))
    say(f"{sum(row['verdict'] == 'good' for row in results)} of {len(results)} are good.")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
