"""What the benchmark scripts share: their options, their tables, and the file of raw figures."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scoreboard import about


def options(
    doc: str | None, *, images: bool = True, folder: str = "in the layout of scoreboard.py: SUITE/IMAGE/truth.png"
) -> argparse.ArgumentParser:
    """Make a parser with the options that all scripts have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=folder)
    if images:
        parser.add_argument("--images", nargs="+", metavar="NAME", help="only images of these names")
    parser.add_argument("--crop", type=int, default=256, metavar="N", help="take the centre (default: %(default)s)")
    parser.add_argument("--iterations", type=int, metavar="N", help="iterations to plan, if not what the preset does")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: as many as torch takes)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures here")
    return parser


def read(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line, keep it for the report, and set the threads."""
    import torch

    given = parser.parse_args()
    given.command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    if given.threads:
        torch.set_num_threads(given.threads)
    return given


def save(given: argparse.Namespace, results: Sequence[Any], settings: dict[str, Any] | None = None) -> None:
    """Write all figures so far, with what is needed to repeat them; a reader never sees half of a file."""
    if given.json:
        beside = given.json.with_name(given.json.name + ".part")
        beside.write_text(json.dumps({**about(given, settings or {}), "results": list(results)}, indent=1) + "\n")
        beside.replace(given.json)


def saved(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Read the figures of an earlier run; none where there is no file."""
    if not given.json or not given.json.exists():
        return []
    results: list[dict[str, Any]] = json.loads(given.json.read_text())["results"]
    return results


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table row by row; floats with two digits."""
    print(f"\n## {title}\n")
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}", flush=True)
    for row in rows:
        cells = (f"{x:.2f}" if isinstance(x, float) else str(x) for x in row)
        print(f"| {' | '.join(cells)} |", flush=True)
