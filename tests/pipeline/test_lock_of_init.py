"""A lock of a student that goes on from another: another one, none, or one more is told by its digits."""

import logging
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from distill_cli.artifacts.files import read_sealed_json, write_sealed_json
from distill_cli.hydra_app.launch import run

WORDS = ("student=mlp_24", "student.epochs=1", "alpha=0", "views.count=1")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two students, and a third that went on from the first; a lock of the first, and one of the third."""
    directory = tmp_path_factory.mktemp("locks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        for seed in (0, 1):
            typed("distill", f"seed={seed}")
        students = sorted(directory.glob("artifacts/students/*"), key=lambda path: "-s1-" in path.name)
        typed("lock", "lock=alone.json")
        typed("distill", f"student.init={students[0]}")
        typed("lock", f"student.init={students[0]}", "lock=grown.json")
    return directory, *students


def typed(verb: str, *words: str) -> int:
    """Its exit code. Hydra sets up the root logger for good, so that is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    code = run(verb, (*WORDS, *words))
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    return code


@pytest.fixture
def said(made, monkeypatch, capsys):
    def said(*words: str) -> str:
        """By `distill distill …` on its way to exit code 4."""
        monkeypatch.chdir(made[0])
        capsys.readouterr()
        assert typed("distill", *words) == 4
        return capsys.readouterr().err

    return said


def digits(student: Path) -> str:
    return sha256((student / "model.safetensors").read_bytes()).hexdigest()[:12]


def test_another_student_to_go_on_from_is_told_by_its_digits(made, said):
    _, first, second = made
    line = said(f"student.init={second}", "lock=grown.json")
    assert (
        f"grown.json: student.init has sha256 {digits(second)}, locked {digits(first)}; put it back" in line
    )


def test_to_go_on_from_nobody_any_more_is_told_like_a_teacher_that_was_left_out(made, said):
    line = said("lock=grown.json")
    assert f"grown.json: student.init has sha256 none, locked {digits(made[1])}; give it again" in line


def test_to_go_on_from_somebody_is_told_too(made, said):
    line = said(f"student.init={made[2]}", "lock=alone.json")
    assert f"alone.json: student.init has sha256 {digits(made[2])}, locked none; leave it out" in line


def test_equal_weights_for_other_classes_are_another_student_init(made, said, tmp_path):
    renamed = Path(shutil.copytree(made[1], tmp_path / "renamed"))
    document = read_sealed_json(renamed / "artifact.json")
    data = {**document["data"], "classes": document["data"]["classes"][::-1]}
    write_sealed_json(renamed / "artifact.json", {**document, "data": data})
    assert "grown.json: student.init is [" in said(f"student.init={renamed}", "lock=grown.json")


def test_nothing_has_changed_where_nothing_was(made, monkeypatch, capsys):
    monkeypatch.chdir(made[0])
    assert typed("distill", f"student.init={made[1]}", "lock=grown.json") == 0
    assert "up-to-date" in capsys.readouterr().err
