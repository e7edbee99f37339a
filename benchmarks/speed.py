"""Time a finished denoising with preset fast against the published method, on one image and machine, within one run.

    python benchmarks/speed.py SCOREBOARD/denoise-sigma25/F16 [--crop 256] [--threads 2] [--rounds 3]

`fast` is run to its real end in each round: estimate of the noise, iterations until it stops by itself, last step. Just
before and just after it, a few iterations of `paper` and `best` are taken, so that a busy machine slows all of them
alike. The median time of those iterations times the iterations that are planned is the time to finish; `best` may stop
before. For `fast` the seconds per iteration are those of all its work. A last run of it, not timed as a whole, takes
previews every five iterations.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from cases import Case, load, measure
from report import options, read, save, table

import napari_dip as dip

SAMPLED = ("paper", "best")
WARM_UP, TAKEN = 2, 3
"""Iterations that are not timed, since they allocate, and those that are, in each turn."""
EACH = 5
"""Iterations between two previews."""
NEAR = 1.0
"""A preview this near to the result, in dB, is useful."""


@dataclass
class Sampled:
    """A preset of which only some iterations are taken."""

    steps: Iterator[dip.Progress]
    planned: int = 0
    seconds: list[float] = field(default_factory=list)

    def take(self, count: int) -> float:
        """Take some iterations; give the seconds of one."""
        started = perf_counter()
        for _ in range(count):
            self.planned = next(self.steps).iterations
        return (perf_counter() - started) / count


@dataclass
class Whole:
    """A run to its end: seconds in all and after each iteration, and what came of it."""

    seconds: float
    after: list[float]
    psnr: float
    stopped_by: str


@dataclass
class Preview:
    """A look at a run: after which iteration, seconds (of its own, or from the start), and PSNR."""

    iteration: int
    seconds: float
    psnr: float


def to_end(run: dip.Run, score: Callable[[np.ndarray], float]) -> Whole:
    """Walk a restoration to its end."""
    started = perf_counter()
    after = [perf_counter() - started for _ in run]
    result = run.result
    return Whole(perf_counter() - started, after, score(result.image), result.record["stopped_by"])


def previews(run: dip.Run, least: int, wanted: float, score: Callable[[np.ndarray], float]) -> list[Preview]:
    """Look every few iterations, until there were `least` and the preview is as good as wanted."""
    seen: list[Preview] = []
    for now in run:
        if now.iteration % EACH == 0:
            started = perf_counter()
            image = now.preview()
            seen.append(Preview(now.iteration, perf_counter() - started, score(image)))
        if now.iteration >= least and seen and max(one.psnr for one in seen) >= wanted:
            break
    return seen


def interleaved(
    start: Callable[[str], dip.Run], score: Callable[[np.ndarray], float], rounds: int
) -> tuple[list[Whole], dict[str, Sampled], list[float]]:
    """Run `fast` some times, the others before and after; give also how many times faster it was, round by round."""
    sampled = {preset: Sampled(start(preset)) for preset in SAMPLED}
    for one in sampled.values():
        one.take(WARM_UP)
    whole, faster = [], []
    for _ in range(rounds):
        around: dict[str, list[float]] = {preset: [one.take(TAKEN)] for preset, one in sampled.items()}
        whole.append(to_end(start("fast"), score))
        for preset, one in sampled.items():
            around[preset].append(one.take(TAKEN))
            one.seconds += around[preset]
        faster.append(statistics.mean(around["paper"]) * sampled["paper"].planned / whole[-1].seconds)
    return whole, sampled, faster


def read_arguments() -> argparse.Namespace:
    parser = options(__doc__, images=False, folder="one image: holds input.png and truth.png")
    parser.add_argument("--rounds", type=int, default=3, help="runs of fast (default: %(default)s)")
    parser.set_defaults(threads=min(2, os.cpu_count() or 1))
    return read(parser)


def spread(values: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} - {max(values):.3g})"


def main() -> None:
    given = read_arguments()
    case = load(given.folder, given.crop)

    def start(preset: str) -> dip.Run:
        settings: dict[str, Any] = {"threads": given.threads, "device": "cpu"}
        if preset == "fast":
            settings["max_iterations"] = given.iterations
        return dip.restore_steps("denoise", case.input, axes=case.axes, preset=preset, **settings)

    def score(image: np.ndarray) -> float:
        return psnr(image, case)

    whole, sampled, faster = interleaved(start, score, given.rounds)
    finish, final = statistics.median(one.seconds for one in whole), whole[0].psnr
    fifth = max(int(np.searchsorted(one.after, one.seconds / 5)) for one in whole)
    looks = previews(start("fast"), fifth, final - NEAR, score)
    for look in looks:
        look.seconds += statistics.median(one.after[look.iteration - 1] for one in whole)

    print(f"{case.input.shape[0]} x {case.input.shape[1]} pixels, {given.threads} threads, {given.rounds} rounds")
    each, seconds = [one.seconds / len(one.after) for one in whole], [one.seconds for one in whole]
    ended = f"{len(whole[0].after)} ({whole[0].stopped_by})"
    rows: list[list[object]] = [["fast, run to its end", spread(each), ended, spread(seconds), spread(faster), final]]
    paper = statistics.median(sampled["paper"].seconds) * sampled["paper"].planned
    for preset, one in sampled.items():
        planned = statistics.median(one.seconds) * one.planned
        rows.append([f"{preset}, as planned", spread(one.seconds), one.planned, planned, paper / planned, "-"])
    header = "preset; s / iteration (min - max); iterations; s to finish; times faster than paper; PSNR (dB)"
    table("Time to finish", header.split("; "), rows)
    named = {
        "the last within a fifth of the time": [one for one in looks if one.seconds <= finish / 5][-1:],
        f"the first within {NEAR:g} dB of the result": [one for one in looks if one.psnr >= final - NEAR][:1],
    }
    header = "preview of fast; iteration; s; part of the time; PSNR (dB); below the result (dB)"
    table("Previews", header.split("; "), (row(name, found, finish, final) for name, found in named.items()))
    figures = {"fast": [asdict(one) for one in whole], "faster": faster, "previews": [asdict(one) for one in looks]}
    figures |= {preset: {"planned": one.planned, "seconds": one.seconds} for preset, one in sampled.items()}
    save(given, [figures])


def row(name: str, found: list[Preview], finish: float, final: float) -> list[object]:
    """Say when a preview was there, and how good it was."""
    cells = [[one.iteration, one.seconds, one.seconds / finish, one.psnr, final - one.psnr] for one in found]
    return [name, *(cells[0] if cells else ["-"] * 5)]


def psnr(image: np.ndarray, case: Case) -> float:
    """PSNR by the protocol of the scoreboard."""
    return measure(image / case.white, case)[0]


if __name__ == "__main__":
    main()
