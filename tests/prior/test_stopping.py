import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dip.prior.fitting.stopping import Discrepancy, HeldOut, Limits, OutputVariance


def stops_at(rule, curve, until: int = 600) -> int | None:
    """Show a rule the values of a curve; give the iteration after which it wants to stop."""
    looks = range(rule.every, until + 1, rule.every)
    return next((i for i in looks if rule.wants_stop(i, curve(i))), None)


def falling(i: int) -> float:
    return 100 / i


def plateau(i: int) -> float:
    return 100 / min(i, 60)


def valley(i: int) -> float:
    return 100 / i if i < 60 else 100 / 60 + 0.01 * (i - 60)


def never_good(i: int) -> float:
    return 1 + 0.01 * i


RULES = [HeldOut, OutputVariance, Discrepancy]


@pytest.mark.parametrize("rule", [HeldOut, OutputVariance])
@pytest.mark.parametrize("curve", [plateau, valley])
def test_a_rule_stops_soon_after_the_best(rule, curve):
    stop = stops_at(rule(), curve)
    assert stop is not None and 60 < stop <= 120


@pytest.mark.parametrize("rule", [HeldOut, OutputVariance])
def test_a_rule_goes_on_while_things_get_better(rule):
    assert stops_at(rule(), falling) is None


@pytest.mark.parametrize("least", [10, 35, 90])
@pytest.mark.parametrize("rule", [HeldOut, OutputVariance])
def test_what_gets_worse_from_the_start_is_stopped_at_the_first_judgement(rule, least):
    assert least <= stops_at(rule(least=least), never_good) < least + rule.every


@given(
    values=st.lists(st.floats(1e-6, 1e6), min_size=60, max_size=60),
    least=st.integers(10, 200),
    rule=st.sampled_from(RULES),
)
def test_no_rule_stops_before_it_may(values, least, rule):
    stop = stops_at(rule(least=least), lambda i: values[i // rule.every - 1], until=300)
    assert stop is None or stop >= least


@given(values=st.lists(st.floats(1e-3, 1e3), min_size=60, max_size=60), power=st.integers(-20, 20))
def test_the_unit_of_the_error_is_no_matter(values, power):
    def stop(factor):
        return stops_at(HeldOut(), lambda i: factor * values[i // HeldOut.every - 1], until=300)

    assert stop(1.0) == stop(2.0**power)


def test_the_more_is_asked_for_the_sooner_a_rule_stops():
    stops = [stops_at(HeldOut(tolerance=part), lambda i: 1 + 10 / i, until=5000) for part in (0.1, 0.01, 0.001)]
    assert stops == sorted(stops) and stops[0] < stops[-1]


def test_an_error_that_is_no_number_ends_a_run():
    rule = HeldOut(least=10)
    assert stops_at(rule, lambda i: float("nan") if i > 50 else 100 / i) == 50 + rule.every


def test_patience_is_a_part_of_the_run():
    short, long = (stops_at(OutputVariance(patience=part), plateau) for part in (0.2, 0.6))
    assert 60 < short < 90 < long


@pytest.mark.parametrize("patience", [1 / 3, 1 / 2, 1 / 4])
def test_only_what_came_before_the_last_part_of_a_run_is_compared_with(patience):
    """After i iterations the value at part * i still counts, but none after that."""
    part = round(1 / patience)
    for iteration in (*range(1, 200), 3000, 99_999):
        last = iteration - -(-iteration // part)  # the last that is no later than (1 - patience) of the run
        rule = HeldOut(patience=patience, least=0)
        if last > 0:
            rule.wants_stop(last, 1.0)
        rule.wants_stop(last + 1, 0.0)
        assert rule.wants_stop(iteration, 1.0) == (last > 0), iteration
        late = HeldOut(patience=patience, least=0)
        late.wants_stop(last + 1, 1.0)
        assert not late.wants_stop(iteration, 1.0) or last + 1 == iteration


def test_the_reason_is_told():
    rule = HeldOut(tolerance=0.02, least=10)
    assert stops_at(rule, plateau) is not None
    assert "before the last 33 % of them: it fell by less than 2 %" in rule.why()


def test_the_discrepancy_principle_stops_at_the_level_of_the_noise():
    rule = Discrepancy(level=0.5)
    assert stops_at(rule, falling) == 200
    assert stops_at(Discrepancy(level=0.1), falling) is None


def test_limits_say_what_was_reached():
    limits = Limits(100, stop_at=50, seconds=10.0)
    assert limits.reached(49, 9.9) is None
    assert limits.reached(50, 0.0) == "asked"
    assert limits.reached(49, 10.0) == "seconds"
    limits.asked = True
    assert limits.reached(1, 0.0) == "asked"


def test_the_plan_ends_a_run_unless_it_is_to_end_elsewhere():
    planned, longer = Limits(100, seconds=10.0), Limits(100, stop_at=150, stopped_by="held-out")
    assert planned.reached(99, 0.0) is None and planned.reached(100, 99.0) == "iterations"
    assert longer.reached(149, 0.0) is None and longer.reached(150, 0.0) == "held-out"
