"""Measure what restoring by blocks costs: peak memory and time against the size of a store, borders, and quality.

    python benchmarks/scale_blocks.py --planes 16 32 64 --side 512 --json blocks.json

Volumes of textured cells with photon noise, 16 bits, are made here and written as OME-Zarr. Each is restored brick by
brick in a fresh process, then, in another, as a whole by a fit of its own, up to `--whole` planes. `seams` is how much
larger the jump of the error is across borders of bricks than between neighbouring pixels inside; 1 where none is seen.
Memory is the peak of the whole process, with torch and all; `before` is what it held before the call.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from report import save, table
from scale_process import peak_memory
from scoreboard import say
from simulate import camera, cells

PEAK = 50.0


def restore(given: argparse.Namespace) -> None:
    """Restore a store in this process, and print a line of JSON."""
    import napari_dip as dip
    from napari_dip.image import bricks

    settings = {} if given.iterations is None else {"max_iterations": given.iterations}
    dip.denoise(np.random.default_rng(0).random((32, 32)), max_iterations=1)  # torch is loaded
    bricks.DEPTH, bricks.SIDE = given.depth, given.brick
    source, target = given.one
    before, began = peak_memory(), perf_counter()
    if given.blocks:
        report = dip.map_restore("denoise", source, target.parent, blocks=True, threads=given.threads, **settings)
        if not report.ok:
            raise SystemExit(report.outcomes[0].why)
    else:
        from napari_dip.jobs.file import restore_file

        restore_file("denoise", source, target, settings={"threads": given.threads, **settings})
    print(json.dumps({"before": before, "peak": peak_memory(), "seconds": perf_counter() - began}))


def made(folder: Path, planes: int, side: int) -> tuple[Path, np.ndarray, float]:
    """Write a volume; give its file, the truth, and the PSNR of what was measured."""
    from napari_dip.files.formats import Metadata, Picture, write_image

    noisy, truth = camera(cells((planes, side, side)), PEAK)
    path = folder / f"{planes}.zarr"
    write_image(path, noisy, "ZYX", Picture(noisy, Metadata("ZYX")))
    return path, truth, psnr(noisy, truth)


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Give the peak signal-to-noise ratio in decibels, by the range of the truth."""
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean((image.astype(np.float64) - truth) ** 2)))


def seams(error: np.ndarray, lengths: tuple[int, ...]) -> float:
    """Mean jump of the error across borders of bricks over that inside; NaN where there is no border."""
    across, inside = [], []
    for axis, length in enumerate(lengths):
        jumps = np.moveaxis(np.abs(np.diff(error, axis=axis)), axis, 0)
        border = np.arange(1, error.shape[axis]) % length == 0
        if border.any():
            across.append(jumps[border].mean())
            inside.append(jumps[~border].mean())
    return float(np.mean(np.divide(across, inside))) if across else float("nan")


def measured(given: argparse.Namespace, folder: Path, planes: int) -> list[dict[str, Any]]:
    """Restore a volume in each way."""
    from napari_dip.files.formats import read_image
    from napari_dip.image.bricks import Layout

    source, truth, noisy = made(folder, planes, given.side)
    layout = Layout(truth.shape, "ZYX", given.depth, given.brick)
    lengths = tuple(layout.bricks[0][axis][1] for axis in "ZYX")
    found = []
    for way in ("blocks", "whole")[: 1 + (planes <= given.whole)]:
        target = folder / way / source.name
        target.parent.mkdir(exist_ok=True)
        own = ["--blocks"] if way == "blocks" else []
        command = [sys.executable, __file__, "--one", str(source), str(target), *own, "--threads", str(given.threads)]
        command += ["--depth", str(given.depth), "--brick", str(given.brick)]
        command += [] if given.iterations is None else ["--iterations", str(given.iterations)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr or done.stdout)
        image = np.asarray(read_image(target).array)
        error = image.astype(np.float64) - truth
        row = {"planes": planes, "way": way, **json.loads(done.stdout.splitlines()[-1]), "bricks": len(layout.bricks)}
        found.append({**row, "noisy": noisy, "psnr": psnr(image, truth), "seams": seams(error, lengths)})
        say(f"{planes} planes, {way}: {row['seconds']:.0f} s")
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--planes", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--side", type=int, default=512, help="pixels along y and x (default: %(default)s)")
    parser.add_argument("--depth", type=int, default=16, help="planes of a brick (default: %(default)s)")
    parser.add_argument("--brick", type=int, default=512, help="pixels of a brick along y and x (default: %(default)s)")
    parser.add_argument("--whole", type=int, default=32, help="most planes restored whole, too (default: %(default)s)")
    parser.add_argument("--iterations", type=int, metavar="N", help="iterations to plan, if not what the preset does")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures here")
    parser.add_argument("--one", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--blocks", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        restore(given)
        return
    given.command, given.crop = shlex.join(["python", "benchmarks/scale_blocks.py", *sys.argv[1:]]), None
    results: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        for planes in given.planes:
            results += measured(given, Path(folder), planes)
            save(given, results)
    header = ["planes", "way", "bricks", "seconds", "before", "peak", "noisy", "psnr", "seams"]
    table("Restoring by blocks (memory in GiB)", header, ([row[name] for name in header] for row in results))


if __name__ == "__main__":
    main()
