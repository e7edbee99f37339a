"""Restore a single image without training data, with a deep image prior.

>>> import napari_dip as dip
>>> result = dip.denoise(image)                  # doctest: +SKIP
>>> result.image, result.record                  # doctest: +SKIP

Importing this package loads neither torch nor Qt nor napari; they come with the first use.
"""

from __future__ import annotations

from importlib import import_module

from napari_dip.errors import InputError

TYPE_CHECKING = False  # typing takes longer than the rest, and Ctrl-C is heard only after this
if TYPE_CHECKING:
    from typing import Any

    from napari_dip.jobs.batch import map_restore
    from napari_dip.jobs.file import restore_file
    from napari_dip.restore import (
        Progress,
        Restoration,
        Run,
        denoise,
        inpaint,
        load_run,
        replay,
        restore_steps,
        super_resolve,
    )
    from napari_dip.run.fitted_prior import FittedPrior, fit, load_prior
    from napari_dip.settings import Settings

    __version__: str

_HOMES = (
    {"Settings": "settings", "restore_file": "jobs.file"}
    | dict.fromkeys(("FittedPrior", "fit", "load_prior"), "run.fitted_prior")
    | {"map_restore": "jobs.batch"}
)
"""Where names come from that are not those of `restore`."""
__all__ = [
    "FittedPrior",
    "InputError",
    "Progress",
    "Restoration",
    "Run",
    "Settings",
    "denoise",
    "fit",
    "inpaint",
    "load_prior",
    "load_run",
    "map_restore",
    "replay",
    "restore_file",
    "restore_steps",
    "super_resolve",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-dip")
    if name in __all__:
        return getattr(import_module(f"napari_dip.{_HOMES.get(name, 'restore')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
