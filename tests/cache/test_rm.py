"""What is named goes, unless something else needs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distill_cli.cache import removal

COMMAND = Path(sys.executable).parent / "distill"


def test_a_name_is_removed_and_nothing_else(shop, chain):
    *_, evaluation = chain
    before = shop.contents()
    ended = shop.look_after("rm", evaluation.name, "--yes")
    assert ended.exit_code == 0
    assert before.keys() - shop.contents().keys() == {n for n in before if n.startswith("evaluations/")}
    assert list((shop.root / "evaluations").iterdir()) == []


@pytest.mark.parametrize(
    "way", ["name", "kind", "path", "relative", "slash", "prefix", "key", "glob", "kind glob"]
)
def test_a_name_may_be_said_in_many_ways(shop, chain, way):
    _, _, student, _ = chain
    words = {
        "name": student.name,
        "kind": f"students/{student.name}",
        "path": str(student.directory),
        "relative": f"artifacts/students/{student.name}",
        "slash": f"{student.name}/",
        "prefix": "students/mlp",
        "key": student.key[:6],
        "glob": f"*{student.key[:12]}",
        "kind glob": "students/*",
    }
    assert shop.look_after("rm", words[way], "--yes").exit_code == 0
    assert not student.directory.exists()
    assert len([path for path in shop.contents() if path.endswith("artifact.json")]) == 2


def test_several_candidates_are_one_line_that_names_them(shop, chain):
    _, _, student, evaluation = chain
    before = shop.contents()
    ended = shop.look_after("rm", "mlp", "--yes")
    assert ended.exit_code == 2
    assert f"'mlp' may be evaluations/{evaluation.name}, students/{student.name}" in ended.stderr
    assert shop.contents() == before


@pytest.mark.parametrize("command", ["rm", "verify"])
def test_an_unknown_name_is_one_line_with_the_nearest(shop, chain, command):
    teacher, *_ = chain
    ended = shop.look_after(command, teacher.name.replace("cnn", "cmn"))
    assert ended.exit_code == 4
    assert ended.stderr.count("\n") == 1
    assert f"did you mean '{teacher.name}'?" in ended.stderr


@pytest.mark.parametrize("name", ["", "/", "*nothing*", "[", "..", "\0", "0", "x" * 5000])
def test_odd_names_fit_nothing(shop, chain, name):
    before = shop.contents()
    ended = shop.look_after("rm", "--yes", "--", name) if name != "/" else shop.look_after("rm", "/", "--yes")
    assert ended.exit_code in (2, 4) and ended.stderr.count("\n") == 1
    assert shop.contents() == before


def test_what_others_were_made_from_stays_and_they_are_named(shop, chain):
    teacher, labels, student, _ = chain
    before = shop.contents()
    for needed, user in ((teacher, f"soft_labels/{labels.name}"), (labels, f"students/{student.name}")):
        ended = shop.look_after("rm", needed.name, "--yes")
        assert ended.exit_code == 4
        assert user in ended.stderr and "--force" in ended.stderr and ended.stderr.count("\n") == 1
    assert shop.contents() == before


def test_a_teacher_beside_which_a_student_was_trained_stays(shop):
    teacher = shop.teacher()
    student = shop.student(teacher=teacher)
    assert f"students/{student.name}" in shop.look_after("rm", teacher.name, "--yes").stderr


def test_force_removes_it_all_the_same(shop, chain):
    teacher, *_ = chain
    assert shop.look_after("rm", teacher.name, "--force", "--yes").exit_code == 0
    assert not teacher.directory.exists()
    assert f"{teacher.key[:12]} (gone)" in shop.look_after("ls").stdout


def test_users_and_used_may_go_together(shop, chain):
    assert shop.look_after("rm", *(place.name for place in chain), "--yes").exit_code == 0
    assert shop.contents() == {}


def test_what_is_being_built_stays_whatever_one_says(shop, chain):
    *_, evaluation = chain
    before = shop.contents()
    with evaluation.locked():
        ended = shop.look_after("rm", evaluation.name, "--force", "--yes")
    assert ended.exit_code == 4
    assert f"evaluations/{evaluation.name} is being built now" in ended.stderr
    assert shop.contents() == before


def test_soft_labels_stay_while_a_student_is_being_trained_that_may_read_them(shop):
    labels = shop.labels(shop.teacher())
    student = shop.unfinished(shop.place("students", "mlp", seed=5))
    with student.locked():
        ended = shop.look_after("rm", labels.name, "--yes")
    assert ended.exit_code == 4
    assert f"students/{student.work.name} is being built now" in ended.stderr
    assert shop.look_after("rm", labels.name, "--yes").exit_code == 0


def test_an_unfinished_artefact_goes_by_its_name(shop):
    place = shop.unfinished(shop.place("students", "mlp", seed=5))
    assert shop.look_after("rm", place.name, "--yes").exit_code == 0
    assert not place.work.exists()


def test_without_a_terminal_it_needs_a_yes(shop, chain):
    *_, evaluation = chain
    ended = shop.look_after("rm", evaluation.name)
    assert ended.exit_code == 2
    assert "--yes removes without a question" in ended.stderr
    assert evaluation.directory.exists()


@pytest.mark.parametrize(("answer", "stays"), [("y\n", False), ("n\n", True), ("\n", True), ("\x04", True)])
def test_on_a_terminal_it_asks_first(shop, chain, answer, stays):
    *_, evaluation = chain
    master, slave = os.openpty()
    command = [COMMAND, "cache", "rm", evaluation.name]
    with subprocess.Popen(command, stdin=slave, stdout=subprocess.DEVNULL, stderr=slave) as running:
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(master, 4096)
        os.write(master, answer.encode())
        assert running.wait(30) == 0
    os.close(master)
    os.close(slave)
    assert b"remove 1 artefact, " in asked
    assert evaluation.directory.exists() == stays


def test_a_kill_in_the_middle_leaves_no_half_of_an_artefact_and_gc_sweeps_the_rest(shop, chain, monkeypatch):
    *_, evaluation = chain

    def killed(directory):
        (directory / "model.safetensors").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(removal.shutil, "rmtree", killed)
    assert shop.look_after("rm", evaluation.name, "--yes").exit_code == 130
    monkeypatch.undo()
    monkeypatch.chdir(shop.root.parent)
    assert not evaluation.is_complete() and not evaluation.directory.exists()
    assert "1 leftover of killed processes" in shop.look_after("ls").stdout
    shop.age(1)
    assert shop.look_after("gc", "--yes").exit_code == 0
    assert list((shop.root / "evaluations").iterdir()) == []


def test_what_a_link_points_to_stays(shop, chain, tmp_path):
    *_, evaluation = chain
    shutil.move(evaluation.directory, tmp_path / "elsewhere")
    evaluation.directory.symlink_to(tmp_path / "elsewhere")
    assert shop.look_after("rm", evaluation.name, "--yes").exit_code == 0
    assert not evaluation.directory.is_symlink()
    assert (tmp_path / "elsewhere/artifact.json").is_file()


def test_it_wants_a_name(shop, chain):
    ended = shop.look_after("rm", "--yes")
    assert ended.exit_code == 2
    assert "name what to remove" in ended.stderr


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["lss"], "did you mean 'ls'?"),
        (["remove"], "choose from ls, verify, rm, gc"),
        (["ls", "--jsn"], "did you mean '--json'?"),
        (["rm", "x", "--yess"], "did you mean '--yes'?"),
        (["gc", "everything"], "no name 'everything' here"),
        (["gc", "--older-than", "soon"], "no number of days"),
        (["gc", "--older-than", "-1"], "no number of days"),
        (["gc", "--older-than", "nan"], "no number of days"),
        (["gc", "--older-than"], "expected one argument"),
        (["--json"], "no such option"),
    ],
    ids=" ".join,
)
def test_a_mistake_on_the_command_line_is_one_line_with_the_remedy(words, remedy, tmp_path):
    done = subprocess.run([COMMAND, "cache", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("distill: error: ") and done.stderr.count("\n") == 1
    assert remedy in done.stderr


@pytest.mark.parametrize("word", ["ls", "verify", "rm", "gc"])
def test_the_help_of_each_word_names_its_options(word):
    from distill_cli.cache.options import _parser

    done = subprocess.run([COMMAND, "cache", word, "--help"], capture_output=True, text=True, check=True)
    for action in _parser(word)._actions:
        assert (action.option_strings or ["NAME "])[0] in done.stdout


def test_alone_it_prints_its_help():
    done = subprocess.run([COMMAND, "cache"], capture_output=True, text=True, check=False)
    assert all(f"\n  {word} " in done.stdout + done.stderr for word in ("ls", "verify", "rm", "gc"))


def test_tab_offers_names(shop, chain):
    teacher, *_ = chain
    words = {
        "COMP_WORDS": "distill cache rm teachers/",
        "COMP_CWORD": "3",
        "_DISTILL_COMPLETE": "complete_bash",
    }
    env = {**os.environ, **words, "TERM": "dumb"}
    done = subprocess.run([COMMAND], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [f"teachers/{teacher.name}"]
