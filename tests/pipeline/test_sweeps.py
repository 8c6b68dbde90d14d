"""Hydra multirun over temperatures and seeds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tool import COMMAND, QUICK, contents, distill

from distill_cli.artifacts.store import CHECKPOINT

SWEEP = ("-m", "temperature=1,2,4,8", "seed=0,1")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A directory with labels, whose teacher's weights were destroyed before the sweep."""
    directory = tmp_path_factory.mktemp("sweep")
    for verb in ("train-teacher", "gen-soft-labels"):
        assert distill(verb, *QUICK, cwd=directory).returncode == 0
    (weights,) = directory.glob("artifacts/teachers/*/model.safetensors")
    weights.write_bytes(bytes(weights.stat().st_size))  # building it would fail
    return directory, distill("distill", *SWEEP, *QUICK, cwd=directory)


def test_a_sweep_trains_eight_students_from_one_set_of_labels_and_never_builds_the_teacher(swept):
    directory, done = swept
    assert done.returncode == 0, done.stderr
    assert len(list(directory.glob("artifacts/students/*/artifact.json"))) == 8
    assert len(list(directory.glob("artifacts/soft_labels/[!.]*"))) == 1
    assert "8 jobs: 8 done, 0 failed" in done.stderr


def test_the_students_of_a_sweep_differ(swept):
    directory, _ = swept
    assert len({path.read_bytes() for path in directory.glob("artifacts/students/*/model.safetensors")}) == 8


def test_every_job_of_a_sweep_writes_its_result(swept):
    directory, _ = swept
    results = [
        json.loads(path.read_text()) for path in directory.glob("outputs/distill/sweep_*/*/result.json")
    ]
    assert len({result["key"] for result in results}) == 8
    assert {result["status"] for result in results} == {"built"}


def test_a_sweep_again_is_a_no_op(swept):
    directory, _ = swept
    before = contents(directory / "artifacts", but=())
    again = distill("distill", *SWEEP, *QUICK, cwd=directory)
    assert again.returncode == 0 and again.stderr.count("student: up-to-date") == 8
    assert contents(directory / "artifacts", but=()) == before


def test_a_job_of_a_sweep_ends_with_the_bits_it_has_alone(swept, tmp_path):
    """No job leaves anything behind that the next one feels."""
    directory, _ = swept
    for verb in ("train-teacher", "gen-soft-labels"):
        assert distill(verb, *QUICK, cwd=tmp_path).returncode == 0
    assert distill("distill", "temperature=8", "seed=1", *QUICK, cwd=tmp_path).returncode == 0
    (alone,) = tmp_path.glob("artifacts/students/*/model.safetensors")
    (within,) = directory.glob(f"artifacts/students/{alone.parent.name}/model.safetensors")
    assert alone.read_bytes() == within.read_bytes()


LONG = ("student.epochs=80", "trainer.checkpoint_every=0.02", "evaluate.latency=false", "teacher.epochs=3")
LAUNCHERS = {"basic": (), "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")}


def killed_at_its_second_student(words: tuple[str, ...], directory: Path) -> None:
    """SIGKILL for the whole sweep, once one student is there and there is a checkpoint of another one."""
    sweep = subprocess.Popen(
        [str(COMMAND), *words],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    students = directory / "artifacts" / "students"
    while not (any(students.glob("[!.]*")) and any(students.glob(f".*/{CHECKPOINT}"))):
        assert sweep.poll() is None, "the sweep ended before it could be killed"
        time.sleep(0.01)
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.wait()


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_a_sweep_that_was_killed_does_only_what_is_missing_and_ends_with_the_same_bytes(
    swept, tmp_path, launcher
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for directory in (whole, cut):
        shutil.copytree(swept[0] / "artifacts", directory / "artifacts", ignore=lambda *_: ["students"])
    words = ("distill", "-m", "seed=0,1,2,3", *LAUNCHERS[launcher], *LONG)
    assert distill(*words, cwd=whole).returncode == 0
    killed_at_its_second_student(words, cut)
    again = distill(*words, cwd=cut)
    assert again.returncode == 0, again.stderr
    sweep = max(cut.glob("outputs/distill/sweep_*"))
    statuses = [json.loads(path.read_text())["status"] for path in sorted(sweep.glob("*/result.json"))]
    if launcher == "basic":
        assert statuses == ["up-to-date", "resumed", "built", "built"]
    assert len(statuses) == 4 and {"up-to-date", "resumed"} <= set(statuses)
    assert contents(cut / "artifacts" / "students") == contents(whole / "artifacts" / "students")
    assert (sweep / "sweep.html").is_file()


WATCHED = """
import functools, hashlib, sys
from distill_cli.cli import app
from distill_cli.data import digits
from distill_cli.runtime.shared import shared

def counted(module, name):
    made = getattr(module, name)
    @functools.wraps(made)
    def make(*args, **options):
        print("MADE", name, file=sys.stderr)
        return made(*args, **options)
    setattr(module, name, make)

counted(digits, "load")
from distill_cli.soft_labels import rows
counted(rows, "_read")

def hashes():
    for _, thing in shared._things.values():
        arrays = (
            [thing.numpy()] if hasattr(thing, "numpy")
            else [array for split in thing.splits.values() for array in (split.images, split.labels)]
        )
        yield [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]

keep, release, before = shared.keep, shared.release, []

def keeping(key, size, thing):
    keep(key, size, thing)
    before.append(list(hashes())[-1])
    return thing

def releasing():
    print("KEPT", len(before), "UNCHANGED", before == list(hashes()) != [], file=sys.stderr)
    return release()

shared.keep, shared.release = keeping, releasing
app()
"""


def test_the_jobs_of_a_sweep_share_data_and_rows_and_leave_them_as_they_are(tmp_path):
    for verb in ("train-teacher", "gen-soft-labels"):
        assert distill(verb, *QUICK, cwd=tmp_path).returncode == 0
    command = ["distill", "-m", "temperature=1,2", "seed=0,1", *QUICK]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "4 jobs: 4 done, 0 failed" in done.stderr
    assert done.stderr.count("MADE load") == 1 and done.stderr.count("MADE _read") == 1
    assert "KEPT 2 UNCHANGED True" in done.stderr


def test_joblib_runs_the_jobs_in_processes_of_their_own(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = distill(
        "distill",
        "-m",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "alpha=0",
        "seed=0,1",
        *QUICK,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("artifacts/students/*/artifact.json"))) == 2


def test_a_failing_job_does_not_stop_the_others_and_decides_the_exit_code(tmp_path):
    done = distill("distill", "-m", "alpha=0", "seed=0,1", "student=mlp_24,resnet18", *QUICK, cwd=tmp_path)
    failed = distill("distill", "-m", "alpha=0,0.9", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert failed.returncode == 4 and "2 jobs: 1 done, 1 failed" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_search_ranks_students_that_missed_their_gate_and_knows_how_good_they_are(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweep.dir=here")
    gates = ("gates.max_params=1", "evaluate.latency=false")
    done = distill("run", *search, "seed=choice(0,1)", *gates, *QUICK, cwd=tmp_path)
    assert done.returncode == 3 and "2 jobs: 0 done, 2 failed (here)" in done.stderr, done.stderr
    students = (tmp_path / "here" / "sweep.csv").read_text().count(",student,")
    assert students == len(list(tmp_path.glob("artifacts/students/*-kd-*/artifact.json"))) > 0
    assert "best_value: 0." in (tmp_path / "here" / "optimization_results.yaml").read_text()
