"""The end of a sweep, as the callback calls it with the results of its jobs."""

import shutil

import pytest
from markupsafe import escape

from distill_cli.comparison.notes import note_on_failures
from distill_cli.comparison.sweep import report_sweep


def results(shelf, tmp_path, places, stage="distill", **more):
    return [shelf.result(tmp_path / "sweep" / str(n), place, stage, **more) for n, place in enumerate(places)]


def written(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "sweep").glob("sweep.*"))


FILES = ["sweep.csv", "sweep.html", "sweep.md"]


def test_a_sweep_ends_with_its_table_and_three_files(shelf, tmp_path, capsys):
    report_sweep(tmp_path / "sweep", results(shelf, tmp_path, shelf.grid()))
    captured = capsys.readouterr()
    assert "temperature" in captured.out and "teacher cnn_digits" in captured.out
    *_, files, after = captured.err.splitlines()
    assert files == f"sweep.html, sweep.md and sweep.csv are in {tmp_path / 'sweep'}"
    assert after == "next: distill run temperature=4 alpha=0.9 seed=0"
    assert written(tmp_path) == FILES


def test_where_a_baseline_is_best_or_reports_are_there_no_report_is_suggested(shelf, tmp_path, capsys):
    student, baseline = (
        shelf.grid(temperatures=(1,), alphas=(0.5,), seeds=(0,))[0],
        shelf.student((0.99, 0.9)),
    )
    made = results(shelf, tmp_path, [student, baseline])
    report_sweep(tmp_path / "sweep", made)
    report_sweep(tmp_path / "sweep", [{**made[0], "stage": "run", "inputs": {"distill": student.key}}])
    assert "next:" not in capsys.readouterr().err


def test_the_first_student_of_defaults_alone_is_suggested_without_a_trailing_blank(shelf, tmp_path, capsys):
    place = shelf.student((0.9, 0.9), shelf.labels(shelf.teacher()), command="distill distill")
    done = results(shelf, tmp_path, [place])
    report_sweep(tmp_path / "sweep", done)
    assert capsys.readouterr().err.splitlines()[-1] == "next: distill run"
    shelf.evaluation(place)
    report_sweep(tmp_path / "sweep", done)
    assert "next:" not in capsys.readouterr().err


def test_the_failed_job_of_two_is_named_in_the_files(shelf, tmp_path, capsys):
    failure = "#1 student.optimizer.lr=1e6: training diverged at step 5 (loss nan > <inf>)"
    report_sweep(tmp_path / "sweep", results(shelf, tmp_path, shelf.grid()[:1]), [failure], 2)
    page, words = ((tmp_path / "sweep" / f"sweep.{form}").read_text() for form in ("html", "md"))
    assert words.endswith(f"\n- 1 of 2 jobs failed: {failure}\n")
    assert f"1 of 2 jobs failed: {escape(failure)}" in page and "<inf>" not in page
    assert failure not in "".join(capsys.readouterr()), "the terminal has it in the end"


def test_of_many_failures_the_first_are_named_and_the_others_counted():
    note = note_on_failures([f"#{n} seed={n}: too\nbad" for n in range(7)], 9)
    assert note.startswith("7 of 9 jobs failed: #0 seed=0: too bad; #1 seed=1: too bad; ")
    assert note.endswith("; #4 seed=4: too bad; and 2 more")


@pytest.mark.parametrize("stage", ["run", "evaluate"])
def test_sweeps_of_run_and_evaluate_are_about_their_students(shelf, tmp_path, capsys, stage):
    students = shelf.grid()
    done = [
        shelf.result(tmp_path / "sweep" / str(n), shelf.evaluation(s), stage, inputs={"distill": s.key})
        for n, s in enumerate(students)
    ]
    report_sweep(tmp_path / "sweep", done)
    assert "4 settings on digits" in capsys.readouterr().out and written(tmp_path) == FILES


def test_a_sweep_of_teachers_ranks_teachers(shelf, tmp_path, capsys):
    teachers = [shelf.teacher((0.9 + e / 1000, 0.9), epochs=e) for e in (10, 20)]
    report_sweep(tmp_path / "sweep", results(shelf, tmp_path, teachers, "train-teacher"))
    assert "teacher.epochs" in capsys.readouterr().out and written(tmp_path) == FILES


@pytest.mark.parametrize("stage", ["gen-soft-labels", "export", "lock"])
def test_a_sweep_without_students_has_no_table(shelf, tmp_path, capsys, stage):
    report_sweep(tmp_path / "sweep", results(shelf, tmp_path, shelf.grid()[:2], stage))
    assert capsys.readouterr() == ("", "") and written(tmp_path) == []


def test_jobs_that_made_the_same_student_count_once(shelf, tmp_path, capsys):
    baseline = shelf.student((0.8, 0.8))
    report_sweep(tmp_path / "sweep", results(shelf, tmp_path, [baseline, baseline, *shelf.grid()[:1]]))
    assert "3 jobs made 2 different students; each counts once" in capsys.readouterr().err


def test_a_student_that_is_gone_or_damaged_is_left_out_with_a_line(shelf, tmp_path, capsys):
    gone, damaged, *others = shelf.grid()
    done = results(shelf, tmp_path, [gone, damaged, *others])
    shutil.rmtree(gone.directory)
    (damaged.directory / "artifact.json").write_text("{")
    report_sweep(tmp_path / "sweep", done)
    errors = capsys.readouterr().err
    assert errors.count("left out:") == 2 and written(tmp_path) == FILES


def test_a_sweep_over_data_sets_says_why_it_has_no_table(shelf, tmp_path, capsys):
    other = type(shelf)(tmp_path / "other", data="mnist").student((0.9, 0.9))
    report_sweep(tmp_path / "sweep", results(shelf, tmp_path, [shelf.student((0.9, 0.9)), other]))
    assert "no table of the sweep: students of different data sets" in capsys.readouterr().err
    assert written(tmp_path) == []
