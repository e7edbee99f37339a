"""What is wished of a run: it can be held and let go, then ended, by and by or at once, then dropped."""

import numpy as np
import pytest

from napari_dip.viewer.messages import Control, Job


@pytest.mark.parametrize(
    ("asked", "left", "paused"),
    [
        (["pause"], "go", True),
        (["pause", "go"], "go", False),
        (["pause", "stop"], "stop", False),
        (["stop", "go"], "stop", False),
        (["stop", "pause"], "stop", True),
        (["stop", "pause", "keep"], "keep", False),
        (["stop", "keep", "stop"], "keep", False),
        (["keep", "cancel"], "cancel", False),
        (["stop", "cancel"], "cancel", False),
        (["cancel", "stop"], "cancel", False),
        (["cancel", "go"], "cancel", False),
        (["cancel", "pause"], "cancel", False),
    ],
)
def test_wishes(asked, left, paused):
    control = Control()
    for wish in asked:
        control.ask(wish)
    assert (control.wish, control.paused) == (left, paused)
    assert control.wake.is_set()


def test_what_a_job_says_of_itself():
    assert Job("denoise", "a", np.zeros((9, 8)), "YX", {}).factor == 1
    assert Job("super_resolve", "a", np.zeros((9, 8, 3)), "YXS", {}, {"factor": 3}).factor == 3
