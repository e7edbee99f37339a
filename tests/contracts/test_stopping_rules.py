"""What every rule to stop has to do; a new one joins by a line in the list."""

import io
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dip.prior.fitting.stopping import Discrepancy, HeldOut, OutputVariance

RULES = [HeldOut, OutputVariance, Discrepancy]

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
a_few = settings(max_examples=20, deadline=None)
curves = st.lists(st.floats(1e-3, 1e3), min_size=60, max_size=60)


def answers(rule, values) -> list[bool]:
    """What a rule says to each of some values, looked at as often as it wants to."""
    return [rule.wants_stop(look * rule.every, value) for look, value in enumerate(values, 1)]


def stops_at(rule, curve, until: int = 600) -> int | None:
    looks = range(rule.every, until + 1, rule.every)
    return next((i for i in looks if rule.wants_stop(i, curve(i))), None)


# values are in units of the noise, as the discrepancy principle wants them
FLAT_OR_RISING = {"flat": lambda _: 1.0, "rising": lambda i: 0.5 + 1e-3 * i}
FALLING_FAST = {"as one over": lambda i: 1000 / i, "straight": lambda i: 1000.0 - i}


@every_rule
@pytest.mark.parametrize("curve", FLAT_OR_RISING.values(), ids=FLAT_OR_RISING)
def test_where_nothing_gets_better_it_stops(rule, curve):
    assert stops_at(rule(), curve) is not None


@every_rule
@pytest.mark.parametrize("curve", FALLING_FAST.values(), ids=FALLING_FAST)
def test_where_all_gets_better_fast_it_goes_on(rule, curve):
    assert stops_at(rule(), curve) is None


@every_rule
@a_few
@given(values=curves, least=st.integers(10, 200))
def test_it_never_stops_before_it_may(rule, values, least):
    found = answers(one := rule(least=least), values)
    assert not any(found[: (least - 1) // one.every])


@every_rule
@a_few
@given(values=curves)
def test_it_answers_yes_or_no_to_whatever_number(rule, values):
    odd = [0.0, float("inf"), *values[:20], float("nan"), float("inf"), *values[20:]]
    assert all(answer in (True, False) for answer in answers(rule(), odd))


@every_rule
@a_few
@given(values=curves, at=st.integers(1, 59))
def test_a_copy_goes_on_where_it_was_and_apart_from_it(rule, values, at):
    first, whole = rule(least=20), answers(rule(least=20), values)
    answers(first, values[:at])
    other = deepcopy(first)
    rest = [first.wants_stop(look * first.every, values[look - 1]) for look in range(at + 1, 61)]
    state = deepcopy(vars(other))
    assert rest == whole[at:]
    assert vars(other) == state
    assert [other.wants_stop(look * other.every, values[look - 1]) for look in range(at + 1, 61)] == rest


@every_rule
@a_few
@given(values=curves, at=st.integers(1, 59))
def test_its_state_goes_through_a_file(rule, values, at):
    first = rule(least=20)
    answers(first, values[:at])
    file = io.BytesIO()
    torch.save(vars(first), file)
    file.seek(0)
    other = rule()
    vars(other).update(torch.load(file, weights_only=True))
    assert other == first
    for look in range(at + 1, 61):
        given = look * first.every, values[look - 1]
        assert other.wants_stop(*given) == first.wants_stop(*given)


@every_rule
@a_few
@given(values=curves, other=curves, at=st.integers(1, 59))
def test_what_it_says_depends_on_nothing_but_what_it_has_seen(rule, values, other, at):
    one = rule(least=20)
    answers(rule(least=20), other)  # what another one has seen is no matter
    assert answers(one, values)[:at] == answers(rule(least=20), [*values[:at], *other[at:]])[:at]


@every_rule
@a_few
@given(values=curves)
def test_to_be_asked_twice_is_to_be_asked_once(rule, values):
    """A fit that was ended by a limit asks again where it goes on."""
    once, twice = rule(least=20), rule(least=20)
    for look, value in enumerate(values, 1):
        twice.wants_stop(look * twice.every, value)
        assert twice.wants_stop(look * twice.every, value) == once.wants_stop(look * once.every, value)


@every_rule
def test_it_says_in_a_sentence_why_it_stops(rule):
    one = rule()
    assert stops_at(one, lambda _: 1.0) is not None
    words = one.why()
    assert words[0].isupper() and words.endswith(".") and "\n" not in words


@every_rule
def test_rules_made_alike_share_nothing(rule):
    first, second = rule(), rule()
    before = deepcopy(vars(second))
    answers(first, [3.0, 2.0, 1.0])
    assert vars(second) == before
