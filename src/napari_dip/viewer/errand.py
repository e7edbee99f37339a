"""Something short that is done off the GUI thread, while its button waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QWidget

from napari_dip.errors import in_words


class _Wrong:
    """What went wrong, in words."""

    def __init__(self, words: str):
        self.words = words


def errand(do: Callable[[], Any], then: Callable[[Any], None], button: QWidget) -> None:
    """Do something, and then something else with what it gives, in the GUI thread; what goes wrong is told instead."""
    button.setEnabled(False)
    worker = create_worker(_told, do)

    def end(found: Any) -> None:
        button.setEnabled(True)
        if isinstance(found, _Wrong):
            show_warning(found.words)
        else:
            then(found)

    worker.returned.connect(end)
    worker.start()


def _told(do: Callable[[], Any]) -> Any:
    """Do it; the thread workers of napari swallow some exceptions."""
    try:
        return do()
    except Exception as error:
        return _Wrong(in_words(error))
