"""The source in place of the result, and back: by a button, or by a key of the viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from napari.components import ViewerModel

from napari_dip.viewer.layers.layers import itself
from napari_dip.viewer.run.provenance import CurrentResult

KEY = "Shift-B"

_switches: list[ref[BeforeAfter]] = []
"""All in use; the key belongs to the last one of its viewer."""


class BeforeAfter:
    """Switches between a result and its source. Several docks may have one: the key serves that which was used last.

    Parameters
    ----------
    current : CurrentResult
    end_views : callable
        Takes away what covers the result.
    """

    def __init__(self, current: CurrentResult, end_views: Callable[[], None]):
        self.current, self.end_views = current, end_views
        self._source_was_hidden = False

    def switch(self) -> None:
        """Show the source in place of the result, or the result again."""
        result, source = self.current.layer, self.current.source
        if result is None or source is None:
            return
        self.end_views()
        if result.visible:
            result.visible = False
            self._source_was_hidden = not source.visible
            source.visible = True
        else:
            result.visible = True
            source.visible = source.visible and not self._source_was_hidden
            self._source_was_hidden = False

    def take_key(self) -> None:
        """Have the key serve this switch."""
        self._forget()
        _switches.append(ref(self))
        self.current.viewer.bind_key(KEY, _press, overwrite=True)

    def release_key(self) -> None:
        """Leave the key to the switches of other docks; the last one unbinds it."""
        self._forget()
        if not _of(self.current.viewer):
            self.current.viewer.bind_key(KEY, None, overwrite=True)

    def reset(self) -> None:
        """Begin with another result."""
        self._source_was_hidden = False

    def _forget(self) -> None:
        _switches[:] = [one for one in _switches if one() not in (None, self)]


def _of(viewer: Any) -> list[BeforeAfter]:
    switches = [one() for one in _switches]
    return [one for one in switches if one is not None and itself(one.current.viewer) is itself(viewer)]


def _press(viewer: ViewerModel) -> None:
    """Switch what was used last and has a result still."""
    for switch in reversed(_of(viewer)):
        if switch.current.layer is not None:
            switch.switch()
            return
