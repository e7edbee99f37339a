"""Masks that are proposed, grown, shrunk and measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dip.samples import scratched
from napari_dip.viewer.form.proposals import (
    NO_NUMBERS,
    PIXELS,
    PROPOSALS,
    SATURATED,
    SCRATCHES,
    STRIPES,
    grown,
    propose,
)

USUAL = {one.name: one.threshold or 0.0 for one in PROPOSALS}


@pytest.fixture
def clean():
    y, x = np.mgrid[:64, :72]
    return np.random.default_rng(0).normal(500 + 200 * np.sin(x / 9) * np.cos(y / 8), 12).astype("float32")


def test_hot_and_dead_pixels_are_found_in_every_plane_and_nothing_else(clean):
    stack = np.stack([clean, clean[::-1]])
    hot = np.zeros(stack.shape, bool)
    for place in [(0, 10, 20), (0, 40, 50), (1, 30, 31), (1, 5, 60)]:
        hot[place] = True
    stack[hot] = [5000, 4500, 0, 4800]
    assert np.array_equal(propose(stack, "ZYX", PIXELS, USUAL[PIXELS]), hot)
    assert not propose(np.stack([clean, clean]), "ZYX", PIXELS, USUAL[PIXELS]).any()


def test_stripes_are_whole_lines(clean):
    clean[20] += 60
    clean[:, 33] -= 80
    found = propose(clean, "YX", STRIPES, USUAL[STRIPES])
    assert found[20].all() and found[:, 33].all() and found.sum() == 72 + 64 - 1


def test_scratches_are_narrow_and_long(clean):
    assert not propose(clean, "YX", SCRATCHES, USUAL[SCRATCHES]).any()
    expected = np.zeros(clean.shape, bool)
    for n in range(30):
        expected[10 + n, 5 + 2 * n : 8 + 2 * n] = True  # a bright one, aslant
    expected[60, 20:50] = True
    scratched = clean + 900 * expected
    scratched[60] = clean[60] - 900 * expected[60]
    scratched[40:52, 8:20] += 900  # what is wide is a thing, and what is short may be one
    scratched[5, 60:66] += 900
    scratched[20, 2] = np.nan
    found = propose(scratched, "YX", SCRATCHES, USUAL[SCRATCHES])
    far = np.ones(clean.shape, bool)
    far[38:54, 6:22] = False
    assert found[expected].mean() > 0.95 and not found[far & ~expected].any()
    assert found[~far].mean() < 0.2 and not found[5, 60:66].any()


def test_most_scratches_of_a_photograph_are_found():
    image, labels, _ = scratched()
    mask = labels > 0
    found = propose(image, "YX", SCRATCHES, USUAL[SCRATCHES])
    assert found[mask].mean() > 0.7 and mask[found].mean() > 0.7


def test_saturated_pixels_and_no_numbers(clean):
    image = np.clip(clean, 0, 650)
    image[3, 4] = np.nan
    assert np.array_equal(propose(image, "YX", SATURATED, 0), image == 650)
    assert np.argwhere(propose(image, "YX", NO_NUMBERS, 0)).tolist() == [[3, 4]]
    assert not propose(clean, "YX", SATURATED, 0).any()  # one pixel is the largest everywhere
    colours = np.stack([clean, clean * 0 + 255, clean], -1).clip(0, 255).astype("uint8")
    assert propose(colours, "YXS", SATURATED, 0).shape == clean.shape


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_growing_takes_no_pixel_of_another_label_and_shrinking_leaves_a_part(seed, by):
    labels = (np.random.default_rng(seed).random((2, 14, 15)) > 0.9).astype(np.uint8)
    labels[0, 5:8, 5:8] = 3
    more, less = grown(labels, by, (1, 2)), grown(labels, -by, (1, 2))
    assert (more[labels > 0] == labels[labels > 0]).all() and (more > 0).sum() >= (labels > 0).sum()
    assert ((less == labels) | (less == 0)).all()
    assert not (more[1] == 3).any()  # it grows in its plane


def test_on_the_form_a_proposal_becomes_a_mask_that_is_run(qtbot, viewer, open_dock, run_to_end, picture):
    image = picture.copy()
    image[12, 20], image[5, 9] = 60000, 0
    viewer.add_image(image, name="cells")
    dock = open_dock("Inpaint")
    masks = dock.form.masks[0]
    assert masks.kind.value == PIXELS and masks.threshold.native.placeholderText() != ""
    masks.propose_button.native.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=30_000)
    mask = viewer.layers["cells mask"]
    assert np.argwhere(mask.data).tolist() == [[5, 9], [12, 20]] and dock.form.mask.value == mask
    qtbot.waitUntil(lambda: "The mask covers 0.16 %" in dock.form.plan_label.text(), timeout=5_000)
    masks.grow_button.native.click()
    assert np.count_nonzero(mask.data) == 18
    qtbot.waitUntil(lambda: "1.4 %" in dock.form.plan_label.text(), timeout=5_000)
    mask.undo()
    assert np.count_nonzero(mask.data) == 2
    masks.by.value = 2
    masks.grow_button.native.click()
    masks.by.value = 1
    masks.shrink_button.native.click()
    assert np.count_nonzero(mask.data) == 18
    run_to_end(dock)
    result = viewer.layers["cells inpainted"].data
    assert result[12, 20] < 2000 and np.array_equal(result[0], image[0])


def test_where_nothing_is_found_it_is_told(qtbot, viewer, open_dock, picture, notes):
    viewer.add_image(picture, name="cells")
    dock = open_dock("Inpaint")
    dock.form.masks[0].kind.value = NO_NUMBERS
    assert not dock.form.masks[0].threshold.enabled
    dock.form.masks[0].propose()
    qtbot.waitUntil(lambda: any("Nothing of that kind" in words for _, words in notes), timeout=30_000)
    assert len(viewer.layers) == 1


def test_what_goes_wrong_is_told_and_the_button_comes_back(qtbot, viewer, open_dock, picture, notes, monkeypatch):
    from napari_dip.viewer.form import inputs

    viewer.add_image(picture, name="cells")
    masks = open_dock("Inpaint").form.masks[0]
    masks.threshold.value = "-"
    masks.propose()
    assert any("not a number" in words for _, words in notes) and masks.propose_button.enabled
    masks.threshold.value = ""
    monkeypatch.setattr(inputs, "propose", lambda *given: 1 / 0)
    masks.propose()
    assert not masks.propose_button.enabled
    qtbot.waitUntil(lambda: masks.propose_button.enabled, timeout=30_000)
    assert len(notes) == 2


def test_proposals_go_to_the_one_mask_and_leave_alone_what_is_painted(qtbot, viewer, open_dock, picture):
    image = picture.copy()
    image[12, 20], image[20, :] = 60000, 5000
    viewer.add_image(image, name="cells")
    users = viewer.add_labels(np.full(picture.shape, 7), name="segmented")
    dock = open_dock("Inpaint")
    masks = dock.form.masks[0]

    def propose_it(kind, threshold=""):
        masks.kind.value, masks.threshold.value = kind, threshold
        masks.propose_button.native.click()
        assert not masks.propose_button.native.isEnabled()
        qtbot.waitUntil(masks.propose_button.native.isEnabled, timeout=30_000)

    propose_it(PIXELS)
    mask = dock.form.mask.value
    assert mask.name == "cells mask" and np.argwhere(mask.data).tolist() == [[12, 20]]
    assert (users.data == 7).all()  # a layer that was not made here is left as it is
    mask.paint((4, 4), 1)
    painted = mask.data == 1
    propose_it(STRIPES)
    assert dock.form.mask.value == mask and len(viewer.layers) == 3
    assert mask.data[20].all() and mask.data[12, 20] and (mask.data[painted] == 1).all()
    propose_it(STRIPES, "1e9")  # nothing is found any more
    assert not mask.data[20].any() and mask.data[12, 20] and (mask.data[painted] == 1).all()
    mask.undo()
    assert mask.data[20].all()
    dock.form.mask.value = users
    dock.form.label.value = 7
    propose_it(PIXELS)
    assert dock.form.mask.value == mask and len(viewer.layers) == 3 and dock.form.label.value == 0


def test_a_proposal_lies_on_the_image_that_was_chosen_when_it_was_asked_for(qtbot, viewer, open_dock, picture):
    for name in ("one", "two"):
        viewer.add_image(picture, name=name)
    viewer.layers["one"].data[12, 20] = 60000
    viewer.layers["two"].translate = (50, 0)
    dock = open_dock("Inpaint")
    dock.form.image.value = viewer.layers["one"]
    dock.form.masks[0].propose_button.native.click()
    dock.form.image.value = viewer.layers["two"]
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=30_000)
    assert viewer.layers[-1].name == "one mask" and viewer.layers[-1].translate[0] == 0
