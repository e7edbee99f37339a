from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dip.run.time_left import TimeLeft


def step(i, planned, seconds, *, fit=0, fits=1, together=1, stage="fit", done=None):
    done = (fit + i / planned) / fits if done is None else done
    return SimpleNamespace(
        iteration=i, iterations=planned, seconds=seconds, done=done, stage=stage, fit=fit, fits=fits, together=together
    )


@given(
    st.lists(st.tuples(st.floats(0.01, 3), st.floats(0.5, 2) | st.none()), min_size=2, max_size=60),
    st.booleans(),
    st.integers(1, 3),
)
def test_it_never_grows_and_the_bar_never_shrinks(steps, ends_early, fits):
    left, seconds = TimeLeft(ends_early=ends_early), 0.0
    before = left.about, left.at_most, left.done
    for fit in range(fits):
        for i, (took, error) in enumerate(steps, 1):
            seconds += took
            left.note(step(i, len(steps), seconds, fit=fit, fits=fits), error)
            now = left.about, left.at_most, left.done
            assert now[0] <= before[0] and now[1] <= before[1] and before[2] <= now[2] <= 1
            assert left.about <= left.at_most
            before = now
    assert left.at_most == pytest.approx(0, abs=1e-6) or left.at_most == float("inf")


@pytest.mark.parametrize(("planned", "best", "stop"), [(160, 50, 75), (800, 250, 375), (300, 130, 200)])
def test_a_fit_that_ends_by_itself_is_foreseen(planned, best, stop):
    left = TimeLeft(ends_early=True)
    for i in range(1, stop):
        looked = i % 25 == 0
        left.note(step(i, planned, 2 + 0.1 * i), (1 / i if i <= best else 1.0) if looked else None)
        true = 0.1 * (stop - i)
        if stop / 10 < i < 0.8 * stop and left.about < float("inf"):
            assert abs(left.about - true) < 0.3 * true + 0.1 * 0.3 * stop
            assert left.at_most >= true
    assert left.done < 1


def test_what_runs_to_the_end_of_its_plan_is_told_exactly_whatever_came_before_it():
    left = TimeLeft(ends_early=False)
    for i in range(1, 400):
        left.note(step(i, 400, 30 + 0.5 * i))  # half a minute to load
        if i > 1:
            assert left.about == pytest.approx(0.5 * (400 - i), rel=1e-6)
    assert left.words() == "About 0 s left"


def test_planes_after_it_take_as_long_as_those_before():
    left = TimeLeft(ends_early=True)
    seconds = 0.0
    for fit in range(3):
        for i in range(1, 61):  # each ends after 60 of 100
            seconds += 0.1
            left.note(step(i, 100, seconds, fit=fit, fits=3))
    assert left.about < 2


def test_where_nobody_says_so_it_ends_early_once_held_out_pixels_were_looked_at():
    left = TimeLeft()
    for i in range(1, 25):
        left.note(step(i, 400, 0.1 * i))
    assert left.about == left.at_most == pytest.approx(37.6)
    left.note(step(25, 400, 2.5), 1.0)
    assert left.about < 0.6 * left.at_most


@pytest.mark.parametrize("ends_early", [True, False])
def test_a_limit_of_time_counts_as_the_end(ends_early):
    left, limit = TimeLeft(ends_early=ends_early), 15.0
    for i in range(1, 150):
        left.note(step(i, 100_000, 0.1 * i, done=max(i / 100_000, 0.1 * i / limit)))
        if i > 20:
            assert left.about == pytest.approx(left.at_most)
            assert left.at_most == pytest.approx(limit - 0.1 * i, abs=0.02)
            assert left.done == pytest.approx(0.1 * i / limit, abs=0.02)
