"""A number that cannot be is marked where it is typed, in every box of every form, and no run starts with it."""

import numpy as np
import pytest
from magicgui.widgets import FloatSpinBox, LineEdit

FRAME = "border: 2px solid"

ANY = {
    "1e400": "1e400 is not a finite number",
    "1.000,5": "'1.000,5' is not a number; type it without separators of thousands",
    "1,000,5": "'1,000,5' is not a number; type it without separators of thousands",
    "-": "'-' is not a number",
    "1e": "'1e' is not a number",
    "1 5": "'1 5' is not a number",
}
WHOLE = ("1e400", "1.000,5", "1,5", "-3", "1e3", "99999999999")


@pytest.fixture(params=["Denoise", "Inpaint", "Super-resolve"])
def dock(request, viewer, open_dock, picture, tmp_path):
    viewer.add_image(np.stack([picture, picture]), name="cells", axis_labels=("z", "y", "x"))
    labels = np.zeros((2, 32, 40), int)
    labels[:, 9:13, 9:13], labels[:, 20:24, 9:13] = 3, 4
    viewer.add_labels(labels, name="mask")
    viewer.layers.selection.active = viewer.layers["cells"]
    dock = open_dock(request.param)
    if dock.form.prior is not None:
        (tmp_path / "a.prior").write_bytes(b"")
        dock.form.prior.file.value = tmp_path / "a.prior"
    assert dock.panel.run_button.isEnabled()
    return dock


def boxes(dock, *kinds):
    form = dock.form
    return [one for one in form.controls if isinstance(one, kinds) and one not in (form.axes.box,)]


def enter(qtbot, box, text):
    box.native.selectAll()
    qtbot.keyClicks(box.native, text)


def is_marked(dock, box, words):
    """Whether a box is marked; those that a run depends on hold it up, too."""
    marked = FRAME in box.native.styleSheet() and words in box.native.toolTip()
    tool = any(box in mask.tools for mask in dock.form.masks)
    return marked and (tool or (words in dock.form.hint.text() and not dock.panel.run_button.isEnabled()))


def is_plain(dock, box):
    native = box.native
    return not native.styleSheet() and native.toolTip() == (box.tooltip or "") and dock.panel.run_button.isEnabled()


def test_the_text_of_a_number_shows_what_is_wrong_with_it(qtbot, dock):
    box = dock.form.more["threads"]
    text = box.native.lineEdit()
    enter(qtbot, box, "1,5")
    assert "is not a whole number" in text.toolTip() == text.accessibleDescription()
    enter(qtbot, box, "2")
    assert text.toolTip() == box.tooltip == text.accessibleDescription()


def test_a_box_for_any_number(qtbot, dock):
    found = [box for box in boxes(dock, LineEdit) if box.native.isEnabledTo(dock)]
    assert len(found) == {"denoise": 4, "inpaint": 1, "super_resolve": 0}[dock.task]
    for box in found:
        for text, words in ANY.items():
            enter(qtbot, box, text)
            assert is_marked(dock, box, f"{box.label}: {words}"), (box.name, text)
        if box.name not in ("offset",):
            for text in ("-1", "0"):
                enter(qtbot, box, text)
                assert is_marked(dock, box, f"{text} is not above 0"), (box.name, text)
        box.value = "nan"  # cannot be typed
        assert is_marked(dock, box, "nan is not a finite number")
        for text, value in (("2.5", 2.5), ("1,5", 1.5), ("1e2", 100.0)):
            enter(qtbot, box, text)
            assert is_plain(dock, box), (box.name, text)
            assert box.name == "threshold" or dock.form.settings()[box.name] == value
        box.value = ""
        assert is_plain(dock, box)


def test_a_box_for_whole_numbers(qtbot, dock):
    found = [box for box in boxes(dock, FloatSpinBox) if box.native.isEnabledTo(dock)]
    assert {"max_seconds", "threads", "seed"} <= {box.name for box in found}
    for box in found:
        for text in WHOLE:
            enter(qtbot, box, text)
            assert is_marked(dock, box, f"{box.label}: '{text}' is not a whole number from"), (box.name, text)
        number = 2 if box.name == "reach" else 3  # of which the next is allowed, too
        enter(qtbot, box, str(number))
        assert is_plain(dock, box), box.name
        assert box.value == number
        box.native.stepUp()
        assert is_plain(dock, box) and box.value == number + 1


def test_a_file_that_is_not_there_is_marked_too(viewer, open_dock, picture):
    viewer.add_image(picture)
    dock = open_dock("Denoise")
    box = dock.form.prior.file.line_edit
    box.value = "/nowhere/cells.prior"
    assert is_marked(dock, box, "There is no file 'cells.prior' for the prior")
    box.value = ""
    assert not box.native.styleSheet() and dock.panel.run_button.isEnabled()


def test_axes_that_cannot_be_are_marked_too(viewer, open_dock, picture):
    viewer.add_image(picture)
    dock = open_dock("Denoise")
    box = dock.form.axes.box
    box.value = "QX"
    assert FRAME in box.native.styleSheet() and "hold 'Q'" in box.native.toolTip()
    box.value = "yx"
    assert not box.native.styleSheet() and box.native.toolTip() == box.tooltip
