"""Layers that show something about a result: its residual, and its uncertainty."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_dip.viewer.errand import errand
from napari_dip.viewer.layers.layers import RECORD, SHOWS, describe, read_data, with_scale
from napari_dip.viewer.layers.passing import PassingLayer
from napari_dip.viewer.result.comparison import look_of_residual, residual
from napari_dip.viewer.run.provenance import CurrentResult


class ResidualView(QWidget):  # type: ignore[misc]
    """Source less result, as long as the view is open; a button keeps the layer.

    Parameters
    ----------
    current : CurrentResult
    """

    name = "Residual"
    tip = "Source less result: noise alone, if all went well. Structure in it was taken from the image."

    def __init__(self, current: CurrentResult):
        super().__init__()
        self.current, self.controls = current, self
        self._shown = PassingLayer(current.viewer, "residual")
        self._is_open = False
        self.label, self.button = QLabel(), QPushButton("Keep")
        self.button.setToolTip("Keep the residual as a layer of its own.")
        self.button.clicked.connect(self.keep)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label, 1)
        row.addWidget(self.button)

    def is_possible(self) -> bool:
        """Whether source and result have the same pixels."""
        return self.current.has_shape_of_source

    def begin(self) -> None:
        """Compute the residual off the GUI thread, then show it."""
        self._is_open = True
        result, source = self.current.layer, self.current.source
        self.label.setText("Computing ...")

        def show(values: Any) -> None:
            if not self._is_open or self.current.layer != result:
                return
            look = look_of_residual(describe(result), values)
            with_scale(self._shown.show(result, f"{result.name} residual", values, look))
            low, high = look["contrast_limits"]
            self.label.setText(f"{low:.3g} to {high:.3g}")

        period, rgb = self.current.record.get("values", {}).get("period"), bool(result.rgb)
        errand(lambda: residual(read_data(source), result.data, rgb=rgb, period=period), show, self.button)

    def end(self) -> None:
        """Take the layer away."""
        self._is_open = False
        self._shown.drop()

    def keep(self) -> None:
        """Leave the layer to the user."""
        self._shown.release()
        self.button.setEnabled(False)


class UncertaintyView:
    """Shows the uncertainty layer of a result, if the run has made one.

    Parameters
    ----------
    current : CurrentResult
    """

    name = "Uncertainty"
    tip = "How far off each pixel may be, one standard deviation. Tick Uncertainty before a run to have it."
    controls: QWidget | None = None

    def __init__(self, current: CurrentResult):
        self.current = current

    @property
    def layer(self) -> Any:
        """The uncertainty layer; None if there is none."""
        result = self.current.layer
        if result is None:
            return None
        record = result.metadata[RECORD]
        layers = [one for one in self.current.viewer.layers if one.metadata.get(SHOWS) == "uncertainty"]
        return next((one for one in layers if one.metadata.get(RECORD) == record), None)

    def is_possible(self) -> bool:
        """Whether there is an uncertainty layer."""
        return self.layer is not None

    def begin(self) -> None:
        """Show the layer."""
        if (layer := self.layer) is not None:
            layer.visible = True

    def end(self) -> None:
        """Hide the layer."""
        if (layer := self.layer) is not None:
            layer.visible = False
