"""Restore each image of a suite with many seeds: how much of a result is luck, and whether any run fails.

    python benchmarks/seeds.py SCOREBOARD --suite denoise-sigma25 --seeds 10 --threads 1 --json seeds.json

A run has failed that raises, ends in divergence, or is no better than its input.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from cases import Case, load
from report import options, read, save, table
from scoreboard import score


def once(case: Case, seed: int, settings: dict[str, Any], least: float) -> dict[str, Any]:
    """Restore with one seed."""
    result: dict[str, Any] = {"suite": case.suite, "image": case.image, "seed": seed, "psnr": None, "failure": None}
    started = time.perf_counter()
    try:
        one = score("fast", case, {**settings, "seed": seed})
    except Exception as error:  # that it may fail is what is asked
        return {**result, "failure": f"{type(error).__name__}: {error}"}
    record = one.notes
    worse = "no better than the input" if one.psnr <= least else None
    return {
        **result,
        "psnr": one.psnr,
        "seconds": time.perf_counter() - started,
        "iterations": record["iterations"],
        "stopped_by": record["stopped_by"],
        "fallbacks": record["planes"][0]["fallbacks"],
        "failure": "diverged" if record["stopped_by"] == "diverged" else worse,
    }


def summary(name: str, runs: list[dict[str, Any]], least: float) -> list[object]:
    """Give the row of one image."""
    quality = np.array([one["psnr"] for one in runs if one["psnr"] is not None] or [np.nan])
    iterations = [one["iterations"] for one in runs if one["psnr"] is not None] or [0]
    failures = [f"seed {one['seed']}: {one['failure']}" for one in runs if one["failure"]]
    spread = quality.std(ddof=1) if quality.size > 1 else 0.0
    figures = map(float, (quality.mean(), spread, quality.min(), quality.max()))
    span = f"{min(iterations)} - {max(iterations)}"
    return [name, least, *figures, span, sum(one.get("fallbacks", 0) for one in runs), "; ".join(failures) or "none"]


def main() -> int:
    """Restore all; the exit status is 1 if any run has failed."""
    parser = options(__doc__)
    parser.add_argument("--suite", default="denoise-sigma25", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: %(default)s)")
    given = read(parser)
    settings = {"max_iterations": given.iterations, "threads": given.threads}
    paths = sorted(path.parent for path in given.folder.glob(f"{given.suite}/*/truth.png"))
    paths = [path for path in paths if path.name in (given.images or [path.name])]
    if not paths:
        raise SystemExit(f"There is no such image in {given.folder / given.suite}.")
    results: list[dict[str, Any]] = []
    rows: list[list[object]] = []
    for path in paths:
        case = load(path, given.crop)
        least = score("input", case, {}).psnr
        runs = []
        for seed in range(given.seeds):
            runs.append(once(case, seed, settings, least))
            save(given, [*results, *runs])
        results += runs
        rows.append(summary(case.image, runs, least))
        print(f"{case.suite} {case.image}: done", file=sys.stderr, flush=True)
    header = ["image", "input (dB)", "mean (dB)", "std", "min", "max", "iterations", "fallbacks", "failures"]
    table(f"{given.suite}, {given.seeds} seeds", header, rows)
    return 1 if any(one["failure"] for one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
