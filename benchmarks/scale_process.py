"""One restoration in a process of its own: what `scale.py` starts for each measurement. Writes one line of JSON.

Nothing is imported but what is measured, and the image is read from a file, so that the memory is that of a user.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np


class NotThere(Exception):
    """The version that is measured lacks what it was asked for."""


def peak_memory() -> float:
    """Most memory that this process has held so far, in GiB."""
    status = Path("/proc/self/status")
    if status.exists():  # the figure below begins with what the parent held
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def seam_ratio(image: np.ndarray, side: int) -> float:
    """Mean absolute jump across the borders of tiles over that between neighbouring pixels inside of them.

    Parameters
    ----------
    image : (..., y, x) array
    side : int
        Tiles begin at multiples of this along y and x.

    Returns
    -------
    float
        About 1 where no border is seen; NaN where there is none.
    """
    across, inside = [], []
    for axis in (-2, -1):
        jumps = np.moveaxis(np.abs(np.diff(image.astype(np.float64), axis=axis)), axis, 0)
        border = np.arange(1, image.shape[axis]) % side == 0
        across.append(jumps[border].ravel())
        inside.append(jumps[~border].ravel())
    if not sum(one.size for one in across):
        return float("nan")
    return float(np.concatenate(across).mean() / np.concatenate(inside).mean())


def _tiles() -> Any:
    """Give the module that restores by tiles; older versions have it elsewhere."""
    for name in ("napari_dip.prior.objectives.apply", "napari_dip.prior.apply"):
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise NotThere("this version has no tiles")


def prepare(job: dict[str, Any], image: np.ndarray) -> Callable[[], Any]:
    """Import all that is needed, and give the call to be timed."""
    import napari_dip as dip

    if not Path(dip.__file__).is_relative_to(job["source"]):
        raise NotThere(f"napari_dip is imported from elsewhere than {job['source']}")
    if job["prior"] and not hasattr(dip, "load_prior"):
        raise NotThere("this version loads no priors")
    if job["side"]:
        _tiles().SIDE = job["side"]
    # torch imports a good part of itself when it is first used
    corner = image[(slice(2),) * (image.ndim - 2)][..., :16, :16]
    dip.denoise(corner, axes=job["axes"], **{**job["settings"], "max_iterations": 1})
    if job["prior"]:
        prior = dip.load_prior(job["prior"])
        return lambda: prior.restore(image)
    return lambda: dip.denoise(image, axes=job["axes"], **job["settings"])


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Restore, and only then look at the truth."""
    image = np.load(job["image"])
    try:
        restore = prepare(job, image)
    except NotThere as missing:
        return {"failed": str(missing)}
    before, started = peak_memory(), perf_counter()
    restored = restore()
    found: dict[str, Any] = {"seconds": perf_counter() - started, "peak": peak_memory(), "before": before}
    truth = np.load(job["truth"]).astype(np.float64)
    error = float(np.mean((restored.image - truth) ** 2))
    found["psnr"] = float(10 * np.log10(np.ptp(truth) ** 2 / error))
    if job["borders"]:
        found["seams"] = seam_ratio(restored.image, job["borders"])
    return found


if __name__ == "__main__":
    with suppress(OSError):  # should memory run out, then let it be this process that is ended
        Path("/proc/self/oom_score_adj").write_text("1000")
    print(json.dumps(measure(json.loads(sys.argv[1]))))
