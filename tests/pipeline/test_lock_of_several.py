"""A lock of several teachers and of a chain: everything is pinned, and what has changed is named as it is typed."""

import json
import logging
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from distill_cli.artifacts.files import DIGEST, write_sealed_json
from distill_cli.hydra_app.launch import run

QUICK = (
    "teacher.epochs=1",
    "student.epochs=1",
    "views.count=1",
    "evaluate.latency=false",
    "evaluate.diagnosis=0",
)
ENSEMBLE = ("teacher=[mlp_24,mlp]", *QUICK)
CHAIN = (*ENSEMBLE, "assistant=cnn_tiny", "generations=2")


@contextmanager
def logging_as_before():
    """Hydra sets up the root logger for good."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory with an ensemble's student and a chain's, and a lock of each."""
    directory = tmp_path_factory.mktemp("locks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        for verb, words in (
            ("run", ENSEMBLE),
            ("lock", (*ENSEMBLE, "lock=ensemble.json")),
            ("run", CHAIN),
            ("lock", (*CHAIN, "lock=chain.json")),
        ):
            with logging_as_before():
                assert run(verb, words) == 0
    return directory


@pytest.fixture
def typed(made, monkeypatch, capsys):
    """`distill distill …` there: its exit code, and its lines on stderr."""

    def typed(*words: str, verb: str = "distill", at: Path = made) -> tuple[int, str]:
        monkeypatch.chdir(at)
        with logging_as_before():
            code = run(verb, words)
        return code, capsys.readouterr().err

    return typed


def locked(made, name: str) -> dict:
    return json.loads((made / f"{name}.json").read_text())


def test_every_teacher_and_its_soft_labels_are_pinned(made):
    lock = locked(made, "ensemble")
    assert list(lock["artifacts"]) == [
        *("baseline", "evaluation", "soft_labels 1", "soft_labels 2", "student", "teacher 1", "teacher 2"),
    ]
    assert list(lock["inputs"]) == ["data", "evaluation", "soft_labels", "student", "teacher"]
    assert list(lock["inputs"]["teacher"]["model"]["members"]) == ["mlp", "mlp_24"]
    assert not [group for group in lock["choices"] if "members" in group]


def test_every_student_of_a_chain_is_pinned_with_its_soft_labels(made):
    lock = locked(made, "chain")
    between = ["assistant cnn_tiny", "generation 1 of 2"]
    assert {*between, *(f"soft_labels of {name}" for name in between)} < lock["artifacts"].keys()
    student = lock["inputs"]["student"]
    assert student["generations"] == 2 and student["seed"] == 0 and "name" not in student["assistant"]


@pytest.mark.parametrize(("name", "words"), [("ensemble", ENSEMBLE), ("chain", CHAIN)])
def test_nothing_has_changed_where_nothing_was(typed, name, words):
    code, said = typed(*words, f"lock={name}.json")
    assert code == 0 and "up-to-date" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("teacher=mlp",), "teacher is mlp, locked mlp_24+mlp"),
        (("teacher=[mlp_24,mlp,mlp]",), "teacher is mlp_24+mlp+mlp, locked mlp_24+mlp"),
        (("teacher=[mlp_24,cnn_tiny]",), "teacher is mlp_24+cnn_tiny, locked mlp_24+mlp"),
        (("teacher=[mlp,mlp_24]",), "teacher is mlp+mlp_24, locked mlp_24+mlp"),
        (("teacher.model.members.mlp.width=9",), "teacher.model.members.mlp.width is 9, locked 256"),
        (("teacher.seed=3",), "teacher.seed is 3, locked 0"),
        (("teacher.epochs=2",), "teacher.epochs is 2, locked 1"),
        (("teacher.weights=[2,1]",), "teacher.weights is [0.666667,0.333333], locked [0.5,0.5]"),
        (("teacher.average=probabilities",), "teacher.average is probabilities, locked logits"),
        (("teacher_filter=drop",), "teacher_filter is drop, locked none"),
        (("teacher_source=online",), "teacher_source is online, locked cached"),
        (("assistant=cnn_tiny",), "assistant is cnn_tiny, locked null"),
        (("generations=2",), "generations is 2, locked 1"),
        (("peers=mlp",), "peers is mlp, locked null"),
        (("loss=[kd,dist]",), "loss is dist+kd, locked kd"),
        (("loss=tf_kd",), "loss is tf_kd, locked kd"),
        (("loss=dkd",), "loss is dkd, locked kd"),
        (("alpha=0",), "alpha is 0.0, locked 0.9"),
        (("seed=1",), "seed is 1, locked 0"),
    ],
)
def test_what_has_changed_of_an_ensemble_comes_first_in_the_line(typed, words, said):
    code, line = typed(*ENSEMBLE, *words, "lock=ensemble.json")
    assert code == 4 and f"ensemble.json: {said}" in line and line.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("~assistant",), "assistant is null, locked cnn_tiny;"),
        (("assistant=mlp_24",), "assistant is mlp_24, locked cnn_tiny;"),
        (("assistant.hidden=8",), "assistant.hidden is 8, locked 0;"),
        (("generations=3",), "generations is 3, locked 2;"),
        (("generations=1",), "generations is 1, locked 2;"),
        (("seed=1",), "seed is 1, locked 0;"),
        (("temperature=3",), "temperature is 3.0, locked 2.0;"),
        (("teacher=mlp",), "teacher is mlp, locked mlp_24+mlp;"),
    ],
)
def test_what_has_changed_of_a_chain_is_the_one_thing_that_is_named(typed, words, said):
    code, line = typed(*CHAIN, *words, "lock=chain.json", verb="run")
    assert code == 4 and f"chain.json: {said}" in line


def test_a_checkpoint_for_one_of_them_is_named_by_its_digits(made, typed):
    (file,) = made.glob("artifacts/teachers/mlp-digits-*/model.safetensors")
    code, line = typed(*ENSEMBLE, f"teacher.checkpoint=[null,{file}]", "lock=ensemble.json")
    assert code == 4 and "teacher.checkpoint has sha256 [none," in line and "leave it out" in line


def test_other_bytes_of_one_teacher_are_said(made, typed, tmp_path):
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    lock = locked(copy, "ensemble")
    lock["artifacts"]["teacher 2"]["files"]["model.safetensors"]["sha256"] = "0" * 64
    write_sealed_json(copy / "ensemble.json", {key: value for key, value in lock.items() if key != DIGEST})
    code, said = typed(*ENSEMBLE, "lock=ensemble.json", verb="train-teacher", at=copy)
    assert code == 0 and "same inputs, other bytes: model.safetensors of the teacher 2" in said


def test_a_student_between_that_is_gone_is_named_with_the_command_that_makes_it(made, typed, tmp_path):
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    (assistant,) = copy.glob("artifacts/students/cnn_tiny-*")
    shutil.rmtree(assistant)
    code, line = typed(*CHAIN, verb="lock", at=copy)
    assert (
        code == 4
        and f"the assistant cnn_tiny {assistant.name} is not there; make it with: distill run " in line
    )
