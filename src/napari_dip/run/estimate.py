"""What a run will take: time and memory, from the shape of the image and the settings, before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any

from napari_dip.errors import InputError
from napari_dip.memory import free_memory
from napari_dip.settings import Settings
from napari_dip.tasks import Task

GROUPED = ("fast", "best")
"""Presets that fit planes together."""
LARGE = 2**19
"""Pixels of a single plane from which on it is fitted on crops; see `napari_dip.run.fits`."""
PROCESS = 0.42e9
"""Bytes of Python with torch and the libraries around it."""
PLANE_BYTES = {"fast": 1080, "best": 1400, "paper": 6000}
"""Bytes a pixel of a plane that is fitted as a whole."""
POOL, BLOCK, HALO = 2**23, 2**21, 96
"""As in `napari_dip.run.stack_pool`, `napari_dip.run.stack_fit` and the halo of a block."""
POOL_BYTES, ALONE_BYTES, TOGETHER_BYTES, TILE_BYTES, FIT_BYTES = 24, 230, 26, 600, 0.08e9
"""Bytes a pixel that is learned from, of a block at work (of one plane, of several), and of a tile; and those of an
iteration on crops. Measured: benchmarks/RESULTS.md, "Volumes, series, large images"."""
KEPT, WHOLE, STRIP, SCAN_HALO = 2**29, 2**23, 2**22, 64
"""Bytes of a lazy image that are kept, and pixels that are scanned at a time, as in `napari_dip.image`."""
SCAN_BYTES, SHOWN_BYTES, LAZY_BYTES = 120, 24, 0.25e9
"""Bytes a pixel of what is scanned at a time, and of a plane in a viewer; those of reading what is lazy. Measured:
a lazy plane of 6,000 x 6,000 takes 1.78 GB in all, and 2.83 GB in a viewer."""
TILE = 640
"""Side of a tile of the network with its halo."""
PER_ITERATION, PER_PIXEL = 0.3, 22e-6
"""Seconds of an iteration on crops, and of restoring a pixel; on one core without fast bfloat16."""
PER_PLANE_PIXEL = {"fast": 6e-6, "best": 6e-6, "paper": 25e-6}
"""Seconds of a pixel in an iteration on a whole plane; the network of `paper` is the larger one."""
CLEARLY_MORE = 1.5
"""What a run takes at most is said where it is so many times what it takes about."""
ITERATIONS, MEMBERS = 300, {"fast": 1, "best": 4}
"""Planned on crops for each network, and networks of a preset."""
AS_A_WHOLE = {
    "denoise": {"fast": 100, "best": 400, "paper": 1800},
    "inpaint": {"fast": 300, "best": 900, "paper": 6000},
    "super_resolve": {"fast": 400, "best": 800, "paper": 2000},
}
"""Iterations of a fit of a whole plane: as planned, and about as many as it takes where it ends by itself. A task that
is not listed is taken to be like inpainting."""


@dataclass(frozen=True)
class Plan:
    """What settings say of the length of a run, and of what it keeps.

    Attributes
    ----------
    max_iterations, max_seconds, uncertainty
        As in `Settings`.
    on_crops : bool
        Whether even a small plane is fitted on crops.
    has_prior : bool
        Whether the run begins with a fitted prior, which `max_iterations` bring up to date.
    circular : bool
        Whether values are fitted as sine and cosine.
    """

    max_iterations: int | None = None
    max_seconds: float | None = None
    uncertainty: bool = False
    on_crops: bool = False
    has_prior: bool = False
    circular: bool = False

    def learning(self, usual: int, each: float, *, ends_early: bool) -> tuple[float, float]:
        """Give about how many seconds fits take, and at most.

        Parameters
        ----------
        usual : int
            Iterations that they take where nothing is set.
        each : float
            Seconds of an iteration of each of them.
        ends_early : bool
            Whether they end by themselves once there is nothing more to gain.
        """
        planned = usual if self.max_iterations is None else self.max_iterations
        limit = inf if self.max_seconds is None else self.max_seconds
        likely = min(planned, usual) if ends_early else planned
        return min(each * likely, limit), min(each * planned, limit)


PLAN = Plan()
"""Nothing is set."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes
    ----------
    seconds : float
        On one core as in a laptop of some years ago; nobody knows when a fit finds that there is nothing more to gain.
    memory : float
        Bytes of the whole process at its peak, the image that is given included.
    at_most : float
        Seconds, if it does not end by itself.
    present : float
        Bytes of them that are taken before it begins: by the process, and by an image that is in memory.
    held : float
        Bytes of the image and its results, which are in memory wherever the work is done.
    result : float
        Bytes of one result.
    """

    seconds: float
    memory: float
    at_most: float = 0.0
    present: float = 0.0
    held: float = 0.0
    result: float = 0.0

    def words(self) -> str:
        """Say it in a few words.

        >>> Estimate(540, 2.1e9).words()
        'about 9 min on one core, 2.1 GB'
        >>> Estimate(10, 0.5e9, at_most=200).words()
        'about 10 s, at most 3 min, on one core, 0.5 GB'
        """
        more = f", at most {_time(self.at_most)}," if self.at_most > CLEARLY_MORE * max(self.seconds, 1) else ""
        return f"about {_time(self.seconds)}{more} on one core, {self.memory / 1e9:.1f} GB"


def estimate(
    task: str,
    axes: str,
    shape: Sequence[int],
    itemsize: int,
    *,
    preset: str = "fast",
    factor: int = 1,
    lazy: bool = False,
    shown: bool = False,
    plan: Plan = PLAN,
) -> Estimate:
    """Estimate what a run will take.

    Parameters
    ----------
    task : str
    axes : str
        One letter for each dimension.
    shape : sequence of int
    itemsize : int
        Bytes of a value of the image.
    preset : str
    factor : int
        Of super-resolution.
    lazy : bool
        Whether the image is read region by region.
    shown : bool
        Whether a viewer shows image and result.
    plan : Plan
    """
    size = dict(zip(axes, map(int, shape), strict=True))
    samples, plane = min(size.get("S", 1), 3) * (1 + plan.circular), size["Y"] * size["X"]
    channels = size.get("C", 1)
    planes = prod(size.get(axis, 1) for axis in "TZ")
    values = prod(shape)
    result, image = 4.0 * values * factor**2, values * itemsize
    held = result * (1 + plan.uncertainty) + (image if not lazy or image <= KEPT else 0) + LAZY_BYTES * lazy
    if shown:  # the layer has a second one while a preview is on its way, and napari draws planes
        held += result + SHOWN_BYTES * samples * plane * factor**2
    scanned, applied, grouped = SCAN_BYTES * _scanned(size), 0.0, task == "denoise" and preset in GROUPED
    if grouped and (plan.on_crops or plan.has_prior or planes > 1 or plane >= LARGE):
        members = 1 if plan.has_prior else MEMBERS[preset]  # a prior of several networks takes longer: its file says so
        usual, each = (0 if plan.has_prior else ITERATIONS * members), channels * PER_ITERATION
        about, at_most = plan.learning(usual, each, ends_early=not plan.has_prior)
        applied = channels * members * PER_PIXEL * samples * planes * plane
        work = FIT_BYTES + samples * _on_crops(size, planes)
    else:
        pixels = plane * factor**2
        each = channels * planes * pixels * samples**0.5 * PER_PLANE_PIXEL[preset]
        usual = AS_A_WHOLE.get(task, AS_A_WHOLE["inpaint"])[preset]
        about, at_most = plan.learning(usual, each, ends_early=grouped)
        work = PLANE_BYTES[preset] * pixels * samples**0.3
    present, memory = PROCESS + (0 if lazy else image), PROCESS + held + max(work, scanned)
    return Estimate(about + applied, memory, at_most + applied, present, held, result)


def estimate_run(
    task: Task,
    array: Any,
    axes: str,
    factor: int | None,
    settings: Settings,
    *,
    shown: bool = False,
    plan: Plan | None = None,
) -> Estimate:
    """Estimate what a run of a task on an array will take, with these settings; as `estimate` does."""
    import numpy as np

    return estimate(
        task.name,
        axes,
        array.shape,
        np.dtype(array.dtype).itemsize,
        preset=settings.preset,
        factor=factor or 1,
        lazy=not isinstance(array, np.ndarray),
        shown=shown,
        plan=plan
        or Plan(
            settings.max_iterations,
            settings.max_seconds,
            settings.uncertainty,
            circular=settings.values == "circular",
        ),
    )


def _time(seconds: float) -> str:
    """Give a duration in a word or two."""
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(seconds, 1):.0f} s"


def check_memory(task: Task, found: Estimate, device: str = "cpu", *, elsewhere: float = 0.0) -> None:
    """Refuse what needs more memory than is free, before any of it is taken.

    Parameters
    ----------
    task : Task
    found : Estimate
    device : str
        Of torch: the memory of another one than the CPU is no matter here.
    elsewhere : float
        Bytes of it that are not taken here, such as a result that is written to a file.

    Raises
    ------
    InputError
        Offers other ways.
    """
    free, total = free_memory(), found.memory if device == "cpu" else PROCESS + found.held
    more = total - found.present - elsewhere
    if free is None or more <= free:
        return
    way = "restore it part by part"
    if task.keeps:
        way += ", or save it as OME-Zarr and use `napari-dip batch --blocks`, which needs little memory at any size"
    raise InputError(f"This needs {more / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free; {way}.")


def _scanned(size: dict[str, int]) -> float:
    """Pixels of a plane that are scanned at a time."""
    plane = size["Y"] * size["X"]
    return plane if plane <= WHOLE else min(plane, STRIP + 2 * SCAN_HALO * size["X"])


def _on_crops(size: dict[str, int], planes: int) -> float:
    """Bytes of what is learned from, and of a block at work."""
    side = 512 if planes > 1 else 1024
    height, width = (min(size[axis], side) for axis in "YX")
    wide = min(size["Y"], height + 2 * HALO) * min(size["X"], width + 2 * HALO)
    depth = min(planes, max(1, BLOCK // (height * width)) + 8) if planes > 1 else 1
    block = (TOGETHER_BYTES if planes > 1 else ALONE_BYTES) * depth * wide + TILE_BYTES * min(wide, TILE**2)
    return POOL_BYTES * min(POOL, planes * size["Y"] * size["X"]) + block
