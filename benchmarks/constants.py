"""Vary every number that only measurement can justify, to a half and to the double of what it is today.

    python benchmarks/constants.py SCOREBOARD --threads 1 --json constants.json --resume

A row of the table is one number: the difference of PSNR to that with today's value, as the mean over the images on
which it counts (and the least and the most of them), and the computing time (today: 1). Integers are rounded and at
least 1, a part of 1 stays below 1, of what is nearly 1 the distance from 1 is varied, and of scales there is one less
and one more. The first row has other seeds and tells what luck is worth. What the uncertainty depends on has a table of
its own.

A number that acts after the fit alone does not need another fit. With --resume a run that was broken off goes on; with
--show its table is printed as far as it has come.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import load
from report import options, read, save, saved, table
from simulate import GIVEN, degraded
from vary import LAST, Image, Others, Row, Setup, from_one, half_and_double, odd, one_off, unbiased

DEFAULT = (
    "denoise-sigma25/F16",
    "denoise-sigma50/kodim12",
    "fluorescence/Confocal_FISH_1",
    "fluorescence/WideField_BPAE_R_2",
    "jpeg/F16",
    "inpaint-50/house",
    "strokes/house",
    "holes/house",
    "wide-hole/house",
    "super-resolve-4/butterfly",
)
TODAY, HALF, DOUBLE = "today", "half", "double"


DENOISE, MASKED, EVERY = ("denoise",), ("denoise", "inpaint-50"), ("denoise", "inpaint-50", "super_resolve")
FILLED = ("inpaint-50", "strokes", "holes")


def after(path: str, *on: str) -> Row:
    """Make a row of the last step of denoising."""
    return Row(f"{LAST}.{path}", on or DENOISE)


def estimated(
    path: str,
    *on: str,
    others: Others = half_and_double,
    also: Callable[[Setup], Setup] = lambda setup: setup,
) -> Row:
    """Make a row of how noise is estimated, before the fit and after."""
    return Row(f"preset.estimation.{path} {LAST}.estimation.{path}", on or DENOISE, others, also=also)


def fitted(path: str, *on: str, others: Others = half_and_double) -> Row:
    """Make a row of the preset."""
    return Row(f"preset.{path}", on or DENOISE, others)


ROWS: dict[str, Row] = {
    "another seed": Row("seed", EVERY, lambda _: (1, 2)),
    "PatchGroups.group_size": after("groups.group_size"),
    "PatchGroups.search_radius": after("groups.search_radius"),
    "PatchGroups.stride": after("groups.stride"),
    "PatchGroups.side_of_colour": after("groups.side_of_colour", "denoise colour"),
    "PatchGroups.side_of_gray": after("groups.side_of_gray", "denoise gray"),
    "PatchGroups.ridge": after("groups.ridge"),
    "PatchGroups.eigenvalue_floor": after("groups.eigenvalue_floor", "denoise correlated"),
    "Refined.trust_if_correlated": after("trust_if_correlated", "denoise correlated"),
    "Refined.apart_over": Row(f"{LAST}.apart_over", DENOISE, odd),
    "Estimation.most_correction": after("estimation.most_correction"),
    "FlatBlocks.side (residuals)": estimated("residuals.side", also=unbiased),
    "FlatBlocks.flattest (residuals)": estimated("residuals.flattest", also=unbiased),
    "FlatBlocks.counted (residuals)": estimated("residuals.counted"),
    "FlatBlocks.side (differences)": estimated("differences.side", also=unbiased),
    "FlatBlocks.flattest (differences)": estimated("differences.flattest", also=unbiased),
    "FlatBlocks.counted (differences)": estimated("differences.counted"),
    "VarianceCurve.most_points": estimated("curve.most_points"),
    "VarianceCurve.blocks_per_point": estimated("curve.blocks_per_point"),
    "VarianceCurve.least_weight": estimated("curve.least_weight"),
    "PileUp.least": estimated("pile_up.least"),
    "PileUp.times": estimated("pile_up.times"),
    "Unclipping.room": estimated("unclipping.room"),
    "Estimation.white_ratio": estimated("white_ratio"),
    "Estimation.white_ratio_beyond": estimated("white_ratio_beyond", "denoise correlated"),
    "FineStructure.excess": estimated("structure.excess"),
    "FineStructure.growth": estimated("structure.growth"),
    "CorrelatedNoise.white_part": estimated("correlated.white_part"),
    "CorrelatedNoise.grows": estimated("correlated.grows"),
    "CorrelatedNoise.level": estimated("correlated.level", others=from_one),
    "Place.texture": estimated("place.texture"),
    "Estimation.unlit": estimated("unlit"),
    "BlockSteps.certain": estimated("compression.certain", "denoise", "compressed"),
    "BlockSteps.white_factor": estimated("compression.white_factor", "compressed"),
    "HeldOut.tolerance": fitted("stopping.tolerance", "denoise white"),
    "HeldOut.tolerance (correlated)": fitted("stopping_if_correlated.tolerance", "denoise correlated"),
    "HeldOut.patience": fitted("stopping.patience", "denoise white"),
    "HeldOut.patience (correlated)": fitted("stopping_if_correlated.patience", "denoise correlated"),
    "HeldOut.least": fitted("stopping.least", "denoise white"),
    "HeldOut.least (correlated)": fitted("stopping_if_correlated.least", "denoise correlated"),
    "MaskedPreset.hidden_if_correlated": fitted("hidden_if_correlated", "denoise correlated"),
    "FASTER_MUON.kernel_rate": fitted("optimisation.kernel_rate"),
    "MUON.rate": fitted("optimisation.rate", *EVERY),
    "MUON.final_rate": fitted("optimisation.final_rate", *EVERY),
    "OF_TARGETS.keep": fitted("averaging.keep", *MASKED, others=from_one),
    "OF_TARGETS.warm_up": fitted("averaging.warm_up", *MASKED),
    "MaskedPreset.hidden": fitted("hidden", "denoise white", "inpaint-50"),
    "MaskedPreset.held_out": fitted("held_out"),
    "MaskedPreset.iterations": fitted("iterations", *MASKED),
    "LocalContrast.scale": Row("local_window.scale", (*MASKED, "wide-hole")),
    "VarianceHead.scale": fitted("variance_head.scale", *MASKED),
    "VarianceHead.shift": fitted("variance_head.shift", *MASKED),
    "SlimPrior.channels": fitted("network.width", *EVERY),
    "SlimPrior.depth": fitted("network.depth", *EVERY, others=one_off),
    "SlimPrior.skip": fitted("network.skip", *EVERY),
    "SlimPrior.thin": fitted("network.thin", *EVERY),
    "SlimPrior.dropout": fitted("network.dropout"),
    "MaskedPreset.correct_fill": fitted("correct_fill", *FILLED),
    "MaskedPreset.deep_gap": fitted("deep_gap", "strokes", "holes"),
    "Relaxation.steps": fitted("relaxation.steps", *FILLED),
    "Relaxation.momentum": fitted("relaxation.momentum", *FILLED),
    "Relaxation.size": fitted("relaxation.size", *FILLED),
    "MUON.kernel_rate": fitted("optimisation.kernel_rate", "inpaint-50", "super_resolve"),
    "LocalContrast.least_weight": Row("local_window.least_weight", ("wide-hole",)),
    "LatentPreset.iterations": fitted("iterations", "super_resolve"),
    "LatentPreset.latent_channels": fitted("latent_channels", "super_resolve"),
    "LatentPreset.latent_noise": fitted("latent_noise", "super_resolve"),
    "LatentPreset.latent_step": fitted("latent_step", "super_resolve"),
    "LatentPreset.averaging.keep": fitted("averaging.keep", "super_resolve", others=from_one),
}
"""What acts after the fit comes first, since it takes the least time; `Class.field`, which use of it in brackets."""
UNCERTAIN = ("Refined.apart_over", "VarianceHead.scale", "VarianceHead.shift")
"""Numbers that are shown by what they do to the uncertainty, too."""


def load_image(given: argparse.Namespace, name: str) -> Image:
    """Read an image of the folder, or make one from a truth."""
    suite, image = name.split("/")
    made = degraded(given.folder, suite, image, given.crop) if suite in GIVEN else load(given.folder / name, given.crop)
    return Image(made, given.iterations)


def difference(results: list[tuple[dict[str, Any], dict[str, Any]]], key: str) -> str:
    """Mean difference to today over the images, and the least and the most; on how many there was no image at all."""
    found = [one[key] - today[key] for one, today in results]
    there = [one for one in found if np.isfinite(one)]
    failed = f"; fails on {len(found) - len(there)}" if len(there) < len(found) else ""
    spread = f" ({min(there):+.2f} to {max(there):+.2f})" if len(there) > 1 else ""
    return (f"{np.mean(there):+.2f}{spread}" if there else "-") + failed


def show(results: list[dict[str, Any]], names: list[str]) -> None:
    """Print both tables."""
    today = {one["image"]: one for one in results if one["which"] == TODAY}

    def row(name: str, key: str) -> list[object]:
        of_row = [one for one in results if one["number"] == name]
        values = [f"{value:.4g}" for value in dict.fromkeys(one["today"] for one in of_row)]
        cells: list[object] = [name, " / ".join(values)]
        for which in (HALF, DOUBLE):
            pairs = [(one, today[one["image"]]) for one in of_row if one["which"] == which]
            changed = dict.fromkeys(f"{one['value']:.4g}" for one, _ in pairs)
            time = np.mean([one["seconds"] / before["seconds"] for one, before in pairs]) if pairs else np.nan
            cells += [" / ".join(changed), difference(pairs, key) if pairs else "-", float(time)]
        return [*cells, len({one["image"] for one in of_row})]

    there = [name for name in names if any(one["number"] == name for one in results)]
    header = ["number", "today", "half", "{}", "time", "double", "{}", "time", "images"]
    for title, key, unit, shown in (
        ("PSNR", "psnr", "difference (dB)", [name for name in there if name != "Refined.apart_over"]),
        ("Uncertainty", "uncertainty", "surprise (nats)", [name for name in there if name in UNCERTAIN]),
    ):
        if shown:
            table(title, [one.format(unit) for one in header], (row(name, key) for name in shown))


def read_arguments() -> argparse.Namespace:
    parser = options(__doc__, images=False)
    parser.add_argument("--images", nargs="+", metavar="SUITE/NAME", help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help="only these numbers (default: all)")
    parser.add_argument("--resume", action="store_true", help="keep the runs that are in the file of --json")
    parser.add_argument("--show", action="store_true", help="only print what is in the file of --json")
    parser.set_defaults(crop=128)
    return read(parser)


def main() -> int:
    """Vary number by number, then print."""
    given = read_arguments()
    rows = {name: row for name, row in ROWS.items() if name in (given.rows or ROWS)}
    if given.show:
        show([one for one in saved(given) if one["crop"] == given.crop], list(rows))
        return 0
    here = [name for name in DEFAULT if (given.folder / name).exists() or name.split("/")[0] in GIVEN]
    images = {name: load_image(given, name) for name in given.images or here}
    done = saved(given) if given.resume else []
    results: list[dict[str, Any]] = []

    def once(name: str, number: str, which: str, setup: Setup, **values: Any) -> None:
        key = {"image": name, "number": number, "which": which, **values, "crop": given.crop, "plan": given.iterations}
        one = next((one for one in done if key.items() <= one.items()), None)
        if one is None:
            one = {**key, **images[name].restore(setup)}
            done.append(one)
            save(given, done)
            print(f"{name}, {number} {values}: {one['psnr']:.2f}", file=sys.stderr, flush=True)
        results.append(one)

    for number, row in rows.items():
        for name, image in images.items():
            if not any(image.tags.issuperset(words.split()) for words in row.on):
                continue
            if not any(one["image"] == name and one["which"] == TODAY for one in results):
                once(name, "", TODAY, image.setup)
            today = row.today(image.setup)
            for which, value in zip((HALF, DOUBLE), row.others(today), strict=True):
                if value != today:
                    once(name, number, which, row.at(image.setup, value), today=today, value=value)
    show(results, list(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
