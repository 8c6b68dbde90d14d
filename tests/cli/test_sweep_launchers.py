"""Jobs side by side: each has its share of the machine, and a number before each of its lines."""

import os
import subprocess
import sys

import pytest
from command import Ended, fake_distill_stage, installed
from omegaconf import OmegaConf

from distill_cli.hydra_app import launchers
from distill_cli.runtime.cores import SHARE, cores, hand_down, handed_down_no_longer

AT_WORK = """
import os
from distill_cli.errors import DataError
from distill_cli.runtime.console import say, track
def main(config, output):
    import torch
    from distill_cli.runtime.cores import cores
    from distill_cli.runtime.device import resolve
    say(f"{torch.get_num_threads()} {resolve('cpu', 'fp32', 'false').threads} {cores()} {os.getpid()}")
    with track("work", 2, "steps") as progress:
        progress.advance(2)
    if config.seed == 1:
        raise DataError("seed 1 is unlucky")
    (output / "result.json").write_text('{"stage": "gen-soft-labels"}')
"""
KILLED = """
import os
def main(config, output):
    (output / "result.json").write_text('{"stage": "gen-soft-labels"}')
    if config.seed == 1:
        os.kill(os.getpid(), 9)
"""
WATCHED = """
import sys
from distill_cli.cli import app
try:
    app()
finally:
    print("torch" in sys.modules)
"""
JOBLIB, SUBMITIT = "hydra/launcher=joblib", "hydra/launcher=submitit_local"


@pytest.mark.parametrize("asked", [None, "64"], ids=["as it is", "with OMP_NUM_THREADS=64"])
def test_two_jobs_on_two_cores_have_one_thread_each(tmp_path, monkeypatch, asked):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    limits = {SHARE: "2"} | ({"OMP_NUM_THREADS": asked} if asked else {})
    environment = fake_distill_stage(tmp_path, AT_WORK) | limits
    ended = installed(
        "distill", "-m", JOBLIB, "hydra.launcher.n_jobs=2", "seed=0,2", cwd=tmp_path, **environment
    )
    assert ended.code == 0
    found = sorted(line.split() for line in ended.err.splitlines() if line[:5] in ("#0 1 ", "#1 1 "))
    assert [words[:4] for words in found] == [["#0", "1", "1", "1"], ["#1", "1", "1", "1"]]
    assert len({process for *_, process in found}) == 2
    if len(os.sched_getaffinity(0)) > 1:
        assert "2 jobs, 2 at a time, each on 1 of 2 cores" in ended.err


@pytest.mark.parametrize("target", [launchers.JOBLIB, launchers.ALL_AT_ONCE])
def test_jobs_of_which_only_the_sweeper_knows_how_many_share_the_cores_too(monkeypatch, target):
    monkeypatch.setattr(launchers, "cores", lambda: 4)
    launcher = OmegaConf.create({"_target_": target, "n_jobs": -1})
    with handed_down_no_longer():
        words = launchers.share_machine(launcher, jobs=0, batch=0)
    assert words == "4 at a time, each on 1 of 4 cores"


def test_every_line_of_a_job_has_its_number_and_there_is_no_bar(tmp_path):
    environment = fake_distill_stage(tmp_path, AT_WORK)
    ended = installed(
        "distill", "-m", JOBLIB, "hydra.launcher.n_jobs=2", "seed=0,1", cwd=tmp_path, **environment
    )
    assert ended.code == 5
    first, *lines, summary, failure = ended.err.splitlines()
    assert first.startswith("2 jobs, 2 at a time, each on ")
    assert [line for line in lines if line[:3] not in ("#0 ", "#1 ")] == []
    assert {"#0 seed=0", "#1 seed=1", "#1 distill: error: seed 1 is unlucky"} <= set(lines)
    assert len([line for line in lines if "work: 2/2 steps" in line]) == 2
    assert (
        summary.startswith("2 jobs: 1 done, 1 failed")
        and failure == "distill: error: #1 seed=1: seed 1 is unlucky"
    )


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """A sweep under submitit, whose parent says in the end whether it has imported torch."""
    pytest.importorskip("submitit")
    directory = tmp_path_factory.mktemp("submitted")
    environment = os.environ | fake_distill_stage(directory, AT_WORK) | {SHARE: "2"}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "distill", "-m", SUBMITIT, "seed=0,1,2"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return directory, Ended(done.returncode, done.stdout, done.stderr)


def test_submitit_runs_each_job_in_its_own_process_and_the_others_go_on(submitted):
    directory, ended = submitted
    assert ended.code == 5, ended.err
    assert ended.err.splitlines()[0].startswith("3 jobs, 3 at a time, each on 1 of ")
    assert ended.err.splitlines()[-2].startswith("3 jobs: 2 done, 1 failed")
    assert ended.err.splitlines()[-1] == "distill: error: #1 seed=1: seed 1 is unlucky"
    said = [path.read_text() for path in directory.rglob("*_log.err")]
    assert len(said) == 3 and sum("#0 1 1 1 " in text for text in said) == 1


def test_the_parent_of_submitted_jobs_does_not_import_torch(submitted):
    assert submitted[1].out == "False\n"


def test_submitit_for_slurm_composes(tmp_path):
    pytest.importorskip("submitit")
    ended = installed("distill", "hydra/launcher=submitit_slurm", "--cfg", "hydra", cwd=tmp_path)
    assert ended.code == 0 and "submitit_launcher.SlurmLauncher" in ended.out


@pytest.mark.slow
def test_a_job_that_is_killed_under_submitit_stops_no_other_and_is_named(tmp_path):
    pytest.importorskip("submitit")
    ended = installed(
        "distill", "-m", SUBMITIT, "seed=0,1", cwd=tmp_path, **fake_distill_stage(tmp_path, KILLED)
    )
    assert ended.code == 6
    summary, named, why = ended.err.splitlines()[-3:]
    assert summary.startswith("2 jobs: 1 done, 1 failed")
    assert named == "distill: error: #1 seed=1: did not come to its end: still running, or killed"
    assert "a job ended without a result" in why


def test_a_share_is_never_more_than_somebody_asked_for(monkeypatch):
    given = len(os.sched_getaffinity(0))
    monkeypatch.setenv("OMP_NUM_THREADS", "1,2")
    monkeypatch.setenv("MKL_NUM_THREADS", "64")
    monkeypatch.setenv(SHARE, "nonsense")
    assert cores() == given
    with handed_down_no_longer():
        hand_down(3)
        assert [os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", SHARE)] == ["1", "3", "3"]
        assert cores() == min(3, given)
    assert os.environ["MKL_NUM_THREADS"] == "64" and "OPENBLAS_NUM_THREADS" not in os.environ
