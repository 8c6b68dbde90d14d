"""The report in words and tables: figures that exist are shown, chance is called chance, nothing is made up."""

import json
import math

import pytest
from toy import answers, report_of, three

from distill_cli.evaluation.cards import cards
from distill_cli.evaluation.report import comparison, findings, headline, markdown, table_rows, terminal_table

CLASSES = tuple("abcde")
FINDING = {
    "rule": "too small",
    "says": "It learns little.",
    "evidence": {"train_top1": 0.51},
    "try": "student=mlp",
}


def models(baseline: float | None = 0.90, student: float = 0.93, teacher: float = 0.95) -> dict:
    return {
        "teacher": {"top1": teacher, "parameters": 1_000_000, "latency_ms_b1_p50": 2.0},
        "student": {"top1": student, "parameters": 10_000, "latency_ms_b1_p50": 0.5, "samples": 1000},
        "baseline": None if baseline is None else {"top1": baseline},
    }


def said(ours: int, theirs: int, p: float, **more) -> str:
    """The headline where the student alone has `ours` samples right, and the baseline alone `theirs`."""
    found = models(**more)
    paired = {"p": p, "student_only": ours, "baseline_only": theirs}
    return headline({"models": found, "comparison": comparison(found, paired)})


def test_the_gap_closed_is_the_part_of_the_way_from_baseline_to_teacher():
    found = comparison(models())
    assert [found[name] for name in ("drop", "gain", "gap_closed")] == pytest.approx([0.02, 0.03, 0.6])
    assert comparison(models(baseline=0.96))["gap_closed"] is None


def test_what_is_saved_is_a_part_of_the_teachers():
    found = comparison(models())
    assert found["accuracy_kept"] == pytest.approx(0.93 / 0.95)
    assert found["size_saved"] == pytest.approx(0.99) and found["latency_saved"] == pytest.approx(0.75)


def test_a_difference_beyond_chance_is_said_with_its_p_and_the_gap_it_closes():
    line = "+3.00 points against the baseline (McNemar p = 0.043, 18 : 7 of 1,000)"
    assert said(18, 7, 0.04329) == f"{line}, 60% of the gap to the teacher closed"
    assert "(McNemar p < 0.001, 1,180 : 7 of 1,000)" in said(1180, 7, 1e-300)


def test_a_difference_within_noise_is_called_that_and_closes_no_gap():
    line = said(9, 5, 0.424)
    assert line == "+3.00 points against the baseline, within noise (McNemar p = 0.42, 9 : 5 of 1,000)"


def test_a_student_that_is_worse_than_its_baseline_closes_nothing():
    line = said(5, 40, 1e-7, student=0.80)
    assert line == "-10.00 points against the baseline (McNemar p < 0.001, 5 : 40 of 1,000)"


def test_without_a_baseline_gain_and_gap_are_unknown():
    found = comparison(models(baseline=None))
    assert found["gain"] is None and found["gap_closed"] is None and found["drop"] == pytest.approx(0.02)
    assert said(0, 0, 1.0, baseline=None) == "-2.00 points against the teacher"


def test_the_table_has_a_row_for_each_figure_and_a_dash_for_what_is_missing():
    text = markdown(report_of(three(baseline=False), CLASSES, settings={"temperature": "4"}))
    assert "| parameters | 1,000 | 1,000 | – |" in text
    assert "- temperature: `4`" in text and "distill run seed=1" in text
    assert "multiply-adds" not in text  # a row without any figure


def test_the_interval_stands_below_the_accuracy():
    found = three()
    rows = table_rows(report_of(found, CLASSES))
    assert [row[0] for row in rows[:2]] == ["test top-1", "95% interval"]
    low, high = (float(bound) for bound in rows[1][2].rstrip("%").split("–"))
    assert low < 100 * found["student"].right.mean() < high and high - low < 12


def test_the_table_fits_a_terminal_of_80_columns():
    from rich.console import Console

    report = report_of(three(), CLASSES)
    for model in report["models"].values():
        model |= {"macs": 1_502_464, "latency_ms_b64_p95": 100.123, "file_bytes": 9e8}
    assert Console().measure(terminal_table(report)).maximum <= 80


def test_findings_are_said_with_what_to_try_in_every_form():
    report = report_of(three(), CLASSES, diagnosis=[FINDING])
    assert findings(report) == ["It learns little; try student=mlp"]
    assert "- **too small**: It learns little (train top1 0.51). Try `student=mlp`" in markdown(report)
    assert "Why it stays behind" not in markdown(report_of(three(), CLASSES))


def test_the_cards_say_chance_where_it_may_be_chance():
    by_label = {card.label: card for card in cards(report_of(three(), CLASSES))}
    assert by_label["points against the baseline"].note.startswith("within noise: McNemar p = ")
    assert "of the gap to the teacher closed" not in by_label
    labels = [0] * 30
    alone, taught = answers(labels, [1] * 15 + [0] * 15), answers(labels, [0] * 28 + [1] * 2)
    sure = cards(
        report_of({"teacher": answers(labels, labels), "student": taught, "baseline": alone}, CLASSES)
    )
    notes = {card.label: card.note for card in sure}
    assert notes["points against the baseline"] == "McNemar p = 0.0023, 15 : 2 of 30"
    assert notes["of the gap to the teacher closed"] == "from 50.00% to 100.00%"
    assert notes["of the gap to the teacher closed"] == "from 50.00% to 100.00%"


def test_a_slower_and_larger_student_is_not_called_faster_or_smaller():
    report = report_of(three(), CLASSES)
    report["models"]["student"] |= {"parameters": 3000, "latency_ms_b1_p50": 1.0}
    values = {card.label: card.value for card in cards(report)}
    assert values["more parameters"] == "3.0×" and values["slower"] == "2.0×"


@pytest.mark.parametrize("samples", [0, 1])
def test_a_report_of_hardly_any_samples_has_no_number_that_is_none(samples):
    few = answers([0] * samples, [1] * samples)
    report = report_of(dict.fromkeys(("teacher", "student", "baseline"), few), CLASSES)
    for value in numbers(report):
        assert math.isfinite(value)
    json.dumps(report, allow_nan=False)
    assert headline(report) == ("no test samples" if not samples else said_of_one)
    assert markdown(report) and cards(report)


said_of_one = "+0.00 points against the baseline, within noise (McNemar p = 1, 0 : 0 of 1)"


def numbers(value):
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)
    elif isinstance(value, float):
        yield value
