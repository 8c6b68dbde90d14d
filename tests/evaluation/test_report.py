"""The report and the gates: figures that exist are shown, figures that do not are not made up."""

import pytest

from distill_cli.config.schema import Gates
from distill_cli.errors import GateFailed
from distill_cli.evaluation.gates import FIGURES, hold, judge
from distill_cli.evaluation.report import comparison, headline, markdown, table_rows

NONE = dict.fromkeys(FIGURES)


def report(baseline: float | None = 0.90, student: float = 0.93, teacher: float = 0.95) -> dict:
    models = {
        "teacher": {"top1": teacher, "parameters": 1_000_000},
        "student": {
            "top1": student,
            "parameters": 10_000,
            "ece": 0.02,
            "agreement": 0.97,
            "latency_ms_b1_p50": 0.5,
        },
        "baseline": None if baseline is None else {"top1": baseline},
    }
    return {
        "title": "toy",
        "models": models,
        "comparison": comparison(models),
        "settings": {"temperature": "4"},
    }


def test_the_gap_closed_is_the_part_of_the_way_from_baseline_to_teacher():
    found = report()["comparison"]
    assert found == pytest.approx({"drop": 0.02, "gain": 0.03, "gap_closed": 0.6})


def test_without_a_baseline_gain_and_gap_are_unknown():
    found = report(baseline=None)["comparison"]
    assert found["gain"] is None and found["gap_closed"] is None and found["drop"] == pytest.approx(0.02)
    assert headline(report(baseline=None)) == "-2.00 points against the teacher"


def test_a_baseline_as_good_as_the_teacher_leaves_no_gap_to_close():
    assert report(baseline=0.96)["comparison"]["gap_closed"] is None


def test_the_page_has_a_row_for_each_figure_and_a_dash_for_what_is_missing():
    page = markdown(report(baseline=None))
    assert "| test top-1 | 95.00% | 93.00% | – |" in page
    assert "| parameters | 1,000,000 | 10,000 | – |" in page
    assert "- temperature: `4`" in page


def test_rows_without_any_figure_are_left_out():
    assert "multiply-adds" not in [row[0] for row in table_rows(report())]


def test_gates_that_are_not_set_judge_nothing():
    assert judge(Gates(**NONE), report()) == []


@pytest.mark.parametrize(
    ("gate", "holds", "fails"),
    [
        ("min_top1", 0.93, 0.931),
        ("max_drop", 0.021, 0.019),
        ("min_gain", 0.029, 0.031),
        ("min_gap_closed", 0.59, 0.61),
        ("min_agreement", 0.97, 0.98),
        ("max_ece", 0.02, 0.019),
        ("max_params", 10_000, 9_999),
        ("max_latency_ms", 0.5, 0.49),
    ],
)
def test_each_gate_holds_up_to_its_threshold_and_fails_beyond(gate, holds, fails):
    (passed,) = judge(Gates(**{**NONE, gate: holds}), report())
    (failed,) = judge(Gates(**{**NONE, gate: fails}), report())
    assert passed.passed and not failed.passed
    hold([passed])
    with pytest.raises(GateFailed, match=f"gates.{gate}={fails:g}: failed"):
        hold([passed, failed])


def test_every_gate_of_the_config_has_a_figure():
    assert set(FIGURES) == set(Gates.__dataclass_fields__)
