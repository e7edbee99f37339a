"""What is wished of a run is one value: it can be held and let go, then ended, then dropped."""

import numpy as np
import pytest

from napari_dip.viewer.messages import Control, Job


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (["pause"], "pause"),
        (["pause", "go"], "go"),
        (["pause", "stop"], "stop"),
        (["stop", "go"], "stop"),
        (["stop", "pause"], "stop"),
        (["stop", "cancel"], "cancel"),
        (["cancel", "stop"], "cancel"),
        (["cancel", "go"], "cancel"),
    ],
)
def test_wishes(asked, left):
    control = Control()
    for wish in asked:
        control.ask(wish)
    assert control.wish == left
    assert control.wake.is_set()


def test_what_a_job_says_of_itself():
    assert Job("denoise", "a", np.zeros((9, 8)), "YX", {}).factor == 1
    assert Job("super_resolve", "a", np.zeros((9, 8, 3)), "YXS", {}, {"factor": 3}).factor == 3
