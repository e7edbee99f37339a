"""Score restorations of a folder of images with known truth: quality and time, ours beside classical methods.

The folder holds SUITE/IMAGE/input.png and truth.png, or input.tif and truth.tif for volumes and series with their axes
in the file. What a suite is for is seen from its content: with a mask.png (255 where a pixel is missing) it is
inpainting, with a truth larger than the input it is super-resolution, else denoising. Figures of a published.csv
(suite, image, method, size, psnr, ssim) in the folder are shown beside ours.

Protocol: values in [0, 1], the result clipped to [0, 1]; PSNR over all pixels and channels, SSIM from scikit-image.
Super-resolution is scored on the luma of BT.601 without a border of 4 pixels. Seconds are the wall time of the call.
TIFF files are scored in their own units, nothing clipped: PSNR over the range of the truth (largest less smallest
value), all planes at once; SSIM over the same range, the mean of the planes.

The methods "gaussian" and "median" are oracles: the best of six widths of a Gaussian filter, the better of two of a
median, chosen for each image by its truth, which no user has. Volumes are filtered plane by plane, with one width.
"vst-bm3d" is what BM3D, or CBM3D for RGB, can do when told the noise: its line of variance over brightness is found by
the estimate that our presets use, stabilised, and inverted without bias. "bm3d-planes" and "bm4d" do so on volumes.

    python benchmarks/scoreboard.py FOLDER --suite denoise-sigma25 --methods fast nlm bm3d --crop 256 --json scores.json
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import re
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import baselines
import numpy as np
from cases import Case, NoTask, load, measure

from napari_dip.tasks import TASKS

SUFFIXES = (".png", ".tif")


@dataclass
class Score:
    """How one method did on one image, with what it had to say about itself."""

    suite: str
    image: str
    method: str
    psnr: float
    ssim: float
    seconds: float | None = None
    size: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


Method = Callable[[Case, dict[str, Any]], tuple[np.ndarray, dict[str, Any]]]
"""Takes a case and settings for our presets; gives the restored image as `Case.scaled` has it, and notes."""


@dataclass(frozen=True)
class Row:
    """A method, the tasks it can do, and whether it does images, volumes or both."""

    tasks: tuple[str, ...]
    run: Method
    images: bool = True
    volumes: bool = False


def ours(preset: str) -> Method:
    """One of our presets, through the public functions."""

    def run(case: Case, settings: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        import napari_dip

        given = {"preset": preset, "axes": case.axes, **case.inputs, **settings}
        restored = napari_dip.restore_steps(case.task, case.input, **given).result
        return restored.image / case.white, dict(restored.record)

    return run


def told_sigma(suite: str) -> float | None:
    """Sigma in [0, 1] from a name such as denoise-sigma25; None where it has none."""
    found = re.search(r"sigma(\d+)", suite)
    return int(found[1]) / 255 if found else None


def enlarged(case: Case) -> np.ndarray:
    """Repeat each pixel of the input as often as the truth is larger."""
    y = case.axes.index("Y")
    return case.scaled.repeat(case.factor, y).repeat(case.factor, y + 1)


def threaded(method: Callable[[np.ndarray, int], baselines.Restored]) -> Method:
    """Give a method the threads it may take; 0 is as many as it likes."""
    return lambda case, settings: method(case.scaled, int(settings.get("threads", 0)))


def oracle(method: Callable[[np.ndarray, np.ndarray, int], baselines.Restored]) -> Method:
    """Give a method the truth, by which it chooses, and axis Y."""
    return lambda case, _: method(case.scaled, case.scaled_truth, case.axes.index("Y"))


EVERY = tuple(task.name for task in TASKS)
METHODS: dict[str, Row] = {
    "input": Row(EVERY, lambda case, _: (enlarged(case), {}), volumes=True),
    **{preset: Row(EVERY, ours(preset), volumes=True) for preset in ("fast", "best", "paper")},
    "gaussian": Row(("denoise",), oracle(baselines.gaussian), volumes=True),
    "median": Row(("denoise",), oracle(baselines.median), volumes=True),
    "nlm": Row(("denoise",), lambda case, _: baselines.nlm(case.scaled)),
    "bm3d": Row(("denoise",), lambda case, _: baselines.bm3d(case.scaled)),
    "vst-bm3d": Row(("denoise",), threaded(baselines.vst_bm3d)),
    "bm3d-told": Row(("denoise",), lambda case, _: baselines.bm3d(case.scaled, told_sigma(case.suite))),
    "bicubic": Row(("super_resolve",), lambda case, _: baselines.bicubic(case.scaled, case.factor)),
    "biharmonic": Row(("inpaint",), lambda case, _: baselines.biharmonic(case.scaled, np.asarray(case.mask))),
    "bm3d-planes": Row(("denoise",), threaded(baselines.bm3d_planes), images=False, volumes=True),
    "bm4d": Row(("denoise",), threaded(baselines.bm4d), images=False, volumes=True),
}
"""Each method by name."""
DEFAULT = [name for name in METHODS if name not in ("input", "best", "paper")]
"""All but the input, which is always there, and what takes long."""


def score(method: str, case: Case, settings: dict[str, Any]) -> Score:
    """Run one method on one case."""
    started = time.perf_counter()
    result, notes = METHODS[method].run(case, settings)
    seconds = None if method == "input" else time.perf_counter() - started
    return Score(case.suite, case.image, method, *measure(result, case), seconds, case.size, notes)


def usable(methods: list[str], case: Case) -> list[str]:
    """Pick the methods for a suite, of which a case is given, and say which are left out for want of something."""
    ordered = ["input", *(m for m in methods if m != "input")]
    rows = {m: METHODS[m] for m in ordered}
    chosen = [
        m for m, row in rows.items() if case.task in row.tasks and (row.volumes if case.is_volume else row.images)
    ]
    for package in ("bm3d", "bm4d"):
        if any(package in m for m in chosen):
            try:
                import_module(package)
            except ImportError:
                missing = "its package is not installed (pip install --group benchmark; see its licence)"
                say(f"{package.upper()} is left out: {missing}.")
                chosen = [m for m in chosen if package not in m]
    if "bm3d-told" in chosen and told_sigma(case.suite) is None:
        chosen.remove("bm3d-told")
    return chosen


def load_suite(paths: list[Path], arguments: argparse.Namespace) -> list[Case]:
    """Read the images of a suite for which there is a task, and say which are left out."""
    cases = []
    for path in paths:
        case = load(path, arguments.crop, arguments.planes)
        try:
            case.task  # noqa: B018 (asked for, since it is refused here)
        except NoTask as error:
            say(f"{error} It is left out.")
            continue
        cases.append(case)
    return cases


def read_published(folder: Path) -> dict[tuple[str, str], list[Score]]:
    """Read published figures by suite and image; nothing where there is no file."""
    table: dict[tuple[str, str], list[Score]] = defaultdict(list)
    if (folder / "published.csv").exists():
        with open(folder / "published.csv", newline="") as file:
            for row in csv.DictReader(file):
                key = (row["suite"], row["image"])
                table[key].append(Score(*key, f"published {row['method']}", float(row["psnr"]), float(row["ssim"])))
    return table


def cell(scores: list[Score], expected: int) -> str:
    """Mean PSNR / SSIM / seconds of some scores; a dash where one is missing."""
    if len(scores) < expected:
        return "-"
    psnr, ssim = (float(np.mean([getattr(s, name) for s in scores])) for name in ("psnr", "ssim"))
    times = [s.seconds for s in scores if s.seconds is not None]
    return f"{psnr:.2f} / {ssim:.3f}" + (f" / {np.mean(times):.1f} s" if times else "")


def show(name: str, cells: list[str]) -> None:
    """Print one row of a table."""
    print("| " + " | ".join([f"{name:28}", *(f"{text:24}" for text in cells)]) + " |", flush=True)


def say(sentence: str) -> None:
    """Tell the one at the terminal, apart from the table."""
    print(sentence, file=sys.stderr, flush=True)


def score_suite(
    cases: list[Case], methods: list[str], settings: dict[str, Any], published: dict[tuple[str, str], list[Score]]
) -> Iterator[Score]:
    """Score one suite, printing its table row by row."""
    suite = cases[0].suite
    known = [published[suite, case.image] for case in cases]
    columns = [*methods, *dict.fromkeys(s.method for row in known for s in row)]
    print(f"\n## {suite}: PSNR (dB) / SSIM / seconds\n")
    show("image", columns)
    show("-" * 28, ["-" * 24] * len(columns))
    done: dict[str, list[Score]] = defaultdict(list)
    for case, row in zip(cases, known, strict=True):
        found = {s.method: s for s in row}
        for method in methods:
            try:
                found[method] = score(method, case, settings)
            except Exception as error:  # the other methods and images are still worth having
                say(f"{suite}/{case.image}: {method} failed: {type(error).__name__}: {error}")
                continue
            yield found[method]
        for method, one in found.items():
            done[method].append(one)
        show(f"{case.image} {case.size}", [cell([found[m]] if m in found else [], 1) for m in columns])
    show(f"mean of {len(cases)}", [cell(done[m], len(cases)) for m in columns])


def about(arguments: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """Gather what is needed to judge and repeat the figures."""
    packages = ("napari-dip", "torch", "numpy", "scipy", "scikit-image", "pillow", "bm3d", "bm4d")
    versions = {name: metadata.version(name) for name in packages if any(metadata.distributions(name=name))}
    return {
        "command": arguments.command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "crop": arguments.crop,
        "planes": getattr(arguments, "planes", None),
        "settings": settings,
        "versions": {"python": platform.python_version(), **versions},
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": arguments.threads},
    }


def cpu_name() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def read_arguments(given: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds SUITE/IMAGE/input.png and truth.png, or .tif")
    parser.add_argument("--suite", nargs="+", metavar="NAME", help="only these suites")
    parser.add_argument("--images", nargs="+", metavar="NAME", help="only images of these names")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=DEFAULT, metavar="NAME", help=", ".join(METHODS)
    )
    parser.add_argument("--crop", type=int, metavar="N", help="score the centre, N x N pixels of the truth")
    parser.add_argument("--planes", type=int, metavar="N", help="score the first N planes of volumes")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings for our presets")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads, for every method")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every figure here, with what is needed to repeat it"
    )
    arguments = parser.parse_args(given)
    arguments.command = shlex.join(["python", "benchmarks/scoreboard.py", *(sys.argv[1:] if given is None else given)])
    return arguments


def find(arguments: argparse.Namespace) -> dict[str, list[Path]]:
    """Find the folders of the images that were asked for, by suite."""
    folders: dict[str, list[Path]] = defaultdict(list)
    for found in sorted({path.parent for path in arguments.folder.glob("*/*/truth.*") if path.suffix in SUFFIXES}):
        image, suite = found.name, found.parent.name
        if suite in (arguments.suite or [suite]) and image in (arguments.images or [image]):
            folders[suite].append(found)
    return folders


def main(given: list[str] | None = None) -> int:
    """Score a folder; the exit status is 1 if any method failed."""
    arguments = read_arguments(given)
    settings: dict[str, Any] = dict(pair.split("=", 1) for pair in arguments.set)
    if arguments.threads:
        settings["threads"] = arguments.threads
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(arguments.threads)  # read when torch and scipy are loaded, which is later
    folders = find(arguments)
    if not folders:
        say(f"There is no image to score in {arguments.folder}: nothing like SUITE/IMAGE/truth.png that was asked for.")
        return 1
    published = read_published(arguments.folder)
    for module in ("napari_dip.restore", "skimage.restoration", "skimage.metrics", "scipy.ndimage", "PIL.Image"):
        import_module(module)  # before any clock runs
    report = about(arguments, settings)
    print(f"{report['date']}, {report['machine']['cpu']}, `{report['command']}`")
    if arguments.crop and published:
        print(f"The published figures are on whole images, all others on a centre crop of {arguments.crop}.")
    results: list[dict[str, Any]] = []
    expected = 0
    for paths in folders.values():
        cases = load_suite(paths, arguments)
        if not cases:
            continue
        methods = usable(arguments.methods, cases[0])
        expected += len(methods) * len(cases)
        for one in score_suite(cases, methods, settings, published):
            results.append(asdict(one))
            if arguments.json:  # after each figure, so that an interrupted run is not lost
                beside = arguments.json.with_name(arguments.json.name + ".part")
                beside.write_text(json.dumps({**report, "results": results}, indent=1) + "\n")
                beside.replace(arguments.json)
    return 0 if len(results) == expected else 1


if __name__ == "__main__":
    sys.exit(main())
