"""What students are measured against: teacher, baselines, and the reports with latency."""

import os

import pytest
from pages import Page
from shelf import SHIFT, Shelf

from distill_cli.comparison import load_students, tabulate
from distill_cli.comparison.page import page
from distill_cli.comparison.text import cells, headings, markdown


def references(table) -> list[tuple[str, int]]:
    return [(row.role, row.n) for row in table.references]


def test_baselines_of_the_same_seeds_and_the_teacher_stand_below(shelf, compared):
    table = compared(*shelf.grid(seeds=(0, 1)))
    assert references(table) == [("baseline", 2), ("teacher", 1)]
    baseline, teacher = table.references
    assert baseline.test.mean == pytest.approx(0.795) and teacher.test.mean == 0.95


def test_only_baselines_of_the_seeds_at_hand_are_folded(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    for seed in range(4):
        shelf.student((0.8, 0.7 + seed / 100), seed=seed)
    table = compared(shelf.student((0.9, 0.9), labels, seed=1), shelf.student((0.9, 0.9), labels, seed=3))
    assert references(table)[0] == ("baseline", 2)
    assert table.references[0].test.mean == pytest.approx(0.72)


def test_the_gain_is_paired_by_seed_and_the_gap_is_what_lies_up_to_the_teacher(shelf, compared):
    labels = shelf.labels(shelf.teacher((0.99, 0.95)))
    for seed, test in enumerate((0.80, 0.90)):
        shelf.student((0.8, test), seed=seed)
    students = [shelf.student((0.9, test), labels, seed=seed) for seed, test in enumerate((0.83, 0.94, 0.70))]
    (row,) = compared(*students).rows
    assert row.gains == (pytest.approx(0.03), pytest.approx(0.04), None)
    assert (row.gain.mean, row.gain.n) == (pytest.approx(0.035), 2)
    assert row.gain.std == pytest.approx(0.01 / 2**0.5)
    assert row.gap_closed == pytest.approx(0.035 / (0.95 - 0.85))


def test_a_gain_of_fewer_seeds_than_its_row_says_of_how_many(shelf, compared):
    labels = shelf.labels(shelf.teacher((0.99, 0.95)))
    shelf.student((0.8, 0.80))
    students = [shelf.student((0.9, 0.83), labels, seed=seed) for seed in (0, 1)]
    table = compared(*students)
    assert "+3.00 (n = 1)" in cells(table, table.rows[0]) and "| +3.00 (n = 1) |" in markdown(table, "x")
    text = Page(page(table, "x")).text
    assert "points over its baseline on test (n = 1)" in text and "teacher closed (n = 1)" in text
    shelf.student((0.8, 0.80), seed=1)
    table = compared(*students)
    assert "(n = 1)" not in Page(page(table, "x")).text


def test_baselines_beyond_the_commands_that_are_shown_are_counted(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    views = [{**SHIFT, "count": count} for count in (1, 2, 4, 8, 16)]
    table = compared(*(shelf.student((0.9, 0.9), labels, views=each) for each in views))
    assert len([note for note in table.notes if note.startswith("No baseline of")]) == 3
    assert "And 2 more settings have none." in table.notes


@pytest.mark.parametrize(
    ("of_teachers", "advice"), [(True, "(teacher.seed=0,1,2)."), (False, "(seed=0,1,2).")]
)
def test_one_seed_each_is_told_how_to_get_more(shelf, compared, of_teachers, advice):
    make = shelf.teacher if of_teachers else shelf.student
    (note,) = [note for note in compared(make((0.9, 0.9))).notes if note.startswith("One seed each")]
    assert note.endswith(advice)


def test_no_gap_is_closed_where_the_teacher_is_no_better(shelf, compared):
    labels = shelf.labels(shelf.teacher((0.7, 0.7)))
    shelf.student((0.8, 0.8))
    (row,) = compared(shelf.student((0.9, 0.9), labels)).rows
    assert row.gain.mean == pytest.approx(0.1) and row.gap_closed is None


def test_each_architecture_has_its_own_baseline(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    for model in ("mlp_8", "mlp_24"):
        shelf.student((0.7, 0.7), model=model)
    table = compared(*(shelf.student((0.9, 0.9), labels, model=model) for model in ("mlp_8", "mlp_24")))
    assert [(row.role, row.model) for row in table.references] == [
        ("baseline", "mlp_8"),
        ("baseline", "mlp_24"),
        ("teacher", "cnn_digits"),
    ]


def test_a_baseline_that_is_ranked_is_not_shown_twice(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(shelf.student((0.9, 0.9), labels), shelf.student((0.8, 0.8)))
    assert [cells(table, row)[0] for row in table.all_rows] == ["1", "2, baseline", "teacher cnn_digits"]


def test_where_there_is_no_baseline_a_line_says_how_to_get_one(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    command = "distill run temperature=8 loss=kd +sweep=temperature student.epochs=10 seed=1"
    table = compared(
        *(shelf.student((0.9, 0.9), labels, seed=seed, command=command) for seed in (0, 1)),
        *(shelf.student((0.9, 0.9), labels, seed=seed, temperature=8, command=command) for seed in (0, 1)),
    )
    (note,) = [note for note in table.notes if "No baseline" in note]
    assert note == (
        "No baseline of mlp_24, seeds 0, 1; "
        "make it with: distill distill -m alpha=0 seed=0,1 student.epochs=10"
    )
    assert "gain, points" not in [heading.text for heading in headings(table)]


def test_teachers_and_baselines_are_also_looked_for_in_another_root(shelf, tmp_path):
    """A student that was copied to a place of its own."""
    (place, *_) = shelf.grid(temperatures=(1,), alphas=(0.5,), seeds=(0,))
    alone = tmp_path / "copied"
    place.directory.rename(alone)
    assert references(tabulate(load_students([alone]))) == []
    assert references(tabulate(load_students([alone]), shelf.root)) == [("baseline", 1), ("teacher", 1)]


def test_a_teacher_named_beside_students_is_no_rival_of_theirs(shelf, compared):
    table = compared(shelf.teacher((0.99, 0.99), model="cnn_tiny"), shelf.student((0.8, 0.8)))
    assert [row.model for row in table.rows] == ["mlp_24"] and references(table) == [("teacher", 1)]


def test_latency_comes_from_the_newest_report(shelf, compared):
    student = shelf.student((0.9, 0.9))
    old = shelf.evaluation(student, latency_ms_b1_p50=9.0)
    shelf.evaluation(student, baseline=shelf.student((0.8, 0.8), seed=1), latency_ms_b1_p50=0.02)
    os.utime(old.directory / "artifact.json", (0, 0))
    table = compared(student)
    assert cells(table, table.rows[0])[-1] == "0.0200" and headings(table)[-1].text == "latency, ms"


def test_latency_of_different_devices_is_never_mixed(shelf, compared):
    first, second = shelf.student((0.9, 0.9)), shelf.student((0.9, 0.9), seed=1)
    shelf.evaluation(first, latency_ms_b1_p50=1.0)
    shelf.evaluation(second, device="cuda, bf16", latency_ms_b1_p50=3.0)
    table = compared(first, second)
    assert [heading.text for heading in headings(table)][-2:] == [
        "latency, ms (cpu, fp32, 1 thread)",
        "latency, ms (cuda, bf16)",
    ]
    assert cells(table, table.rows[0])[-2:] == ["1.00", "3.00"]
    assert any("different devices" in note for note in table.notes)


def test_a_damaged_report_costs_its_figures_and_a_line(shelf, compared, capsys):
    student = shelf.student((0.9, 0.9))
    report = shelf.evaluation(student, latency_ms_b1_p50=1.0).directory / "report.json"
    report.write_text(report.read_text().replace("1.0", "2.0"))
    assert compared(student).devices == ()
    assert "left out" in capsys.readouterr().err


def test_a_store_of_several_roots_is_one(shelf, tmp_path):
    other = Shelf(tmp_path / "second")
    labels = shelf.labels(shelf.teacher())
    places = [shelf.student((0.9, 0.9), labels), other.student((0.8, 0.8), seed=5)]
    table = tabulate(load_students([place.directory for place in places]))
    assert len(table.rows) == 2 and references(table) == [("teacher", 1)]
