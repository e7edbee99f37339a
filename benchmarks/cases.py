"""The images of a scoreboard folder, and how a result is measured against the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_dip.files import tiff
from napari_dip.tasks import TASKS

BORDER = 4


class NoTask(SystemExit):
    """No task takes what a case has beside its image; the message says which case and what that is."""


@dataclass(frozen=True)
class Case:
    """One image to restore: arrays as read from the files, cropped where asked for.

    Attributes
    ----------
    suite, image : str
    input, truth : array
    mask : array or None
        True where a pixel is missing.
    factor : int
        How many times larger than the input the truth is along Y and X.
    file_axes : str
        Of a TIFF file, ending in YX. Empty for an image that is gray or RGB.
    psf : array or None
        What the instrument makes of a point.
    """

    suite: str
    image: str
    input: np.ndarray
    truth: np.ndarray
    mask: np.ndarray | None
    factor: int
    file_axes: str = ""
    psf: np.ndarray | None = None

    @property
    def task(self) -> str:
        """What is to be done: the task that takes just what there is beside the image."""
        for task in TASKS:
            if {one.name for one in task.inputs} == self.inputs.keys():
                return task.name
        raise NoTask(f"{self.suite}/{self.image}: no task takes {' and '.join(self.inputs)}.")

    @property
    def inputs(self) -> dict[str, Any]:
        """What there is beside the image."""
        found = {"mask": self.mask, "factor": self.factor if self.factor > 1 else None, "psf": self.psf}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def axes(self) -> str:
        """Of the input."""
        return self.file_axes or ("YXS" if self.input.ndim == 3 else "YX")

    @property
    def is_volume(self) -> bool:
        """Whether it is measured as a volume or series: in its own units, over the range of the truth."""
        return bool(self.file_axes)

    @property
    def white(self) -> float:
        """What values of the input are divided by to be measured; volumes keep their units."""
        return 1.0 if self.is_volume else full(self.input)

    @property
    def scaled(self) -> np.ndarray:
        """The input in the units in which results are measured."""
        return np.asarray(self.input / self.white)

    @property
    def scaled_truth(self) -> np.ndarray:
        """The truth in these units."""
        return self.truth if self.is_volume else unit(self.truth)

    @property
    def size(self) -> str:
        """Height and width of the truth, after its planes if it has any."""
        return "x".join(map(str, self.truth.shape if self.is_volume else self.truth.shape[:2]))


def unit(image: np.ndarray) -> np.ndarray:
    """Scale an image as read to [0, 1]."""
    return np.asarray(image / full(image))


def full(image: np.ndarray) -> float:
    """Give the value that stands for white."""
    return np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0


def load(folder: Path, crop: int | None, planes: int | None = None) -> Case:
    """Read one image folder, and cut out its centre, and of a volume the first planes."""
    if (folder / "truth.tif").exists():
        case = _load_volume(folder, planes)
    else:
        from skimage.io import imread

        mask = imread(folder / "mask.png") > 0 if (folder / "mask.png").exists() else None
        noisy, truth = imread(folder / "input.png"), imread(folder / "truth.png")
        case = _case(folder, noisy, truth, mask)
    return _cropped(case, crop) if crop else case


def _load_volume(folder: Path, planes: int | None) -> Case:
    """Read TIFF files, whose axes have to be alike and to end in YX."""
    read = {name: tiff.read(folder / f"{name}.tif") for name in ("input", "truth")}
    axes = {name: picture.metadata.axes or "unknown" for name, picture in read.items()}
    if axes["input"] != axes["truth"] or not axes["input"].endswith("YX"):
        raise SystemExit(f"{folder}: the axes {axes['input']} and {axes['truth']} are not alike, or do not end in YX.")
    # only outer axes of a stack are counted in planes
    first = slice(planes if len(axes["input"]) > 2 else None)
    noisy, truth = (read[name].array[first] for name in ("input", "truth"))
    psf, mask = (tiff.read(path).array if path.exists() else None for path in (folder / "psf.tif", folder / "mask.tif"))
    if mask is not None:
        mask = mask[first] > 0 if mask.ndim > 2 else mask > 0
    return _case(folder, noisy, truth, mask, axes["input"], psf)


def _case(
    folder: Path,
    noisy: np.ndarray,
    truth: np.ndarray,
    mask: np.ndarray | None,
    axes: str = "",
    psf: np.ndarray | None = None,
) -> Case:
    """Find the factor between input and truth."""
    y = noisy.ndim - 2 if axes else 0
    factor = round(truth.shape[y] / noisy.shape[y])
    enlarged = tuple(factor * n if axis in (y, y + 1) else n for axis, n in enumerate(noisy.shape))
    if truth.shape != enlarged:
        raise SystemExit(f"{folder}: the truth {truth.shape} is no whole multiple of the input {noisy.shape}.")
    return Case(folder.parent.name, folder.name, noisy, truth, mask, factor, axes, psf)


def _cropped(case: Case, crop: int) -> Case:
    """Cut out the centre, along Y and X; the size is that of the truth."""
    factor, outer = case.factor, (slice(None),) * (case.input.ndim - 2 if case.is_volume else 0)
    if crop % factor:
        raise SystemExit(f"--crop {crop} is no multiple of {factor}, the factor of {case.suite}.")
    sizes = case.input.shape[len(outer) :][:2]
    start = [(n - min(crop // factor, n)) // 2 for n in sizes]
    stop = [a + min(crop // factor, n) for a, n in zip(start, sizes, strict=True)]
    inside = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    enlarged = tuple(slice(a * factor, b * factor) for a, b in zip(start, stop, strict=True))
    mask = case.mask
    if mask is not None:
        mask = mask[(*outer[: mask.ndim - 2], *inside)]
    return replace(case, input=case.input[(*outer, *inside)], truth=case.truth[(*outer, *enlarged)], mask=mask)


def measure(result: np.ndarray, case: Case) -> tuple[float, float]:
    """PSNR (dB) and SSIM of a result in [0, 1], or of a volume in its own units, by the protocol of its task."""
    from skimage.metrics import structural_similarity

    if case.is_volume:
        return _measure_volume(result, case.truth)
    result, truth = np.clip(result, 0, 1), unit(case.truth)
    if case.task == "super_resolve":
        inside = (slice(BORDER, -BORDER),) * 2
        result, truth = luma(result)[inside], luma(truth)[inside]
    error = float(np.mean((result - truth) ** 2))
    psnr = -10 * np.log10(error) if error else np.inf
    ssim = structural_similarity(result, truth, data_range=1, channel_axis=-1 if truth.ndim == 3 else None)
    return float(psnr), float(ssim)


def _measure_volume(result: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """PSNR over all planes at once and the mean SSIM of planes, both over the range of the truth."""
    from skimage.metrics import structural_similarity

    result, truth = result.astype(np.float64), truth.astype(np.float64)
    span = float(np.ptp(truth)) or 1.0
    error = float(np.mean((result - truth) ** 2))
    pairs = zip(*(x.reshape(-1, *truth.shape[-2:]) for x in (result, truth)), strict=True)
    ssim = np.mean([structural_similarity(one, other, data_range=span) for one, other in pairs])
    return (float(10 * np.log10(span**2 / error)) if error else np.inf), float(ssim)


def luma(image: np.ndarray) -> np.ndarray:
    """Luma of BT.601, 16 to 235 of 255; a gray image is its own."""
    if image.ndim == 2:
        return image
    return np.asarray(image @ [65.481, 128.553, 24.966] + 16) / 255
