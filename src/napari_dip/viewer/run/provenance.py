"""Provenance of a result: its source, the prior that it began with, and the stages of its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, ref

from napari.components import ViewerModel
from napari.layers import Image

from napari_dip.run.record import Record
from napari_dip.viewer.layers.layers import RECORD, SHOWS, itself, read_data
from napari_dip.viewer.layers.passing import still_there
from napari_dip.viewer.run.snapshots import Stage


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from.

    Attributes
    ----------
    source : callable
        Returns the layer of the source as long as it lives.
    prior : Path, optional
        File of the prior that the run began with.
    stages : sequence of Stage
    """

    source: Callable[[], Any] = lambda: None
    prior: Path | None = None
    stages: Sequence[Stage] = ()


_provenance: WeakKeyDictionary[Image, Provenance] = WeakKeyDictionary()


def is_result(layer: Any, task: str) -> bool:
    """Whether a layer is a result of a task; its uncertainty is none."""
    found = layer.metadata if isinstance(itself(layer), Image) else {}
    return RECORD in found and SHOWS not in found and found[RECORD].get("task") == task


class CurrentResult:
    """The result that a panel is about, and its source.

    Parameters
    ----------
    viewer : napari viewer
    """

    def __init__(self, viewer: ViewerModel):
        self.viewer = viewer
        self._layer: Callable[[], Any] = lambda: None

    def choose(self, result: Image, provenance: Provenance | None = None) -> None:
        """Make this the current result; without a provenance, that of before is kept."""
        self._layer = ref(itself(result))
        if provenance is not None:
            _provenance[itself(result)] = provenance

    def clear(self) -> None:
        """Be about nothing."""
        self._layer = lambda: None

    @property
    def layer(self) -> Any:
        """The layer of the result; None if it is gone."""
        return still_there(self.viewer, self._layer())

    @property
    def source(self) -> Any:
        """The layer that it was made from; None if it is gone or not known."""
        return still_there(self.viewer, self.provenance.source())

    @property
    def provenance(self) -> Provenance:
        """Where the result comes from, as far as that is known."""
        layer = self.layer
        return Provenance() if layer is None else _provenance.get(itself(layer), Provenance())

    @property
    def record(self) -> Record:
        """The record of the result."""
        found: Record = self.layer.metadata[RECORD]
        return found

    @property
    def has_shape_of_source(self) -> bool:
        """Whether result and source can be compared pixel by pixel."""
        layer, source = self.layer, self.source
        return layer is not None and source is not None and bool(read_data(source).shape == layer.data.shape)
