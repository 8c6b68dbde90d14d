"""What a user may name, and which students that is."""

import json
import shutil

import pytest

from distill_cli.comparison import load_students
from distill_cli.errors import ArtifactError


def names(*paths, artifacts=None) -> list[str]:
    return [student.name for student in load_students(paths, artifacts)]


@pytest.fixture
def pair(shelf):
    """A student, and another one with its report."""
    labels = shelf.labels(shelf.teacher())
    one, two = (shelf.student((0.9, 0.9), labels, temperature=t) for t in (1, 2))
    return one, two, shelf.evaluation(two)


def test_a_student_a_report_and_an_evaluation_are_students(pair):
    one, two, report = pair
    assert names(one.directory) == [one.name]
    assert names(report.directory) == names(report.directory / "report.json") == [two.name]


def test_a_whole_directory_a_root_and_a_pattern_are_all_their_students(shelf, pair, monkeypatch):
    one, two, _ = pair
    both = sorted((one.name, two.name))
    assert names(shelf.root) == names(shelf.root / "students") == both
    assert names(f"{shelf.root}/students/mlp*") == names("artifacts/stud*/*-t?-*") == both
    assert names("artifacts/evaluations") == [two.name]
    assert names(one.directory, shelf.root) == [one.name, *(name for name in both if name != one.name)]


def test_what_is_being_built_is_no_student(shelf, pair):
    (shelf.root / "students" / ".mlp_24-x.work").mkdir()
    assert len(names(shelf.root / "students")) == len(names("artifacts/students/*")) == 2


def test_a_jobs_result_is_the_student_it_made(shelf, pair, tmp_path):
    one, two, report = pair
    shelf.result(tmp_path / "out" / "0", one)
    for stage in ("run", "evaluate"):
        shelf.result(tmp_path / "out" / stage, report, stage, inputs={"distill": two.key})
    assert names("out/0") == names("out/0/result.json") == [one.name]
    assert names("out/run") == names("out/evaluate") == [two.name]


def test_a_sweeps_directory_is_what_its_jobs_made_and_says_which_failed(shelf, pair, tmp_path, capsys):
    one, two, _ = pair
    for number, place in ((10, one), (9, two), (8, two)):
        shelf.result(tmp_path / "sweep" / str(number), place)
    (tmp_path / "sweep" / "11").mkdir()
    (tmp_path / "sweep" / "11" / "error.json").write_text(json.dumps({"message": "diverged"}))
    (tmp_path / "sweep" / "multirun.yaml").write_text("hydra: {}")
    assert names("sweep") == [two.name, one.name]
    assert "left out: sweep/11: diverged" in capsys.readouterr().err
    assert names("sweep/*") == [one.name, two.name]


def test_a_student_that_missed_its_gate_is_not_left_out(shelf, pair, tmp_path, capsys):
    shelf.result(tmp_path / "sweep" / "0", pair[0])
    (tmp_path / "sweep" / "0" / "error.json").write_text(json.dumps({"message": "gates.min_top1: failed"}))
    assert names("sweep") == [pair[0].name] and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"key": 5},
        {"key": ""},
        {"artifact": ""},
        {"artifact": None},
        {"stage": ["distill"]},
        {"command": 5},
        {"stage": "evaluate", "inputs": {"distill": None}},
    ],
    ids=str,
)
def test_a_result_with_other_things_in_it_is_none_of_a_command(shelf, pair, tmp_path, changed):
    shelf.result(tmp_path / "job", pair[0], **changed)
    with pytest.raises(ArtifactError, match=r"^job/result.json is no result of a command$"):
        names("job")


def test_results_that_moved_are_found_by_their_keys_in_another_root(shelf, pair, tmp_path):
    one, two, report = pair
    shelf.result(tmp_path / "job", one)
    text = (report.directory / "report.json").read_text()
    shelf.root.rename(tmp_path / "moved")
    (tmp_path / "report.json").write_text(text)
    assert names("job", "report.json", artifacts=tmp_path / "moved") == [one.name, two.name]
    with pytest.raises(ArtifactError, match=r"its student \w{12} is gone from .*; --artifacts DIR says"):
        names("job", artifacts=tmp_path / "nowhere")


def test_a_result_without_a_student_says_so(shelf, pair, tmp_path):
    shelf.result(tmp_path / "job", pair[0], "gen-soft-labels")
    with pytest.raises(ArtifactError, match="gen-soft-labels makes no student"):
        names("job")
    with pytest.raises(ArtifactError, match="there is no student in"):
        names(tmp_path / "artifacts" / "soft_labels")
    with pytest.raises(ArtifactError, match="holds soft labels, and no student"):
        names(next((tmp_path / "artifacts" / "soft_labels").iterdir()))


def test_a_command_in_the_result_serves_where_the_build_kept_none(shelf, tmp_path):
    place = shelf.student((0.9, 0.9), command=None)
    shelf.result(tmp_path / "job", place, command="distill distill alpha=0")
    (student,) = load_students([tmp_path / "job"])
    assert student.command == "distill distill alpha=0"
    assert load_students([place.directory])[0].command is None


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("nothing", "there is nothing at nothing"),
        ("nothing*", "no file or directory is like 'nothing"),
        ("empty", "there is no student in empty"),
        ("notes.txt", "neither a result.json nor a report.json"),
        ("notes.json", "neither a result.json nor a report.json"),
        ("nameless.json", "neither a result.json nor a report.json"),
        ("broken.json", "is corrupt: not JSON; name another file"),
    ],
)
def test_what_is_no_artefact_is_refused_in_a_line(tmp_path, path, complaint):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "notes.json").write_text('{"a": 1}')
    (tmp_path / "nameless.json").write_text('{"models": {"student": {"artifact": null}}}')
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ArtifactError, match=complaint):
        names(path)


def test_damage_is_never_passed_over(shelf, pair):
    manifest = pair[0].directory / "artifact.json"
    manifest.write_text(manifest.read_text().replace('"validation_top1": 0.9', '"validation_top1": 0.99'))
    for path in (pair[0].directory, shelf.root, "artifacts/students/*"):
        with pytest.raises(ArtifactError, match="its digest differs"):
            names(path)


def test_an_artefact_of_another_kind_is_refused(shelf, pair):
    teacher = next((shelf.root / "teachers").iterdir())
    assert names(teacher) == [teacher.name]
    shutil.copytree(teacher, shelf.root / "other")
    assert names(shelf.root / "other") == [teacher.name]
