"""`distill lock` and `lock=FILE`: what is written down, what is noticed later, and in which words."""

import json
import logging
import shlex
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from tool import QUICK, distill

from distill_cli.artifacts.files import read_sealed_json, write_sealed_json
from distill_cli.artifacts.lockfile import read_lock
from distill_cli.hydra_app.launch import run
from distill_cli.runtime.environment import describe_environment

LOCK = "distill.lock.json"
HELD = f"lock={LOCK}"
WITHOUT_TORCH = (
    "import atexit, sys\n"
    "atexit.register(lambda: print('TORCH' if 'torch' in sys.modules else 'NO TORCH', file=sys.stderr))\n"
    "from distill_cli.cli import app\n"
    "app()\n"
)


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A directory in which `distill run` and `distill lock` were typed, and what the latter said."""
    directory = tmp_path_factory.mktemp("locked")
    made = distill("run", *QUICK, cwd=directory)
    assert made.returncode == 0, made.stderr
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "lock", *QUICK],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory, done.stderr


@pytest.fixture
def say_distill(monkeypatch, capsys):
    """`distill VERB …` in a directory, within this process: its exit code, and its lines on stderr."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def typed(directory: Path, verb: str, *words: str) -> tuple[int, str]:
        monkeypatch.chdir(directory)
        code = run(verb, words)
        return code, capsys.readouterr().err

    yield typed
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def a_copy(locked, tmp_path):
    return Path(shutil.copytree(locked[0], tmp_path / "copy"))


def document(directory: Path) -> dict:
    return read_sealed_json(directory / LOCK)


def rewritten(directory: Path, change) -> None:
    """The lock with something else in it, and a digest that fits: another machine's."""
    found = document(directory)
    change(found)
    write_sealed_json(directory / LOCK, found)


def test_it_needs_no_torch_and_leaves_a_result_as_every_verb_does(locked):
    directory, said = locked
    assert "NO TORCH" in said and f"next: distill run {' '.join(QUICK)} {HELD}" in said
    (path,) = directory.glob("outputs/lock/*/result.json")
    result = json.loads(path.read_text())
    assert (result["stage"], result["status"], result["lock"]) == ("lock", "built", LOCK)
    assert result["key"] == document(directory)["artifacts"]["student"]["key"]
    assert result["inputs"].keys() == {"train-teacher", "gen-soft-labels"}


def test_every_file_of_every_artefact_is_in_it_with_its_bytes_and_sha256(locked):
    directory, _ = locked
    artifacts = document(directory)["artifacts"]
    kinds = {
        "teacher": "teachers",
        "student": "students",
        "baseline": "students",
        "evaluation": "evaluations",
    }
    assert artifacts.keys() == {*kinds, "soft_labels"}
    for role, kind in kinds.items():
        folder = directory / "artifacts" / kind / artifacts[role]["name"]
        found = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
            for path in folder.iterdir()
            if path.name not in ("artifact.json", "build.json")
        }
        assert artifacts[role]["files"] == found
        assert artifacts[role]["built_with"]["torch"] == describe_environment()["torch"]


def test_the_digest_of_the_shards_is_what_sha256sum_makes_of_them(locked):
    directory, _ = locked
    entry = document(directory)["artifacts"]["soft_labels"]
    shards = "find . -name '*.npy' | cut -c3- | LC_ALL=C sort"
    script = f"{shards} | xargs sha256sum | sha256sum | cut -c-64; {shards} | wc -l"
    folder = directory / "artifacts/soft_labels" / entry["name"]
    folded, count = subprocess.check_output(["bash", "-c", script], cwd=folder, text=True).split()
    size = sum(path.stat().st_size for path in folder.rglob("*.npy"))
    assert entry["files"] == {"logits": {"bytes": size, "sha256": folded, "count": int(count)}}


def test_it_can_be_reviewed_line_by_line_and_names_no_place_or_time(locked):
    directory, _ = locked
    text = (directory / LOCK).read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert str(directory) not in text and not any(f'"{beginning}' in text for beginning in "/~")
    found = document(directory)
    assert found["inputs"]["student"]["recipe"]["epochs"] == 5 and found["choices"]["student"] == "mlp_24"
    assert found["versions"] == describe_environment()
    assert found["command"] == f"distill lock {' '.join(QUICK)}"
    fingerprint = found["inputs"]["data"]["train"]
    assert text.count(fingerprint) == 1


def test_the_same_state_gives_the_same_bytes_wherever_it_lies(locked, a_copy, say_distill):
    directory, _ = locked
    before = (directory / LOCK).read_bytes()
    code, said = say_distill(a_copy, "lock", *QUICK)
    assert code == 0 and "lock: up-to-date" in said
    assert (a_copy / LOCK).read_bytes() == before
    absolute = (f"paths.artifacts={directory / 'artifacts'}", f"lock={a_copy / 'other.json'}")
    assert say_distill(a_copy, "lock", *QUICK, *absolute)[0] == 0
    assert (a_copy / "other.json").read_bytes() == before


def test_a_run_held_to_its_lock_does_nothing_where_nothing_has_changed(locked):
    directory, _ = locked
    again = subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT_TORCH,
            "run",
            *QUICK,
            HELD,
            "device=cpu",
            "trainer.checkpoint_every=9",
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "NO TORCH" in again.stderr and LOCK not in again.stderr and "next:" not in again.stderr
    result = json.loads(max(directory.glob("outputs/run/*/result.json")).read_text())
    assert result["lock"] == {"file": LOCK, "other_bytes": []}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("student.epochs=6", "student.epochs is 6, locked 5"),
        ("student.optimizer.lr=0.1", "student.optimizer.lr is 0.1, locked 0.05"),
        ("student.optimizer=adamw", "student.optimizer is adamw, locked sgd"),
        ("student=mlp", "student is mlp, locked mlp_24"),
        ("student.model.width=32", "student.model.width is 32, locked 24"),
        ("seed=1", "seed is 1, locked 0"),
        ("student.seed=1", "student.seed is 1, locked 0"),
        ("loss=logit_mse", "loss is logit_mse, locked kd"),
        ("temperature=3", "temperature is 3.0, locked 2.0"),
        ("temperature_schedule=linear", "temperature_schedule is linear, locked constant"),
        ("alpha=0.5", "alpha is 0.5, locked 0.9"),
        ("alpha=0", "alpha is 0.0, locked 0.9"),
        ("teacher_source=online", "teacher_source is online, locked cached"),
        ("views.count=4", "views.count is 4, locked 8"),
        ("views.count=null", "views.count is null, locked 8"),
        ("views=shift", "views is shift, locked none"),
        ("views.mixing=cutmix", "views.mixing is cutmix, locked mixup"),
        ("views.seed=3", "views.seed is 3, locked 0"),
        ("soft_labels=float32", "soft_labels is float32, locked float16"),
        ("soft_labels.block=512", "soft_labels.block is 512, locked 4096"),
        ("teacher=mlp", "teacher is mlp, locked cnn_digits"),
        ("teacher.seed=1", "teacher.seed is 1, locked 0"),
        ("teacher.views.pixels=2", "teacher.views.pixels is 2, locked 1"),
        ("teacher.views=null", "teacher.views._target_ is distill_cli.data.views.recipes.NoAugmentation"),
        ("precision=fp32", "precision is fp32, locked auto"),
        ("data.validation=0.2", "data.validation is 0.2, locked 0.1"),
        ("data.labeled_fraction=0.5", "data.labeled_fraction is 0.5, locked 1.0"),
        ("data.mean=[0.5]", "data.mean is [0.5], locked null"),
        ("evaluate.ece_bins=5", "evaluate.ece_bins is 5, locked 15"),
    ],
)
def test_what_has_changed_is_named_as_it_is_typed(a_changed_command, words, named):
    assert f": {named}" in a_changed_command(words)


@pytest.fixture
def a_changed_command(locked, say_distill):
    """The one line with which `distill distill` refuses the words, and how it goes on."""
    directory, _ = locked

    def refused(*words: str) -> str:
        code, said = say_distill(directory, "distill", *QUICK, *words, HELD)
        assert code == 4 and said.count("\n") == 1, said
        assert said.startswith(f"distill: error: {LOCK}: ")
        assert f"or write the lock anew: {shlex.join(['distill', 'lock', *QUICK, *words, HELD])}\n" in said
        return said

    return refused


def test_the_first_change_upstream_is_the_one_named_and_the_others_are_counted(a_changed_command):
    said = a_changed_command("student.epochs=6", "seed=1", "teacher.epochs=4", "soft_labels.block=512")
    assert "teacher.epochs is 4, locked 3, and 3 more; set it back, or" in said
    assert "precision is fp32, locked auto; set" in a_changed_command("precision=fp32")  # in four artefacts


@pytest.mark.parametrize("verb", ["train-teacher", "gen-soft-labels", "distill", "evaluate", "run"])
def test_every_verb_is_held_before_it_makes_anything(locked, say_distill, verb, tmp_path):
    directory, _ = locked
    elsewhere = f"paths.artifacts={tmp_path / 'artifacts'}"
    code, said = say_distill(directory, verb, *QUICK, "temperature=3", HELD, elsewhere)
    assert code == 4 and "temperature is 3.0, locked 2.0" in said
    assert not list(tmp_path.glob("artifacts/[!.]*"))


def test_a_machine_with_nothing_on_it_may_build_what_is_locked(locked, say_distill, tmp_path):
    """As in CI: the lock is there, the artefacts are not. On the same machine the bytes are the same."""
    shutil.copy(locked[0] / LOCK, tmp_path)
    code, said = say_distill(tmp_path, "run", *QUICK, HELD)
    assert code == 0 and "student: built" in said and "other bytes" not in said
    assert say_distill(tmp_path, "lock", *QUICK)[0] == 0
    now, then = document(tmp_path), document(locked[0])
    for one in (now, then):
        one["artifacts"].pop("evaluation")
    assert now == then


def test_other_bytes_from_the_same_inputs_are_a_line_and_no_failure(a_copy, say_distill):
    def from_another_machine(found):
        student = found["artifacts"]["student"]
        student["files"]["model.safetensors"]["sha256"] = 64 * "0"
        student["built_with"]["torch"] = "2.10.0"

    rewritten(a_copy, from_another_machine)
    code, said = say_distill(a_copy, "run", *QUICK, HELD)
    torch = describe_environment()["torch"]
    assert code == 0
    assert (
        f"{LOCK}: same inputs, other bytes: model.safetensors of the student; built with torch {torch}"
        in said
    )
    assert "locked torch 2.10.0" in said
    result = json.loads(max(a_copy.glob("outputs/run/*/result.json")).read_text())
    assert result["lock"]["other_bytes"] == ["student/model.safetensors"]
    assert "other bytes" not in say_distill(a_copy, "train-teacher", *QUICK, HELD)[1]


def test_soft_labels_are_compared_as_well(a_copy, say_distill):
    rewritten(a_copy, lambda found: found["artifacts"]["soft_labels"]["files"]["logits"].update(sha256="0"))
    for verb in ("gen-soft-labels", "distill"):  # makes them; reads them
        code, said = say_distill(a_copy, verb, *QUICK, HELD)
        assert code == 0 and "same inputs, other bytes: logits of the soft labels\n" in said


def test_a_student_that_outlives_its_soft_labels_is_held_without_them(a_copy, say_distill):
    shutil.rmtree(a_copy / "artifacts/soft_labels")
    code, said = say_distill(a_copy, "distill", *QUICK, HELD)
    assert code == 0 and "other bytes" not in said


def test_other_versions_are_a_line_and_no_failure(a_copy, say_distill):
    rewritten(a_copy, lambda found: found["versions"].update(torch="2.10.0"))
    code, said = say_distill(a_copy, "distill", *QUICK, HELD)
    assert code == 0
    torch = describe_environment()["torch"]
    assert f"{LOCK}: torch is {torch}, locked 2.10.0: the same inputs may give other bytes" in said


def test_another_format_of_an_artefact_names_the_version_to_install(a_copy, say_distill):
    def older(found):
        found["inputs"]["student"]["format"] = 1
        found["artifacts"]["student"]["key"] = 64 * "0"
        found["versions"]["distill_cli"] = "0.0.1"

    rewritten(a_copy, older)
    code, said = say_distill(a_copy, "distill", *QUICK, HELD)
    assert code == 4 and "the format of the student is 2, locked 1; install distill-cli 0.0.1, or" in said


def test_a_key_that_nothing_explains_is_refused_all_the_same(a_copy, say_distill):
    rewritten(a_copy, lambda found: found["artifacts"]["student"].update(key=64 * "0"))
    code, said = say_distill(a_copy, "distill", *QUICK, HELD)
    assert code == 4 and "locked 000000000000;" in said and "the key of the student is " in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"<<<<<<< ours\n", "not JSON"),
        (b"[]", "not a file of distill lock"),
        (b'{"schema": 2, "digest": ""}', "not a file of distill lock"),
        (b'{"schema": 2, "inputs": {}, "artifacts": {}}', "schema 2, not 1"),
        (b'{"schema": 1, "inputs": {}, "artifacts": {}}', "digest differs"),
    ],
    ids=["cut", "merged", "list", "artifact", "newer", "unsealed"],
)
def test_what_is_no_lock_is_one_line_with_the_remedy(say_distill, tmp_path, content, reason):
    (tmp_path / LOCK).write_bytes(content)
    code, said = say_distill(tmp_path, "distill", "seed=1", HELD)
    assert code == 4 and said.count("\n") == 1
    assert reason in said and f"write the lock anew: distill lock seed=1 {HELD}" in said


@pytest.mark.parametrize("part", ["inputs", "artifacts", "choices", "versions", "command"])
def test_a_lock_that_somebody_else_wrote_with_a_good_digest_is_refused_too(a_copy, say_distill, part):
    rewritten(
        a_copy, lambda found: found.update({part: 7} if part != "command" else {"artifacts": {"student": {}}})
    )
    code, said = say_distill(a_copy, "distill", *QUICK, HELD)
    assert code == 4 and "Traceback" not in said and "not what distill lock writes" in said


def test_an_edited_figure_is_refused(a_copy, say_distill):
    path = a_copy / LOCK
    path.write_text(path.read_text().replace('"epochs": 5', '"epochs": 6'))
    code, said = say_distill(a_copy, "distill", *QUICK, "student.epochs=6", HELD)
    assert code == 4 and "digest differs" in said


def test_a_lock_that_is_not_there_says_how_to_write_it(say_distill, tmp_path):
    code, said = say_distill(tmp_path, "distill", "seed=1", "lock=mine.json")
    assert code == 2
    assert "lock=mine.json: there is no such file; write it with: distill lock seed=1 lock=mine.json" in said


def test_the_lock_of_another_project_is_said_to_be_one(a_copy, say_distill):
    def foreign(found):
        found["inputs"]["data"]["name"] = "cifar100"
        found["inputs"]["student"]["model"] = {"_target_": "elsewhere.Resnet"}
        found["artifacts"]["student"]["name"] = "resnet8-cifar100-kd-t4-a0.9-s0-0123456789ab"

    rewritten(a_copy, foreign)
    code, said = say_distill(a_copy, "distill", *QUICK, HELD)
    assert code == 4 and said.count("\n") == 1
    assert (
        f"{LOCK} is the lock of another student: resnet8-cifar100-kd-t4-a0.9-s0 on cifar100, written by: "
        in said
    )


def test_a_data_set_that_is_neither_there_nor_locked_is_said_not_to_be_the_locks(a_copy, say_distill):
    code, said = say_distill(a_copy, "distill", *QUICK, "data=arrays", "data.file=absent.npz", HELD)
    assert (code, said) == (
        4,
        f"distill: error: {LOCK}: data is arrays, locked digits; set it back, or take another lock\n",
    )


def test_what_is_not_built_yet_is_named_with_the_command_that_makes_it(locked, a_copy, say_distill):
    code, said = say_distill(a_copy, "lock", *QUICK, "seed=1", HELD)
    words = " ".join((*QUICK, "seed=1"))
    assert code == 4
    assert f"make it with: distill distill {words}, or everything with: distill run {words}\n" in said
    assert (a_copy / LOCK).read_bytes() == (locked[0] / LOCK).read_bytes()
    shutil.rmtree(a_copy / "artifacts/soft_labels")
    code, said = say_distill(a_copy, "lock", *QUICK)
    assert code == 4 and f"make it with: distill gen-soft-labels {' '.join(QUICK)}, or" in said


def test_jobs_of_a_sweep_do_not_write_one_lock_over_the_other(a_copy, say_distill):
    sweep = ("-m", "evaluate.pictures=12,13")
    code, said = say_distill(a_copy, "lock", *QUICK, *sweep)
    assert (code, said) == (
        2,
        f"distill: error: lock={LOCK}: jobs #0 and #1 would write one lock over the other; "
        "name one for each job, such as 'lock=locks/${evaluate.pictures}.json'\n",
    )
    also = ("seed=0,1", "lock=locks/../locks/${seed}.json")
    code, said = say_distill(a_copy, "lock", *QUICK, *sweep, *also)
    assert code == 2 and said.count("\n") == 1 and "jobs #0 and #2" in said
    assert "such as 'lock=locks/${evaluate.pictures}-${seed}.json'" in said
    code, said = say_distill(a_copy, "lock", *QUICK, "-m", "student=mlp,mlp_24")
    assert code == 2 and "such as 'lock=locks/${hydra:job.num}.json'" in said
    assert not (a_copy / "locks").exists()
    code, said = say_distill(a_copy, "lock", *QUICK, *sweep, "lock=locks/${evaluate.pictures}.json")
    assert code == 0, said
    assert sorted(path.name for path in a_copy.glob("locks/*")) == ["12.json", "13.json"]
    for own in ("locks/${hydra:job.num}.json", "${hydra:runtime.output_dir}/own.json"):
        code, said = say_distill(a_copy, "lock", *QUICK, *sweep, f"lock={own}", "hydra.sweep.dir=swept")
        assert code == 0, said
    assert {path.name for path in a_copy.glob("locks/*")} >= {"0.json", "1.json"}
    assert len(list(a_copy.glob("swept/*/own.json"))) == 2


def test_a_directory_is_no_name_for_a_lock(a_copy, say_distill):
    code, said = say_distill(a_copy, "lock", *QUICK, "lock=artifacts")
    assert code == 2 and f"lock=artifacts/{LOCK}" in said
    for verb in ("lock", "distill"):
        code, said = say_distill(a_copy, verb, *QUICK, "lock=.")
        assert (code, said) == (
            2,
            f"distill: error: lock=. is a directory; name a file in it, such as lock={LOCK}\n",
        )


@pytest.mark.parametrize(
    ("words", "roles"),
    [
        (["teacher_source=online"], {"teacher", "student"}),
        (["alpha=0"], {"student"}),
    ],
    ids=["online", "alone"],
)
def test_a_student_without_soft_labels_is_locked_with_what_it_has(say_distill, a_copy, words, roles):
    shutil.rmtree(a_copy / "artifacts/evaluations")
    shutil.rmtree(a_copy / "artifacts/soft_labels")
    for verb, more in (("distill", []), ("lock", []), ("distill", [HELD])):
        code, said = say_distill(a_copy, verb, *QUICK, *words, *more)
        assert code == 0, said
    found = document(a_copy)
    assert found["artifacts"].keys() - {"baseline"} == roles and found["inputs"].keys() == {"data", *roles}
    code, said = say_distill(a_copy, "distill", *QUICK, HELD)
    back = {"online": "teacher_source is cached, locked online;", "0": "alpha is 0.9, locked 0.0;"}
    assert code == 4 and back[words[0].partition("=")[2]] in said


def test_an_imported_teacher_and_pictures_of_ones_own_are_told_by_their_content(
    locked, say_distill, tmp_path
):
    (weights,) = locked[0].glob("artifacts/teachers/*/model.safetensors")
    shutil.copy(weights, tmp_path / "teacher.safetensors")
    pictures(tmp_path, seed=0)
    words = (
        *QUICK,
        "data=arrays",
        f"data.file={tmp_path / 'mine.npz'}",
        f"teacher.checkpoint={tmp_path}/teacher.safetensors",
    )
    assert say_distill(tmp_path, "run", *words)[0] == 0
    assert say_distill(tmp_path, "lock", *words)[0] == 0
    text = (tmp_path / LOCK).read_text()
    assert str(tmp_path) not in text and "data.file=mine.npz teacher.checkpoint=teacher.safetensors" in text
    assert say_distill(tmp_path, "run", *words, HELD)[0] == 0

    pictures(tmp_path, seed=1)
    code, said = say_distill(tmp_path, "run", *words, HELD)
    assert code == 4
    assert (
        "the pictures of data arrays have changed (train, validation, test); put them back, or write" in said
    )

    pictures(tmp_path, seed=0, relabelled=1)
    assert "the labels of data arrays have changed; put" in say_distill(tmp_path, "run", *words, HELD)[1]

    pictures(tmp_path, seed=0)
    other = locked_teacher(weights)
    (tmp_path / "teacher.safetensors").write_bytes(other)
    code, said = say_distill(tmp_path, "run", *words, HELD)
    digits = [sha256(content).hexdigest()[:12] for content in (other, weights.read_bytes())]
    assert f"teacher.checkpoint has sha256 {digits[0]}, locked {digits[1]}; put it back" in said
    code, said = say_distill(tmp_path, "run", *words, "teacher.checkpoint=null", HELD)
    assert f"teacher.checkpoint has sha256 none, locked {digits[1]}; give it again" in said

    alone = (*words, "teacher.checkpoint=null")
    assert say_distill(tmp_path, "run", *alone)[0] == 0
    assert say_distill(tmp_path, "lock", *alone)[0] == 0
    said = say_distill(tmp_path, "run", *words, HELD)[1]
    assert f"teacher.checkpoint has sha256 {digits[0]}, locked none; leave it out" in said


def pictures(directory: Path, seed: int, relabelled: int = 0) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (120, 8, 8), dtype=np.uint8)
    labels = (np.arange(120) + (np.arange(120) < relabelled)) % 10
    np.savez(directory / "mine.npz", images=images, labels=labels)


def locked_teacher(weights: Path) -> bytes:
    """Other weights of the same shape: the last byte of the file is part of a number."""
    content = weights.read_bytes()
    return content[:-1] + bytes([content[-1] ^ 1])


def test_what_is_written_is_what_is_read(locked):
    directory, _ = locked
    lock = read_lock(directory / LOCK, "")
    copy = directory / "copy.json"
    assert lock.write(copy) and copy.read_bytes() == (directory / LOCK).read_bytes()
    assert not lock.write(copy)
    assert lock.artifacts["student"].label == "mlp_24-digits-kd-t2-a0.9-s0"
