"""Hash what every part of the engine gives for small inputs, to see whether a change of the code changed a result.

    python benchmarks/unchanged.py --json before.json      # on the old code
    python benchmarks/unchanged.py --against before.json   # on the new code, on the same machine

A hash is of the bytes of the image, of the uncertainty where there is one, and of the losses. They are the same only on
one machine with one version of torch, so no hash is kept here: make them on both sides. Exit status 1 if any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import napari_dip as dip

COMMON: dict[str, Any] = {"threads": 1, "device": "cpu"}
Made = tuple[dip.Restoration, np.ndarray]
"""A restoration, and the part of its image that is hashed."""


def scene(height: int = 40, width: int = 36, *, phase: float = 0.0) -> np.ndarray:
    """Make a smooth picture with an edge, values 40 to 200."""
    y, x = np.mgrid[:height, :width]
    waves = 120 + 50 * np.sin(y / 5 + phase) * np.cos(x / 6)
    return np.asarray(waves + 30 * (y + x > (height + width) / 2))


def noisy(kind: str = "gauss", **options: Any) -> np.ndarray:
    """Add noise of one kind to it."""
    rng, clean = np.random.default_rng(7), scene(**options)
    if kind == "gauss":
        return clean + rng.normal(0, 12, clean.shape)
    if kind == "photons":
        return rng.poisson(clean / 4).astype(np.uint16) * 4
    if kind == "clipped":
        return (clean + rng.normal(0, 40, clean.shape)).clip(0, 200)
    if kind == "smeared":
        noise = rng.normal(0, 12, (clean.shape[0] + 1, clean.shape[1] + 1))
        return clean + (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 2
    return clean * rng.gamma(50, 1 / 50, clean.shape)  # speckle


def colour() -> np.ndarray:
    """Three of them, 8 bits."""
    return np.stack([noisy(phase=p) for p in (0.0, 1.0, 2.0)], -1).clip(0, 255).astype(np.uint8)


def stack(planes: int = 3) -> np.ndarray:
    """Make some planes, one of them constant if there are more than three."""
    image = np.stack([noisy(phase=0.4 * z) for z in range(planes)]).astype(np.float32)
    if planes > 3:
        image[1] = 7
    return image


def gaps(kind: str, shape: tuple[int, int] = (40, 36)) -> np.ndarray:
    """Mark scattered pixels, lines, or a hole."""
    mask = np.zeros(shape, bool)
    if kind == "scattered":
        return np.asarray(np.random.default_rng(3).random(shape) < 0.5)
    if kind == "lines":
        mask[10:13, 5:30], mask[18:38, 22:24] = True, True
    else:
        mask[4:36, 2:34] = True
    return mask


def whole(restoration: dip.Restoration) -> Made:
    """Take all of the image."""
    return restoration, restoration.image


def denoised(image: np.ndarray, **settings: Any) -> Made:
    """Denoise."""
    return whole(dip.denoise(image, **COMMON, **settings))


def inpainted(kind: str, image: np.ndarray | None = None, **settings: Any) -> Made:
    """Fill gaps."""
    return whole(dip.inpaint(scene() if image is None else image, gaps(kind), **COMMON, **settings))


def enlarged(factor: int, image: np.ndarray | None = None, **settings: Any) -> Made:
    """Enlarge."""
    small = scene(20, 24) if image is None else image
    return whole(dip.super_resolve(small, factor, **COMMON, **settings))


def stopped(image: np.ndarray, after: int, **settings: Any) -> Made:
    """Stop after some steps and keep what there is; only planes that were restored are hashed."""
    run = dip.restore_steps("denoise", image, **COMMON, **settings)
    for number, _ in enumerate(run, 1):
        if number == after:
            run.stop()
    done = len(run.result.record["planes"])
    return run.result, run.result.image[:done] if image.ndim > 2 else run.result.image


def repeated(image: np.ndarray, after: int, **settings: Any) -> Made:
    """Repeat a run that was stopped, from its record."""
    first, _ = stopped(image, after, **settings)
    return whole(dip.replay(json.dumps(first.record), image))


def previewed(task: str, image: np.ndarray, after: int, **settings: Any) -> Made:
    """Look at a run after some steps."""
    run = dip.restore_steps(task, image, **COMMON, **settings)
    for number, progress in enumerate(run, 1):
        if number == after:
            run.stop()
            preview = progress.preview()
    return replace(run.result, image=preview, record={**run.result.record, "planes": []}), preview


CASES: dict[str, Callable[[], Made]] = {
    "denoise gray": lambda: denoised(noisy()),
    "denoise gray, another seed": lambda: denoised(noisy(), seed=5, max_iterations=30),
    "denoise gray, two threads": lambda: whole(dip.denoise(noisy(), device="cpu", threads=2, max_iterations=15)),
    "denoise 16-bit photons": lambda: denoised(noisy("photons"), max_iterations=30),
    "denoise clipped": lambda: denoised(noisy("clipped"), max_iterations=30),
    "denoise correlated": lambda: denoised(noisy("smeared")),
    "denoise speckle": lambda: denoised(noisy("speckle"), max_iterations=30),
    "denoise RGB": lambda: denoised(colour(), max_iterations=40),
    "denoise RGBA": lambda: denoised(np.concatenate([colour(), colour()[..., :1]], -1), max_iterations=12),
    "denoise a stack": lambda: denoised(stack(4), axes="ZYX", max_iterations=15),
    "denoise with uncertainty": lambda: denoised(noisy(), uncertainty=True, max_iterations=30),
    "denoise RGB with uncertainty": lambda: denoised(colour(), uncertainty=True, max_iterations=15),
    "denoise with NaN filled in": lambda: denoised(
        np.where(gaps("lines"), np.nan, noisy()), nonfinite="inpaint", uncertainty=True, max_iterations=20
    ),
    "noise gaussian": lambda: denoised(noisy(), noise="gaussian", max_iterations=20),
    "noise gaussian, sigma given": lambda: denoised(noisy(), sigma=12.0, max_iterations=20),
    "noise poisson": lambda: denoised(noisy("photons"), noise="poisson", max_iterations=20),
    "noise poisson, all given": lambda: denoised(
        noisy("photons"), noise="poisson", gain=4.0, offset=1.0, max_iterations=20
    ),
    "noise poisson-gaussian": lambda: denoised(noisy("photons"), noise="poisson-gaussian", max_iterations=20),
    "noise of compression": lambda: denoised(colour(), noise="compression", max_iterations=20),
    "denoise best": lambda: denoised(noisy(), preset="best", max_iterations=60),
    "denoise best, correlated, with uncertainty": lambda: denoised(
        noisy("smeared"), preset="best", uncertainty=True, max_iterations=40
    ),
    "denoise best to its own end": lambda: denoised(noisy(height=32, width=32), preset="best"),
    "denoise paper": lambda: denoised(noisy(), preset="paper", max_iterations=3),
    "denoise paper, compression": lambda: denoised(colour(), preset="paper", noise="compression", max_iterations=4),
    "inpaint scattered": lambda: inpainted("scattered", max_iterations=30),
    "inpaint lines, with uncertainty": lambda: inpainted("lines", uncertainty=True, max_iterations=30),
    "inpaint a hole": lambda: inpainted("hole", max_iterations=30),
    "inpaint RGB": lambda: inpainted("lines", colour(), axes="YXS", max_iterations=15),
    "inpaint best": lambda: inpainted("scattered", preset="best", max_iterations=40),
    "inpaint paper, scattered": lambda: inpainted("scattered", preset="paper", max_iterations=3),
    "inpaint paper, lines": lambda: inpainted("lines", preset="paper", max_iterations=3),
    "inpaint paper, a hole": lambda: whole(
        dip.inpaint(
            scene(192, 192), np.pad(gaps("hole"), ((70, 82), (70, 86))), **COMMON, preset="paper", max_iterations=2
        )
    ),
    "super-resolve x2": lambda: enlarged(2, max_iterations=30),
    "super-resolve x3 best": lambda: enlarged(3, preset="best", max_iterations=30),
    "super-resolve RGB x2": lambda: enlarged(2, colour()[:24, :20], axes="YXS", max_iterations=20),
    "super-resolve a stack": lambda: enlarged(2, stack(2)[:, :20, :24], axes="ZYX", max_iterations=10),
    "super-resolve paper x4": lambda: enlarged(4, scene(12, 12), preset="paper", max_iterations=3),
    "super-resolve paper x8": lambda: enlarged(8, scene(8, 8), preset="paper", max_iterations=2),
    "stopped by hand": lambda: stopped(noisy(), 13),
    "stopped by hand, best": lambda: stopped(noisy(), 10, preset="best"),
    "a stack stopped by hand": lambda: stopped(stack(), 20, axes="ZYX", max_iterations=15),
    "repeated from the record of a stopped run": lambda: repeated(noisy(), 13),
    "preview of denoising": lambda: previewed("denoise", noisy(), 12),
    "preview of denoising, best": lambda: previewed("denoise", noisy(), 12, preset="best"),
    "preview of enlarging": lambda: previewed("super_resolve", scene(20, 24), 12, factor=2),
    "tiny": lambda: denoised(noisy(height=8, width=8), max_iterations=5),
    "odd size": lambda: denoised(noisy(height=17, width=45), max_iterations=10),
}


def digest(made: Made) -> str:
    """Hash image, uncertainty and losses."""
    restoration, image = made
    found = hashlib.sha256(np.ascontiguousarray(image).tobytes())
    if restoration.uncertainty is not None:
        found.update(np.ascontiguousarray(restoration.uncertainty).tobytes())
    for plane in restoration.record["planes"]:
        found.update(json.dumps(plane.get("losses")).encode())
    return found.hexdigest()[:16]


def main() -> int:
    """Hash all cases, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", metavar="WORD", help="only cases whose names hold one of these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the hashes here")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with the hashes in this file")
    given = parser.parse_args()
    before: dict[str, str] = json.loads(given.against.read_text()) if given.against else {}
    hashes: dict[str, str] = {}
    changed = 0
    for name, make in CASES.items():
        if given.cases and not any(word in name for word in given.cases):
            continue
        try:
            hashes[name] = digest(make())
        except Exception as error:  # the other cases are still worth knowing
            hashes[name] = f"{type(error).__name__}: {error}"
        same = before.get(name) == hashes[name]
        changed += bool(before) and not same
        print(f"| {name} | {hashes[name]} | {'same' if same else 'CHANGED' if before else ''} |", flush=True)
    if given.json:
        given.json.write_text(json.dumps(hashes, indent=1) + "\n")
    if before:
        print(f"\n{len(hashes) - changed} of {len(hashes)} are the same.")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
