"""The images of a scoreboard folder, and how a result is measured against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_dip.tasks import TASKS

BORDER = 4


@dataclass(frozen=True)
class Case:
    """One image to restore: arrays as read from the files, cropped where asked for."""

    suite: str
    image: str
    input: np.ndarray
    truth: np.ndarray
    mask: np.ndarray | None
    factor: int

    @property
    def task(self) -> str:
        """What is to be done: the task that takes just what there is beside the image."""
        for task in TASKS:
            if {one.name for one in task.inputs} == self.inputs.keys():
                return task.name
        raise SystemExit(f"{self.suite}/{self.image}: no task takes {' and '.join(self.inputs)}.")

    @property
    def inputs(self) -> dict[str, Any]:
        """What there is beside the image."""
        mask = {} if self.mask is None else {"mask": self.mask}
        return mask | ({"factor": self.factor} if self.factor > 1 else {})

    @property
    def axes(self) -> str:
        """Of the input: gray or RGB."""
        return "YXS" if self.input.ndim == 3 else "YX"

    @property
    def size(self) -> str:
        """Height and width of the truth."""
        return "{}x{}".format(*self.truth.shape[:2])


def unit(image: np.ndarray) -> np.ndarray:
    """Scale an image as read to [0, 1]."""
    return np.asarray(image / full(image))


def full(image: np.ndarray) -> float:
    """Give the value that stands for white."""
    return np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0


def load(folder: Path, crop: int | None) -> Case:
    """Read one image folder, and cut out its centre."""
    from skimage.io import imread

    noisy, truth = imread(folder / "input.png"), imread(folder / "truth.png")
    mask = imread(folder / "mask.png") > 0 if (folder / "mask.png").exists() else None
    factor = round(truth.shape[0] / noisy.shape[0])
    if truth.shape[:2] != tuple(factor * n for n in noisy.shape[:2]):
        raise SystemExit(f"{folder}: the truth {truth.shape} is no whole multiple of the input {noisy.shape}.")
    if crop:
        if crop % factor:
            raise SystemExit(f"--crop {crop} is no multiple of {factor}, the factor of {folder.parent.name}.")
        height, width = (min(crop // factor, n) for n in noisy.shape[:2])
        top, left = (noisy.shape[0] - height) // 2, (noisy.shape[1] - width) // 2
        noisy = noisy[top : top + height, left : left + width]
        mask = None if mask is None else mask[top : top + height, left : left + width]
        truth = truth[top * factor : (top + height) * factor, left * factor : (left + width) * factor]
    return Case(folder.parent.name, folder.name, noisy, truth, mask, factor)


def measure(result: np.ndarray, case: Case) -> tuple[float, float]:
    """PSNR (dB) and SSIM of a result in [0, 1], by the protocol of its task."""
    from skimage.metrics import structural_similarity

    result, truth = np.clip(result, 0, 1), unit(case.truth)
    if case.task == "super_resolve":
        inside = (slice(BORDER, -BORDER),) * 2
        result, truth = luma(result)[inside], luma(truth)[inside]
    error = float(np.mean((result - truth) ** 2))
    psnr = -10 * np.log10(error) if error else np.inf
    ssim = structural_similarity(result, truth, data_range=1, channel_axis=-1 if truth.ndim == 3 else None)
    return float(psnr), float(ssim)


def luma(image: np.ndarray) -> np.ndarray:
    """Luma of BT.601, 16 to 235 of 255; a gray image is its own."""
    if image.ndim == 2:
        return image
    return np.asarray(image @ [65.481, 128.553, 24.966] + 16) / 255
