"""Schedules against their formulas."""

import math

import pytest

from distill_cli import schedules
from distill_cli.progress import Progress


def at(schedule, step, total=1000, per_epoch=10):
    return schedule(Progress(step, total, per_epoch))


def test_a_constant_does_not_move():
    assert {at(schedules.Constant(4.0), step) for step in (0, 500, 999)} == {4.0}


@pytest.mark.parametrize("kind", [schedules.Linear, schedules.Cosine, schedules.Exponential])
def test_a_ramp_goes_from_start_to_end_within_its_part_of_training(kind):
    ramp = kind(start=8.0, end=1.0, begin=0.2, until=0.6)
    assert at(ramp, 0) == at(ramp, 200) == 8.0
    assert at(ramp, 600) == at(ramp, 999) == pytest.approx(1.0)
    values = [at(ramp, step) for step in range(200, 601)]
    assert values == sorted(values, reverse=True)


def test_ramps_pass_their_middle_where_the_formula_says():
    assert at(schedules.Linear(8, 2), 500) == pytest.approx(5)
    assert at(schedules.Cosine(8, 2), 250) == pytest.approx(2 + 6 * (1 + math.cos(math.pi / 4)) / 2)
    assert at(schedules.Exponential(8, 2), 500) == pytest.approx(4)


@pytest.mark.parametrize("step", [0, 999, 1000, 2500, 9999])
def test_a_stair_is_start_times_factor_to_the_floored_power(step):
    assert at(schedules.Step(3.0, 0.9, 1000), step, total=10000) == 3.0 * 0.9 ** (step // 1000)


def test_the_rate_falls_by_ten_at_each_milestone():
    rate = schedules.StepRate(milestones=[50, 75], factor=0.1)
    found = [at(rate, 10 * epoch) for epoch in (0, 49, 50, 74, 75, 99)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(
    "rate",
    [
        schedules.ConstantRate(warmup=5),
        schedules.CosineRate(warmup=5),
        schedules.LinearRate(warmup=5),
        schedules.StepRate(warmup=5, milestones=[50]),
    ],
)
def test_warm_up_rises_to_the_full_rate_and_never_starts_at_zero(rate):
    rising = [at(rate, step) for step in range(50)]
    assert rising[0] > 0 and rising == sorted(rising) and rising[-1] < 1
    assert at(rate, 50) == pytest.approx(1.0)


def test_the_cosine_rate_ends_near_its_end():
    assert at(schedules.CosineRate(), 500) == pytest.approx(0.5)
    assert at(schedules.CosineRate(end=0.1), 999) == pytest.approx(0.1, abs=1e-4)


def test_an_exponential_from_zero_stays_there():
    assert schedules.values_of(schedules.Exponential(0.0, 0.5)) == [0.0] * 1000


def test_the_values_of_a_schedule_show_whether_it_ever_leaves_zero():
    assert not any(schedules.values_of(schedules.Constant(0.0)))
    assert not any(schedules.values_of(schedules.Step(0.0, 0.9, 10)))
    assert any(schedules.values_of(schedules.Linear(0.0, 1.0)))
    assert any(schedules.values_of(schedules.Linear(0.0, 0.5, begin=0.9)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: schedules.Linear(1, 2, begin=0.5, until=0.5),
        lambda: schedules.Exponential(1, 0),
        lambda: schedules.Step(1, 0.9, 0),
        lambda: schedules.CosineRate(warmup=-1),
    ],
)
def test_impossible_schedules_are_refused(make):
    with pytest.raises(ValueError, match=r"=|cannot"):
        make()
