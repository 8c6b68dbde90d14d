"""Gates: which figures pass, which do not, how that is said, and which thresholds are refused."""

from dataclasses import fields

import pytest

from distill_cli.config.schema import Gates
from distill_cli.errors import ConfigError, GateFailed
from distill_cli.evaluation.gates import FIGURES, REFERENCE, hold, judge, lines
from distill_cli.evaluation.report import comparison

NONE = dict.fromkeys(field.name for field in fields(Gates))
STUDENT = {"top1": 0.93, "parameters": 10_000, "ece": 0.02, "agreement": 0.97, "latency_ms_b1_p50": 0.5}


def report(baseline: float | None = 0.90, teacher: float = 0.95, **student) -> dict:
    models = {
        "teacher": {"top1": teacher},
        "student": {**STUDENT, **student},
        "baseline": None if baseline is None else {"top1": baseline},
    }
    return {"models": models, "comparison": comparison(models)}


def verdict(gate: str, threshold: object, found: dict):
    gates = Gates(**{**NONE, gate: threshold})
    gates.check()
    (judged,) = judge(gates, found)
    return judged


def test_gates_that_are_not_set_judge_nothing():
    assert judge(Gates(**NONE), report()) == []
    hold([])


@pytest.mark.parametrize(
    ("gate", "figure", "step"),
    [
        ("min_top1", 0.93, 0.001),
        ("max_drop", 0.02, 0.001),  # 0.95 - 0.93
        ("min_gain", 0.03, 0.001),  # 0.93 - 0.90: 0.030000000000000027 in floating point
        ("min_gap_closed", 0.6, 0.01),  # 0.03 of 0.05
        ("min_agreement", 0.97, 0.001),
        ("max_ece", 0.02, 0.001),
        ("max_params", 10_000, 1),
        ("max_latency_ms", 0.5, 0.001),
    ],
)
def test_each_gate_passes_at_its_threshold_and_on_one_side_of_it_only(gate, figure, step):
    easier = -step if gate.startswith("min_") else step
    assert verdict(gate, figure, report()).passed
    assert verdict(gate, figure + easier, report()).passed
    missed = verdict(gate, figure - easier, report())
    assert not missed.passed
    with pytest.raises(GateFailed, match=f"gates.{gate}={figure - easier}: failed"):
        hold([missed])


@pytest.mark.parametrize("gate", ["min_gain", "min_gap_closed"])
@pytest.mark.parametrize(("p", "mark"), [(0.2, ", within noise"), (0.01, "")])
def test_a_gain_that_passes_and_may_be_chance_says_so(gate, p, mark):
    found = report()
    found["comparison"]["mcnemar"] = {"p": p, "student_only": 9, "baseline_only": 5}
    passed, failed = verdict(gate, 0.01, found), verdict(gate, 0.9, found)
    assert passed.passed and passed.figure.endswith("00" + mark)
    assert not failed.passed and "noise" not in failed.figure


@pytest.mark.parametrize(("baseline", "student"), [(0.90, 0.93), (0.10, 0.40), (0.55, 0.58), (0.07, 0.10)])
def test_a_difference_that_is_the_threshold_passes_whatever_its_last_bit(baseline, student):
    assert verdict("min_gain", round(student - baseline, 2), report(baseline, top1=student)).passed


def test_every_gate_of_the_config_is_judged():
    assert {*FIGURES, REFERENCE} == set(NONE)


def test_a_student_better_than_its_teacher_has_a_negative_drop():
    better = report(teacher=0.92)
    assert verdict("max_drop", 0, better).passed
    assert verdict("max_drop", -0.005, better).passed
    assert not verdict("max_drop", -0.02, better).passed


@pytest.mark.parametrize(
    ("gate", "threshold", "found", "reason"),
    [
        ("max_latency_ms", 5, report(latency_ms_b1_p50=None), "evaluate.latency=true measures it"),
        ("min_gain", 0.01, report(baseline=None), "there is no baseline; distill run trains it"),
        ("min_gap_closed", 0.3, report(baseline=None), "there is no baseline; distill run trains it"),
        ("min_gap_closed", 0.3, report(baseline=0.96), "the teacher is no better than the baseline"),
        ("min_top1", 0.3, report(top1=None), "there are no test samples"),
    ],
)
def test_what_was_not_measured_misses_its_gate_and_says_how_to_measure_it(gate, threshold, found, reason):
    judged = verdict(gate, threshold, found)
    assert not judged.passed and judged.value is None
    assert f"not measured: {reason}" in str(judged)


def test_all_missed_gates_are_named_and_no_other():
    judged = judge(Gates(**{**NONE, "min_top1": 0.9, "max_params": 9_999, "max_ece": 0.01}), report())
    with pytest.raises(GateFailed) as failed:
        hold(judged)
    assert str(failed.value) == "gates.max_ece=0.01: failed (0.0200); gates.max_params=9999: failed (10,000)"
    assert failed.value.exit_code == 3


def test_the_lines_stand_below_one_another():
    gates = Gates(**{**NONE, "min_top1": 0.9, "max_latency_ms": 0.25, "max_params": 1_000_000})
    assert lines(judge(gates, report())) == [
        "gates.min_top1=0.9:        passed (0.9300)",
        "gates.max_params=1000000:  passed (10,000)",
        "gates.max_latency_ms=0.25: failed (0.5000)",
    ]


@pytest.mark.parametrize(
    ("threshold", "top1", "shown"),
    [
        (0.9837, 0.98368, "failed (0.98368)"),  # 0.9837 with four decimals, like the threshold
        (0.98362, 0.98364, "passed (0.98364)"),  # 0.9836, below the threshold that it passes
        (0.93, 0.93 - 1e-12, "passed (0.9300)"),
        (0.5, 0.5 - 2e-9, "failed (0.499999998)"),
    ],
)
def test_a_figure_has_the_decimals_that_tell_it_from_the_threshold(threshold, top1, shown):
    assert verdict("min_top1", threshold, report(top1=top1)).outcome == shown


@pytest.mark.parametrize(
    ("gate", "typed", "line"),
    [
        ("min_top1", 91, "gates.min_top1=91: is a fraction: 0.91"),
        ("min_top1", 98.37, "gates.min_top1=98.37: is a fraction: 0.9837"),
        ("min_top1", "91%", "gates.min_top1=91%: is a fraction: 0.91"),
        ("min_top1", "91 %", "gates.min_top1=91 %: is a fraction: 0.91"),
        ("min_top1", "0,91", "gates.min_top1=0,91: is a fraction: 0.91"),
        ("min_top1", 910, "gates.min_top1=910: must be a number in [0, 1]"),
        ("min_top1", -0.1, "gates.min_top1=-0.1: must be a number in [0, 1]"),
        ("min_top1", float("nan"), "gates.min_top1=nan: must be a number in [0, 1]"),
        ("min_top1", float("inf"), "gates.min_top1=inf: must be a number in [0, 1]"),
        ("min_top1", True, "gates.min_top1=True: must be a number in [0, 1]"),
        ("min_top1", "high", "gates.min_top1=high: must be a number in [0, 1]"),
        ("min_top1", [0.91], "gates.min_top1=[0.91]: must be a number in [0, 1]"),
        ("max_drop", 2, "gates.max_drop=2: is a fraction: 0.02"),
        ("max_drop", -5, "gates.max_drop=-5: is a fraction: -0.05"),
        ("min_gain", "1%", "gates.min_gain=1%: is a fraction: 0.01"),
        ("min_gain", -1.5e9, "gates.min_gain=-1500000000.0: must be a number in [-1, 1]"),
        ("min_gap_closed", "1,5", "gates.min_gap_closed=1,5: is a fraction: 1.5"),
        ("min_gap_closed", "150%", "gates.min_gap_closed=150%: is a fraction: 1.5"),
        ("min_gap_closed", 300, "gates.min_gap_closed=300: must be a number in [-1, 2]"),
        ("min_gap_closed", 30, "gates.min_gap_closed=30: is a fraction: 0.3"),
        ("min_agreement", 97, "gates.min_agreement=97: is a fraction: 0.97"),
        ("max_ece", -0.02, "gates.max_ece=-0.02: must be a number in [0, 1]"),
        ("max_params", -3, "gates.max_params=-3: must be a whole number above 0, such as 50000"),
        ("max_params", 0, "gates.max_params=0: must be a whole number above 0, such as 50000"),
        ("max_params", 2.5, "gates.max_params=2.5: must be a whole number above 0, such as 50000"),
        ("max_params", "50k", "gates.max_params=50k: must be a whole number above 0, such as 50000"),
        ("max_params", float("inf"), "gates.max_params=inf: must be a whole number above 0, such as 50000"),
        ("max_latency_ms", 0, "gates.max_latency_ms=0: must be a number above 0, in milliseconds"),
        ("max_latency_ms", "5ms", "gates.max_latency_ms=5ms: must be a number above 0, in milliseconds"),
        (
            "max_latency_ms",
            float("nan"),
            "gates.max_latency_ms=nan: must be a number above 0, in milliseconds",
        ),
        ("reference", "", "gates.reference=: must be the path of a report.json"),
    ],
)
def test_an_impossible_threshold_is_refused_with_what_to_type(gate, typed, line):
    with pytest.raises(ConfigError) as refused:
        Gates(**{**NONE, gate: typed}).check()
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("gate", "typed"),
    [("min_top1", 0), ("min_top1", 1), ("max_drop", -1), ("min_gap_closed", 2), ("max_params", 1e6)],
)
def test_a_threshold_at_the_end_of_its_range_is_possible(gate, typed):
    Gates(**{**NONE, gate: typed}).check()


def test_a_whole_number_written_with_an_exponent_is_one():
    gates = Gates(**{**NONE, "max_params": 1e6})
    gates.check()
    assert judge(gates, report())[0].override == "gates.max_params=1000000"
