"""Time a finished denoising with each preset, on one image and machine, as a ratio within one run.

    python benchmarks/speed.py FOLDER [--crop 256] [--threads 2] [--rounds 5]

The presets take turns, a few iterations each, so that a busy machine slows all of them alike; the median time of an
iteration times the iterations a preset plans is the time it takes to finish. No preset is run to its end.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from cases import load

import napari_dip as dip

PRESETS = ("fast", "best", "paper")
WARM_UP, TAKEN = 2, 3
"""Iterations that are not timed, since they allocate, and those that are, in each turn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds input.png and truth.png")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre that is taken (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each preset (default: %(default)s)")
    given = parser.parse_args()
    image = load(given.folder, given.crop).input
    runs = {
        preset: dip.restore_steps("denoise", image, preset=preset, threads=given.threads, device="cpu")
        for preset in PRESETS
    }
    planned: dict[str, int] = {}
    seconds: dict[str, list[float]] = {preset: [] for preset in PRESETS}
    for turn in range(given.rounds + 1):
        for preset, steps in runs.items():
            planned[preset], taken = take(steps, WARM_UP if turn == 0 else TAKEN)
            if turn:
                seconds[preset].append(taken)
    print(f"{image.shape[0]} x {image.shape[1]} pixels, {given.threads} threads")
    print("| preset | s / iteration (min - max) | iterations | s to finish | times faster than paper |")
    print("|---|---|---|---|---|")
    whole = {preset: statistics.median(seconds[preset]) * planned[preset] for preset in PRESETS}
    for preset in PRESETS:
        each = f"{statistics.median(seconds[preset]):.3f} ({min(seconds[preset]):.3f} - {max(seconds[preset]):.3f})"
        ratio = whole["paper"] / whole[preset]
        print(f"| {preset} | {each} | {planned[preset]} | {whole[preset]:.0f} | {ratio:.1f} |")


def take(steps: Iterator[dip.Progress], count: int) -> tuple[int, float]:
    """Take some iterations; give how many the run plans, and the seconds that one took."""
    started = perf_counter()
    for _ in range(count):
        progress = next(steps)
    return progress.iterations, (perf_counter() - started) / count


if __name__ == "__main__":
    main()
