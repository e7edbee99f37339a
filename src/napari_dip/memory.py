"""Memory of this machine: how much is free, as far as Python can know, and what is no longer needed given back."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

MEMORY_INFO = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")
"""Of the control group of a container or a job."""


def free_memory() -> int | None:
    """Give the bytes that a process can still have without others being ended or moved to the disk.

    Returns
    -------
    int or None
        None where that is not known.
    """
    known = [bytes_ for bytes_ in (_free_of_machine(), _free_of_group()) if bytes_ is not None]
    return min(known, default=None)


def release_memory() -> None:
    """Give memory that was freed in many pieces back to the system; only the allocator of Linux has to be told."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _free_of_machine() -> int | None:
    if MEMORY_INFO.exists():
        fields = _fields(MEMORY_INFO)
        return fields["MemAvailable:"] * 1024 if "MemAvailable:" in fields else None
    try:
        import psutil
    except ImportError:  # napari brings it, and Linux does without
        return None
    return int(psutil.virtual_memory().available)


def _free_of_group() -> int | None:
    """Give what a control group leaves; what it keeps of files only can be dropped."""
    try:
        most, used = ((GROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        kept = _fields(GROUP / "memory.stat").get("inactive_file", 0)
    except (OSError, ValueError):
        return None
    return int(most) - int(used) + kept if most.isdigit() else None


def _fields(path: Path) -> dict[str, int]:
    """Read a table of names and numbers."""
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}
