"""The layer that shows a run while it goes on, and that its result ends in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import ref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_dip.viewer.layers.aside import step_aside
from napari_dip.viewer.layers.connections import Links
from napari_dip.viewer.layers.layers import (
    RECORD,
    SHOWS,
    before_work,
    index_of,
    insert_above,
    itself,
    place_of,
    top_of_results,
    uncertainty_look,
    unique_name,
    with_scale,
)
from napari_dip.viewer.messages import Control, Done, Job, Picture


class LiveLayer:
    """Added with the first preview; deleting it does no harm.

    Its data are an array of its own, which shows the source until a plane is put over it: so a preview costs a plane,
    however large the stack is.

    Parameters
    ----------
    viewer : napari viewer
    job : Job
        What is restored. Its title is the name of the layer, numbered if another has it.
    look : dict
        Keyword arguments of the layer: where it lies and what it looks like.
    control : Control
        Told whether the layer is looked at, and which plane of it.
    source : Image, optional
        What is restored: it steps aside where it would shine through, and gives its place in the selection to the
        result.
    masks : sequence of layers
        Of the task, which the result covers.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        job: Job,
        look: dict[str, Any],
        control: Control,
        source: Image | None = None,
        masks: Sequence[Any] = (),
    ):
        self.viewer, self.job, self.look, self.control = viewer, job, look, control
        self._source = (lambda: None) if source is None else ref(itself(source))
        self._masks = [ref(itself(mask)) for mask in masks]
        self.layer: Any = None
        self.data: np.ndarray | None = None
        self.deleted = False
        self.links = Links()
        inner = Affine(
            **{name: look[name] for name in ("scale", "translate", "rotate", "shear")}, ndim=len(look["scale"])
        )
        self._to_data = Affine(affine_matrix=look["affine"]).compose(inner).inverse
        self.turning = Links()
        self.turning.connect(viewer.dims.events.current_step, self._turn)
        self._turn()

    def show(self, pictures: list[Picture]) -> None:
        """Show planes as they are so far, unless the user has thrown their layer away."""
        if self.deleted:
            return
        job, axes = self.job, self.job.axes or ""
        if self.data is None:
            self.data = before_work(job.image, axes, job.factor, rgb=job.rgb)
        for picture in pictures:
            self.data[place_of(axes, picture.index)] = picture.plane
        self._put(self.data)

    def finish(self, outcome: Done) -> tuple[Image, Image | None]:
        """Put the result where the preview was, or into a new layer, with its record.

        Returns
        -------
        result, uncertainty : Image
            The uncertainty lies right above the result, hidden; None where it was not asked for.
        """
        layer, self.data = self._put(outcome.image), None
        shows = {SHOWS: "part"} if self.job.is_part else {}
        kept = {name: value for name, value in layer.metadata.items() if name != SHOWS}
        layer.metadata = {**kept, RECORD: outcome.record, **shows}
        self.stop_listening()
        second = self._add_above(layer, outcome)
        for one in filter(None, (layer, second)):
            one.metadata = {**one.metadata, **self.job.metadata}
        if itself(self.viewer.layers.selection.active) is (
            self._source() or layer
        ):  # contrast, Save and Delete are of what is seen
            self.viewer.layers.selection.active = layer
        return layer, second

    def drop(self) -> None:
        """Take the preview away."""
        self.stop_listening()
        if self._alive():
            self.viewer.layers.remove(self.layer)
        self.layer = self.data = None

    @property
    def source(self) -> Any:
        """What is restored, as long as it is there."""
        return self._source()

    def stop_listening(self) -> None:
        """Follow the viewer no more."""
        self.links.undo()
        self.turning.undo()

    def _alive(self) -> bool:
        return self.layer is not None and self.layer in self.viewer.layers

    def _put(self, data: np.ndarray) -> Image:
        if not self._alive():
            return self._add(data)
        if self.layer.data is data:
            self.layer.refresh(extent=False)
        else:  # it is the result, or somebody has given the layer other data
            self.layer.data = data
        return self.layer

    def _add(self, data: np.ndarray) -> Image:
        self.links.undo()
        layers = self.viewer.layers
        name = unique_name(self.job.title, (layer.name for layer in layers))
        self.layer = Image(data, name=name, multiscale=False, metadata={SHOWS: "run"}, **self.look)
        insert_above(layers, self.layer, top_of_results(layers, self._source(), [mask() for mask in self._masks]))
        step_aside(self.viewer, self._source(), self.layer)
        self.links.connect(self.layer.events.visible, self._look)
        self.links.connect(self.viewer.layers.events.removed, self._removed)
        return self.layer

    def _add_above(self, layer: Image, outcome: Done) -> Image | None:
        layers, data = self.viewer.layers, outcome.uncertainty
        if data is None:
            return None
        second = Image(
            data,
            name=unique_name(f"{layer.name} uncertainty", (other.name for other in layers)),
            metadata={RECORD: outcome.record, SHOWS: "uncertainty"},
            multiscale=False,
            **uncertainty_look(self.look, data),
        )
        insert_above(layers, with_scale(second), layer)
        if layers.selection.active is second:  # what is hidden is not what one goes on with
            layers.selection.active = layer
        return second

    def _turn(self, event: Any = None) -> None:
        """Say which plane the sliders of the viewer are at."""
        point, axes = self.viewer.dims.point, self.job.axes
        # axes that do not fit are refused by the run; nothing of as many dimensions may be there any more
        if axes is None or len(axes) != len(self.job.image.shape) or len(point) < self._to_data.ndim:
            return
        where = self._to_data(np.asarray(point[-self._to_data.ndim :]))
        self.control.looked_at = index_of(axes, self.job.image.shape, where)

    def _look(self) -> None:
        self.control.watched = bool(self._alive() and self.layer.visible)

    def _removed(self) -> None:
        if not self._alive():
            self.deleted, self.control.watched = True, False
            self.layer = self.data = None
