"""Measure batches: Dask against a plain loop, two workers against one, and memory over many items.

    python benchmarks/scale_batches.py --items 8 --rounds 3 --many 300 --json batches.json

Items are independent images of cells, each restored with one thread. The loop, one worker and two workers take turns on
the same items, so that a busy machine slows all alike, and medians count. Workers are started, and have done an item
each, before they are measured: what that took is told apart. Memory is what the process of the loop holds, after each
tenth of the items.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from report import save, table
from simulate import camera, cells

import napari_dip
from napari_dip.jobs import engines
from napari_dip.jobs.items import Asked, find_items
from napari_dip.jobs.job import RECORDS, Job
from napari_dip.jobs.spec import Entry
from napari_dip.jobs.work import TOKEN

PEAK = 50.0


def make(folder: Path, count: int, side: int) -> list[str]:
    """Write images; give their names."""
    folder.mkdir()
    image = camera(cells((side, side)), PEAK)[0]
    rng = np.random.default_rng(0)
    for number in range(count):
        np.save(folder / f"{number:04}.npy", image + rng.integers(0, 3, image.shape).astype(image.dtype))
    return [f"{folder.name}/{number:04}.npy" for number in range(count)]


def jobs(names: Sequence[str], base: Path, out: Path, settings: dict[str, Any]) -> list[Job]:
    """Give the work of a batch that has not been done."""
    (out / RECORDS).mkdir(parents=True)
    (out / RECORDS / TOKEN).write_text("measured")
    items = find_items([Entry(source=name) for name in names], Asked("denoise", settings=settings), out, base)
    return [Job(item, out, "measured", napari_dip.__version__) for item in items]


def timed(work: Callable[[Sequence[Job], Any], None], todo: Sequence[Job]) -> float:
    """Do it all, and give the seconds it took."""
    outcomes: list[Any] = []
    began = time.perf_counter()
    work(todo, outcomes.append)
    seconds = time.perf_counter() - began
    failed = [one.why for one in outcomes if one.status != "done"]
    if failed or len(outcomes) != len(todo):
        raise SystemExit(f"An item failed: {failed[:1]}")
    return seconds


def speed(given: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Give seconds of each way to do the same items, round by round."""
    names = make(folder / "images", given.items, given.side)
    settings = {"max_iterations": given.iterations, "threads": given.threads}
    found: dict[str, list[float]] = {"start": []}
    with ExitStack() as stack:
        ways: dict[str, Callable[[Sequence[Job], Any], None]] = {"loop": engines.one_by_one}
        for workers in (1, 2):
            began = time.perf_counter()
            client = stack.enter_context(engines.local(workers, folder / f"cluster{workers}"))
            ways[f"workers {workers}"] = partial(engines.on_workers, client)
            timed(ways[f"workers {workers}"], jobs(names[: 2 * workers], folder, folder / f"warm{workers}", settings))
            found["start"].append(time.perf_counter() - began)
        timed(ways["loop"], jobs(names[:1], folder, folder / "warm", settings))
        for turn in range(given.rounds):
            for way, work in ways.items():
                out = folder / f"{way}-{turn}".replace(" ", "-")
                found.setdefault(way, []).append(timed(work, jobs(names, folder, out, settings)))
    return found


def memory(given: argparse.Namespace, folder: Path) -> list[float]:
    """Give MiB that this process holds after each tenth of many small items, in a plain loop."""
    names = make(folder / "many", given.many, 32)
    todo = jobs(names, folder, folder / "done", {"max_iterations": 2})
    found: list[float] = []

    left = iter(range(1, given.many + 1))

    def tell(outcome: Any) -> None:
        count = next(left)
        if outcome.status != "done":
            raise SystemExit(outcome.why)
        if count % max(1, given.many // 10) == 0:
            found.append(held())

    engines.one_by_one(todo, tell)
    return found


def held() -> float:
    """Give MiB of memory that this process holds now; Linux alone says so."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=8, metavar="N", help="images (default: %(default)s)")
    parser.add_argument("--side", type=int, default=96, metavar="N", help="their side (default: %(default)s)")
    parser.add_argument("--iterations", type=int, default=60, metavar="N", help="of each (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--many", type=int, default=300, metavar="N", help="items of memory (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="CPU threads of an item (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures here")
    given = parser.parse_args()
    given.command, given.crop = shlex.join(["python", "benchmarks/scale_batches.py", *sys.argv[1:]]), None
    with TemporaryDirectory() as name:
        grown = memory(given, Path(name)) if given.many else []
        seconds = speed(given, Path(name))
    save(given, [{"seconds": seconds, "memory": grown}])
    loop = seconds["loop"]
    rows: list[list[object]] = []
    for way in ("loop", "workers 1", "workers 2"):
        against = statistics.median(one / other for one, other in zip(seconds[way], loop, strict=True))
        rows.append([way, float(statistics.median(seconds[way])), float(against)])
    table("A batch", ["way", "s", "times the loop"], rows)
    ratio = statistics.median(a / b for a, b in zip(seconds["workers 1"], seconds["workers 2"], strict=True))
    table("Workers", ["one against two", "start of 1 (s)", "start of 2 (s)"], [[float(ratio), *seconds["start"]]])
    if grown:
        table("Memory (MiB)", ["after a tenth", "in the end", "most"], [[grown[0], grown[-1], max(grown)]])
    return 0


if __name__ == "__main__":
    sys.exit(main())
