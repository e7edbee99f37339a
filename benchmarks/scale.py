"""Measure time and peak memory of a whole process against the size of the image: squares, and volumes of some planes.

    python benchmarks/scale.py --sizes 256 512 1024 --planes 8 16 --json scale.json --figure scale.png
    python benchmarks/scale.py --against OLDER/src --settings preset=fast max_iterations=20
    python benchmarks/scale.py --sizes 1024 --planes --seams 256 512

Images are textured cells with photon noise, 16 bits, made here. Each measurement is a fresh process; seconds are those
of the call, after a first one of a few pixels for which torch is imported. What is to be compared takes turns, so that
a busy machine slows all alike, and what is cheap is repeated: medians count. Memory is the peak of the whole process,
with torch and all; `before` is what it held before the call. `--seams` restores each image as a whole and by tiles of
each side, and tells how much larger the jump across the borders of the tiles is than between neighbouring pixels
inside.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from report import save, table
from scoreboard import say
from simulate import camera, cells

HERE = Path(__file__).resolve().parent
SIZES, PLANES = (256, 512, 1024, 2048, 4096), (8, 16, 32, 64, 128)
PEAK = 50.0
"""Photons of the brightest pixels: dim, but no more so than microscopists see."""


@dataclass(frozen=True)
class Call:
    """What is measured on each image.

    Attributes
    ----------
    name : str
    source : Path
        The folder that napari_dip is imported from.
    prior : Path or None
        What a fit begins with; None begins from nothing.
    side : int or None
        Of the tiles; 0 restores as a whole, None as it comes.
    borders : int or None
        Side of the tiles across whose borders jumps are measured.
    """

    name: str
    source: Path
    prior: Path | None = None
    side: int | None = None
    borders: int | None = None


@dataclass
class Measured:
    """One measurement: seconds, GiB, dB; or why there is none."""

    call: str
    shape: tuple[int, ...]
    threads: int
    seconds: float | None = None
    peak: float | None = None
    before: float | None = None
    psnr: float | None = None
    seams: float | None = None
    failed: str | None = None

    @property
    def key(self) -> tuple[tuple[int, ...], int, str]:
        """What it is a repetition of."""
        return self.shape, self.threads, self.call


class Images:
    """The images, made when they are needed first and kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self, shape: tuple[int, ...]) -> dict[str, str]:
        """Give the files of an image and of its truth."""
        name = "x".join(map(str, shape))
        found = {kind: self.folder / f"{name}-{kind}.npy" for kind in ("image", "truth")}
        if not found["truth"].exists():
            image, truth = camera(cells(shape), PEAK)
            np.save(found["image"], image)
            np.save(found["truth"], truth)
        return {kind: str(path) for kind, path in found.items()}


def calls(given: argparse.Namespace) -> list[Call]:
    """Give all that is asked for: this version and another one, cold and warm, as a whole and by tiles."""
    found = [Call("this", HERE.parent / "src")]
    if given.against:
        found.append(Call("against", given.against.resolve()))
    if given.prior:
        found = [one for cold in found for one in (cold, Call(f"{cold.name}, warm", cold.source, given.prior))]
    for side in given.seams:
        for one in list(found):
            if one.prior is None and one.side is None:
                found.append(Call(f"{one.name}, whole for {side}", one.source, side=0, borders=side))
                found.append(Call(f"{one.name}, tiles of {side}", one.source, side=side, borders=side))
    return found


def run(call: Call, shape: tuple[int, ...], threads: int, images: Images, given: argparse.Namespace) -> Measured:
    """Start a process and wait for what it says."""
    job = {
        **images.paths(shape),
        "source": str(call.source),
        "axes": "ZYX"[-len(shape) :],
        "settings": {"device": "cpu", **dict(pair.split("=", 1) for pair in given.settings), "threads": threads},
        "prior": None if call.prior is None else str(call.prior),
        "side": max(shape) if call.side == 0 else call.side,
        "borders": call.borders,
    }
    path = os.pathsep.join([str(call.source), *filter(None, [os.environ.get("PYTHONPATH")])])
    limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
    command = [sys.executable, str(HERE / "scale_process.py"), json.dumps(job)]
    found = Measured(call.name, shape, threads)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **limits, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=given.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        found.failed = f"took more than {given.timeout:g} s"
        return found
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        found.failed = f"ended by signal {-done.returncode}" if done.returncode < 0 else last
        return found
    return Measured(call.name, shape, threads, **json.loads(done.stdout.splitlines()[-1]))


def rounds(given: argparse.Namespace, images: Images) -> Iterator[Measured]:
    """Measure all in turns; from the second round on only what is cheap and did not fail."""
    shapes = [(n, n) for n in given.sizes] + [(n, given.plane_side, given.plane_side) for n in given.planes]
    again = [(shape, threads, call) for shape in shapes for threads in given.threads for call in calls(given)]
    for _ in range(given.repeat):
        left = []
        for shape, threads, call in again:
            found = run(call, shape, threads, images, given)
            yield found
            if found.seconds is not None and found.seconds <= given.cheap:
                left.append((shape, threads, call))
        again = left


def medians(results: Iterable[Measured]) -> list[list[object]]:
    """Give a row for each kind of measurement: image, call, threads, seconds, memory and quality."""
    kinds: dict[tuple[tuple[int, ...], int, str], list[Measured]] = defaultdict(list)
    for one in results:
        kinds[one.key].append(one)
    rows: list[list[object]] = []
    for (shape, threads, call), found in kinds.items():
        row: list[object] = [" x ".join(map(str, shape)), call, threads]
        worked = [one for one in found if one.seconds is not None]
        if not worked:
            rows.append([*row, found[-1].failed or "-", *["-"] * 5])
            continue
        seconds = [one.seconds for one in worked if one.seconds is not None]
        spread = f"{statistics.median(seconds):.3g} ({min(seconds):.3g} - {max(seconds):.3g})"
        fields = ("peak", "before", "psnr", "seams")
        rows.append([*row, spread, len(worked), *(middle(worked, name) for name in fields)])
    return rows


def middle(found: list[Measured], name: str) -> object:
    """Median of a figure, or a dash where there is none."""
    values = [getattr(one, name) for one in found if getattr(one, name) is not None]
    return float(statistics.median(values)) if values else "-"


def curves(results: list[Measured], figure: str, dimensions: int) -> dict[str, list[tuple[int, float]]]:
    """Give the medians of a figure by number of pixels, a curve for each call and number of threads."""
    points: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in results:
        value = getattr(one, figure)
        if value is not None and len(one.shape) == dimensions:
            threads = f"{one.threads} thread{'s' * (one.threads > 1)}"
            points[f"{one.call}, {threads}"][prod(one.shape)].append(value)
    return {name: sorted((n, statistics.median(v)) for n, v in found.items()) for name, found in points.items()}


def draw(results: list[Measured], file: Path) -> None:
    """Draw seconds and memory over the number of pixels; say so where nothing can be drawn."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        say(f"{file} is not drawn: matplotlib is not installed.")
        return
    drawn = Figure(figsize=(10, 8), layout="constrained")
    titles = {"seconds": "seconds", "peak": "peak memory (GiB)"}
    for row, (dimensions, unit) in enumerate([(2, "pixels of a square"), (3, "voxels of a volume")]):
        for column, (figure, title) in enumerate(titles.items()):
            axes = drawn.add_subplot(2, 2, 2 * row + column + 1)
            for name, points in curves(results, figure, dimensions).items():
                axes.plot(*zip(*points, strict=True), "o-", label=name)
                axes.legend()
            axes.set(xlabel=unit, ylabel=title, xscale="log", yscale="log")
            axes.grid(which="both", alpha=0.3)
    drawn.savefig(file, dpi=120)


def read_arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    several = {
        "sizes": (SIZES, "sides of squares"),
        "planes": (PLANES, "planes of volumes"),
        "threads": ((1, 2), "CPU threads"),
        "seams": ((), "sides of tiles whose borders are looked for"),
    }
    for name, (default, about) in several.items():
        text = f"{about} (default: {' '.join(map(str, default)) or 'none'})"
        parser.add_argument(f"--{name}", type=int, nargs="*", default=default, metavar="N", help=text)
    parser.add_argument("--plane-side", type=int, default=256, metavar="N", help="their side (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="rounds at the most (default: %(default)s)")
    parser.add_argument(
        "--cheap", type=float, default=60, metavar="S", help="repeat what took no more seconds (default: %(default)s)"
    )
    parser.add_argument("--timeout", type=float, metavar="S", help="give up on a measurement after this many seconds")
    parser.add_argument("--settings", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the restoration")
    parser.add_argument("--against", type=Path, metavar="SRC", help="measure another version beside this one")
    parser.add_argument("--prior", type=Path, metavar="FILE", help="measure also a start from a saved prior")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures here")
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="draw curves")
    arguments = parser.parse_args(given)
    arguments.command = shlex.join(["python", "benchmarks/scale.py", *(sys.argv[1:] if given is None else given)])
    arguments.crop = None
    return arguments


def main(given: list[str] | None = None) -> int:
    """Measure; the exit status is 1 if anything failed."""
    arguments = read_arguments(given)
    results: list[Measured] = []
    with TemporaryDirectory() as folder:
        for one in rounds(arguments, Images(Path(folder))):
            results.append(one)
            outcome = one.failed or f"{one.seconds:.3g} s"
            say(f"{' x '.join(map(str, one.shape))}, {one.call}, {one.threads} threads: {outcome}")
            save(arguments, [asdict(each) for each in results])  # an interrupted run is not lost
    header = "image; call; threads; s (min - max); times; peak (GiB); before (GiB); PSNR (dB); jump at borders"
    table("Time and memory", header.split("; "), medians(results))
    if arguments.figure:
        draw(results, arguments.figure)
    return 1 if any(one.failed for one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
