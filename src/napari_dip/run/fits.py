"""Which planes of an image are fitted together, which one by one, and which of them have anything to do."""

from __future__ import annotations

from collections.abc import Sequence

from napari_dip.image.source import Source
from napari_dip.image.work import Group, Item, channel_of, plan_groups
from napari_dip.prior.presets import STACK
from napari_dip.run.item_fit import ItemFit
from napari_dip.run.record import PlaneRecord
from napari_dip.run.request import Request
from napari_dip.run.stack_fit import StackFit
from napari_dip.tasks import Task

LARGE = 2**19
"""Pixels of a plane from which on it is fitted on crops: time and memory of the fit no longer grow with it. At 512 x
512 that loses 0.1 dB. Measured: benchmarks/RESULTS.md."""


def plan(request: Request) -> list[list[Item]]:
    """Say which planes are fitted together, in the order in which that is done."""
    source = request.source
    if not is_grouped(request):
        return [[item] for item in source.items]
    return [group.items for group in plan_groups(source.outer, source.items)]


def fit_of(
    request: Request, numbers: Sequence[int], *, seconds: float | None = None, script: PlaneRecord | None = None
) -> ItemFit | StackFit:
    """Make the fit of some planes: of one by itself, or of a group together."""
    source = request.source
    items = [source.items[number] for number in numbers]
    if not is_shared(request, items):
        whole = None if request.whole is None else request.whole.plane(request.whole.items[numbers[0]])
        plane = source.plane(items[0], None if whole is None else whole.scaling)
        return ItemFit(request, items[0], plane, whole=whole, seconds=seconds, script=script)
    group = plan_groups(source.outer, items)[0]
    return StackFit(request, group, seconds=seconds, script=script)


def is_shared(request: Request, items: Sequence[Item]) -> bool:
    """Whether a network is fitted to crops: of several planes, and of a single one from some size on."""
    height, width = request.source.size
    wanted = request.on_crops or request.start is not None or len(items) > 1 or height * width >= LARGE
    return wanted and is_grouped(request)


def is_grouped(request: Request) -> bool:
    """Whether planes are restored together."""
    return request.task.name == "denoise" and request.settings.preset in STACK


def has_work(source: Source, item: Item, task: Task) -> bool:
    """Whether there is anything to do: constant planes, and those without a gap to fill, stay as they are."""
    low, high = source.ranges.get(item.index, (0.0, 0.0))
    return low < high and (task.writes == "everything" or source.gaps[item.index])


def groups_at_work(source: Source, task: Task) -> dict[int, Group]:
    """Give the planes that have anything to do, by their channel."""
    groups = plan_groups(source.outer, [item for item in source.items if has_work(source, item, task)])
    return {channel_of(source.outer, group.items[0]): group for group in groups}
