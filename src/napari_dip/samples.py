"""Sample data: made or taken from scikit-image's own files, never fetched, the same each time."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from skimage import data, draw, transform

LayerData = tuple[np.ndarray, dict[str, Any], str]


def fluorescence(size: int = 256, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Make a picture like one of a fluorescence microscope: nuclei, filaments, and the noise of a camera.

    Photons are counted (Poisson noise), and reading them out adds an offset and Gaussian noise.

    Parameters
    ----------
    size : int
        Pixels along each side.
    seed : int
        The same seed gives the same picture.

    Returns
    -------
    noisy : (y, x) uint16 array
    truth : (y, x) float32 array
        In the same units, without noise.
    """
    random = np.random.default_rng(seed)
    light = 6 + 45 * _nuclei(random, size) + 55 * _filaments(random, size)
    photons = ndimage.gaussian_filter(light, 1.1) * 0.55
    gain, offset, readout = 8.0, 100.0, 12.0
    noisy = gain * random.poisson(photons) + offset + random.normal(0, readout, photons.shape)
    return np.clip(np.rint(noisy), 0, 65535).astype(np.uint16), (gain * photons + offset).astype(np.float32)


def photograph(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Give a photograph with Gaussian noise of standard deviation 25 of 255, and the clean one; (y, x, 3) uint8."""
    truth = data.chelsea()[20:276, 100:356]
    noise = np.random.default_rng(seed).normal(0, 25, truth.shape)
    return np.clip(np.rint(truth + noise), 0, 255).astype(np.uint8), truth


def scratched(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give a picture with scratches (label 1), strokes of a pen (2) and dust (3), the labels, and the clean picture."""
    truth = data.camera()[30:286, 100:356]
    labels = _damage(np.random.default_rng(seed), *truth.shape)
    return np.where(labels > 0, np.uint8(255), truth), labels, truth


def small(factor: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Give a small picture (128 x 128 for a factor of 4) and the large one it was made of; (y, x, 3) uint8."""
    truth = data.astronaut()
    shape = (truth.shape[0] // factor, truth.shape[1] // factor, 3)
    shrunk = transform.resize(truth / 255, shape, order=1, anti_aliasing=True)
    return np.clip(np.rint(shrunk * 255), 0, 255).astype(np.uint8), truth


def open_fluorescence() -> list[LayerData]:
    """Give layers for napari: the noisy picture, and the truth out of sight."""
    noisy, truth = fluorescence()
    look = {"scale": (0.1, 0.1), "units": ("micrometer", "micrometer"), "colormap": "green"}
    limits = (float(truth.min()), float(np.percentile(noisy, 99.8)))
    return _pair("fluorescence", noisy, truth, {**look, "contrast_limits": limits})


def open_photograph() -> list[LayerData]:
    """Give layers for napari: the noisy photograph, and the clean one out of sight."""
    return _pair("photograph", *photograph(), {"rgb": True})


def open_scratched() -> list[LayerData]:
    """Give layers for napari: picture, labels, and the clean picture out of sight."""
    image, labels, truth = scratched()
    hidden, shown = _pair("scratched", image, truth, {"contrast_limits": (0, 255)})
    return [hidden, shown, (labels, {"name": "scratched (mask)"}, "labels")]


def open_small() -> list[LayerData]:
    """Give layers for napari: the small picture, and the large one out of sight."""
    image, truth = small()
    (large, how, kind), shown = _pair("small", image, truth, {"rgb": True})
    # the large picture's pixels are quarters; their middles lie 3/8 of a small pixel off
    return [(large, {**how, "scale": (0.25, 0.25), "translate": (-0.375, -0.375)}, kind), shown]


def _pair(name: str, image: np.ndarray, truth: np.ndarray, look: dict[str, Any]) -> list[LayerData]:
    """Put the truth below and hide it, so that the picture is what is seen and selected."""
    return [
        (truth, {"name": f"{name} (truth)", "visible": False, **look}, "image"),
        (image, {"name": name, **look}, "image"),
    ]


def _nuclei(random: np.random.Generator, size: int) -> np.ndarray:
    """Soft ellipses with chromatin inside, none on top of another."""
    y, x = np.mgrid[:size, :size].astype(float)
    canvas = np.zeros((size, size))
    places: list[tuple[np.ndarray, float]] = []
    for _ in range(400):
        middle, radius = random.uniform(0, size, 2), random.uniform(0.05, 0.085) * size
        if any(np.hypot(*(middle - m)) < 1.15 * (radius + r) for m, r in places):
            continue
        places.append((middle, radius))
        angle, stretch = random.uniform(0, np.pi), random.uniform(1.0, 1.5)
        u = (y - middle[0]) * np.cos(angle) + (x - middle[1]) * np.sin(angle)
        v = (x - middle[1]) * np.cos(angle) - (y - middle[0]) * np.sin(angle)
        distance = np.sqrt((u / stretch) ** 2 + (v * stretch**0.5) ** 2) - radius
        canvas += random.uniform(0.5, 1.0) / (1 + np.exp(distance / 0.9))
        if len(places) == 14:
            break
    chromatin = ndimage.gaussian_filter(random.normal(size=(size, size)), 2.2)
    chromatin /= chromatin.std()
    textured: np.ndarray = canvas * np.clip(0.75 + 0.28 * chromatin, 0.15, 1.8)
    return textured


def _filaments(random: np.random.Generator, size: int) -> np.ndarray:
    """Thin curved threads of differing brightness: walks whose direction changes slowly."""
    canvas = np.zeros((size, size))
    for _ in range(34):
        position, angle, turn = random.uniform(0, size, 2), random.uniform(0, 2 * np.pi), 0.0
        brightness = random.uniform(0.35, 1.0)
        for _ in range(int(random.uniform(0.5, 1.3) * size) * 2):
            turn = 0.97 * turn + random.normal(0, 0.004)
            angle += turn
            position = position + 0.5 * np.array([np.sin(angle), np.cos(angle)])
            _dot(canvas, position, 0.5 * brightness)
    return np.minimum(canvas, 1.6)


def _dot(canvas: np.ndarray, position: np.ndarray, value: float) -> None:
    """Add a value at a place between pixels."""
    corner = np.floor(position).astype(int)
    part = position - corner
    for dy, wy in ((0, 1 - part[0]), (1, part[0])):
        for dx, wx in ((0, 1 - part[1]), (1, part[1])):
            y, x = corner[0] + dy, corner[1] + dx
            if 0 <= y < canvas.shape[0] and 0 <= x < canvas.shape[1]:
                canvas[y, x] += value * wy * wx


def _damage(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Labels of scratches, pen strokes and dust."""
    labels = np.zeros((height, width), np.uint8)
    for _ in range(5):  # scratches run across the picture
        ends = random.uniform(0, 1, 2) * height
        lines = draw.line(int(ends[0]), 0, int(ends[1]), width - 1)
        labels[np.clip(lines[0], 0, height - 1), lines[1]] = 1
    labels[ndimage.binary_dilation(labels == 1, iterations=1)] = 1
    for row in range(3):  # strokes of a pen, like a line of writing
        along = np.arange(0, width * 0.7, 0.25)
        beat = along / 6.5
        y = height * (0.25 + 0.27 * row) + 7 * np.sin(beat) * np.cos(0.37 * beat + row) + 3 * np.sin(2.3 * beat)
        x = width * 0.15 + along + 5 * np.cos(beat)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        stroke = np.zeros_like(labels, bool)
        stroke[y[inside].astype(int), x[inside].astype(int)] = True
        labels[ndimage.binary_dilation(stroke, iterations=1)] = 2
    for _ in range(18):
        middle, radius = random.uniform(0, (height, width)), random.uniform(1.5, 5)
        labels[draw.disk(middle, radius, shape=labels.shape)] = 3
    return labels
