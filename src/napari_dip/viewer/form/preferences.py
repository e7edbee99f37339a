"""What the user's preferences say (Preferences > Deep Image Prior), and the settings of the last run of each task.

Napari 0.9 has such a page, made from `configurations` in the manifest; with an older one all is as it is by default.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_dip.settings import STRENGTH
from napari_dip.viewer.messages import PICTURE_EVERY

SECTION = "runs"
OF_AN_IMAGE = (*STRENGTH, "values", "period", "z_step")
"""Settings that are never remembered: another image has others."""
FILE = "napari-dip-last.json"

log = logging.getLogger("napari_dip")


@dataclass(frozen=True)
class Preferences:
    """What forms begin with, and how often a run shows a picture.

    Attributes
    ----------
    settings : dict
        By name, those that have a place on the page; None stands for one that is left out.
    seconds_between_pictures : float
    file : Path or None
        Where the settings of the last runs are remembered; None: nowhere.
    """

    settings: dict[str, Any]
    seconds_between_pictures: float = PICTURE_EVERY
    file: Path | None = None

    def last(self, task: str) -> dict[str, Any]:
        """Give the settings of the last run of a task; those that are not remembered are left out."""
        found = _read(self.file).get(task, {}) if self.file else {}
        return found if isinstance(found, dict) else {}

    def remember(self, task: str, settings: dict[str, Any]) -> None:
        """Keep the settings of a run; None stands for one that was left out."""
        if self.file is None:
            return
        kept = {name: value for name, value in settings.items() if name not in OF_AN_IMAGE}
        try:
            self.file.write_text(json.dumps({**_read(self.file), task: kept}, indent=2), encoding="utf-8")
        except OSError as error:  # no reason not to run
            log.warning("The settings could not be remembered: %s", error)


def preferences() -> Preferences:
    """Read what the user prefers now."""
    try:
        from napari.settings import get_plugin_settings

        page = get_plugin_settings("napari-dip")
        said = getattr(page, SECTION)
    except Exception as error:  # an older napari has none; and pages of all plugins are read, be one of them damaged
        log.debug("There are no preferences: %s", error)
        return Preferences({})
    path = page.config_path if said.remember_settings else None
    settings = {"preset": said.preset, "device": said.device, "threads": said.threads or None}
    return Preferences(settings, said.seconds_between_pictures, Path(path).with_name(FILE) if path else None)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
