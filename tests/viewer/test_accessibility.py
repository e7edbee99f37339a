"""Every control of every dock has a name that can be read aloud, and a tooltip."""

import pytest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QListWidget,
    QProgressBar,
    QSlider,
    QWidget,
)

CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QListWidget, QProgressBar, QSlider)


def controls(dock):
    return [widget for widget in dock.findChildren(QWidget) if isinstance(widget, CONTROLS)]


def name_of(widget):
    return widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")


@pytest.mark.parametrize("task", ["Denoise", "Inpaint", "Super-resolve"])
def test_every_control_has_a_name_and_a_tooltip(viewer, open_dock, picture, task):
    viewer.add_image(picture)
    dock = open_dock(task)
    found = controls(dock)
    assert len(found) > 40
    lacking = [
        (type(one).__name__, name_of(one), one.toolTip()) for one in found if not (name_of(one) and one.toolTip())
    ]
    assert not lacking


def test_it_stays_so_whatever_is_chosen(viewer, open_dock, run_to_end, picture):
    viewer.add_image(picture)
    dock = open_dock("Inpaint")
    mask = dock.form.masks[0]
    dock.form.new_mask.native.click()
    for kind in mask.kind.choices:
        mask.kind.value = kind
        assert mask.threshold.native.toolTip() == mask.threshold.native.accessibleDescription() != ""
    viewer.layers[-1].paint((16, 20), 1)
    run_to_end(dock)  # the result has buttons of its own
    assert not dock.results.isHidden()
    assert all(name_of(one) and one.toolTip() for one in controls(dock))
