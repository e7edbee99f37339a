"""Scores of a result against a layer that holds the truth."""

from __future__ import annotations

from magicgui.widgets import ComboBox
from napari.layers import Image
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dip.viewer.errand import errand
from napari_dip.viewer.form.inputs import renew
from napari_dip.viewer.form.short_label import ShortLabel
from napari_dip.viewer.form.widgets import tame
from napari_dip.viewer.layers.layers import is_users_own, read_data
from napari_dip.viewer.result.comparison import scores
from napari_dip.viewer.run.provenance import CurrentResult


class TruthRow(QWidget):  # type: ignore[misc]
    """A list of layers that may be the truth, and a button that measures; hidden where there is none.

    Parameters
    ----------
    current : CurrentResult
    """

    def __init__(self, current: CurrentResult):
        super().__init__()
        self.current = current
        self.box = ComboBox(
            name="truth",
            label="Truth",
            tooltip="A layer with the true image, of the same shape.",
            choices=lambda _: self._truths(),
        )
        tame(self.box.native)
        self.box.native.setAccessibleName("Truth to measure against")
        self.box.native.setMinimumWidth(1)
        self.button = QPushButton("Measure")
        self.button.setToolTip("PSNR, SSIM and (with napari-dip[metrics]) microSSIM of source and result.")
        self.button.clicked.connect(self.measure)
        self.words = ShortLabel(2)
        self.words.hide()
        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box.native, 1)
        row.addWidget(self.button)
        column.addLayout(row)
        column.addWidget(self.words)

    def refresh(self) -> None:
        """Offer the layers that there are now."""
        renew(self.box)
        self.setVisible(self.box.value is not None)

    def clear(self) -> None:
        """Take scores of another result away."""
        self.words.setText("")
        self.words.hide()

    def measure(self) -> None:
        """Say how near source and result come to the truth."""
        current, truth = self.current, self.box.value
        result, source, axes = current.layer, current.source, current.record["axes"]
        images = [read_data(source), result.data] if current.has_shape_of_source else [result.data]
        true = read_data(truth)

        def show(found: list[dict[str, float]]) -> None:
            if current.layer != result:
                return
            parts = []
            for name in found[-1]:
                digits, unit = (2, " dB") if name == "PSNR" else (3, "")
                parts.append(f"{name} {' → '.join(f'{one[name]:.{digits}f}' for one in found)}{unit}")
            self.words.setText(f"{', '.join(parts)} against “{truth.name}”")
            self.words.show()

        errand(lambda: [scores(image, true, axes) for image in images], show, self.button)

    def shut(self) -> None:
        """Forget the layers: PySide collects no cycles, and a list that looks for them would keep this alive."""
        self.box.choices = ()

    def _truths(self) -> list[Image]:
        """List what may be the truth: images of the same shape that are no results."""
        result, source = self.current.layer, self.current.source
        if result is None:
            return []
        others = [one for one in self.current.viewer.layers if isinstance(one, Image) and is_users_own(one)]
        return [one for one in others if read_data(one).shape == result.data.shape and one != source]
