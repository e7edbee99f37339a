"""Noise put on a known image, always the same for the same seed.

Truths are in [0, 1]; what is measured need not be, nothing is clipped.

The strength of the `KINDS` is told as `sigma`: their mean variance over the image is `(sigma / 255) ** 2`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from cases import Case, unit

DEFAULT = ("F16", "kodim12", "Confocal_MICE_2")
"""Two photographs, coloured and with much sky, and a dim micrograph."""


def truths(folder: Path, names: Sequence[str] | None, crop: int) -> dict[str, np.ndarray]:
    """Read the centres of the truths of some images, whatever suite they are in; without names, of `DEFAULT`."""
    from skimage.io import imread

    found = {path.parent.name: path for path in sorted(folder.glob("*/*/truth.png"), reverse=True)}
    wanted = [name for name in DEFAULT if name in found] if names is None else list(names)
    missing = [name for name in wanted if name not in found]
    if missing or not wanted:
        there = ", ".join(sorted(found)) or "none"
        raise SystemExit(f"No truth of {', '.join(missing) or 'the default images'} in {folder}; there: {there}.")
    return {name: centre(unit(imread(found[name])).astype(np.float32), crop) for name in wanted}


def centre(image: np.ndarray, size: int) -> np.ndarray:
    """Cut out the centre, at most `size` pixels along y and x."""
    height, width = (min(size, n) for n in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def gauss(truth: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Noise that is the same everywhere."""
    return truth + rng.normal(0, variance**0.5, truth.shape)


def poisson(truth: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Photon counts."""
    return counted(truth, float(truth.mean()) / variance, rng)


def poisson_gauss(truth: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Half of the variance from photons, half from reading them out."""
    return gauss(poisson(truth, variance / 2, rng), variance / 2, rng)


def speckle(truth: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Noise in proportion to the signal, with a gamma distribution."""
    looks = float(np.mean(truth**2)) / variance
    return np.asarray(truth * rng.gamma(looks, 1 / looks, truth.shape))


KINDS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "gauss": gauss,
    "poisson": poisson,
    "poisson-gaussian": poisson_gauss,
    "speckle": speckle,
}


def noisy(truth: np.ndarray, kind: str, sigma: float, seed: int = 0) -> np.ndarray:
    """Add noise of one of the `KINDS`."""
    return KINDS[kind](truth, (sigma / 255) ** 2, np.random.default_rng(seed)).astype(np.float32)


def photons(truth: np.ndarray, peak: float, seed: int = 0) -> np.ndarray:
    """Count photons, `peak` of them where the truth is 1."""
    return counted(truth, peak, np.random.default_rng(seed)).astype(np.float32)


def counted(truth: np.ndarray, peak: float, rng: np.random.Generator) -> np.ndarray:
    """Count photons and bring them back to the scale of the truth."""
    return np.asarray(rng.poisson(truth.clip(0).astype(np.float64) * peak) / peak)


def compressed(truth: np.ndarray, quality: int) -> np.ndarray:
    """Write as JPEG and read back."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.round(255 * truth.clip(0, 1)).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return (np.asarray(Image.open(file)) / 255).astype(np.float32)


def strokes(size: int) -> np.ndarray:
    """Mask letter-like strokes, 5 pixels wide."""
    y, x = np.mgrid[:size, :size]
    return np.asarray((y % 24 < 5) & (x % 32 < 20) | (x % 32 < 5) & (y % 48 < 24))


def holes(size: int) -> np.ndarray:
    """Mask squares of 11 pixels."""
    y, x = np.mgrid[:size, :size]
    return np.asarray(((y % 32 - 10) // 11 == 0) & ((x % 32 - 10) // 11 == 0))


def wide_hole(size: int) -> np.ndarray:
    """Mask a disc of two thirds of the side; in 96 pixels and more its middle is over 30 of them from the rim."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.asarray(np.hypot(y, x) < size / 3)


MASKS: dict[str, Callable[[int], np.ndarray]] = {"strokes": strokes, "holes": holes, "wide-hole": wide_hole}
GIVEN = (*MASKS, "jpeg")
"""Suites that are not in a folder but made from its truths."""


def degraded(folder: Path, suite: str, image: str, crop: int) -> Case:
    """Make a case of one of the suites `GIVEN`: pixels missing, or JPEG of quality 20."""
    clean = truths(folder, [image], crop)[image]
    truth = to_bytes(clean)
    if suite == "jpeg":
        return Case(suite, image, to_bytes(compressed(clean, 20)), truth, None, 1)
    mask = MASKS[suite](max(truth.shape[:2]))[: truth.shape[0], : truth.shape[1]]
    hidden = mask if truth.ndim == 2 else mask[..., None]
    return Case(suite, image, np.where(hidden, 0, truth).astype(np.uint8), truth, mask, 1)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Round an image in [0, 1] to 8 bits."""
    return np.asarray(np.round(255 * image.clip(0, 1)).astype(np.uint8))


def psnr(result: np.ndarray, truth: np.ndarray) -> float:
    """PSNR (dB) of a result clipped to [0, 1]."""
    error = float(np.mean((result.clip(0, 1).astype(np.float64) - truth) ** 2))
    return float(-10 * np.log10(error)) if error else float("inf")


def cells(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Draw textured cells with a soft rim on a dim background, as many in each part of a plane or volume."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    truth = np.full(shape, 0.05, np.float32)
    texture = gaussian_filter(rng.standard_normal(shape, np.float32), 1.5)
    texture = 1 + 0.25 * texture / texture.std()
    most = np.array([14] * len(shape)) / ([3, 1, 1] if len(shape) == 3 else [1, 1])  # planes are far apart
    for _ in range(max(1, round(np.prod(shape) / np.prod(2.5 * most)))):
        middle, radius = rng.uniform(0, shape), most * rng.uniform(0.4, 1)
        start = np.maximum(middle - 1.5 * radius, 0).astype(int)
        part = tuple(slice(a, int(b) + 1) for a, b in zip(start, middle + 1.5 * radius, strict=True))
        grid = np.indices(truth[part].shape, np.float32)
        away = sum(((g + a - m) / r) ** 2 for g, a, m, r in zip(grid, start, middle, radius, strict=True))
        inside = 1 / (1 + np.exp(8 * (np.sqrt(away) - 1)))
        truth[part] += rng.uniform(0.2, 0.6) * inside * texture[part]
    return truth.clip(0, 1)


def camera(truth: np.ndarray, peak: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Take a picture of 16 bits, `peak` photons where the truth is 1; give also the truth in its units.

    Each photon adds 2 to an offset of 100, and reading out a deviation of 2.
    """
    rng = np.random.default_rng(seed)
    read = rng.standard_normal(truth.shape, np.float32)
    image = 100 + 2 * (counted(truth, peak, rng) * peak + read)
    return image.round().clip(0, 65535).astype(np.uint16), np.asarray(100 + 2 * peak * truth, np.float32)
