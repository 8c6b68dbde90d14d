"""A sweep goes on where a job fails, and says in the end how it went."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from command import COMMAND, fake_distill_stage, installed

STAGE = """
import os, time
from distill_cli.errors import ArtifactError, DataError, GateFailed, Interrupted
def main(config, output):
    if config.seed == 1:
        raise DataError("seed 1 is unlucky")
    if config.seed == 2:
        raise ArtifactError("seed 2 as well")
    if config.seed == 9:
        raise Interrupted(143)
    if config.seed == 7:
        os._exit(9)
    if config.seed == 8:
        time.sleep(20)
    (output / "result.json").write_text('{"stage": "gen-soft-labels"}')
    if config.seed == 5:
        raise GateFailed("made, but too bad")
    (output / f"pid-{os.getpid()}").touch()
"""

SLEEPING = """
import time
def main(config, output):
    print("asleep", flush=True)
    time.sleep(60)
"""

LAUNCHERS = {"basic": [], "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]}


@pytest.fixture
def environment(tmp_path):
    return fake_distill_stage(tmp_path, STAGE)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_other_jobs_go_on_and_the_first_failure_is_the_exit_code(tmp_path, environment, launcher):
    ended = installed(
        "distill", "-m", "seed=0,1,2,3", "student=resnet8", *LAUNCHERS[launcher], cwd=tmp_path, **environment
    )
    assert ended.code == 5
    assert "Traceback" not in ended.err
    assert "#3 seed=3 student=resnet8" in ended.err
    summary, *failed = ended.err.splitlines()[-3:]
    assert summary.startswith("4 jobs: 2 done, 2 failed (outputs/distill/sweep_")
    assert failed == [
        "distill: error: #1 seed=1 student=resnet8: seed 1 is unlucky",
        "distill: error: #2 seed=2 student=resnet8: seed 2 as well",
    ]
    (sweep,) = tmp_path.glob("outputs/distill/sweep_*")
    assert sorted(path.parent.name for path in sweep.glob("*/result.json")) == ["0", "3"]
    assert json.loads((sweep / "2" / "error.json").read_text())["exit_code"] == 4


def test_joblib_runs_jobs_in_other_processes(tmp_path, environment):
    installed("distill", "-m", "seed=0,3", *LAUNCHERS["joblib"], cwd=tmp_path, **environment)
    assert len(list(tmp_path.glob("outputs/distill/sweep_*/*/pid-*"))) == 2


def test_a_sweep_without_failures_ends_with_0(tmp_path, environment):
    ended = installed("distill", "-m", "seed=0,3", cwd=tmp_path, **environment)
    assert ended.code == 0
    assert ended.err.splitlines()[-1].startswith("2 jobs: 2 done, 0 failed (")


def test_what_an_earlier_sweep_left_in_the_directory_does_not_count(tmp_path, environment):
    words = ("distill", "-m", "hydra.sweep.dir=here")
    assert installed(*words, "seed=0,3,1", cwd=tmp_path, **environment).code == 5
    ended = installed(*words, "seed=0,3", cwd=tmp_path, **environment)
    assert ended.code == 0
    assert "2 jobs: 2 done, 0 failed (here)" in ended.err


def test_a_job_that_fails_after_its_result_is_one_job_that_failed(tmp_path, environment):
    ended = installed("distill", "-m", "seed=0,5", cwd=tmp_path, **environment)
    assert ended.code == 3
    assert "2 jobs: 1 done, 1 failed (" in ended.err


def test_a_job_that_is_killed_leaves_a_record_and_is_no_success(tmp_path, environment):
    ended = installed("distill", "-m", "seed=7,8,10,11", *LAUNCHERS["joblib"], cwd=tmp_path, **environment)
    assert ended.code == 6
    assert re.search(r"\n4 jobs: 0 done, (1 failed, 3|2 failed, 2) not started \(", ended.err), ended.err
    assert "a parallel job was killed" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    (record,) = tmp_path.glob("outputs/distill/sweep_*/0/error.json")
    assert "killed" in json.loads(record.read_text())["message"]


def test_an_interruption_ends_the_sweep(tmp_path, environment):
    ended = installed("distill", "-m", "seed=0,9,3", cwd=tmp_path, **environment)
    assert ended.code == 143
    assert "#3" not in ended.err
    assert ended.err.splitlines()[-1] == "distill: interrupted; the same command resumes"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_one_line_and_its_exit_code(tmp_path, number, code):
    environment = {**os.environ, **fake_distill_stage(tmp_path, SLEEPING)}
    with subprocess.Popen(
        [COMMAND, "distill"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asleep\n"
        started = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err == "distill: interrupted; the same command resumes\n"
    assert time.monotonic() - started < 20
